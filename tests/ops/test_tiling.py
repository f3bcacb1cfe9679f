"""Tiles against the whole picture."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxgan.ops import map_tiles

KERNEL = jax.random.uniform(jax.random.key(1), (5, 5, 3, 2))


def blur_and_double(image):
    """Sees two pixels to every side, pads with zeros, doubles the size."""
    image = lax.conv_general_dilated(
        image + 1.0, KERNEL, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return jnp.repeat(jnp.repeat(image, 2, axis=1), 2, axis=2)


def picture(*size):
    return jax.random.uniform(jax.random.key(0), (2, *size, 3))


@pytest.mark.parametrize(
    ("size", "tile"),
    [((13, 17), 4), ((13, 17), 1), ((8, 8), 4), ((5, 30), 9), ((3, 2), 16)],
    ids=str,
)
def test_tiles_with_a_halo_equal_the_whole_at_any_size(size, tile):
    image = picture(*size)
    tiled = map_tiles(blur_and_double, image, tile=tile, halo=2, scale=2)
    np.testing.assert_allclose(tiled, blur_and_double(image), rtol=1e-5)


def test_too_small_a_halo_shows_at_the_borders_of_tiles():
    image = picture(18, 18)
    tiled = map_tiles(blur_and_double, image, tile=6, halo=1, scale=2)
    wrong = np.abs(tiled - blur_and_double(image)).max(axis=(0, 3)) > 1e-3
    # Rows 6 and 11 of the middle tile miss a row of its neighbours; so do the columns.
    expected = np.zeros((36, 36), bool)
    for low in (12, 22):
        expected[low : low + 2] = expected[:, low : low + 2] = True
    np.testing.assert_array_equal(wrong, expected)


def test_memory_is_that_of_one_window():
    image = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
    seen = []

    def remember(window):
        seen.append(window.shape)
        return window

    jax.eval_shape(lambda x: map_tiles(remember, x, tile=16, halo=3), image)
    assert set(seen) == {(1, 22, 22, 3)}
