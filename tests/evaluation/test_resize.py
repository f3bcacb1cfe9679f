import numpy as np
import pytest
from PIL import Image

from jaxgan.evaluation.resize import (
    pil_bicubic,
    pil_bilinear,
    pil_bilinear_8bit,
    tf1_bilinear,
    torch_bilinear,
)

ROW = np.array([0, 10, 20, 60], np.uint8)[None, None, :, None]
COLUMN = ROW.transpose(0, 2, 1, 3)


@pytest.mark.parametrize(
    "resize, expected",
    [
        (torch_bilinear, (0, 5, 11.6667, 18.3333, 40, 60)),
        (tf1_bilinear, (0, 6.6667, 13.3333, 20, 46.6667, 60)),
        (pil_bicubic, (-0.65789, 4.11765, 11.31944, 16.59722, 41.76471, 62.63158)),
        (torch_bilinear, (5, 40)),
        (pil_bilinear, (7.142857, 35.714286)),
        (pil_bicubic, (4.752066, 37.892563)),
    ],
)
def test_check_01_resize_of_one_row(resize, expected):
    count = len(expected)
    row = resize(ROW, (1, count))[0, 0, :, 0]
    np.testing.assert_allclose(row, expected, rtol=1e-4, atol=1e-4)
    column = resize(COLUMN, (count, 1))[0, :, 0, 0]
    np.testing.assert_array_equal(column, row)


@pytest.mark.parametrize(
    "resize, resample",
    [
        (pil_bicubic, Image.Resampling.BICUBIC),
        (pil_bilinear, Image.Resampling.BILINEAR),
    ],
)
@pytest.mark.parametrize("size", [(70, 61), (13, 9), (40, 20)])
def test_antialiased_resizes_agree_with_pillow(resize, resample, size):
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 25, 3)).astype("float32")
    expected = np.empty((2, *size, 3))
    for i in np.ndindex(2, 3):
        channel = Image.fromarray(images[i[0], :, :, i[1]])
        expected[i[0], :, :, i[1]] = channel.resize(size[::-1], resample)
    np.testing.assert_allclose(resize(images, size), expected, atol=2e-3)


def pillow_bilinear(image, size):
    """The width first, in any version."""
    wide, how = Image.fromarray(image), Image.Resampling.BILINEAR
    return np.asarray(wide.resize((size[1], wide.height), how).resize(size[::-1], how))


@pytest.mark.parametrize(
    "size", [(70, 61), (13, 9), (32, 9), (5, 25), (20, 30), (1, 1)]
)
def test_the_8_bit_resize_is_pillows(size):
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 25, 3), np.uint8)
    images[0, ::2] = 255 * (images[0, ::2] > 127)
    expected = [pillow_bilinear(x, size) for x in images]
    np.testing.assert_array_equal(pil_bilinear_8bit(images, size), expected)


@pytest.mark.parametrize("size", [(70, 61), (13, 9), (32, 25)])
def test_tf1_bilinear_agrees_with_a_loop(size):
    image = np.random.default_rng(1).uniform(0, 255, (32, 25)).astype("float32")
    expected = np.empty(size)
    for i, j in np.ndindex(*size):
        y, x = i * 32 / size[0], j * 25 / size[1]
        top, left = int(y), int(x)
        bottom, right = min(top + 1, 31), min(left + 1, 24)
        upper = image[top, left] + (image[top, right] - image[top, left]) * (x - left)
        lower = image[bottom, left]
        lower = lower + (image[bottom, right] - lower) * (x - left)
        expected[i, j] = upper + (lower - upper) * (y - top)
    resized = tf1_bilinear(image[None, :, :, None], size)[0, :, :, 0]
    np.testing.assert_allclose(resized, expected, atol=5e-3)
