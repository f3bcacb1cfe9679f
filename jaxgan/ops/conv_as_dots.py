"""Convolutions of images as matrix products, for the CPU.

XLA's libraries for the CPU are as fast as the processor in matrix products, and not in
every convolution. They copy a kernel that is larger than its images in each pass, so
that the gradients of U-Net's inner layers take 3 to 12 times as long as they must, and
compute a few channels without padding one by one (the 7x7 convolution onto three
colours: 40 times, jaxlib 0.10.2). `python -m benchmarks.formulations --device=cpu
--only=residual,residual_128,innermost,onto_colours` compares.

Small windows of many channels become fewer products than a plain sum has (`winograd`):
half to four fifths of the time.

`of_windows`, `of_taps`, `of_planes` and `winograd.of_tiles` are one function, whose
transposes differ.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import lax

from jaxgan.ops import winograd
from jaxgan.ops.windows import Pairs, out_sides, zeros_around

FEW = 8  # channels
WIDE = 1 << 14  # input times output channels from which a product is worth its copies
MIXED = 64  # channels, of input and output, from which additions are few beside them
MANY = 1 << 22  # elements of all windows, more than caches hold


class Worth(NamedTuple):
    """From where tiles are faster: where their additions are few beside the rest."""

    positions: int | float  # of the output, a channel: larger kernels are transformed
    products: int  # of a plain sum


FORWARD = Worth(positions=1, products=1 << 23)
TO_INPUT = Worth(positions=1, products=1 << 28)
TO_KERNEL = Worth(positions=1 / 4, products=1 << 26)


def forward(
    x: Any, kernel: Any, strides: tuple[int, ...], padding: Pairs
) -> Any | None:
    """The convolution, or None where XLA's own is as fast.

    Args:
        x: `[b, h, w, i]`.
        kernel: `[kh, kw, i, o]`.
        strides: One number an axis.
        padding: Zeros, `(low, high)` an axis.
    """
    if _few(kernel, strides):
        return of_taps(x, kernel, strides, padding)
    if _tiled(x, kernel, strides, padding, FORWARD):
        return winograd.of_tiles(x, kernel, strides, padding)
    if not _wide(x, kernel):
        return None
    unpadded = max(strides) == 1 and not any(map(any, padding))
    if unpadded or 2 * _positions(x, kernel, strides, padding) <= kernel.shape[3]:
        return of_windows(x, kernel, strides, padding)
    return None


def to_input(
    x: Any, kernel: Any, strides: tuple[int, ...], padding: Pairs
) -> Any | None:
    """The convolution so written that its transpose in `x` is fast; or None."""
    if _tiled(x, kernel, strides, padding, TO_INPUT):
        return winograd.of_tiles(x, kernel, strides, padding)
    channels, features = kernel.shape[2:]
    few = channels <= FEW < features and _static(x)
    if not few and not _wide(x, kernel):
        return None
    windows = _positions(x, kernel, strides, padding) * math.prod(kernel.shape[:3])
    if windows > MANY:
        return None
    return of_windows(x, kernel, strides, padding)


def to_kernel(
    x: Any, kernel: Any, strides: tuple[int, ...], padding: Pairs
) -> Any | None:
    """The convolution so written that its transpose in `kernel` is fast; or None."""
    if _few(kernel, strides) and _static(x):
        return of_planes(x, kernel, strides, padding)
    if _tiled(x, kernel, strides, padding, TO_KERNEL):
        return winograd.of_tiles(x, kernel, strides, padding)
    if not gradients_are(x, kernel, strides, padding):
        return None
    return of_windows(x, kernel, strides, padding, at_once=True)


def gradients_are(
    x: Any, kernel: Any, strides: tuple[int, ...], padding: Pairs
) -> bool:
    """Whether both gradients are products: positions are no more than features."""
    if not _wide(x, kernel):
        return False
    return _positions(x, kernel, strides, padding) <= kernel.shape[3]


def of_windows(
    x: Any,
    kernel: Any,
    strides: tuple[int, ...],
    padding: Pairs,
    at_once: bool | None = None,
) -> Any:
    """Windows side by side times the kernel, or, of many, a sum over its taps.

    Args:
        x: see `forward`.
        kernel: see `forward`.
        strides: see `forward`.
        padding: see `forward`.
        at_once: one product; None: where the windows fit into caches.
    """
    sides, taps = out_sides(x, kernel, strides, padding), math.prod(kernel.shape[:2])
    phases = _phases(zeros_around(x, ((0, 0), *padding, (0, 0))), strides)
    slices = []
    for i in range(kernel.shape[0]):
        for j in range(kernel.shape[1]):
            part = phases[i % strides[0]][j % strides[1]]
            i0, j0 = i // strides[0], j // strides[1]
            ends = (part.shape[0], i0 + sides[0], j0 + sides[1], part.shape[3])
            slices.append(lax.slice(part, (0, i0, j0, 0), ends))
    kernel = kernel.reshape(taps, *kernel.shape[2:])
    if at_once is None:
        at_once = math.prod((x.shape[0], *sides, taps, kernel.shape[1])) <= MANY
    if at_once:
        rows = kernel.reshape(-1, kernel.shape[2])
        return _dot(jnp.concatenate(slices, axis=3), rows)
    products = [_dot(part, kernel[i]) for i, part in enumerate(slices)]
    return sum(products[1:], start=products[0])


def of_taps(x: Any, kernel: Any, strides: tuple[int, ...], padding: Pairs) -> Any:
    """Every pixel times all taps at once, then a sum over shifted products.

    Args:
        x: see `forward`.
        kernel: see `forward`.
        strides: All 1.
        padding: see `forward`.
    """
    shifts = _shifts(x, kernel, strides, padding)
    channels, features = kernel.shape[2:]
    kernel = jnp.transpose(kernel, (2, 0, 1, 3)).reshape(channels, -1)
    products = _dot(x, kernel)
    parts = []
    for tap, shift in enumerate(shifts):
        part = lax.slice_in_dim(products, tap * features, (tap + 1) * features, axis=3)
        parts.append(zeros_around(part, ((0, 0), *shift, (0, 0))))
    return sum(parts[1:], start=parts[0])


def of_planes(x: Any, kernel: Any, strides: tuple[int, ...], padding: Pairs) -> Any:
    """As `of_taps`, with the few channels of the result as planes.

    Its transpose in `kernel` copies whole rows of a plane, not pixels.

    Args:
        x: see `forward`.
        kernel: see `forward`.
        strides: All 1.
        padding: see `forward`.
    """
    shifts = _shifts(x, kernel, strides, padding)
    kernel = kernel.reshape(len(shifts), *kernel.shape[2:])
    products = lax.dot_general(kernel, x, (((1,), (3,)), ((), ())))
    parts = zip(lax.split(products, (1,) * len(shifts)), shifts, strict=True)
    planes = [zeros_around(part[0], ((0, 0), (0, 0), *shift)) for part, shift in parts]
    return jnp.transpose(sum(planes[1:], start=planes[0]), (1, 2, 3, 0))


def _shifts(
    x: Any, kernel: Any, strides: tuple[int, ...], padding: Pairs
) -> list[Pairs]:
    """How each tap's products are padded, or cut, to where they belong."""
    sides = out_sides(x, kernel, strides, padding)
    axes = []
    for n, k, side, (low, _) in zip(
        x.shape[1:3], kernel.shape[:2], sides, padding, strict=True
    ):
        axes.append([(low - i, side - n - (low - i)) for i in range(k)])
    return list(itertools.product(*axes))


def _phases(x: Any, strides: tuple[int, ...]) -> list[list[Any]]:
    """`[b, h, w, c]` split to `x[:, i::strides[0], j::strides[1]]`, rows of columns.

    The transpose of such slices would be computed from zeros between the pixels.
    """
    if max(strides) == 1:
        return [[x]]
    rows, columns = strides
    batch, height, width, channels = x.shape
    none = (0, 0)
    x = zeros_around(x, (none, (0, -height % rows), (0, -width % columns), none))
    high, wide = -(-height // rows), -(-width // columns)
    x = x.reshape(batch, high, rows, wide, columns, channels)
    return [
        [
            part.reshape(batch, high, wide, channels)
            for part in lax.split(row, (1,) * columns, axis=4)
        ]
        for row in lax.split(x, (1,) * rows, axis=2)
    ]


def _dot(x: Any, kernel: Any) -> Any:
    return lax.dot_general(x, kernel, (((3,), (0,)), ((), ())))


def _positions(x: Any, kernel: Any, strides: tuple[int, ...], padding: Pairs) -> int:
    return x.shape[0] * math.prod(out_sides(x, kernel, strides, padding))


def _few(kernel: Any, strides: tuple[int, ...]) -> bool:
    channels, features = kernel.shape[2:]
    return features <= FEW < channels and max(strides) == 1


def _tiled(
    x: Any, kernel: Any, strides: tuple[int, ...], padding: Pairs, worth: Worth
) -> bool:
    if not winograd.fits(kernel.shape[:2], strides) or not _static(x):
        return False
    if jnp.finfo(x.dtype).bits < 32:  # the additions would be rounded
        return False
    few, many = sorted(kernel.shape[2:])
    positions = _positions(x, kernel, strides, padding)
    return (
        few >= MIXED
        and positions >= worth.positions * many
        and positions * math.prod(kernel.shape) >= worth.products
    )


def _wide(x: Any, kernel: Any) -> bool:
    return math.prod(kernel.shape[2:]) >= WIDE and _static(x)


def _static(x: Any) -> bool:
    return all(isinstance(n, int) for n in x.shape)
