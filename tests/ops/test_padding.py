"""Padding modes against NumPy, and cropping back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.ops import crop, pad2d, pad_to_multiple

ROW = [1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize(
    "mode, expected",
    [
        ("reflect", [3, 2, 1, 2, 3, 4, 3, 2]),
        ("symmetric", [2, 1, 1, 2, 3, 4, 4, 3]),
        ("edge", [1, 1, 1, 2, 3, 4, 4, 4]),
        ("zero", [0, 0, 1, 2, 3, 4, 0, 0]),
    ],
)
def test_modes_continue_a_row_as_named(mode, expected):
    x = jnp.asarray(ROW).reshape(1, 1, 4, 1)
    padded = pad2d(x, ((0, 0), (2, 2)), mode)
    np.testing.assert_array_equal(padded[0, 0, :, 0], expected)


def test_one_number_pads_all_four_sides():
    x = jax.random.normal(jax.random.key(0), (2, 4, 5, 3))
    expected = np.pad(x, ((0, 0), (3, 3), (3, 3), (0, 0)), mode="reflect")
    np.testing.assert_array_equal(pad2d(x, 3), expected)
    assert pad2d(x, 0) is x


@pytest.mark.parametrize("size", [(8, 16), (5, 7), (1, 9), (3, 1)], ids=str)
def test_padding_to_a_multiple_is_undone_by_crop(size):
    x = jax.random.normal(jax.random.key(1), (2, *size, 3))
    padded, box = pad_to_multiple(x, 8)
    assert padded.shape[1] % 8 == padded.shape[2] % 8 == 0
    assert padded.shape[1] - size[0] < 8 and padded.shape[2] - size[1] < 8
    np.testing.assert_array_equal(crop(padded, box), x)
    larger = jnp.repeat(jnp.repeat(padded, 4, 1), 4, 2)
    expected = jnp.repeat(jnp.repeat(x, 4, 1), 4, 2)
    np.testing.assert_array_equal(crop(larger, box.scaled(4)), expected)


def test_reflect_gradient_compiles_without_scatter_or_gather():
    loss = lambda x: jnp.sum(pad2d(x, 3) ** 2)  # noqa: E731
    spec = jax.ShapeDtypeStruct((1, 8, 8, 4), jnp.float32)
    text = jax.jit(jax.grad(loss)).lower(spec).compile().as_text()
    assert "scatter(" not in text and "gather(" not in text


def test_negative_amounts_are_refused():
    with pytest.raises(ValueError, match="must not be negative"):
        pad2d(jnp.zeros((1, 4, 4, 1)), -1)
