"""The FCN score against label maps at full size, and what stands in for it."""

import io

import numpy as np
import pytest
from PIL import Image

from jaxgan.core.errors import UserError
from jaxgan.data import from_arrays
from jaxgan.data.sources import Field
from jaxgan.evaluation import protocols, segmenter
from jaxgan.evaluation.protocols import label_maps
from jaxgan.evaluation.segmentation import CITYSCAPES_PALETTE, cityscapes_train_ids
from jaxgan.pretrained import LoadedWeights
from tests.evaluation import stubs
from tests.evaluation.stubs import config, judge, noise

COUNT, SIZE = 3, (40, 80)
LABEL_IDS = np.random.default_rng(0).integers(0, 34, (COUNT, *SIZE), np.uint8)
PICTURES = noise(1, COUNT, 16, 16, 3)
SCENES = [f"ulm_00000{i}_000019" for i in range(COUNT)]


def given(source, **more):
    options = {"palette": "cityscapes", "labels_in": "a", **more}
    return config("pix2pix", source, "paired", **options)


def enlarged(images):
    """As the published script writes and reads results."""
    height, width = SIZE
    return np.stack(
        [
            np.asarray(Image.fromarray(x).resize((width, height), Image.BILINEAR))
            for x in images
        ]
    )


def reader(images):
    """A segmenter that tells pictures apart: classes 0 to 19 by brightness."""
    assert images.dtype == np.uint8
    return images[..., 0] // 13


def expected_accuracy(images):
    labels = cityscapes_train_ids(LABEL_IDS)
    return np.mean((reader(images) == labels)[labels < 19])


def test_train_ids_are_the_nineteen_evaluated_classes():
    ids = cityscapes_train_ids(np.arange(256, dtype=np.uint8))
    assert ids[[7, 8, 11, 12, 13, 17]].tolist() == [0, 1, 2, 3, 4, 5]
    assert ids[[24, 25, 26, 33]].tolist() == [11, 12, 13, 18]
    assert sorted(ids[ids != 255]) == list(range(19))
    assert (ids[[0, 4, 6, 9, 14, 18, 29, 30, 34, 255]] == 255).all()


def test_results_are_enlarged_and_held_against_the_datas_own_label_maps():
    source = from_arrays(
        a=PICTURES, b=255 - PICTURES, segmentation_label=LABEL_IDS[..., None]
    )
    shapes = []

    def read(images):
        shapes.append(images.shape)
        return reader(images)

    system = stubs.translator(lambda image, key: -image)
    row = judge(system, given(source, batch_size=2), segmenter=read)
    assert set(shapes) == {(1, *SIZE, 3)}
    expected = expected_accuracy(enlarged(255 - PICTURES))
    assert row["pixel_accuracy"] == pytest.approx(expected, rel=1e-6)
    assert row["pixel_accuracy/real_images"] == row["pixel_accuracy"]
    copy = expected_accuracy(enlarged(PICTURES))
    assert row["pixel_accuracy/copy_of_input"] == pytest.approx(copy, rel=1e-6)
    labels = cityscapes_train_ids(LABEL_IDS)
    assert row["num_pixels"] == (labels < 19).sum()
    # What the script would have fed: not the same as nearest neighbours.
    blocks = np.repeat(np.repeat(255 - PICTURES, 5, 2), 3, 1)[:, : SIZE[0]]
    assert expected_accuracy(blocks) != pytest.approx(expected, rel=1e-3)


class Files:
    """Examples of image files alone, with the fields of tfds:cityscapes."""

    name = "tfds:cityscapes/semantic_segmentation"
    fields = {"image_left": Field(None), "segmentation_label": Field(None)}

    def __len__(self):
        return COUNT

    def read(self, indices, fields=None):
        return {}

    def column(self, field):
        return None

    def encoded(self, index):
        pictures = {
            "image_left": enlarged(255 - PICTURES)[index],
            "segmentation_label": LABEL_IDS[index],
        }
        files = {name: io.BytesIO() for name in pictures}
        for name, image in pictures.items():
            Image.fromarray(image).save(files[name], "png")
        return {name: file.getvalue() for name, file in files.items()}

    def file_names(self, index):
        return ()

    def describe(self, index):
        return f"{self.name}, example {index}"


def test_label_maps_of_tfds_are_read_at_their_own_size():
    options = given(Files(), labels_in="stored_b")
    options["data"] |= {"fields": ("image_left", "segmentation_label")}
    options["data"] |= {"palette_b": 34, "direction": "BtoA"}
    seen = []

    def read(images):
        seen.append(images)
        return reader(images)

    row = judge(stubs.translator(lambda image, key: image), options, segmenter=read)
    real = np.concatenate(seen[3::4])  # after translation, mean image and input
    assert real.shape == (COUNT, *SIZE, 3)
    expected = expected_accuracy(real)
    assert row["pixel_accuracy/real_images"] == pytest.approx(expected, rel=1e-6)
    assert row["pixel_accuracy"] != row["pixel_accuracy/real_images"]


def test_an_unpaired_system_reads_them_too():
    source = from_arrays(a=255 - PICTURES, b=PICTURES, segmentation_label=LABEL_IDS)
    options = config(
        "cyclegan", source, "unpaired", paired=True, palette="cityscapes", num_probe=0
    )
    row = judge(stubs.cycler(lambda image: -image), options, segmenter=reader)
    expected = expected_accuracy(enlarged(255 - PICTURES))
    assert row["pixel_accuracy/b_to_a"] == pytest.approx(expected, rel=1e-6)
    assert row["num_pixels/b_to_a"] == (cityscapes_train_ids(LABEL_IDS) < 19).sum()
    assert row["num_pixels/a_to_b"] < PICTURES[..., 0].size  # colours, at their size


@pytest.fixture
def folders(tmp_path):
    """Pairs in `data`, label files of Cityscapes in `gtFine`."""
    parts = [f"data/{split}/{x}" for split in ("train", "val") for x in "AB"]
    for part in (*parts, "gtFine/ulm"):
        (tmp_path / part).mkdir(parents=True)
    for i, scene in enumerate(SCENES):
        for part in parts:
            image = PICTURES[i] if part.endswith("A") else 255 - PICTURES[i]
            Image.fromarray(image).save(tmp_path / part / f"{scene}_leftImg8bit.png")
        stem = tmp_path / "gtFine" / "ulm" / f"{scene}_gtFine"
        Image.fromarray(LABEL_IDS[i]).save(f"{stem}_labelIds.png")
        colours = CITYSCAPES_PALETTE[LABEL_IDS[i] % 19]
        Image.fromarray(colours).save(f"{stem}_color.png")
    return tmp_path


def of_folders(folders, **more):
    maps = more.pop("label_maps", f"folder:{folders}/gtFine")
    return given(f"folder:{folders}/data", label_maps=maps, **more)


def test_label_files_are_found_by_the_name_of_the_scene(folders):
    system = stubs.translator(lambda image, key: -image)
    row = judge(system, of_folders(folders), segmenter=reader)
    expected = expected_accuracy(enlarged(255 - PICTURES))
    assert row["pixel_accuracy"] == pytest.approx(expected, rel=1e-6)


def test_label_files_are_those_of_the_examples_of_a_subset(folders):
    options = of_folders(folders)
    options["data"]["holdout"] = 0.34
    task = protocols.make_task(options["data"], split="validation", seed=0)
    source = task.streams["examples"].source
    shown = [source.describe(i) for i in range(task.num_examples)]
    kept = [next(k for k in range(COUNT) if SCENES[k] in each) for each in shown]
    assert kept != [*range(len(kept))]  # numbers are not places among the files
    system = stubs.translator(lambda image, key: -image)
    row = judge(system, options, segmenter=reader, split="validation")
    labels = cityscapes_train_ids(LABEL_IDS[kept])
    found = reader(enlarged(255 - PICTURES[kept]))
    expected = np.mean((found == labels)[labels < 19])
    assert row["pixel_accuracy"] == pytest.approx(expected, rel=1e-6)


def test_files_of_train_ids_are_taken_as_they_are(folders):
    for i, scene in enumerate(SCENES):
        stem = folders / "gtFine" / "ulm" / f"{scene}_gtFine"
        stem.with_name(f"{stem.name}_labelIds.png").unlink()
        ids = Image.fromarray(cityscapes_train_ids(LABEL_IDS[i]))
        ids.save(f"{stem}_labelTrainIds.png")
    system = stubs.translator(lambda image, key: -image)
    row = judge(system, of_folders(folders), segmenter=reader)
    expected = expected_accuracy(enlarged(255 - PICTURES))
    assert row["pixel_accuracy"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label_maps": "gtFine"}, "label_maps=gtFine: give folder:PATH or zip:FILE"),
        ({"label_maps": "folder:/no/such"}, "label_maps=folder:/no/such: .*no such f"),
        ({"missing": True}, "no label map for .*ulm_000001.*names must agree, such as"),
        ({"twice": True}, "are both maps of 'ulm_000000_000019'; name the folder"),
        ({"unlabelled": True}, "no pixel of .* is labelled.*--split=validation"),
        ({"box": 8}, "shows whole scenes.*no data.box"),
        ({"split": "train"}, "shows whole scenes.*not on the train split"),
    ],
    ids=lambda x: next(iter(x)) if isinstance(x, dict) else "",
)
def test_label_maps_that_do_not_fit_are_refused(folders, change, message):
    ulm, more = folders / "gtFine" / "ulm", {}
    if "label_maps" in change:
        more = change
    if "missing" in change:
        (ulm / f"{SCENES[1]}_gtFine_labelIds.png").unlink()
    if "twice" in change:
        (folders / "gtFine" / "new").mkdir()
        name = f"{SCENES[0]}_gtFine_labelIds.png"
        (folders / "gtFine" / "new" / name).write_bytes((ulm / name).read_bytes())
    if "unlabelled" in change:
        for scene in SCENES:
            empty = Image.fromarray(np.zeros(SIZE, np.uint8))
            empty.save(ulm / f"{scene}_gtFine_labelIds.png")
    options = of_folders(folders, **more)
    options["data"]["box"] = change.get("box")
    with pytest.raises(UserError, match=message) as caught:
        judge(
            stubs.translator(lambda image, key: -image),
            options,
            segmenter=reader,
            split=change.get("split", "test"),
        )
    assert "\n" not in str(caught.value)


def test_label_maps_need_examples_with_names(folders):
    source = stubs.pairs(PICTURES, PICTURES)
    options = given(source, label_maps=f"folder:{folders}/gtFine")
    with pytest.raises(UserError, match="the examples of the arrays have none"):
        judge(stubs.translator(lambda x, key: x), options, segmenter=reader)


@pytest.fixture
def network(monkeypatch):
    """A pretrained segmenter of known answers, for pictures of 32x64."""
    weights = LoadedWeights({}, "fcn8s", "cityscapes", "0" * 64, "random")
    own = segmenter.PretrainedSegmenter("fcn8s", weights, (32, 64))
    monkeypatch.setattr(
        segmenter, "_classes", lambda weights, images: reader(images).astype(np.int32)
    )
    monkeypatch.setattr(segmenter, "load", lambda options, pretrained: own)
    monkeypatch.setattr(segmenter, "require", lambda options, pretrained: None)


def test_without_label_maps_labels_are_colours_enlarged_with_the_result(network):
    classes = np.random.default_rng(2).integers(0, 19, (COUNT, 16, 16))
    a, b = CITYSCAPES_PALETTE[classes], PICTURES
    options = given(stubs.pairs(a, b), segmenter="fcn8s")
    row = judge(stubs.translator(lambda image, key: -image), options)
    labels = np.repeat(np.repeat(classes, 2, 1), 4, 2)
    large = np.stack(
        [np.asarray(Image.fromarray(x).resize((64, 32), Image.BILINEAR)) for x in b]
    )
    expected = np.mean(reader(large) == labels)
    name = "random_pixel_accuracy"
    assert row[f"{name}/real_images"] == pytest.approx(expected, rel=1e-6)
    assert row["random_num_pixels"] == labels.size
    assert not any(key.startswith(("iou", "pixel_accuracy")) for key in row)


def test_the_row_names_segmenter_weights_and_truth(network):
    plain = given(stubs.pairs(PICTURES, PICTURES), segmenter="fcn8s")
    row = protocols.provenance(plain)
    assert row["segmenter"] == "fcn8s" and row["segmenter/sha256"] == "0" * 64
    assert row["segmenter/truth"] == "colours of label pictures of 16x16, enlarged"
    source = from_arrays(a=PICTURES, b=PICTURES, segmentation_label=LABEL_IDS)
    row = protocols.provenance(given(source, segmenter="fcn8s"))
    assert row["segmenter/truth"].startswith("segmentation_label of the arrays")
    assert "segmenter" not in protocols.provenance(given(source))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("pix2pix", {"palette": None}, "set evaluation.palette=cityscapes"),
        ("pix2pix", {"labels_in": "b"}, "scored by their colours; leave the segmenter"),
        ("cyclegan", {}, "set evaluation.paired=True"),
        ("dcgan", {}, "dcgan does not translate label maps"),
        ("pix2pix", {}, "the FCN score: FCN-8s .Cityscapes. weights not found"),
        ("pix2pix", {"segmenter": "fcn8"}, "did you mean 'fcn8s'"),
    ],
)
def test_a_segmenter_with_nothing_to_read_is_refused(
    name, change, message, monkeypatch
):
    monkeypatch.delenv("JAXGAN_WEIGHTS", raising=False)
    options = given(stubs.pairs(PICTURES, PICTURES), **{"segmenter": "fcn8s"} | change)
    with pytest.raises(UserError, match=message):
        protocols.require({**options, "name": name})


def test_random_segmenters_only_with_leave():
    options = given(stubs.pairs(PICTURES, PICTURES), segmenter="fcn8s")
    options["pretrained"] = {"fcn8s": "random"}
    with pytest.raises(UserError, match="fcn8s=random: .*--allow_random_features"):
        protocols.require(options)
    options["evaluation"]["allow_random_features"] = True
    protocols.require(options)


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_stored_domains_follow_the_direction(direction):
    labels = np.random.default_rng(4).integers(0, 19, (COUNT, 16, 16))
    source = stubs.pairs(PICTURES, CITYSCAPES_PALETTE[labels])  # photographs, labels
    options = given(source, labels_in="stored_b")
    options["data"]["direction"] = direction
    system = stubs.translator(lambda image, key: image)
    to_labels = judge(system, options)
    assert ("iou" in to_labels) == (direction == "AtoB")
    assert ("iou/majority" in to_labels) == (direction == "AtoB")
    read = judge(system, options, segmenter=reader)
    assert ("iou/real_images" in read) == (direction == "BtoA")
    assert label_maps.colours(  # the palette is that of the stored maps
        label_maps.Options(palette="data", labels_in="stored_b"),
        {"palette_b": 5, "direction": direction},
    )[0].shape == (5, 3)
