"""Sources by name: what a folder, an archive, an array file or a user's arrays hold."""

import io
import zipfile

import numpy as np
import PIL.features
import pytest
from PIL import Image

from jaxgan.core import UserError
from jaxgan.data import (
    Field,
    archives,
    example,
    files,
    from_arrays,
    make_source,
    make_task,
)
from jaxgan.data.opening import open_domains, open_high, open_pairs
from jaxgan.data.options import Options
from tests.data.conftest import encode, picture


def files_of(source) -> list[str]:
    return [source.describe(i).split("/set/")[-1] for i in range(len(source))]


def zipped(root) -> str:
    path = root.parent / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(root.rglob("*.*"), reverse=True):
            archive.write(file, file.relative_to(root).as_posix())
    return f"zip:{path}"


def test_folder_holds_its_images_sorted_by_name(write):
    for name in ("b.png", "a.png", "deep/er/c.jpg", ".hidden.png", "notes.txt"):
        data = b"text" if name.endswith("txt") else picture(ord(name[0]))
        root = write(name, data)
    source = make_source(f"folder:{root}", holdout=0.0)
    assert files_of(source) == ["a.png", "b.png", "deep/er/c.jpg"]
    assert source.fields == {"image": Field(None)}
    assert (example(source, 0)["image"] == picture(ord("a"))).all()


def test_links_to_files_and_folders_are_followed(write, tmp_path):
    for name in ("b/a.png", "b/deep/b.png", "c.png"):
        elsewhere = write(name, picture(0))
    root = tmp_path / "linked" / "set"
    root.mkdir(parents=True)
    for name, target in (("trainA", "b"), ("trainB", "b/deep"), ("c.png", "c.png")):
        (root / name).symlink_to(elsewhere / target)
    (root / "broken.png").symlink_to(tmp_path / "nowhere.png")
    found = files.open_files("folder", str(root)).names
    assert found == ("c.png", "trainA/a.png", "trainA/deep/b.png", "trainB/b.png")
    a, b = open_domains(Options(source=f"folder:{root}", holdout=0.0), "train")
    assert files_of(a) == ["trainA/a.png", "trainA/deep/b.png"]
    assert files_of(b) == ["trainB/b.png"]


def test_links_to_folders_around_them_end(write, tmp_path):
    for name in ("x/1.png", "y/2.png"):
        root = write(name, picture(0))
    (root / "x" / "up").symlink_to(root)
    (root / "x" / "y").symlink_to(root / "y")
    (root / "y" / "x").symlink_to(root / "x")
    (root / "self").symlink_to(root / "self")
    found = files.open_files("folder", str(root)).names
    assert found == ("x/1.png", "x/y/2.png", "y/2.png", "y/x/1.png")


def test_zip_equals_the_folder_that_it_was_made_of(folder):
    inside = make_source(f"folder:{folder}", holdout=0.0)
    packed = make_source(zipped(folder), holdout=0.0)
    assert len(inside) == len(packed) == 11
    for i in range(11):
        assert inside.encoded(i) == packed.encoded(i)


def test_inner_folder_of_a_zip(write):
    write("x/1.png", picture(1))
    root = write("y/z/2.png", picture(2))
    source = make_source(zipped(root) + "!/y/z", holdout=0.0)
    assert len(source) == 1
    assert (example(source, 0)["image"] == picture(2)).all()


def test_label_folders_become_labels(write):
    for name in ("male/a.png", "female/b.png", "male/c.png"):
        root = write(name, picture(0))
    source = make_source(f"folder:{root}", holdout=0.0)
    assert source.fields["label"] == Field((), "int32", ("female", "male"))
    assert source.read(np.arange(3))["label"].tolist() == [0, 1, 1]


def test_file_names_become_fields_by_a_pattern(write):
    for name in ("23_0_cat_x.png", "7_1_dog_y.png", "101_1_cat_z.png"):
        root = write(name, picture(0))
    pattern = r"(?P<age>\d+)_(?P<gender>\d)_(?P<animal>[a-z]+)_"
    source = make_source(f"folder:{root}", label_pattern=pattern, holdout=0.0)
    read = source.read(np.arange(3))  # sorted by name: 101, 23, 7
    assert read["age"].tolist() == [101, 23, 7]
    assert read["gender"].tolist() == [1, 0, 1]
    assert source.fields["animal"].names == ("cat", "dog")
    assert read["animal"].tolist() == [0, 0, 1]


def test_classes_have_one_number_in_every_split(write):
    for name in ("train/a/1_cat.png", "train/b/2_dog.png", "test/b/3_dog.png"):
        root = write(name, picture(0))
    pattern = r"\d_(?P<animal>[a-z]+)"
    for split, numbers in (("train", [0, 1]), ("test", [1])):
        source = make_source(f"folder:{root}", split, label_pattern=pattern)
        assert source.fields["label"].names == ("a", "b")
        assert source.fields["animal"].names == ("cat", "dog")
        read = source.read(np.arange(len(source)))
        assert read["label"].tolist() == read["animal"].tolist() == numbers


def test_a_folder_of_a_test_split_alone_has_no_training_images(write):
    root = write("test/a.png", picture(0))
    assert files_of(make_source(f"folder:{root}", "test")) == ["test/a.png"]
    with pytest.raises(UserError, match="holds only test: put training images"):
        make_source(f"folder:{root}", "train")


def test_split_folders_are_the_splits(write):
    for name in ("train/a.png", "train/b.png", "val/c.png", "test/d.png"):
        root = write(name, picture(0))
    names = {s: files_of(make_source(f"folder:{root}", s)) for s in SPLITS}
    assert [len(n) for n in names.values()] == [2, 1, 1]
    assert names["validation"] == ["val/c.png"] and names["test"] == ["test/d.png"]


SPLITS = ("train", "validation", "test")


def test_files_beside_the_training_folder_are_told_of(write, caplog):
    for name in ("train/a.png", "b.png", "c.png", "test/d.png", "more/e.png"):
        root = write(name, picture(0))
    assert files_of(make_source(f"folder:{root}", "train")) == ["train/a.png"]
    make_source(f"folder:{root}", "test")
    told = "set: 3 images beside the folder train are passed over, such as b.png"
    assert caplog.text.count(told) == 1


def test_one_held_out_folder_serves_validation_and_test(write):
    for name in ("train/a.png", "train/b.png", "test/d.png"):
        root = write(name, picture(0))
    for split in ("validation", "test"):
        assert files_of(make_source(f"folder:{root}", split)) == ["test/d.png"]
    assert len(make_source(f"folder:{root}", "train")) == 2


def test_explicit_holdout_keeps_the_test_folder_for_the_end(write):
    for i in range(10):
        write(f"train/{i}.png", picture(i))
    root = write("test/t.png", picture(0))
    make = lambda split: files_of(  # noqa: E731
        make_source(f"folder:{root}", split, holdout=0.3)
    )
    assert len(make("train")) == 7 and len(make("validation")) == 3
    assert not set(make("train")) & set(make("validation"))
    assert make("test") == ["test/t.png"]


def test_without_folders_a_tenth_is_held_out_and_always_the_same(folder):
    train = files_of(make_source(f"folder:{folder}", "train"))
    held = files_of(make_source(f"folder:{folder}", "validation"))
    assert len(train) == 10 and len(held) == 1
    assert sorted(train + held) == [f"{i:02d}.png" for i in range(11)]
    assert held == files_of(make_source(f"folder:{folder}", "test"))


def test_a_file_more_or_less_moves_no_other_into_or_out_of_the_held_out(write):
    def parts():
        splits = ("train", "validation")
        return [set(files_of(make_source(f"folder:{root}", s))) for s in splits]

    for i in range(60):
        root = write(f"{i:02d}.png", picture(i, 4, 4))
    train, held = parts()
    assert len(held) == 6
    for name in (min(train), min(held)):
        (root / name).unlink()
    fewer = parts()
    assert len(fewer[1]) == 6 and len(fewer[1] - held) == 1
    assert held - fewer[1] == {min(held)}
    write("aa.png", picture(0, 4, 4))
    assert len(parts()[1] ^ fewer[1]) <= 2


def test_held_out_groups_of_words_are_those_of_the_words(write):
    def held():
        options = {"label_pattern": "(?P<who>[a-z]+)_", "holdout_by": "who"}
        found = files_of(make_source(f"folder:{root}", "test", **options))
        return {name.split("_")[0] for name in found}

    for who in "bcdefghijk":
        for i in range(2):
            root = write(f"{who}_{i}.png", picture(i, 4, 4))
    before = held()
    assert len(before) == 1
    write("a_0.png", picture(0, 4, 4))  # every word has another number now
    assert held() in (before, {"a"})


def test_names_of_pairs_domains_and_high_resolution_have_fields(write):
    def check(open_it, *, layout="auto", name="set"):
        options = Options(
            source=f"folder:{root}/{name}",
            layout=layout,
            label_pattern=r"(?P<photo>\d+)_(?P<kind>[a-z]+)",
            holdout_by="photo",
            holdout=0.4,
        )
        photos = []
        for split in ("train", "validation"):
            found = open_it(options, split)
            for source in found if isinstance(found, tuple) else (found,):
                assert source.fields["kind"].names == ("roof", "wall")
                assert len(source) == 2 * len(set(source.column("photo")))
                photos.append(set(source.column("photo").tolist()))
        assert not photos[0] & photos[-1] and photos[0] | photos[-1] == set(range(5))

    for i in range(10):
        name = f"{i // 2:03d}_{('roof', 'wall')[i % 2]}.png"
        for folder in ("two/A", "two/B", "high/HR", "low/HR", "low/LR", "flat"):
            write(f"{folder}/{name}", picture(i, 4, 4))
        for folder in ("domains/trainA", "domains/trainB"):
            write(f"{folder}/{name}", picture(i, 4, 4))
        root = write(f"side/{name}", picture(i, 4, 8))
    check(open_pairs, name="two")
    check(open_pairs, name="side")
    check(open_domains, name="domains")
    check(open_domains, name="side", layout="side_by_side")
    for name in ("high", "low", "flat"):
        check(open_high, name=name)


def test_a_group_of_the_pattern_does_not_replace_the_picture(write):
    root = write("1.png", picture(0))
    with pytest.raises(UserError, match="names a group 'image', which is the picture"):
        make_source(f"folder:{root}", label_pattern=r"(?P<image>\d)", holdout=0.0)


def test_holdout_by_group_does_not_tear_groups_apart(tmp_path):
    person = np.repeat(np.arange(10), 5)
    np.savez(tmp_path / "x.npz", image=np.zeros((50, 4, 4), np.uint8), person=person)
    options = {"holdout": 0.3, "holdout_by": "person"}
    parts = [
        set(make_source(f"npz:{tmp_path}/x.npz", s, **options).column("person"))
        for s in ("train", "validation")
    ]
    assert len(parts[0]) == 7 and len(parts[1]) == 3 and not parts[0] & parts[1]


def test_where_chooses_by_number_and_by_name(write):
    for name in ("cat/1.png", "dog/2.png", "eel/3.png"):
        root = write(name, picture(0))
    for wanted in ("dog", ("dog",), (1,), 1):
        source = make_source(f"folder:{root}", holdout=0.0, where={"label": wanted})
        assert files_of(source) == ["dog/2.png"]


def test_npz_separates_examples_from_what_describes_them(tmp_path):
    np.savez(
        tmp_path / "v.npz",
        packed=np.zeros((6, 8), np.uint8),
        label=np.arange(6, dtype=np.int8) % 3,
        classes=np.array(["bed", "chair", "desk"]),
        shape=np.array([4, 4, 4]),
    )
    source = make_source(f"npz:{tmp_path}/v.npz", holdout=0.0)
    assert set(source.fields) == {"packed", "label"}
    assert source.fields["packed"].grid == (4, 4, 4)
    assert source.fields["label"].names == ("bed", "chair", "desk")


def test_an_npz_is_read_once_for_all_splits_until_it_changes(tmp_path):
    np.savez(tmp_path / "x.npz", image=np.zeros((20, 4, 4), np.uint8))
    name = f"npz:{tmp_path}/x.npz"
    train, held = make_source(name), make_source(name, "test")
    memory = archives.open_npz(name[4:]).column("image")
    assert memory is archives.open_npz(name[4:]).column("image")
    assert len(train) + len(held) == 20
    np.savez(tmp_path / "x.npz", image=np.ones((21, 4, 4), np.uint8))
    assert len(make_source(name)) + len(make_source(name, "test")) == 21


def test_words_of_an_npz_are_numbered_as_label_folders_are(tmp_path):
    arrays = {"image": np.zeros((3, 4, 4), np.uint8), "label": ["dog", "cat", "dog"]}
    np.savez(tmp_path / "x.npz", **arrays)
    data = {"task": "labelled", "source": f"npz:{tmp_path}/x.npz", "image_size": 4}
    task = make_task({**data, "holdout": 0.0})
    assert task.examples(range(3))["label"].tolist() == [1, 0, 1]
    source = make_source(data["source"], holdout=0.0, where={"label": "cat"})
    assert source.fields["label"].names == ("cat", "dog") and len(source) == 1


def test_a_field_of_an_npz_parts_the_splits(tmp_path):
    def parts(*words, **options):
        image = np.arange(len(words), dtype=np.uint8)[:, None, None]
        np.savez(tmp_path / "x.npz", image=image, split=np.array(words))
        return [
            make_source(f"npz:{tmp_path}/x.npz", s, **options).column("image").tolist()
            for s in ("train", "validation", "test")
        ]

    one = lambda *rows: [[[i]] for i in rows]  # noqa: E731
    assert parts("test", "train", "Val", "train") == [one(1, 3), one(2), one(0)]
    assert parts("test", "train") == [one(1), one(0), one(0)]
    held = parts("train", "test", "train", holdout=0.5)
    assert sorted(held[0] + held[1]) == one(0, 2) and held[2] == one(1)
    with pytest.raises(UserError, match="'split' holds 'fold1'; write train, valid"):
        parts("train", "fold1")
    with pytest.raises(UserError, match="'split' says train of no example"):
        parts("test", "val")
    assert len(parts(0, 0, holdout=0.5)[0]) == 1  # numbers are a field like others


def test_user_arrays_are_a_source_and_are_not_divided():
    image = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3), np.uint8)
    source = make_source(from_arrays(image=image, label=np.arange(5)), "validation")
    assert len(source) == 5
    assert (source.read(np.array([3, 1]))["image"] == image[[3, 1]]).all()


def test_pairs_in_two_folders_match_by_stem(write):
    for i in (2, 1):
        write(f"val/A/{i}.jpg", picture(i))
        root = write(f"val/B/{i}.png", picture(10 + i))
    write("train/A/0.png", picture(0))
    write("train/B/0.png", picture(0))
    source = open_pairs(Options(source=f"folder:{root}"), "validation")
    assert len(source) == 2 and set(source.fields) == {"a", "b"}
    assert (example(source, 0)["b"] == picture(11)).all()
    assert (example(source, 1)["b"] == picture(12)).all()


def test_pairs_in_two_folders_of_any_name_and_splits_below(write):
    for split in ("train", "val"):
        for side in ("photo", "label"):
            root = write(f"{side}/{split}/{split}1.png", picture(0))
    options = Options(source=f"folder:{root}", folders=("label", "photo"))
    source = open_pairs(options, "validation")
    assert len(source) == 1
    assert source.describe(0).endswith("label/val/val1.png and photo/val/val1.png")


def test_side_by_side_pairs_are_one_file(pairs):
    source = open_pairs(Options(source=f"folder:{pairs}", holdout=0.0), "train")
    assert len(source) == 7 and set(source.fields) == {"image"}


@pytest.mark.parametrize(
    "names",
    [
        ("trainA/1.png", "trainA/2.png", "trainB/3.png", "testA/4.png", "testB/5.png"),
        ("train/A/1.png", "train/A/2.png", "train/B/3.png", "test/A/4.png",
         "test/B/5.png"),
        ("train/x/1.png", "train/x/2.png", "train/y/3.png", "test/x/4.png",
         "test/y/5.png"),
    ],
    ids=["trainA", "train/A", "two label folders"],
)  # fmt: skip
def test_domains_of_unpaired_translation(write, names):
    for name in names:
        root = write(name, picture(0))
    a, b = open_domains(Options(source=f"folder:{root}"), "train")
    assert (len(a), len(b)) == (2, 1)
    a, b = open_domains(Options(source=f"folder:{root}"), "test")
    assert [files_of(s)[0][-5:] for s in (a, b)] == ["4.png", "5.png"]


def test_domains_without_test_folders_are_held_out_each(write):
    for i in range(10):
        write(f"trainA/{i}.png", picture(i))
        root = write(f"trainB/{i}.png", picture(i))
    train = open_domains(Options(source=f"folder:{root}"), "train")
    held = open_domains(Options(source=f"folder:{root}"), "validation")
    assert [len(s) for s in (*train, *held)] == [9, 9, 1, 1]


def test_high_resolution_alone_or_with_its_low_partners(write):
    write("HR/0001.png", picture(0, 16, 16))
    write("HR/0002.png", picture(1, 16, 16))
    root = write("other.png", picture(0))
    alone = open_high(Options(source=f"folder:{root}", holdout=0.0), "train")
    assert set(alone.fields) == {"hr"} and len(alone) == 2
    write("LR/0001x4.png", picture(0, 4, 4))
    write("LR/0002x4.png", picture(1, 4, 4))
    both = open_high(Options(source=f"folder:{root}", holdout=0.0), "train")
    assert set(both.fields) == {"hr", "lr"}
    assert (example(both, 1)["lr"] == picture(1, 4, 4)).all()


def test_div2k_as_it_is_unpacked(write):
    for i in range(3):
        write(f"DIV2K_train_HR/000{i}.png", picture(i, 16, 16))
        for scale in (2, 4):
            name = f"X{scale}/000{i}x{scale}.png"
            low = picture(10 * scale + i, 16 // scale, 16 // scale)
            write(f"DIV2K_train_LR_bicubic/{name}", low)
            write(f"DIV2K_train_LR_unknown/{name}", low)
    root = write("DIV2K_valid_HR/0801.png", picture(9, 16, 16))

    def found(split, scale):
        return open_high(Options(source=f"folder:{root}"), split, scale)

    train = found("train", 4)
    assert len(train) == 3 and set(train.fields) == {"hr", "lr"}
    assert (example(train, 1)["lr"] == picture(41, 4, 4)).all()
    assert (example(found("train", 2), 1)["lr"] == picture(21, 8, 8)).all()
    assert set(found("train", 3).fields) == {"hr"}
    for split in ("validation", "test"):
        held = found(split, 4)
        assert len(held) == 1 and set(held.fields) == {"hr"}
        assert (example(held, 0)["hr"] == picture(9, 16, 16)).all()
    write("Other_train_HR/1.png", picture(0))
    with pytest.raises(UserError, match="DIV2K_train_HR and Other_train_HR are both"):
        found("train", 4)


def test_a_partner_of_the_whole_name_is_not_asked_for_its_scale(write):
    write("HR/4x6.png", picture(0, 16, 16))
    root = write("LR/4x6.png", picture(0, 4, 4))
    found = open_high(Options(source=f"folder:{root}", holdout=0.0), "train", scale=4)
    assert set(found.fields) == {"hr", "lr"} and len(found) == 1


def test_truncated_npz_names_the_file(tmp_path):
    (tmp_path / "x.npz").write_bytes(b"PK\x03\x04 not whole")
    with pytest.raises(UserError, match=r"npz:.*x.npz: cannot be read .*numpy.savez"):
        make_source(f"npz:{tmp_path}/x.npz")


def test_encoded_bytes_are_the_file(write):
    values = picture(3)
    root = write("x.png", values)
    source = make_source(f"folder:{root}", holdout=0.0)
    assert source.encoded(0) == {"image": encode(values)}


def test_two_spellings_of_an_umlaut_are_one_name(write):
    for name in ("A/\u00fc.png", "B/u\u0308.png", "A/x.png", "B/x.png"):
        root = write(name, picture(0))
    source = open_pairs(Options(source=f"folder:{root}", holdout=0.0), "train")
    assert len(source) == 2


def test_pictures_in_formats_that_are_not_read_are_told_of(write, caplog):
    for name in ("a.png", "b.HEIC", "c.svg", "notes.txt"):
        root = write(name, picture(0) if name.endswith("png") else b"x")
    assert files_of(make_source(f"folder:{root}", holdout=0.0)) == ["a.png"]
    assert "2 pictures in formats that are not read are passed over" in caplog.text
    (root / "a.png").unlink()
    with pytest.raises(UserError, match="no images in it.*not for files such as b.HEI"):
        make_source(f"folder:{root}", holdout=0.0)


@pytest.mark.parametrize("name", ["a.jfif", "a.pgm", "a.avif"])
def test_suffixes_that_pillow_reads(write, name):
    array = np.full((8, 8, 3), 100, np.uint8)
    suffix = {"jfif": "jpeg", "pgm": "ppm"}.get(name[2:], name[2:])
    if suffix == "avif" and not PIL.features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    buffer = io.BytesIO()
    Image.fromarray(array[..., 0] if name == "a.pgm" else array).save(buffer, suffix)
    source = make_source(f"folder:{write(name, buffer.getvalue())}", holdout=0.0)
    found = example(source, 0)["image"]
    assert np.max(np.abs(found.astype(int) - 100)) <= 3
