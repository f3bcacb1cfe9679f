"""Decoding, channels, resizing and windows on the host."""

import io

import numpy as np
import pytest
from PIL import Image, features

from jaxgan.core import UserError, errors
from jaxgan.data.pictures import (
    Prepare,
    Unusable,
    convert,
    cut_own,
    decode,
    resize,
)
from tests.data.conftest import encode, picture

MIDDLE = (0.5, 0.5)


def saved(image: Image.Image, format: str = "png", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("format", ["png", "bmp", "tiff", "webp"])
def test_lossless_files_are_read_bit_for_bit(format, channels):
    values = picture(0, channels=channels)
    options = {"lossless": True} if format == "webp" else {}
    read = decode(encode(values, format, **options))
    assert (convert(read, channels) == values).all()


_TURNS = {1: 0, 3: 2, 6: -1, 8: 1}  # quarters, by the camera's note


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["png", "tiff"])
def test_pictures_are_read_as_they_are_stored_or_upright(format, orientation):
    values = picture(0, 4, 6)
    sixteen = values[..., 0].astype(np.uint16) * 257
    exif = Image.Exif()
    exif[0x0112] = orientation
    for stored, wanted in ((values, values), (sixteen, values[..., :1])):
        file = saved(Image.fromarray(stored), format, exif=exif)
        np.testing.assert_array_equal(decode(file), wanted)
        turned = decode(file, upright=True)
        if orientation in _TURNS:
            np.testing.assert_array_equal(turned, np.rot90(wanted, _TURNS[orientation]))
        else:
            assert turned.shape[:2] == ((4, 6) if orientation < 5 else (6, 4))


def test_transparency_is_laid_over_white():
    rgba = np.zeros((2, 2, 4), np.uint8)
    rgba[0, 0] = (10, 20, 30, 255)
    rgba[0, 1] = (0, 0, 0, 128)
    read = decode(saved(Image.fromarray(rgba)))
    assert read.shape == (2, 2, 3)
    assert read[0, 0].tolist() == [10, 20, 30]
    assert read[1, 1].tolist() == [255, 255, 255]
    assert read[0, 1].tolist() == [127, 127, 127]


def test_grey_with_alpha_stays_grey():
    image = Image.fromarray(np.zeros((3, 3), np.uint8)).convert("LA")
    assert decode(saved(image)).shape == (3, 3, 1)


def test_palette_becomes_rgb_or_class_numbers():
    numbers = np.array([[0, 1], [2, 1]], np.uint8)
    image = Image.fromarray(numbers).convert("P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    file = saved(image)
    assert decode(file)[0, 1].tolist() == [0, 255, 0]
    assert (decode(file, classes=True)[..., 0] == numbers).all()


def test_sixteen_bits_become_eight():
    deep = np.array([[0, 257 * 100], [65535, 257]], np.uint16)
    assert decode(saved(Image.fromarray(deep)))[..., 0].tolist() == [[0, 100], [255, 1]]


def test_cmyk_becomes_rgb():
    image = Image.new("CMYK", (4, 4), (0, 255, 255, 0))
    red = decode(saved(image, "jpeg", quality=95))
    assert red.shape == (4, 4, 3) and red[0, 0, 0] > 240 and red[0, 0, 1] < 15


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not an image file"),
        (b"hello", "not an image file"),
        (encode(picture(0, 64, 64), "jpeg")[:-200], "truncated"),
        (encode(picture(0, 64, 64), "png")[:200], "truncated"),
    ],
    ids=["empty", "text", "half a jpeg", "half a png"],
)
def test_broken_files_say_why(data, why):
    with pytest.raises(Unusable, match=why):
        decode(data)


def test_class_maps_are_not_read_from_colour_files():
    with pytest.raises(Unusable, match="one channel"):
        decode(encode(picture(0)), classes=True)


def test_grey_expands_and_rgb_contracts():
    grey = picture(1, channels=1)
    assert (convert(grey, 3) == np.repeat(grey, 3, -1)).all()
    rgb = np.zeros((1, 3, 3), np.uint8)
    rgb[0] = np.diag([255, 255, 255])
    assert convert(rgb, 1)[0, :, 0].tolist() == [76, 150, 29]  # ITU-R 601
    with pytest.raises(Unusable, match="2 channels"):
        convert(np.zeros((1, 1, 2), np.uint8), 3)


def test_stretch_ignores_the_aspect_and_antialiases():
    # A checkerboard shrunk by two is even grey; without antialiasing it is not.
    board = (np.indices((16, 32)).sum(0) % 2 * 255).astype(np.uint8)[..., None]
    small = Prepare(8, 8, 1)(board, MIDDLE)
    assert small.shape == (8, 8, 1)
    assert np.abs(small[2:-2, 2:-2].astype(int) - 127).max() <= 12


def test_pictures_of_the_right_size_are_untouched():
    values = picture(0, 8, 8)
    assert (Prepare(8, 8)(values, MIDDLE) == values).all()


def test_cover_keeps_the_aspect_and_takes_the_middle():
    ramp = np.broadcast_to(np.arange(64, dtype=np.uint8)[None, :, None], (16, 64, 1))
    out = Prepare(8, 8, 1, resize="cover", scale_to=(8, 8))(ramp, MIDDLE)
    # Columns 24..39 of 64 at half the size.
    assert np.abs(out[4, :, 0].astype(int) - np.arange(24.5, 40, 2)).max() <= 1


def test_cover_reaches_both_sides_of_an_oblong():
    prepare = Prepare(8, 20, 3, resize="cover", scale_to=(8, 20))
    for height, width in ((31, 17), (17, 31), (9, 100)):
        assert prepare(picture(0, height, width), MIDDLE).shape == (8, 20, 3)


def test_width_scales_by_the_width_alone():
    prepare = Prepare(8, 8, 3, resize="width", scale_to=(0, 16))
    values = picture(0, 63, 32)
    scaled = resize(values, 31, 16, "bicubic")  # 31.5 rows, rounded down
    assert (prepare(values, MIDDLE) == scaled[11:19, 4:12]).all()


def test_width_makes_a_flat_picture_as_high_as_the_window():
    prepare = Prepare(8, 8, 3, resize="width", scale_to=(0, 16))
    values = picture(0, 10, 32)
    assert (prepare(values, MIDDLE) == resize(values, 8, 16, "bicubic")[:, 4:12]).all()


def test_more_channels_are_resized_one_by_one():
    values = np.concatenate([picture(0), picture(1)], axis=-1)
    found = Prepare(9, 7, 6)(values, MIDDLE)
    for i in range(6):
        alone = resize(values[..., i : i + 1], 9, 7, "bicubic")
        assert (found[..., i : i + 1] == alone).all()


def test_windows_cover_every_offset_and_nothing_else():
    ramp = np.arange(6 * 5, dtype=np.uint8).reshape(6, 5, 1)
    prepare = Prepare(3, 4, 1, resize="crop", random=True)
    corners = set()
    for a in np.linspace(0, 0.999, 23):
        for b in np.linspace(0, 0.999, 23):
            window = prepare(ramp, (a, b))
            top, left = divmod(int(window[0, 0, 0]), 5)
            assert (window == ramp[top : top + 3, left : left + 4]).all()
            corners.add((top, left))
    assert corners == {(t, s) for t in range(4) for s in range(2)}


def test_aligned_windows_of_two_sizes_show_the_same_place():
    high = np.arange(24 * 20).reshape(24, 20, 1).astype(np.uint8)
    low = high[::4, ::4]
    big = Prepare(8, 8, 1, resize="crop", random=True, align=4)
    small = Prepare(2, 2, 1, resize="crop", random=True)
    for place in ((0.0, 0.0), (0.3, 0.9), (0.99, 0.5), (0.7, 0.2)):
        assert (big(high, place)[::4, ::4] == small(low, place)).all()


def test_halves_and_boxes_are_cut_first():
    both = np.concatenate([picture(0, 8, 8), picture(1, 8, 8)], axis=1)
    assert (Prepare(8, 8, part="left")(both, MIDDLE) == picture(0, 8, 8)).all()
    assert (Prepare(8, 8, part="right")(both, MIDDLE) == picture(1, 8, 8)).all()
    values = picture(0, 20, 30)
    assert (Prepare(10, 10, box=10)(values, MIDDLE) == values[5:15, 10:20]).all()
    box = Prepare(4, 6, box=(1, 2, 4, 6))
    assert (box(values, MIDDLE) == values[1:5, 2:8]).all()
    with pytest.raises(Unusable, match="smaller than data.box"):
        Prepare(10, 10, box=21)(values, MIDDLE)


def test_a_picture_is_cut_by_its_own_box():
    values = picture(0, 20, 30)
    box = np.array([3 / 20, 10 / 30, 7 / 20, 25 / 30], np.float32)
    assert (cut_own(values, box) == values[3:7, 10:25]).all()
    whole = np.array([-0.01, 0.0, 1.0, 1.02])  # annotations may leave the picture
    assert (cut_own(values, whole) == values).all()
    for empty in ([0.5, 0.1, 0.5, 0.9], [3.0, 10.0, 7.0, 25.0], [0, 0, 1, np.nan]):
        with pytest.raises(Unusable, match="has nothing in its box"):
            cut_own(values, np.array(empty, np.float64))


def test_class_maps_are_never_interpolated():
    numbers = np.random.default_rng(0).choice([3, 200], (32, 32, 1)).astype(np.uint8)
    out = Prepare(9, 9, 1, classes=True)(numbers, MIDDLE)
    assert set(np.unique(out)) <= {3, 200}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resize": "strech"}, "data.resize 'strech'.*did you mean 'stretch'"),
        ({"filter": "bicubc"}, "data.filter 'bicubc'.*did you mean 'bicubic'"),
    ],
    ids=["resize", "filter"],
)
def test_unknown_ways_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        Prepare(8, 8, **options)


@pytest.mark.parametrize("format", ["png", "gif", "webp", "avif"])
def test_animations_are_told_of_once(format, monkeypatch, caplog):
    if format == "avif" and not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    monkeypatch.setattr(errors, "_told", set())
    first, second = (Image.fromarray(picture(seed)) for seed in (0, 1))
    decode(saved(first, format))
    assert not caplog.messages
    for _ in range(2):
        read = decode(saved(first, format, save_all=True, append_images=[second]))
    assert read.shape == (20, 24, 3)
    (message,) = caplog.messages
    assert "the first frame alone is read" in message


def test_dark_16_bit_files_are_told_of_once(monkeypatch, caplog):
    monkeypatch.setattr(errors, "_told", set())
    for greatest in (255, 4095, 65535):
        decode(saved(Image.fromarray(np.array([[0, greatest]], np.uint16))))
    assert caplog.text.count("16-bit files hold 8 or 12 bits and come out alm") == 1
