"""Resampling against MATLAB's definition, JAX's own resize, and hand-made cases."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.ops import bicubic_downsample, bicubic_resize, gaussian_downsample


def _noise(*shape):
    return jax.random.uniform(jax.random.key(0), shape)


def _matlab_axis(signal, new_size):
    """`imresize` of one column, sample by sample, 1-based as its documentation."""
    size = len(signal)
    scale = new_size / size
    shrink = min(scale, 1.0)
    mirrored = np.concatenate([signal, signal[::-1]])
    out = np.zeros((new_size, *signal.shape[1:]))
    for x in range(1, new_size + 1):
        u = x / scale + 0.5 * (1 - 1 / scale)
        total = 0.0
        for tap in range(
            int(np.floor(u - 2 / shrink)), int(np.ceil(u + 2 / shrink)) + 1
        ):
            t = abs(shrink * (u - tap))
            if t <= 1:
                weight = 1.5 * t**3 - 2.5 * t**2 + 1
            elif t <= 2:
                weight = -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
            else:
                continue
            total += weight
            out[x - 1] += weight * mirrored[(tap - 1) % (2 * size)]
        out[x - 1] /= total
    return out


def _matlab(image, height, width):
    rows = _matlab_axis(np.asarray(image, np.float64), height)
    return _matlab_axis(rows.swapaxes(0, 1), width).swapaxes(0, 1)


@pytest.mark.parametrize(
    "size, new_size",
    [((24, 32), (6, 8)), ((9, 7), (18, 28)), ((21, 10), (8, 25)), ((3, 3), (2, 5))],
    ids=str,
)
def test_srgan_check_09_symmetric_boundary_equals_keys_kernel_with_mirrored_border(
    size, new_size
):
    x = _noise(2, *size, 3)
    actual = jax.jit(lambda x: bicubic_resize(x, *new_size))(x)
    expected = np.stack([_matlab(image, *new_size) for image in x])
    np.testing.assert_allclose(actual, expected, atol=1e-6)


@pytest.mark.parametrize("r", [2, 4, 8])
@pytest.mark.parametrize("boundary", ["symmetric", "renormalise"])
def test_srgan_check_09_constant_image_is_preserved(r, boundary):
    x = jnp.full((1, 32, 48, 3), 0.7)
    small = bicubic_downsample(x, r, boundary)
    assert small.shape == (1, 32 // r, 48 // r, 3)
    np.testing.assert_allclose(small, 0.7, atol=1e-6)
    np.testing.assert_allclose(gaussian_downsample(x, r), 0.7, atol=1e-6)


@pytest.mark.parametrize("new_size", [(10, 11), (40, 30), (7, 50)], ids=str)
def test_renormalised_boundary_equals_jax_image_resize(new_size):
    x = _noise(2, 20, 30, 3)
    expected = jax.image.resize(
        x, (2, *new_size, 3), "bicubic", antialias=True, precision="highest"
    )
    actual = bicubic_resize(x, *new_size, boundary="renormalise")
    np.testing.assert_allclose(actual, expected, atol=2e-6)


def test_symmetric_boundary_equals_resizing_a_mirrored_image():
    x = _noise(1, 24, 40, 3)
    padded = jnp.pad(x, ((0, 0), (8, 8), (8, 8), (0, 0)), mode="symmetric")
    expected = jax.image.resize(
        padded, (1, 10, 14, 3), "bicubic", antialias=True, precision="highest"
    )[:, 2:-2, 2:-2]
    np.testing.assert_allclose(bicubic_downsample(x, 4), expected, atol=1e-6)
    # The two boundaries differ in the outermost two pixels and nowhere else.
    difference = jnp.abs(
        bicubic_downsample(x, 4) - bicubic_downsample(x, 4, "renormalise")
    )
    assert float(jnp.max(difference[:, 2:-2, 2:-2])) < 1e-6
    assert float(jnp.max(difference)) > 1e-3


def test_upsampling_interpolates_a_parabola_exactly_inside():
    # Keys' kernel with a = -1/2 reproduces polynomials up to degree 2.
    rows = jnp.arange(12.0)
    x = jnp.broadcast_to((rows**2 / 50)[None, :, None, None], (1, 12, 4, 1))
    fine = bicubic_resize(x, 36, 4)[0, :, 0, 0]
    position = (np.arange(36) + 0.5) / 3 - 0.5
    np.testing.assert_allclose(fine[6:-6], (position**2 / 50)[6:-6], atol=1e-5)


def test_gaussian_weights_one_bright_pixel_by_distance():
    x = jnp.zeros((1, 16, 16, 1)).at[0, 8, 8, 0].set(1.0)
    small = gaussian_downsample(x, 4, sigma=1.6)[0, :, :, 0]
    # Block centres lie at 1.5, 5.5, 9.5, 13.5.
    ratio = np.exp(-0.5 * (1.5**2 - 2.5**2) / 1.6**2)
    np.testing.assert_allclose(small[2, 2] / small[2, 1], ratio, rtol=1e-5)
    np.testing.assert_allclose(small, small.T, atol=1e-7)


def test_bfloat16_images_are_computed_in_float32():
    x = _noise(1, 16, 16, 3).astype(jnp.bfloat16)
    small = bicubic_downsample(x, 4)
    assert small.dtype == jnp.bfloat16
    exact = bicubic_downsample(x.astype(jnp.float32), 4)
    np.testing.assert_array_equal(small, exact.astype(jnp.bfloat16))


def test_sides_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="cannot be divided by 4"):
        bicubic_downsample(jnp.zeros((1, 10, 8, 3)), 4)
