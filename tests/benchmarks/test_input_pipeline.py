"""Each reader is measured on the task of the config, and held against the step."""

import json

import pytest

from benchmarks import feeding, input_pipeline
from benchmarks.input_pipeline import Files
from jaxgan import config_files
from jaxgan.data import make_task

FEW = Files(size=32, number=4)


def names(section, tmp_path, files=FEW):
    return [
        (r.name, r.source) for r in input_pipeline.readers(section, files, tmp_path)
    ]


@pytest.mark.parametrize(
    "spec",
    ["pix2pix:tiny", "cyclegan:tiny", "gan:tiny", "srgan:tiny", "dcgan:celeba"],
)
def test_files_are_written_as_the_task_looks_for_them(spec, tmp_path):
    section = config_files.load(spec)["data"]
    readers = list(input_pipeline.readers(section, FEW, tmp_path))
    assert [r.name for r in readers] == ["tf.data", "Pillow", "in memory"] * 2 + [
        "drawn",
        "in memory",
    ]
    for reader in readers:
        if reader.name == "tf.data":  # as Pillow, but slow to import
            continue
        task = make_task(reader.data, split="train")
        assert 2 <= task.num_examples <= FEW.number
        raw = next(task.batches(0, 2))
        for field, expected in task.raw_spec.items():
            assert raw[field].shape == (2, *expected.shape), (reader, field)
    assert len(list(tmp_path.rglob("*.jpeg"))) % FEW.number == 0
    assert list(tmp_path.rglob("*.png"))


def test_label_folders_are_as_many_as_classes(tmp_path):
    section = config_files.load("dcgan:mnist_conditional")["data"]
    input_pipeline.write_files(section, FEW, tmp_path / "x", "PNG")
    task = make_task(
        {**section, "source": f"folder:{tmp_path / 'x'}", "holdout": 0.0}
        | {"fields": None}
    )
    assert task.num_examples % FEW.number == 0
    assert set(next(task.batches(0, 2))) == {"image", "label"}


def test_shapes_have_no_picture_files(tmp_path):
    section = config_files.load("gan3d:tiny")["data"]
    assert names(section, tmp_path) == [
        ("drawn", "synthetic:boxes"),
        ("in memory", "synthetic:boxes"),
    ]
    assert not list(tmp_path.iterdir())


def test_a_source_of_the_users_is_read_in_three_ways(tmp_path):
    section = config_files.load("gan3d:tiny")["data"]
    files = FEW._replace(source="npz:mine.npz")
    assert names(section, tmp_path, files)[2:] == [
        ("tf.data", "npz:mine.npz"),
        ("Pillow", "npz:mine.npz"),
        ("in memory", "npz:mine.npz"),
    ]


def test_rates_count_every_draw():
    data = {"task": "images", "source": "synthetic:digits", "image_size": 16}
    data |= {"source_options": {"count": 4}, "in_memory": True}
    one, four = (
        feeding.host_rate(make_task(data | {"draws": n}), 4, 0.05) for n in (1, 4)
    )
    assert one.per_second > 0 and one.per_cpu_second > 0
    assert four.per_second > one.per_second


def test_the_command_holds_readers_against_the_step(tmp_path, capsys):
    output = tmp_path / "rows.md"
    arguments = ["--config=gan3d:tiny", "--seconds=0", "--count=4"]
    more = [f"--output={output}", "--examples_per_second=50", "--source=folder:shapes"]
    assert input_pipeline.main(["input_pipeline", *arguments, *more]) == 0
    rows = [json.loads(line) for line in output.with_suffix(".jsonl").open()]
    drawn, kept, *refused = rows
    for row in (drawn, kept):
        assert row["step_images_per_second"] == 50
        assert row["ratio"] == pytest.approx(
            row["images_per_cpu_second"] / 50, rel=1e-4
        )
        assert row["cores_needed"] == pytest.approx(1 / row["ratio"], rel=1e-4)
    assert len(refused) == 3
    assert all("jaxgan prepare" in row["note"] for row in refused)
    page = output.read_text()
    assert capsys.readouterr().out == page
    assert page.count("Not measured: gan3d") == 3
    assert "| gan3d | drawn | synthetic:boxes |" in page and "50 (given)" in page
