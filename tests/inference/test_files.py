"""What `--input` may be, and what its files are called."""

import io
import zipfile

import pytest
from PIL import Image

from jaxgan.core.errors import UserError
from jaxgan.data.pictures import SUFFIXES, Unusable
from jaxgan.inference import files, sizes
from tests.inference.conftest import gradient


def test_a_folder_is_searched_with_all_folders_below(photos):
    found = files.find(str(photos), SUFFIXES, "input")
    assert found.names == (
        "a.png",
        "b.jpg",
        "below/grey.png",
        "empty.png",
        "torn.png",
    )
    assert found.read("a.png") == (photos / "a.png").read_bytes()


def test_one_file_keeps_its_name(photos):
    found = files.find(str(photos / "below" / "grey.png"), SUFFIXES, "input")
    assert found.names == ("grey.png",)
    assert found.read("grey.png") == (photos / "below" / "grey.png").read_bytes()


def test_an_archive_and_a_folder_in_it(photos, tmp_path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for name in ("a.png", "below/grey.png"):
            archive.write(photos / name, name)
    found = files.find(str(tmp_path / "all.zip"), SUFFIXES, "input")
    assert found.names == ("a.png", "below/grey.png")
    inner = files.find(f"{tmp_path}/all.zip!/below", SUFFIXES, "input")
    assert inner.names == ("grey.png",)


def test_results_of_an_earlier_command_are_no_input(photos):
    out = photos / "out"
    out.mkdir()
    (out / "a.png").write_bytes(b"")
    found = files.find(str(photos), SUFFIXES, "input", leave_out=out.resolve())
    assert "out/a.png" not in found.names and "a.png" in found.names


def test_an_output_around_the_input_leaves_nothing_out(photos):
    found = files.find(str(photos), SUFFIXES, "input", leave_out=photos.parent)
    assert "a.png" in found.names and "below/grey.png" in found.names


def test_results_behind_a_link_are_no_input(photos, tmp_path):
    out = tmp_path / "results"
    (out / "below").mkdir(parents=True)
    for name in ("1.png", "below/2.png"):
        (out / name).write_bytes(b"")
    (photos / "out").symlink_to(out)
    found = files.find(str(photos), SUFFIXES, "input")
    assert {"out/1.png", "out/below/2.png"} <= set(found.names)
    found = files.find(str(photos), SUFFIXES, "input", leave_out=out.resolve())
    assert not any(name.startswith("out/") for name in found.names)
    assert "a.png" in found.names


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("phtos", "--input=.*phtos: there is no such file or folder.*'photos'"),
        ("photos/a.zip", "there is no such file or folder"),
        ("notes.txt", "does not take such a file; it takes .jpg"),
        ("nothing", "nothing: there are no image.* in it"),
        ("bad.zip", "no zip archive"),
    ],
)
def test_what_cannot_be_input_is_named(photos, tmp_path, path, message):
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "bad.zip").write_text("no archive")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(UserError, match=message) as raised:
        files.find(str(tmp_path / path), SUFFIXES, "input")
    assert "\n" not in str(raised.value)
    with pytest.raises(UserError, match="there are no shapes in it; looked.* .npz"):
        files.find(str(tmp_path / "nothing"), (".npz",), "input", what="shapes")


def test_results_keep_apart_what_differs_in_its_suffix_alone():
    names = ["a.png", "a.jpg", "b.png", "c/a.png"]
    assert files.stems(names) == ["a_png", "a_jpg", "b", "c/a"]


def test_results_stay_below_their_folder():
    names = ["../../etc/a.png", "/tmp/b.png", "c/../d.png"]
    assert files.stems(names) == ["etc/a", "tmp/b", "c/d"]


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_extent_is_that_of_the_upright_picture(suffix, orientation):
    image = Image.fromarray(gradient(20, 30))
    exif = image.getexif()
    exif[0x0112] = orientation
    data = io.BytesIO()
    image.save(data, format=suffix.replace("jpg", "jpeg"), exif=exif)
    lying = orientation in (6, 8)
    assert files.extent(data.getvalue()) == ((30, 20) if lying else (20, 30))


def test_extent_of_what_is_no_picture():
    with pytest.raises(Unusable, match="not an image file"):
        files.extent(b"hello")


def test_sizes_round_up_to_multiples():
    assert sizes.round_up((33, 64), 32) == (64, 64)
    assert sizes.round_up((1, 5), 1) == (1, 5)


def test_few_sizes_are_left_alone_and_many_are_merged():
    few = [(30, 30), (40, 50), (33, 31)]
    assert sizes.merge(few, 4, limit=3) == {e: sizes.round_up(e, 4) for e in few}
    many = [(n, n + 1) for n in range(30, 62)]
    merged = sizes.merge(many, 4, limit=3)
    assert set(merged) == set(many)
    fewest, more = (len(set(sizes.merge(many, 4, limit).values())) for limit in (3, 8))
    assert 3 < fewest < more <= 8  # three would add more than is allowed


def test_no_picture_is_padded_far():
    """Beside large ones, upright ones and panoramas it is computed at its own size."""
    others = [(1024 + 8 * i, 1536) for i in range(20)] + [(2048, 64), (64, 2048)]
    merged = sizes.merge([(100, 120), *others], 4, limit=8)
    assert merged[100, 120] == (100, 120)
    assert merged[2048, 64] == (2048, 64) and merged[64, 2048] == (64, 2048)
    assert len({*merged.values()}) <= 8
    for extent, padded in merged.items():
        assert padded[0] >= extent[0] and padded[1] >= extent[1]
        exact = sizes.round_up(extent, 4)
        assert padded[0] * padded[1] <= sizes.GROWTHS[-1] * exact[0] * exact[1]
