"""Windows of images: what they meet, and how many there are.

Sides are numbers, arrays are NHWC, padding is zeros, `(low, high)` an axis, negative
where the image is cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax

Pairs = tuple[tuple[int, int], ...]


def out_side(n: int, k: int, stride: int, pads: tuple[int, int]) -> int:
    """How many windows of `k` stand along `n`."""
    return (n + sum(pads) - k) // stride + 1


def out_sides(
    x: Any, kernel: Any, strides: Sequence[int], padding: Pairs
) -> tuple[int, ...]:
    """Height and width of the convolution."""
    axes = zip(x.shape[1:3], kernel.shape[:2], strides, padding, strict=True)
    return tuple(out_side(*axis) for axis in axes)


def zeros_around(x: Any, around: Sequence[tuple[int, int]]) -> Any:
    """`jnp.pad` of zeros, which also cuts."""
    return lax.pad(x, jnp.zeros((), x.dtype), [(*pair, 0) for pair in around])
