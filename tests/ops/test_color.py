"""Colour spaces against hand-made numbers and scikit-image; the 8-bit grid."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.ops import color


@pytest.fixture
def rgb():
    return jax.random.uniform(jax.random.key(0), (2, 5, 7, 3))


def test_lab_equals_scikit_image(rgb):
    skimage_color = pytest.importorskip("skimage.color")
    lab = color.rgb_to_lab(rgb)
    expected = skimage_color.rgb2lab(np.asarray(rgb, np.float64))
    np.testing.assert_allclose(lab, expected, atol=5e-4)
    np.testing.assert_allclose(
        color.lab_to_rgb(jnp.asarray(expected, jnp.float32)), rgb, atol=1e-5
    )


def test_lab_of_colours_outside_the_screen_is_clipped():
    skimage_color = pytest.importorskip("skimage.color")
    lab = np.array([[50.0, 110.0, -110.0], [3.0, 0.0, 60.0], [90.0, -110.0, 110.0]])
    with pytest.warns(UserWarning):  # scikit-image reports its clipped values
        expected = skimage_color.lab2rgb(lab)
    actual = color.lab_to_rgb(jnp.asarray(lab, jnp.float32))
    np.testing.assert_allclose(actual, expected, atol=1e-5)


@pytest.mark.parametrize(
    "rgb, lab",
    [
        ((1, 1, 1), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((1, 0, 0), (53.24, 80.09, 67.2)),
    ],
    ids=["white", "black", "red"],
)
def test_lab_of_known_colours(rgb, lab):
    actual = color.rgb_to_lab(jnp.asarray(rgb, jnp.float32))
    np.testing.assert_allclose(actual, lab, atol=2e-2)


def test_gradients_are_finite_at_black_and_white():
    for value in (0.0, 1.0):
        x = jnp.full((3,), value)
        there = jax.grad(lambda x: jnp.sum(color.rgb_to_lab(x)))(x)
        back = jax.grad(lambda x: jnp.sum(color.lab_to_rgb(x)))(color.rgb_to_lab(x))
        assert np.isfinite(there).all() and np.isfinite(back).all()


def test_colorization_targets_round_trip_and_predictions_are_clamped(rgb):
    lab = color.rgb_to_lab(rgb)
    lightness, ab = color.normalize_lab(lab)
    assert lightness.shape == (2, 5, 7, 1) and ab.shape == (2, 5, 7, 2)
    np.testing.assert_allclose(lightness, lab[..., :1] / 50 - 1, atol=1e-6)
    assert float(jnp.max(jnp.abs(ab))) <= 1
    np.testing.assert_allclose(
        color.denormalize_lab(lightness, ab), lab, rtol=1e-5, atol=1e-4
    )
    wild = color.denormalize_lab(lightness, jnp.full_like(ab, -3.0))
    np.testing.assert_array_equal(wild[..., 1:], -110.0)


def test_srgan_check_07_luma_of_white_is_235_and_of_black_16():
    np.testing.assert_allclose(color.luma_bt601(jnp.ones((1, 1, 1, 3))), 235, rtol=1e-6)
    np.testing.assert_allclose(color.luma_bt601(jnp.zeros((1, 1, 1, 3))), 16, rtol=1e-6)


def test_srgan_check_07_one_grey_level_moves_luma_by_219_255ths(rgb):
    low = rgb * 0.9
    step = color.luma_bt601(low + 1 / 255) - color.luma_bt601(low)
    np.testing.assert_allclose(step, 219 / 255, atol=2e-4)
    # PSNR of a constant step of 219/255 against the peak 255, as the check demands.
    assert 20 * np.log10(255 / (219 / 255)) == pytest.approx(49.4527, abs=1e-4)


def test_bgr_is_its_own_inverse(rgb):
    np.testing.assert_array_equal(color.rgb_to_bgr(rgb)[..., 0], rgb[..., 2])
    np.testing.assert_array_equal(color.rgb_to_bgr(color.rgb_to_bgr(rgb)), rgb)


def test_every_grey_level_survives_the_round_trip():
    levels = jnp.arange(256, dtype=jnp.uint8)
    x = color.from_uint8(levels)
    assert float(x[0]) == -1 and float(x[-1]) == 1
    np.testing.assert_array_equal(color.to_uint8(x), levels)


def test_to_uint8_clips_and_rounds_half_up():
    x = jnp.asarray([-3.0, -1.0, 0.0, 1.0, 9.0])
    np.testing.assert_array_equal(color.to_uint8(x), [0, 0, 128, 255, 255])
