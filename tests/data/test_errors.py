"""One line for everything that a user can put right: it names the thing and the way."""

import errno
import io
import logging
import os
import pathlib
import zipfile

import numpy as np
import pytest
from PIL import Image

from jaxgan.core import UserError
from jaxgan.data import from_arrays, make_source, make_task, plain_reader, tf_reader
from tests.data.conftest import encode, picture


def refuses(message: str):
    return pytest.raises(UserError, match=message)


def task(source, name="images", *, split="train", **options):
    data = {"task": name, "source": source, "image_size": 8, "holdout": 0.0}
    return make_task({**data, **options}, split=split, seed=0)


def first(task, batch_size=4):
    return next(task.batches(0, batch_size))


@pytest.mark.parametrize("reader", ["pillow", "tensorflow"])
def test_unreadable_file_is_named_and_skipped_the_same_by_every_reader(
    write, caplog, reader
):
    for i in range(12):
        root = write(f"{i:02d}.png", picture(i, 8, 8))
    write("03.png", encode(picture(3, 8, 8))[:60])
    write("04.png", b"no image at all")
    whole = task(f"folder:{root}", max_unreadable=0.2, reader=reader)
    with caplog.at_level(logging.WARNING):
        iterator = whole.batches(0, 4)
        got = [next(iterator)["image"] for _ in range(6)]
    assert "03.png: " in caplog.text and "04.png: not an image file" in caplog.text
    assert "(2 so far)" in caplog.text
    # The next whole file, 05, stands in, whichever was met first.
    indices = np.concatenate([whole.rows(s, 4).indices["examples"] for s in range(6)])
    stand_in = np.where(np.isin(indices, (3, 4)), 5, indices)
    expected = np.stack([picture(i, 8, 8) for i in stand_in])
    assert (np.concatenate(got) == expected).all()
    late = task(f"folder:{root}", max_unreadable=0.2, reader=reader)
    assert (next(late.batches(4, 4))["image"] == got[4]).all()


def test_small_images_do_not_end_what_tensorflow_reads_ahead(write, monkeypatch):
    for i in range(12):
        name = f"{i:02d}.{('png', 'jpg')[i % 2]}"
        root = write(name, picture(i, 8, 8 if i in (2, 3, 7) else 16))
    made = []
    whole = tf_reader._dataset

    def counting(*given):
        made.append(given)
        return whole(*given)

    monkeypatch.setattr(tf_reader, "_dataset", counting)
    data = {"resize": "crop", "image_size": (8, 16), "reader": "tensorflow"}
    small = task(f"folder:{root}", **data)
    iterator = small.batches(0, 4)
    got = np.concatenate([next(iterator)["image"] for _ in range(6)])
    assert len(made) == 1
    rows = [small.rows(s, 4).indices["examples"] for s in range(6)]
    stand_in = {2: 4, 3: 4, 7: 8}
    used = [stand_in.get(i, i) for i in np.concatenate(rows).tolist()]
    assert (got == task(f"folder:{root}", **data).examples(used)["image"]).all()
    late = task(f"folder:{root}", **data)  # knows of them from the start
    late.examples(range(12))
    again = late.batches(0, 4)
    assert all((next(again)["image"] == got[4 * i :][:4]).all() for i in range(6))


def test_a_file_that_a_network_disk_refuses_once_is_read(write, monkeypatch, caplog):
    for i in range(2):
        root = write(f"{i}.png", picture(i, 8, 8))
    failures = {"0.png": 2, "1.png": 9}
    read = pathlib.Path.read_bytes

    def refusing(path):
        failures[path.name] -= 1
        if failures[path.name] >= 0:
            raise OSError(errno.ESTALE, "Stale file handle")
        return read(path)

    monkeypatch.setattr(pathlib.Path, "read_bytes", refusing)
    monkeypatch.setattr(plain_reader, "_WAITS", (0.0, 0.0))
    found = task(f"folder:{root}", max_unreadable=0.5).examples([0, 1])["image"]
    assert (found == picture(0, 8, 8)).all()  # it stands in for the other
    assert "0.png" not in caplog.text and failures["1.png"] == 6
    assert "1.png: cannot be read ([Errno 116] Stale file handle)" in caplog.text


@pytest.mark.parametrize("reader", ["pillow", "tensorflow"])
def test_too_many_unreadable_files_stop_the_run(write, reader):
    for i in range(12):
        root = write(f"{i:02d}.png", b"" if i % 2 else picture(i, 8, 8))
    many = task(f"folder:{root}", max_unreadable=0.2, reader=reader)
    with refuses(r"set/\d+.png: not an image.*3 of 12 files.*data.max_unreadable=0.2"):
        iterator = many.batches(0, 4)
        for _ in range(4):
            next(iterator)


def test_unreadable_file_in_memory_is_skipped_too(write, caplog):
    for i in range(4):
        root = write(f"{i}.png", b"" if i == 1 else picture(i, 8, 8))
    kept = task(f"folder:{root}", max_unreadable=0.3, in_memory=True)
    assert (kept.examples([1])["image"][0] == picture(2, 8, 8)).all()
    assert "1.png" in caplog.text


def test_missing_folder(tmp_path):
    (tmp_path / "faces").mkdir()
    with refuses(r"folder:.*/facse: there is no such folder \(did you mean 'faces'"):
        task(f"folder:{tmp_path}/facse")


def test_file_in_place_of_a_folder(write):
    root = write("x.png", picture(0))
    with refuses("it is a file; name the folder, or write zip:"):
        task(f"folder:{root}/x.png")


def test_empty_folder_says_what_was_looked_for(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with refuses(r"there are no images in it; looked.*\.jpg.*\.png"):
        task(f"folder:{tmp_path}")


@pytest.mark.parametrize("scheme", ["folder", "zip", "npz"])
@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("gs://bucket/faces", "read from a local disk; copy or mount.*tfds: and data_"),
        (
            "/" + 300 * "x",
            r"it cannot be opened \(File name too long\); check data.sou",
        ),
    ],
    ids=["bucket", "long"],
)
def test_paths_that_are_none_on_this_machine(scheme, path, message):
    with refuses(f"{scheme}:{path}: .*{message}"):
        task(f"{scheme}:{path}")


def test_missing_or_broken_zip(tmp_path):
    with refuses("zip:.*x.zip: there is no such file"):
        task(f"zip:{tmp_path}/x.zip")
    (tmp_path / "x.zip").write_bytes(b"PK half of it")
    with refuses("zip:.*x.zip: it is no zip archive or not whole"):
        task(f"zip:{tmp_path}/x.zip")


def test_missing_folder_inside_a_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("train/a.png", encode(picture(0)))
    with refuses(r"x.zip!/trian: .*did you mean 'train'"):
        task(f"zip:{tmp_path}/x.zip!/trian")


def test_pairs_without_partner(write):
    for name in ("A/1.png", "A/2.png", "A/3.png", "B/1.png"):
        root = write(name, picture(0))
    with refuses(r"set/A: '2' has no partner of that name in .*set/B \(2 such in all"):
        task(f"folder:{root}", "paired")


def test_two_files_of_one_side_with_one_stem(write):
    for name in ("A/0.jpg", "A/0.png", "B/0.png"):
        root = write(name, picture(0))
    message = "set/A: '0.jpg' and '0.png' would both be .* '0'; remove or rename"
    with refuses(message):
        task(f"folder:{root}", "paired")
    (root / "A" / "0.jpg").rename(root / "B" / "0.jpg")
    with refuses(message.replace("/A", "/B")):
        task(f"folder:{root}", "paired")


def test_low_resolution_partners_of_two_scales(write):
    for name in ("HR/1.png", "LR/1.png", "LR/1x4.png"):
        root = write(name, picture(0))
    with refuses("set/LR: '1.png' and '1x4.png' would both be .* '1'; remove"):
        task(f"folder:{root}", "low_high")
    (root / "LR" / "1.png").rename(root / "LR" / "1x2.png")
    with refuses("set/LR/1x2.png: by its name it is 2 times smaller, but data.scale=4"):
        task(f"folder:{root}", "low_high")


def test_a_box_cannot_cut_given_low_resolution():
    high, low = np.zeros((2, 32, 32, 3), np.uint8), np.zeros((2, 8, 8, 3), np.uint8)
    with refuses("data.box cannot cut the high resolution and the source's own low"):
        task(from_arrays(hr=high, lr=low), "low_high", box=16)


def test_a_class_called_train(write):
    for name in ("bus/1.png", "car/2.png", "train/3.png"):
        root = write(name, picture(0))
    with refuses("set: is train a class or the training images.* bus, car, but no val"):
        task(f"folder:{root}", "labelled")
    assert task(f"folder:{root}/train").num_examples == 1
    write("val/4.png", picture(0))
    assert task(f"folder:{root}").num_examples == 1


def test_two_folders_without_a_name_are_no_pictures_side_by_side(write):
    for name in ("photo/1.png", "sketch/1.png"):
        root = write(name, picture(0, 16, 32))
    with refuses("photo and sketch hold A and B, name them.*folders=photo,sketch; if"):
        task(f"folder:{root}", "paired")
    assert task(f"folder:{root}", "paired", folders="photo,sketch").num_examples == 1
    assert task(f"folder:{root}", "paired", layout="side_by_side").num_examples == 2


def test_wide_photographs_are_not_side_by_side(write):
    root = write("1.png", picture(0, 90, 160))
    with refuses("1.png is 160x90, not two pictures side by side"):
        task(f"folder:{root}", "paired")


def test_pictures_that_are_not_side_by_side(folder):
    with refuses(r"00.png is 24x20, not two pictures side by side.*data.layout"):
        task(f"folder:{folder}", "paired")


def test_no_two_domains(folder):
    with refuses("no two domains in it; make folders trainA and trainB"):
        task(f"folder:{folder}", "unpaired")


def test_named_folder_is_not_there(write):
    root = write("image/1.png", picture(0))
    with refuses("label: data.folders names it.*the folders are image"):
        task(f"folder:{root}", "paired", folders=("image", "label"))


@pytest.mark.parametrize("reader", ["pillow", "tensorflow"])
def test_all_images_smaller_than_the_crop(folder, reader):
    small = task(
        f"folder:{folder}", "low_high", image_size=96, reader=reader, threads=4
    )
    for _ in range(2):
        with refuses(r"none of its 11 images can be used.*24x\d+, smaller than 96x96"):
            first(small, 22)


def test_images_smaller_than_the_crop_are_skipped_and_counted(write, caplog):
    for i in range(4):
        root = write(f"{i}.png", picture(i, 16, 16) if i else picture(i, 8, 16))
    small = task(f"folder:{root}", "low_high", image_size=16, max_unreadable=0.0)
    for _ in range(3):
        first(small)
    assert "0.png: it is 16x8, smaller than 16x16 (1 so far)" in caplog.text


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((3, 8, 8, 2), "uint8"), ((3, 8, 8, 4), "uint8"), ((3, 8, 8, 3), "float32"),
     ((3, 8), "uint8")],
    ids=["two channels", "four channels", "float", "no picture"],
)  # fmt: skip
def test_arrays_that_are_no_pictures(shape, dtype):
    with refuses(r"field 'image' is .*; images are uint8 \[height, width\]"):
        task(from_arrays(image=np.zeros(shape, dtype)))


@pytest.mark.parametrize("channels", [2, 5])
def test_wrong_number_of_channels_in_the_config(folder, channels):
    arrays = from_arrays(image=np.zeros((3, 8, 8), np.uint8))
    for source in (arrays, f"folder:{folder}"):
        with refuses(f"data.channels is {channels}: choose 1 or 3"):
            task(source, channels=channels)


def test_two_channels_are_those_of_lab_alone():
    with refuses(r"\[8, 8, 2\]; images are uint8"):
        task(from_arrays(image=np.zeros((3, 8, 8, 2), np.uint8)), channels=2)


@pytest.mark.parametrize("label", [-1, 3])
def test_labels_out_of_range(label):
    source = from_arrays(
        name="mine", image=np.zeros((2, 8, 8), np.uint8), label=np.array([0, label])
    )
    with refuses(f"mine, field 'label': label {label} is outside 0..2.*num_classes"):
        task(source, "labelled", num_classes=3)


def test_a_file_beside_label_folders_is_named(write, caplog):
    for name in ("cat/1.png", "dog/2.png", "stray.png"):
        root = write(name, picture(0))
    with refuses("has no field 'label'"):
        task(f"folder:{root}", "labelled")
    assert "its folders are no labels, for stray.png lies beside them" in caplog.text


@pytest.mark.parametrize("bins", [(5, 3), (5, 5)])
def test_bins_that_do_not_ascend(bins):
    source = from_arrays(image=np.zeros((2, 8, 8), np.uint8), age=np.arange(2))
    with refuses(r"data.bins is \(5, .\): .* in ascending order"):
        task(source, "labelled", label="age", bins=bins)


def test_a_folder_that_cannot_be_read_is_told_of(write, caplog, monkeypatch):
    for name in ("a/1.png", "b/2.png"):
        root = write(name, picture(0))
    scan = os.scandir

    def refusing(path):
        if str(path).endswith("b"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert task(f"folder:{root}").num_examples == 1
    assert "passed over, it cannot be read: [Errno 13] Permission" in caplog.text


def test_options_that_a_source_does_not_know():
    with refuses("synthetic:boxes: data.source_options cannot set 'split'"):
        task("synthetic:boxes", source_options={"split": "train"})
    with refuses("tfds:x: data.source_options 'dat_dir'.*did you mean 'data_dir'"):
        task("tfds:x", source_options={"dat_dir": "x"})


def test_missing_label_field(folder):
    with refuses("has no field 'label', only image"):
        task(f"folder:{folder}", "labelled")


def test_file_name_that_does_not_match_the_pattern(folder):
    with refuses(r"/00.png: its name does not match data.label_pattern"):
        task(f"folder:{folder}", label_pattern=r"(?P<age>\d+)_")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("(?P<x>", "is no regular expression"), (r"(\d+)", "names no group")],
)
def test_useless_patterns(folder, pattern, message):
    with refuses(message):
        task(f"folder:{folder}", label_pattern=pattern)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("foldr:/x", "unknown kind.*did you mean 'folder'"),
        ("/x/y", "unknown kind; write one of folder:/path"),
        ("folder:", "unknown kind"),
        (None, "data.source is not set"),
        ("", "data.source is not set"),
    ],
)
def test_unknown_schemes(source, message):
    with refuses(message):
        task(source)


def test_unknown_task_split_and_key_suggest_the_nearest():
    with refuses("data.task 'pared'.*did you mean 'paired'"):
        make_task({"task": "pared"})
    with refuses("split 'val'.*choose one of train, validation, test"):
        make_task({"task": "latent"}, split="val")
    with refuses("data.directoin: the task 'paired' knows no such key.*'direction'"):
        make_task({"task": "paired", "directoin": "AtoB"})
    with refuses("data.task is not set"):
        make_task({})
    with refuses("data.direction 'BtoB'"):
        make_task({"task": "paired", "direction": "BtoB"})
    with refuses("data.mask 'centre'.*did you mean 'center'"):
        make_task({"task": "masked", "mask": "centre"})


@pytest.mark.parametrize("size", [0, -1])
def test_batch_size_below_one(size):
    with refuses(f"training.batch_size is {size}: it must be at least 1"):
        make_task({"task": "latent"}).batches(0, size)


def test_batch_that_cannot_be_shared_by_the_processes():
    with refuses("batch_size 6 cannot be shared by 4 processes; choose a multiple"):
        make_task({"task": "latent"}).batches(0, 6, 0, 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 0}, "data.image_size is 0"),
        ({"image_size": (8, 8, 8)}, "data.image_size is"),
        ({"image_size": None}, "data.image_size is not set"),
        ({"load_size": 4}, "data.load_size .* smaller than data.image_size"),
        ({"holdout": 1.0}, "data.holdout is 1.0"),
        ({"draws": 0}, "data.draws is 0"),
        ({"max_unreadable": 2.0}, "data.max_unreadable is 2.0"),
        ({"reader": "pil"}, "data.reader 'pil'"),
        ({"box": (1, 2)}, "data.box is"),
        ({"where": {"labl": 1}}, "data.where names the field 'labl'.*'label'"),
        ({"where": {"label": 9}}, "no example is as data.where asks"),
        ({"holdout": 0.5, "holdout_by": "x"}, "data.holdout_by names the field 'x'"),
        ({"box": "bbox"}, "data.box names the field 'bbox'; it has image, label: name"),
        ({"box": "lable"}, "names the field 'lable' .did you mean 'label'"),
        ({"box": "label"}, "data.box names the field 'label', which is int64..; a box"),
        ({"fields": ("picture",)}, "has no field 'picture', only image, label"),
    ],
    ids=lambda x: next(iter(x)) if isinstance(x, dict) else "",
)
def test_impossible_options(options, message):
    source = from_arrays(image=np.zeros((4, 8, 8), np.uint8), label=np.arange(4))
    with refuses(message):
        task(source, **options)


def test_held_out_split_without_holdout(folder):
    with refuses("it has no test split and data.holdout is 0; set data.holdout"):
        task(f"folder:{folder}", split="test")


def test_square_arrays_are_not_cut_in_halves():
    source = from_arrays(image=np.zeros((4, 8, 8, 3), np.uint8))
    data = {"source": source, "image_size": 8}
    for name in ("paired", "unpaired"):
        with refuses("its pictures are 8x8, not two side by side"):
            make_task({"task": name, **data})
        make_task({"task": name, "layout": "side_by_side", **data})


def test_a_damaged_member_of_a_zip_is_named(write, tmp_path):
    path = tmp_path / "pictures.zip"
    root = write("1.png", picture(0))
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(root / "1.png", "1.png")
    data = bytearray(path.read_bytes())
    data[60] ^= 255
    path.write_bytes(data)
    source = make_source(f"zip:{path}", holdout=0.0)
    with pytest.raises(OSError, match="Bad CRC-32"):
        source.encoded(0)
    with refuses(r"pictures.zip/1.png: cannot be read \(Bad CRC-32"):
        first(task(f"zip:{path}", "paired"))


def test_one_example_cannot_be_divided(write):
    root = write("1.png", picture(0))
    with refuses(r"1 example\(s\) cannot be divided.*data.holdout=0"):
        make_source(f"folder:{root}")


def test_arrays_of_different_lengths():
    with refuses("need the same length, but image has 3, label has 2"):
        from_arrays(image=np.zeros((3, 8, 8), np.uint8), label=np.zeros(2))


def test_examples_beyond_the_end():
    with refuses("example 4 does not exist: data.task=images has 4"):
        task(from_arrays(image=np.zeros((4, 8, 8), np.uint8))).examples([0, 4])


def test_low_resolution_needs_a_multiple_of_the_scale():
    source = from_arrays(image=np.zeros((4, 32, 32, 3), np.uint8))
    with refuses(r"data.image_size \(30, 30\) is not a multiple of data.scale=4"):
        task(source, "low_high", image_size=30)


def test_class_maps_above_255_are_named_not_wrapped(write):
    maps = np.array([[0, 300]], np.uint16)
    for name, values in (("A/1.png", picture(0)), ("B/1.png", maps)):
        buffer = io.BytesIO()
        Image.fromarray(values).save(buffer, "png")
        root = write(name, buffer.getvalue())
    wide = task(f"folder:{root}", "paired", palette_b=3, reader="pillow")
    with refuses("its class number 300 is above 255"):
        first(wide)


def test_voxels_that_do_not_fit():
    with refuses("grids of 40x40x40 voxels do not fit data.image_size=32"):
        source = from_arrays(voxels=np.zeros((2, 40, 40, 40), np.uint8))
        task(source, "voxels", image_size=32)
    with refuses("no field 'voxels' or 'packed', only image"):
        task(from_arrays(image=np.zeros((2, 8, 8), np.uint8)), "voxels")
    with refuses("no grid has data.min_voxels=9 voxels"):
        source = from_arrays(voxels=np.zeros((2, 4, 4, 4), np.uint8))
        task(source, "voxels", min_voxels=9)


def test_tensorflow_asked_for_and_absent(folder, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with refuses("data.reader=tensorflow, but TensorFlow is not installed"):
        first(task(f"folder:{folder}", reader="tensorflow"))


def test_every_message_is_one_line(folder):
    with pytest.raises(UserError) as error:
        task(f"folder:{folder}", "paired")
    assert "\n" not in str(error.value)
