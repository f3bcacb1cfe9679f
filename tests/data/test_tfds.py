"""TensorFlow Datasets by index, their preparation, and the builders of our own."""

import tarfile

import numpy as np
import pytest

from jaxgan.core import UserError
from jaxgan.data import example, make_source, make_task
from jaxgan.data.tfds_source import prepare
from tests import cases
from tests.data.conftest import picture

tfds = pytest.importorskip("tensorflow_datasets")
pytest.importorskip("array_record")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """A data folder with `tiny_domains`, prepared by `prepare` itself."""
    from tests.data.builders import tiny_domains  # noqa: F401, registers it

    folder = tmp_path_factory.mktemp("tfds")
    prepare("tfds:tiny_domains", data_dir=str(folder))
    return str(folder)


def pixels(split: str, count: int) -> list[tuple[int, int]]:
    from tests.data.builders import tiny_domains

    return [tuple(tiny_domains.picture(split, i)[0, 0, :2]) for i in range(count)]


def test_fields_are_read_by_index(data_dir):
    options = {"source_options": {"data_dir": data_dir}, "holdout": 0.0}
    source = make_source("tfds:tiny_domains", "train", **options)
    assert len(source) == 6
    assert source.fields["image"].encoded
    assert source.fields["label"].names == ("A", "B")
    assert set(source.fields) == {
        "image", "label", "attributes/even", "attributes/third", "bbox",
    }  # fmt: skip
    rows = [example(source, i) for i in range(6)]
    assert sorted(tuple(r["image"][0, 0, :2]) for r in rows) == pixels("train", 6)
    for row in rows:  # numbers and picture belong to one example
        assert row["attributes/third"] == row["image"][0, 0, 1] // 3
        assert row["attributes/even"] == (row["image"][0, 0, 1] % 2 == 0)


@pytest.mark.parametrize("reader", ["pillow", "tensorflow"])
def test_domains_are_the_splits(data_dir, reader):
    data = {"task": "unpaired", "source": "tfds:tiny_domains", "image_size": (6, 8)}
    data |= {"source_options": {"data_dir": data_dir}, "reader": reader}
    train, test = (make_task(data, split=s) for s in ("train", "test"))
    assert train.num_examples == 5 and test.num_examples == 2
    raw = next(train.batches(0, 5))
    assert sorted(tuple(p) for p in raw["a"][:, 0, 0, :2]) == pixels("trainA", 5)
    assert {tuple(p) for p in raw["b"][:, 0, 0, :2]} <= set(pixels("trainB", 3))
    raw = test.examples([0, 1])
    assert sorted(tuple(p) for p in raw["b"][:, 0, 0, :2]) == pixels("testB", 2)


@pytest.mark.parametrize("in_memory", [False, True], ids=["read", "in_memory"])
@pytest.mark.parametrize("reader", ["pillow", "tensorflow"])
def test_pictures_are_cut_by_their_own_boxes(data_dir, reader, in_memory):
    data = {"task": "images", "source": "tfds:tiny_domains", "image_size": (3, 4)}
    data |= {"source_options": {"data_dir": data_dir}, "holdout": 0.0, "box": "bbox"}
    task = make_task({**data, "reader": reader, "in_memory": in_memory})
    numbers = 10 * np.arange(6)[:, None] + np.arange(8)
    seen = set()
    for raw in (next(task.batches(0, 6)), task.examples(range(6))):
        assert set(raw) == {"image"}
        for image in raw["image"]:
            i = int(image[0, 0, 1])
            top, left = i % 4, i % 5
            expected = numbers[top : top + 3, left : left + 4]
            np.testing.assert_array_equal(image[..., 2], expected)
            seen.add(i)
    assert seen == set(range(6))


def test_cars_are_cut_by_the_boxes_of_their_data_set():
    features = tfds.builder_cls("cars196")(data_dir="/nowhere").info.features
    for name in ("dcgan", "semantic_inpainting"):
        data = cases.config_module(name).get_config("cars").data
        assert data.source == "tfds:cars196"
        field = features[data.box]
        assert isinstance(field, tfds.features.BBoxFeature) and field.shape == (4,)


def test_where_and_labels_of_tfds(data_dir):
    data = {"task": "labelled", "source": "tfds:tiny_domains", "image_size": 6}
    data |= {"source_options": {"data_dir": data_dir}, "holdout": 0.0}
    data |= {"label": "attributes/third", "where": {"attributes/even": 1}}
    task = make_task(data)
    assert task.num_examples == 3
    assert sorted(task.examples(range(3))["label"].tolist()) == [0, 0, 1]


def test_absent_data_set_says_how_to_get_it(tmp_path):
    with pytest.raises(UserError, match="run `jaxgan prepare --source=tfds:mnist --d"):
        make_source("tfds:mnist", source_options={"data_dir": str(tmp_path)})


def test_unknown_data_set_and_configuration_suggest_the_nearest(tmp_path):
    options = {"source_options": {"data_dir": str(tmp_path)}}
    with pytest.raises(UserError, match="no such data set.*did you mean 'cycle_gan'"):
        make_source("tfds:cyclegan/horse2zebra", **options)
    with pytest.raises(UserError, match="no such configuration.*'horse2zebra'"):
        make_source("tfds:cycle_gan/horse2zebr", **options)
    with pytest.raises(UserError, match="no such configuration.*'facades'"):
        make_source("tfds:pix2pix/facade", **options)


def test_tfrecord_copy_is_refused_and_converted(tmp_path):
    from tests.data.builders import tiny_domains

    builder = tiny_domains.TinyDomains(data_dir=str(tmp_path))
    builder.download_and_prepare(file_format="tfrecord")
    options = {"source_options": {"data_dir": str(tmp_path)}, "holdout": 0.0}
    with pytest.raises(
        UserError, match="stored as tfrecord.*`jaxgan prepare --source="
    ):
        make_source("tfds:tiny_domains", **options)
    prepare("tiny_domains", data_dir=str(tmp_path))
    source = make_source("tfds:tiny_domains", **options)
    found = {tuple(example(source, i)["image"][0, 0, :2]) for i in range(len(source))}
    assert found == set(pixels("train", 6))


def facades(folder):
    for split, count in (("train", 3), ("val", 2), ("test", 1)):
        (folder / "facades" / split).mkdir(parents=True)
        for i in range(count):
            both = np.concatenate([picture(i, 8, 8), picture(50 + i, 8, 8)], axis=1)
            path = folder / "facades" / split / f"{i + 1}.png"
            from PIL import Image

            Image.fromarray(both).save(path)


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "archive"])
def test_pix2pix_builder_reads_pairs_from_manual_dir(tmp_path, packed):
    manual = tmp_path / "manual"
    facades(manual)
    if packed:
        with tarfile.open(manual / "facades.tar.gz", "w:gz") as archive:
            archive.add(manual / "facades", "facades")
        (manual / "facades").rename(tmp_path / "elsewhere")
    data_dir = str(tmp_path / "data")
    prepare("tfds:pix2pix/facades", data_dir=data_dir, manual_dir=str(manual))
    data = {"task": "paired", "source": "tfds:pix2pix/facades", "image_size": 8}
    data |= {"source_options": {"data_dir": data_dir}, "reader": "pillow"}
    sizes = [make_task(data, split=s).num_examples for s in SPLITS]
    assert sizes == [3, 2, 1]
    raw = make_task(data, split="train").examples(range(3))
    for a, b in zip(raw["a"], raw["b"], strict=True):
        found = [i for i in range(3) if (a == picture(i, 8, 8)).all()]
        assert len(found) == 1 and (b == picture(50 + found[0], 8, 8)).all()


SPLITS = ("train", "validation", "test")


def test_pix2pix_without_its_archive_says_where_to_get_it(tmp_path):
    (tmp_path / "manual").mkdir()
    (tmp_path / "manual" / "something else").touch()
    with pytest.raises(UserError, match=r"neither .*maps.tar.gz nor a folder.*fetch"):
        prepare(
            "pix2pix/maps",
            data_dir=str(tmp_path / "data"),
            manual_dir=str(tmp_path / "manual"),
        )


def test_pix2pix_has_the_data_sets_that_tfds_lacks():
    from jaxgan.data.tfds_builders.pix2pix import Pix2pix

    assert set(Pix2pix.builder_configs) == {
        "facades", "cityscapes", "maps", "edges2shoes", "edges2handbags", "night2day",
    }  # fmt: skip
