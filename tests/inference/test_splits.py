"""`jaxgan generate --split`: a run's own data, every column a picture."""

import numpy as np
import pytest
from PIL import Image

from jaxgan import generate, train
from jaxgan.core.errors import UserError
from jaxgan.data import from_arrays, make_task, pictures
from jaxgan.inference import splits
from tests.inference.conftest import gradient
from tests.training.toy import Toy

SIDE = 32  # of pix2pix:tiny and cyclegan:tiny


def run(workdir, *arguments):
    generate.main(["jaxgan generate", f"--workdir={workdir}", *arguments])


def written(folder):
    found = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.png"))
    assert found.pop(found.index("contact_sheet.png"))
    return found


def picture(path):
    return np.asarray(Image.open(path))


def draw(path, height, width, turn):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.roll(gradient(height, width), turn, axis=1)).save(path)


@pytest.fixture
def pairs(tmp_path):
    """A training pair, and five to test on."""
    folder = tmp_path / "pairs"
    draw(folder / "train" / "x.png", 40, 80, 0)
    for i in range(5):
        draw(folder / "test" / f"house{i}.png", 40, 80, 7 * i)
    return folder


@pytest.fixture
def domains(tmp_path):
    folder = tmp_path / "domains"
    for name in ("trainA/x", "trainB/y", "testA/h1", "testA/h2", "testB/z1"):
        draw(folder / f"{name}.png", SIDE, SIDE, len(name))
    return folder


def test_pairs_with_their_truth(pix2pix_run, pairs, tmp_path, capsys):
    out = tmp_path / "out"
    source = f"--source=folder:{pairs}"
    run(pix2pix_run, "--split=test", source, "--batch_size=2", f"--output={out}")
    columns = ("input", "prediction", "truth")
    assert written(out) == [f"house{i}_{c}.png" for i in range(5) for c in columns]
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"5 results: {out}", str(out / "contact_sheet.png")]
    for i in range(5):
        whole = picture(pairs / "test" / f"house{i}.png")
        for column, half in (("input", whole[:, :40]), ("truth", whole[:, 40:])):
            wanted = pictures.resize(np.ascontiguousarray(half), SIDE, SIDE, "bicubic")
            assert (picture(out / f"house{i}_{column}.png") == wanted).all()
        made = picture(out / f"house{i}_prediction.png")
        assert made.shape == (SIDE, SIDE, 3) and made.std() > 0


def test_what_is_drawn_follows_the_seed(dcgan_run, tmp_path):
    def pictures_of(folder, *arguments):
        out = tmp_path / folder
        run(dcgan_run, "--split=test", "--num=2", f"--output={out}", *arguments)
        return {name: picture(out / name) for name in written(out)}

    first, again = pictures_of("a"), pictures_of("b")
    other = pictures_of("c", "--seed=1")
    assert list(first) == [
        f"000{i}_{c}.png" for i in (0, 1) for c in ("data", "sample")
    ]
    for name, image in first.items():
        assert (image == again[name]).all()
        assert (image != other[name]).any() == ("sample" in name)


def test_unpaired_examples_are_called_after_both_files(cyclegan_run, domains, tmp_path):
    out = tmp_path / "out"
    run(cyclegan_run, "--split=test", f"--source=folder:{domains}", f"--output={out}")
    columns = ("a", "a_to_b", "b", "b_to_a", "back_to_a", "back_to_b")
    names = ("h1+z1", "h2+z1")
    assert written(out) == [f"{name}_{c}.png" for name in names for c in columns]
    for a in ("h1", "h2"):
        real = picture(domains / "testA" / f"{a}.png")
        assert (picture(out / f"{a}+z1_a.png") == real).all()


def test_the_runs_own_data_has_numbers(cyclegan_run, tmp_path):
    out = tmp_path / "out"
    run(cyclegan_run, "--split=validation", "--num=1", f"--output={out}")
    assert len(written(out)) == 6
    assert picture(out / "0000_back_to_a.png").shape == (SIDE, SIDE, 3)


def test_all_of_a_source_without_splits(pix2pix_run, pairs, tmp_path):
    out = tmp_path / "out"
    source = f"--source=folder:{pairs}/test"
    run(pix2pix_run, "--split=test", source, f"--output={out}")
    assert len(written(out)) == 15


def test_a_broken_file_is_left_out(pix2pix_run, pairs, tmp_path, capsys):
    (pairs / "test" / "house1.png").write_bytes(b"")
    out = tmp_path / "out"
    flags = ["--split=test", f"--source=folder:{pairs}", f"--output={out}"]
    run(pix2pix_run, *flags, "--config.data.max_unreadable=0.5")
    assert capsys.readouterr().out.startswith("4 results, 1 skipped: ")
    assert not list(out.glob("house1*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--split=tset"], "--split.*test.*validation.*train"),
        (["--split=test"], "--output is missing"),
        (["--source=folder:x", "--output=out"], "--split is missing"),
        (["--split=test", "--output=out", "--mode=translate"], "--mode goes with a mo"),
        (["--split=test", "--output=out", "--input=x"], "--input goes with a mode"),
        (["--split=test", "--output=out", "--sampling=eval"], "unknown flag --samplin"),
        (
            ["--split=test", "--output=out", "--source=folder:none"],
            "folder:none: there is no such folder",
        ),
        (["--split=test", "--output=file"], "--output=file is a file"),
        (["--split=test", "--output=taken", "--num=1"], "0000_truth.png would replace"),
        (
            ["--split=test", "--output=mine/out", "--source=folder:mine"],
            "--output=mine/out lies in the data",
        ),
        (["--split=test", "--output=out", "--config.seed=1"], "config.seed cannot be"),
        (
            ["--split=test", "--output=out", "--config.data.source=folder:mine",
             "--config.data.fields=None", "--config.data.holdout=0.0"],
            "--split=test: folder:mine has no such split",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(pix2pix_run, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    draw(tmp_path / "mine" / "a.png", 8, 16, 0)
    draw(tmp_path / "taken" / "0000_truth.png", 8, 8, 0)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=message) as raised:
        run(pix2pix_run, *arguments)
    assert "\n" not in str(raised.value)


def test_another_size_of_data_is_refused(dcgan_run, tmp_path):
    flags = ["--split=test", f"--output={tmp_path}/out", "--config.data.image_size=24"]
    with pytest.raises(UserError, match="the data's 'image' is .*this system's"):
        run(dcgan_run, *flags)


def test_arrays_of_many_channels_train_and_are_shown(tmp_path):
    draws = np.random.default_rng(0)
    arrays = {
        "a": draws.integers(0, 256, (20, SIDE, SIDE, 6), np.uint8),
        "b": draws.integers(0, 256, (20, SIDE, SIDE, 4), np.uint8),
    }
    np.savez(tmp_path / "many.npz", **arrays)
    workdir, out = tmp_path / "run", tmp_path / "out"
    values = {
        "data.source": f"npz:{tmp_path}/many.npz", "data.load_size": 36,
        "data.flip": True, "data.channels_a": 6, "data.channels_b": 4,
        "system.in_channels": 6, "system.out_channels": 4, "training.num_steps": 1,
        "training.sample_every": 1, "training.evaluate_every": 1, "devices.data": 1,
    }  # fmt: skip
    flags = [f"--config.{key}={value}" for key, value in values.items()]
    train.main(
        ["jaxgan train", "--config=pix2pix:tiny", f"--workdir={workdir}", *flags]
    )
    assert list((workdir / "samples").glob("*.png"))
    run(workdir, "--split=train", "--num=2", f"--output={out}")
    kept = make_task({"task": "images", "source": values["data.source"],
                      "fields": ("a",), "channels": 6, "image_size": SIDE})  # fmt: skip
    whole = kept.streams["examples"].source.read(np.array([1]), ["a", "b"])
    assert (picture(out / "0001_input.png") == whole["a"][0, ..., :3]).all()
    assert (picture(out / "0001_truth.png") == whole["b"][0, ..., :3]).all()
    with pytest.raises(UserError, match="images of 6 channels, and image files hold"):
        run(workdir, "--mode=translate", f"--input={out}", f"--output={out}/more")


class Echo(Toy):
    """Shows the batch, how many it holds, and what is not finite."""

    def sample_grid(self, variables, frozen, batch, key):
        image = batch["image"]
        count = image[:, :1, :1, :1] * 0 + image.shape[0] / 127.5 - 1
        bad = image.at[1].set(float("nan"))
        return {"z": image, "of 1": count, "bad": bad}


def test_the_last_batch_is_whole_and_columns_keep_their_order(tmp_path):
    values = np.arange(5, dtype=np.uint8)[:, None, None] * np.ones((4, 4), np.uint8)
    data = {"task": "images", "source": from_arrays(image=values), "image_size": 4}
    task = make_task(data, split="test")
    columns = splits.Columns(Echo(), {}, {}, task)
    assert list(columns.mode.output) == ["z", "of_1", "bad"]
    told = []
    done = splits.run(columns, task, str(tmp_path), told.append, batch_size=3)
    assert (done.asked, done.count) == (5, 3)
    assert told == [f"000{i}: the result is not finite; skipped" for i in (1, 4)]
    for i in (0, 2, 3):
        assert (picture(tmp_path / f"000{i}_z.png") == i).all()
        assert picture(tmp_path / f"000{i}_of_1.png") == 3


@pytest.mark.parametrize("disjoint", [False, True])
def test_training_examples_whole_and_in_order(disjoint):
    pair = {f: np.random.default_rng(0).integers(0, 255, (9, 12, 12, 3), np.uint8)
            for f in ("one", "two")}  # fmt: skip
    data = {
        "task": "unpaired", "source": from_arrays(pair), "fields": ("one", "two"),
        "image_size": 8, "load_size": 12, "flip": True, "holdout": 0.4,
        "disjoint": disjoint,
    }  # fmt: skip
    task = make_task(data, augment=False)
    assert (task.split, task.num_examples) == ("train", 5)
    raw = task.examples(np.arange(5))
    assert raw["a"].shape == (5, 8, 8, 3)  # resized, not cropped
    kept = make_task(data | {"disjoint": False}).streams["a"].source
    whole = kept.read(np.arange(5), ["one"])["one"]
    wanted = [pictures.resize(x, 8, 8, "bicubic") for x in whole]
    assert (raw["a"] == np.stack(wanted)).all()


@pytest.mark.parametrize(
    ("files", "name"),
    [
        (("A/x/1.png", "B/x/1.jpg"), "x/1.png"),
        (("HR/0001.png", "LR/0001x4.png"), "0001.png"),
        (("below/1.png",), "below/1.png"),
    ],
)
def test_the_name_of_several_files(files, name):
    assert splits._common(files) == name
