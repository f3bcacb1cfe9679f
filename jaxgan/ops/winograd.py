"""Winograd's minimal filtering: a convolution of fewer products, and more additions.

Two neighbouring outputs of a window of r take r + 1 products in place of 2 r: what they
share is added up first. Of two axes 2x2 outputs take 16 products in place of 36 (3x3
windows) or 9 in place of 16 (2x2). A convolution of stride 2 is a sum of such: the rows
of the input that meet the same rows of the kernel are a convolution of stride 1, 4x4
windows four of 2x2. Rounding errors in float32 are 1.3 times those of a plain sum for
3x3, 2.1 times for 4x4 (root mean square, 256 channels).

All of it is matrix products, the additions, too: a tenth of the work of a layer of 256
channels, in a program that stays small. Sums of shifted slices are as fast, and take
four times as long to compile.

References: Winograd, "Arithmetic Complexity of Computations", 1980, F(2, r); Lavin and
Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, section 4.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxgan.ops.windows import Pairs, out_sides, zeros_around

OUTPUTS = 2


class Filter(NamedTuple):
    """Of an axis: `outputs @ (pixels @ x * taps @ kernel)`."""

    pixels: np.ndarray  # [r + 1, r + 1]
    taps: np.ndarray  # [r + 1, r]
    outputs: np.ndarray  # [2, r + 1]


FILTERS = {  # by r
    2: Filter(
        np.array([[1, -1, 0], [0, 1, 0], [0, -1, 1]]),
        np.array([[1, 0], [1, 1], [0, 1]]),
        np.array([[1, 1, 0], [0, 1, 1]]),
    ),
    3: Filter(
        np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]]),
        np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]]),
        np.array([[1, 1, 1, 0], [0, 1, -1, -1]]),
    ),
}


def fits(window: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether all phases have 2, or all 3 taps an axis: 3x3, or 4x4 by stride 2."""
    axes = zip(window, strides, strict=True)
    return all(k % stride == 0 and k // stride in FILTERS for k, stride in axes)


def of_tiles(x: Any, kernel: Any, strides: tuple[int, ...], padding: Pairs) -> Any:
    """The convolution, by tiles of 2x2 outputs.

    Args:
        x: `[b, h, w, i]`, sides that are numbers.
        kernel: `[kh, kw, i, o]`, a window that `fits`.
        strides: One number an axis.
        padding: Zeros, `(low, high)` an axis; negative where the input is cut.
    """
    batch, features = x.shape[0], kernel.shape[3]
    sides = out_sides(x, kernel, strides, padding)
    tiles = [-(-side // OUTPUTS) for side in sides]
    taps = [k // stride for k, stride in zip(kernel.shape[:2], strides, strict=True)]
    rows, columns = (FILTERS[r] for r in taps)

    pixels, order = _windows(_pairs(x, tiles, strides, padding), tiles, taps)
    left = _matrix(rows.pixels, columns.pixels, x.dtype)[:, order] @ pixels
    right = _matrix(rows.taps, columns.taps, x.dtype) @ _phases(kernel, strides, taps)
    products = lax.dot_general(
        left.reshape(len(left), batch * math.prod(tiles), -1),
        right.reshape(len(right), -1, features),
        (((2,), (1,)), ((0,), (0,))),
    )
    outputs = _matrix(rows.outputs, columns.outputs, x.dtype)
    y = outputs @ products.reshape(len(left), -1)
    y = y.reshape(OUTPUTS, OUTPUTS, batch, *tiles, features)
    y = jnp.transpose(y, (2, 3, 0, 4, 1, 5))
    y = y.reshape(batch, *(OUTPUTS * n for n in tiles), features)
    return lax.slice(y, (0,) * 4, (batch, *sides, features))


def _pairs(x: Any, tiles: Sequence[int], strides: Sequence[int], padding: Pairs) -> Any:
    """`[2, 2, b, h + 1, w + 1, *strides, i]`: two pixels of each phase for a tile."""
    batch, *sides, channels = x.shape
    ends, split = [], []
    for n, count, stride, (low, _) in zip(sides, tiles, strides, padding, strict=True):
        ends.append((low, OUTPUTS * stride * (count + 1) - n - low))
        split.extend((count + 1, OUTPUTS, stride))
    x = zeros_around(x, ((0, 0), *ends, (0, 0)))
    return jnp.transpose(x.reshape(batch, *split, channels), (2, 5, 0, 1, 4, 3, 6, 7))


def _windows(
    pairs: Any, tiles: Sequence[int], taps: Sequence[int]
) -> tuple[Any, list[int]]:
    """The pixels of all tiles, `[(r + 1)^2, ...]`, and which of its tile each is.

    A tile begins with its own pairs and goes on in those of the next.
    """
    parts, order = [], []
    for i, j in itertools.product(range(2), repeat=2):
        rows, columns = (
            range(OUTPUTS * n, min(OUTPUTS * (n + 1), r + 1))
            for n, r in zip((i, j), taps, strict=True)
        )
        part = pairs[: len(rows), : len(columns)]
        part = part[:, :, :, i : i + tiles[0], j : j + tiles[1]]
        parts.append(part.reshape(-1, *part.shape[2:]))
        order += [row * (taps[1] + 1) + column for row in rows for column in columns]
    # Had the parts been rows already, XLA would multiply them one by one.
    pixels = lax.concatenate(parts, 0)
    return pixels.reshape(len(pixels), -1), order


def _phases(kernel: Any, strides: Sequence[int], taps: Sequence[int]) -> Any:
    """The windows of all phases, `[r^2, ...]`, row by row."""
    kernel = kernel.reshape(taps[0], strides[0], taps[1], strides[1], -1)
    return jnp.transpose(kernel, (0, 2, 1, 3, 4)).reshape(math.prod(taps), -1)


def _matrix(rows: np.ndarray, columns: np.ndarray, dtype: Any) -> np.ndarray:
    """What adds up the entries of both axes, row by row."""
    return np.kron(rows, columns).astype(dtype)
