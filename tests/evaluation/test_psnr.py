import jax.numpy as jnp
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from jaxgan.core.errors import UserError
from jaxgan.evaluation.luma import luma
from jaxgan.evaluation.psnr import psnr, psnr_hole, psnr_y
from tests.evaluation import vectors


def test_check_01_psnr_of_the_grey_and_colour_pair():
    np.testing.assert_allclose(psnr(*vectors.grey()), [33.018006059], rtol=1e-6)
    np.testing.assert_allclose(psnr(*vectors.rgb()), [33.711235232], rtol=1e-6)


def test_check_01_psnr_y_with_a_crop_of_4():
    values = psnr_y(*vectors.rgb())
    np.testing.assert_allclose(values, [42.324558380], rtol=1e-6)


def test_check_01_srgan_check_07_one_level_on_all_channels():
    a = np.minimum(vectors.noise(0, 1, 24, 24, 3), 254)
    np.testing.assert_allclose(psnr_y(a + 1, a), [49.452725], rtol=1e-6)
    np.testing.assert_allclose(psnr(a + 1, a), [48.130804], rtol=1e-6)


@pytest.mark.parametrize(
    "colour, y",
    [
        ((255, 255, 255), 235),
        ((0, 0, 0), 16),
        ((128, 128, 128), 125.929412),
        ((10, 20, 30), 31.587647),
    ],
)
def test_check_01_luma(colour, y):
    value = luma(jnp.array([colour], jnp.float32))[0, 0]
    assert float(value) == pytest.approx(y, rel=1e-6)


def test_psnr_agrees_with_scikit_image():
    a, b = vectors.noise(1, 2, 9, 8, 3), vectors.noise(2, 2, 9, 8, 3)
    expected = [
        peak_signal_noise_ratio(x, y, data_range=255) for x, y in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(psnr(b, a), expected, rtol=1e-6)


def test_float_images_are_quantised_on_entry():
    a, b = vectors.rgb()
    nearly = a.astype(np.float32) / 127.5 - 1 + 0.003
    np.testing.assert_array_equal(psnr(nearly, b), psnr(a, b))
    assert psnr(nearly, b, quantize=False) != psnr(a, b)


def test_hole_psnr_looks_at_the_hole_alone():
    target, mask = vectors.noise(3, 2, 6, 6, 3), np.zeros((2, 6, 6, 1), np.float32)
    mask[0, 1:3, 1:4] = 1
    completed = np.where(mask > 0, target // 2, target)
    # 3 sum(mask) in the denominator: 6 pixels of the first image.
    squares = (target[0].astype(float) - target[0] // 2) ** 2 * mask[0]
    expected = 10 * np.log10(255**2 / (squares.sum() / 18))
    values = np.asarray(psnr_hole(completed, target, mask))
    np.testing.assert_allclose(values, [expected, np.inf], rtol=1e-6)
    elsewhere = np.where(mask > 0, completed, 0)
    np.testing.assert_array_equal(psnr_hole(elsewhere, target, mask)[:1], values[:1])


def test_identical_images_are_infinitely_alike():
    a = vectors.noise(4, 1, 12, 12, 3)
    assert psnr(a, a)[0] == np.inf and psnr_y(a, a)[0] == np.inf


def test_the_ground_truth_may_exceed_by_less_than_the_scale():
    a = vectors.noise(5, 1, 24, 20, 3)
    b = vectors.noise(6, 1, 26, 23, 3)
    np.testing.assert_array_equal(psnr_y(a, b), psnr_y(a, b[:, :24, :20]))
    with pytest.raises(ValueError, match="differ in shape"):
        psnr_y(a, vectors.noise(6, 1, 28, 23, 3))


def test_check_06_srgan_check_07_the_outer_four_pixels_do_not_count():
    a, b = vectors.rgb()
    changed = 255 - b
    changed[:, 4:-4, 4:-4] = b[:, 4:-4, 4:-4]
    np.testing.assert_array_equal(psnr_y(a, changed), psnr_y(a, b))
    changed[:, 4, 4] = 255 - b[:, 4, 4]
    assert psnr_y(a, changed) != psnr_y(a, b)


def test_check_06_y_is_not_rounded():
    # With Y rounded the same pair scores 42.200193932, with full-range luma 41.00.
    assert abs(float(psnr_y(*vectors.rgb())[0]) - 42.200193932) > 0.1


def test_images_smaller_than_their_border_are_refused():
    a = np.zeros((1, 8, 30, 3), np.uint8)
    with pytest.raises(UserError, match="8x30 pixels are too small"):
        psnr_y(a, a)
    with pytest.raises(UserError, match="1 or 3 channels, got 4"):
        psnr_y(np.zeros((1, 20, 20, 4), np.uint8), np.zeros((1, 20, 20, 4), np.uint8))
