import numpy as np
import pytest
from skimage.metrics import structural_similarity

from jaxgan.core.errors import UserError
from jaxgan.evaluation.ssim import ssim, ssim_rgb, ssim_y
from tests.evaluation import vectors


def test_check_01_ssim_of_the_grey_pair():
    value = float(ssim(*vectors.grey())[0])
    assert value == pytest.approx(0.977380741519, rel=1e-6)
    # Not sample covariance, the whole map's mean, or scikit-image's defaults.
    for other in (0.977371811, 0.976075978, 0.985813197):
        assert abs(value - other) > 5e-6


def test_check_01_ssim_of_the_colour_pair():
    np.testing.assert_allclose(ssim_rgb(*vectors.rgb()), [0.998860922], rtol=1e-6)


def test_check_01_ssim_y_with_a_crop_of_4():
    np.testing.assert_allclose(ssim_y(*vectors.rgb()), [0.999911212832], rtol=1e-6)


@pytest.mark.parametrize("kind", ["noise", "smooth", "flat", "bright"])
def test_ssim_agrees_with_scikit_image(kind):
    random = np.random.default_rng(0)
    ramp = np.linspace(0, 200, 40)[None, :, None, None] + np.zeros((2, 40, 31, 3))
    images = {
        "noise": random.uniform(0, 255, ramp.shape),
        "smooth": ramp + 20,
        "flat": np.full(ramp.shape, 7.0),
        "bright": 250 + random.uniform(-3, 3, ramp.shape),
    }[kind]
    a = images.astype(np.uint8)
    b = np.clip(images + random.normal(0, 4, ramp.shape), 0, 255).astype(np.uint8)
    expected = [
        structural_similarity(
            x,
            y,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=255,
            channel_axis=-1,
        )
        for x, y in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(ssim(b, a), expected, atol=1e-5)


def test_srgan_check_07_an_image_is_as_similar_to_itself_as_can_be():
    a = vectors.noise(0, 2, 24, 28, 3)
    np.testing.assert_allclose(ssim(a, a), 1.0, atol=1e-6)
    np.testing.assert_allclose(ssim_y(a, a), 1.0, atol=1e-6)


def test_ssim_is_symmetric_and_falls_with_noise():
    a, b = vectors.rgb()
    np.testing.assert_allclose(ssim(a, b), ssim(b, a), rtol=1e-6)
    assert ssim(a, vectors.noise(1, *a.shape)) < 0.1 < ssim(a, b)


def test_check_06_srgan_check_07_the_outer_four_pixels_do_not_count():
    a, b = vectors.rgb()
    changed = 255 - b
    changed[:, 4:-4, 4:-4] = b[:, 4:-4, 4:-4]
    np.testing.assert_array_equal(ssim_y(a, changed), ssim_y(a, b))
    changed[:, 4, 4] = 255 - b[:, 4, 4]
    assert ssim_y(a, changed) != ssim_y(a, b)


def test_images_below_the_window_are_refused():
    small = np.zeros((1, 18, 30, 3), np.uint8)
    assert ssim(small, small).shape == (1,)
    with pytest.raises(UserError, match="at least 11x11 pixels.*got 8x20"):
        ssim_y(small, small)
    with pytest.raises(UserError, match="3 channels, got 1"):
        ssim_rgb(small[..., :1], small[..., :1])
