"""Pooling rules that Flax does not have, against plain loops."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.core.errors import UserError
from jaxgan.pretrained.layers import adaptive_average_pool, ceil_max_pool, check_taps


@pytest.mark.parametrize("size", [(7, 7), (3, 2), (1, 1), (5, 8)])
def test_adaptive_pool_averages_the_windows_of_torch(size):
    x = np.random.default_rng(0).normal(size=(2, 5, 8, 3)).astype(np.float32)
    expected = np.empty((2, *size, 3))
    for i in range(size[0]):
        for j in range(size[1]):
            rows = slice(i * 5 // size[0], -(-(i + 1) * 5 // size[0]))
            columns = slice(j * 8 // size[1], -(-(j + 1) * 8 // size[1]))
            expected[:, i, j] = x[:, rows, columns].mean((1, 2))
    np.testing.assert_allclose(
        adaptive_average_pool(jnp.asarray(x), size), expected, atol=1e-6
    )


@pytest.mark.parametrize("length, ceil, floor", [(7, 3, 3), (8, 4, 3), (6, 3, 2)])
def test_check_04_ceil_mode_adds_a_window_over_the_border(length, ceil, floor):
    x = -1 - np.random.default_rng(0).random((1, length, length, 1), np.float32)
    pooled = np.asarray(ceil_max_pool(jnp.asarray(x), 3, 2))
    assert pooled.shape == (1, ceil, ceil, 1)
    assert (length - 3) // 2 + 1 == floor  # what floor mode would give
    for i in range(ceil):
        for j in range(ceil):
            window = x[0, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3, 0]
            assert pooled[0, i, j, 0] == window.max()


def test_ceil_mode_starts_no_window_outside_of_the_picture():
    x = jnp.arange(36, dtype=jnp.float32).reshape(1, 6, 6, 1)
    # Rounding up alone would give a third window that starts at 6.
    assert ceil_max_pool(x, 2, 3)[0, :, :, 0].tolist() == [[7, 10], [25, 28]]


def test_taps_are_checked_and_end_the_network():
    known = ("a1", "a2", "a3")
    assert check_taps(("a2", "a1"), known, "net") == 2
    with pytest.raises(UserError, match="net tap 'a4'"):
        check_taps(("a4",), known, "net")
    with pytest.raises(UserError, match="net: name at least one tap"):
        check_taps((), known, "net")
