"""Channel orders of sub-pixel upsampling."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.ops import pixel_shuffle, pixel_shuffle_permutation


@pytest.mark.parametrize("order", ["torch", "depth_to_space"])
@pytest.mark.parametrize("r, channels", [(2, 3), (3, 2)])
def test_srgan_check_04_pixel_shuffle_reads_the_stated_channel(order, r, channels):
    h, w = 2, 3
    x = jnp.arange(h * w * channels * r * r, dtype=jnp.float32)
    x = x.reshape(1, h, w, channels * r * r)
    shuffled = np.asarray(pixel_shuffle(x, r, order))
    assert shuffled.shape == (1, h * r, w * r, channels)
    for row, column, i, j, k in np.ndindex(h, w, r, r, channels):
        torch_order = k * r * r + i * r + j
        other_order = (i * r + j) * channels + k
        source = torch_order if order == "torch" else other_order
        actual = shuffled[0, row * r + i, column * r + j, k]
        assert actual == x[0, row, column, source]


def test_srgan_check_04_torch_kernel_permutation_round_trips():
    r, channels = 2, 3
    x = jax.random.normal(jax.random.key(0), (2, 4, 5, channels * r * r))
    permutation = pixel_shuffle_permutation(channels, r)
    for i, j, k in np.ndindex(r, r, channels):
        assert permutation[(i * r + j) * channels + k] == k * r * r + i * r + j
    converted = x[..., permutation]
    np.testing.assert_array_equal(
        pixel_shuffle(converted, r), pixel_shuffle(x, r, "torch")
    )
    np.testing.assert_array_equal(converted[..., np.argsort(permutation)], x)


def test_channels_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="not a multiple"):
        pixel_shuffle(jnp.zeros((1, 2, 2, 6)), 2)
