"""A strided convolution whose gradients cost no more than they must.

The gradient to a small map, such as DCGAN's 5x5 windows on 4x4, is a convolution whose
kernel is larger than its input. XLA swaps the two, and where the padding is unequal it
then materialises the zeros between the strides: 11 times the flops of the layer on a
GPU. A CPU computes the swapped form by plain loops, 15 to 30 times more slowly than a
convolution.

There the convolution is split by phases: the rows of the input that meet the same rows
of the kernel, `i`, `i + stride`, ..., form a convolution of stride 1, and the sum of
these is the whole. Nothing is repeated: each tap belongs to one phase.

In three dimensions a CPU computes every such gradient by plain loops, and the forward
pass slowly where channels are few. There the slices that meet one another along the
first axis are stacked as channels, and two dimensions remain: than by phases 20 times
faster for the layers of 3D-GAN with one channel, 1.2 to 3 times for the others, at the
price of multiplying the first axis's padding.

XLA's CPU compiler brings only convolutions of the entry computation into the order of
axes that its fast path knows. Inside a loop or a `cond` the gradients that autodiff
writes run 2 to 15 times more slowly, so there a `custom_jvp` states the derivative in a
form whose transpose, the gradient, has that order. Forward mode, `vmap` and higher
derivatives stay what they are. There, too, wide layers and few output channels become
matrix products (`conv_as_dots`).
"""

import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float

from jaxgan.core.remat import CONVOLUTION
from jaxgan.ops import conv_as_dots
from jaxgan.ops.windows import Pairs, out_side

ALL = slice(None)
AnyArray: TypeAlias = Array | np.ndarray  # constants of a custom_vjp are NumPy's


def strided_conv(
    x: Float[AnyArray, "b *size i"],
    kernel: Float[AnyArray, "*window i o"],
    strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
) -> Float[Array, "b *out_size o"]:
    """`lax.conv_general_dilated` of NHWC or NDHWC arrays.

    Args:
        x: `[b, h, w, i]` or `[b, d, h, w, i]`.
        kernel: `[kh, kw, i, o]` or `[kd, kh, kw, i, o]`, same dtype as `x`.
        strides: One number an axis.
        padding: Zeros, `(low, high)` an axis.
    """
    y = _strided_conv(
        x, kernel, tuple(strides), tuple((low, high) for low, high in padding)
    )
    return checkpoint_name(y, CONVOLUTION)


def _strided_conv(
    x: Any, kernel: Any, strides: tuple[int, ...], padding: Pairs
) -> Float[Array, "b *out_size o"]:
    sides, window = x.shape[1:-1], kernel.shape[:-2]
    plain = not all(isinstance(n, int) for n in sides) or max(strides) == 1
    if plain or min(low for pair in padding for low in pair) < 0:
        return _conv(x, kernel, strides, padding)
    axes = list(zip(sides, window, strides, padding, strict=True))
    out = [out_side(*axis) for axis in axes]
    if min(out) < 1:
        return _conv(x, kernel, strides, padding)
    swapped = math.prod(window) > math.prod(out)
    # What the gradient to the input pads: unequal where rows are left over.
    unequal = any(lo != hi - (n + lo + hi - k) % s for n, k, s, (lo, hi) in axes)
    if swapped and unequal:
        return _split(x, kernel, strides, padding)
    if swapped or len(sides) == 3:
        return _split_on_cpu(x, kernel, strides, padding)
    return _conv(x, kernel, strides, padding)


@partial(jax.jit, static_argnums=(2, 3), inline=True)
def _split(x: Any, kernel: Any, strides: tuple[int, ...], padding: Pairs) -> Any:
    return _by_phases(x, kernel, strides, padding, _conv)


@partial(jax.jit, static_argnums=(2, 3), inline=True)
def _split_on_cpu(x: Any, kernel: Any, strides: tuple[int, ...], padding: Pairs) -> Any:
    def on_cpu(x: Any, kernel: Any) -> Any:
        # No choice of the platform within this one: it would be traced at every level.
        if x.ndim == 5:
            return _by_slices(x, kernel, strides, padding, _conv_on_cpu)
        if conv_as_dots.gradients_are(x, kernel, strides, padding):
            return _conv_on_cpu(x, kernel, strides, padding)
        return _by_phases(x, kernel, strides, padding, _conv_on_cpu)

    return lax.platform_dependent(
        x,
        kernel,
        cpu=on_cpu,
        default=lambda x, kernel: _plain(x, kernel, strides, padding),
    )


def _plain(x: Any, kernel: Any, strides: tuple[int, ...], padding: Pairs) -> Any:
    names = ("NHWC", "HWIO", "NHWC") if x.ndim == 4 else ("NDHWC", "DHWIO", "NDHWC")
    return _lax_conv(x, kernel, strides, padding, names)


def _conv(x: Any, kernel: Any, strides: tuple[int, ...], padding: Pairs) -> Any:
    conv = _conv_by_platform if x.ndim == 4 else _plain
    return conv(x, kernel, strides, padding)


def _plain_on_cpu(x: Any, kernel: Any, strides: tuple[int, ...], padding: Pairs) -> Any:
    y = conv_as_dots.forward(x, kernel, strides, padding)
    return _plain(x, kernel, strides, padding) if y is None else y


def _plain_by_platform(
    x: Any, kernel: Any, strides: tuple[int, ...], padding: Pairs
) -> Any:
    return lax.platform_dependent(
        x,
        kernel,
        cpu=lambda x, kernel: _plain_on_cpu(x, kernel, strides, padding),
        default=lambda x, kernel: _plain(x, kernel, strides, padding),
    )


def _derivative_on_cpu(strides: tuple[int, ...], padding: Pairs, *operands: Any) -> Any:
    return _change(_to_input, _to_kernel, strides, padding, *operands)


def _derivative_by_platform(
    strides: tuple[int, ...], padding: Pairs, *operands: Any
) -> Any:
    return lax.platform_dependent(
        *operands,
        cpu=partial(_derivative_on_cpu, strides, padding),
        default=partial(_change, _plain, _plain, strides, padding),
    )


def _change(
    to_input: Any,
    to_kernel: Any,
    strides: tuple[int, ...],
    padding: Pairs,
    x: Any,
    kernel: Any,
    x_tangent: Any,
    kernel_tangent: Any,
) -> Any:
    # What is not differentiated is left out: zeros would be convolved.
    terms = []
    if x_tangent is not None:
        terms.append(to_input(x_tangent, kernel, strides, padding))
    if kernel_tangent is not None:
        terms.append(to_kernel(x, kernel_tangent, strides, padding))
    return sum(terms[1:], start=terms[0])


def _differentiated(
    value: Callable[..., Any], derivative: Callable[..., Any]
) -> Callable[..., Any]:
    """A convolution of images with this derivative."""
    conv = jax.custom_jvp(value, nondiff_argnums=(2, 3))
    # Layers of one shape are traced, and differentiated, once.
    traced_once = jax.jit(conv, static_argnums=(2, 3), inline=True)

    def jvp(
        strides: tuple[int, ...], padding: Pairs, primals: Any, tangents: Any
    ) -> tuple[Any, Any]:
        tangents = [None if isinstance(t, SymbolicZero) else t for t in tangents]
        change = derivative(strides, padding, *primals, *tangents)
        return traced_once(*primals, strides, padding), change

    conv.defjvp(jvp, symbolic_zeros=True)
    return traced_once


_conv_on_cpu = _differentiated(_plain_on_cpu, _derivative_on_cpu)
_conv_by_platform = _differentiated(_plain_by_platform, _derivative_by_platform)


def _to_input(x: Any, kernel: Any, strides: tuple[int, ...], padding: Pairs) -> Any:
    """`_plain`, so written that its transpose in `x` is NHWC, HWIO -> NHWC, or a
    matrix product."""
    y = conv_as_dots.to_input(x, kernel, strides, padding)
    if y is not None:
        return y
    names = ("NHWC", "HWOI", "NHWC")
    return _lax_conv(x, jnp.swapaxes(kernel, 2, 3), strides, padding, names)


def _to_kernel(x: Any, kernel: Any, strides: tuple[int, ...], padding: Pairs) -> Any:
    """`_plain`, so written that its transpose in `kernel` is NHWC, HWIO -> NHWC, or a
    matrix product."""
    y = conv_as_dots.to_kernel(x, kernel, strides, padding)
    if y is not None:
        return y
    names = ("CHWN", "IHWO", "HWNC")
    x, kernel = jnp.transpose(x, (3, 1, 2, 0)), jnp.transpose(kernel, (2, 0, 1, 3))
    y = _lax_conv(x, kernel, strides, padding, names)
    return jnp.transpose(y, (2, 0, 1, 3))


def _lax_conv(
    x: Any, kernel: Any, strides: Any, padding: Pairs, names: tuple[str, str, str]
) -> Any:
    return lax.conv_general_dilated(
        x, kernel, strides, padding, dimension_numbers=names
    )


def _by_slices(
    x: Any, kernel: Any, strides: tuple[int, ...], padding: Pairs, conv: Any
) -> Float[Array, "b *size o"]:
    depth, *window, _, features = kernel.shape
    x = jnp.pad(x, ((0, 0), padding[0], *[(0, 0)] * 3))
    out = (x.shape[1] - depth) // strides[0] + 1
    last = (out - 1) * strides[0] + 1
    slices = [x[:, i : i + last : strides[0]] for i in range(depth)]
    x = jnp.concatenate(slices, axis=-1)  # [b, d', h, w, depth * i]
    flat = x.reshape(-1, *x.shape[2:])
    kernel = jnp.moveaxis(kernel, 0, 2).reshape(*window, -1, features)
    sides = map(out_side, x.shape[2:4], window, strides[1:], padding[1:])
    if math.prod(window) > math.prod(sides):
        y = _by_phases(flat, kernel, strides[1:], padding[1:], conv)
    else:
        y = conv(flat, kernel, strides[1:], padding[1:])
    return y.reshape(-1, out, *y.shape[1:])


def _by_phases(
    x: Any, kernel: Any, strides: tuple[int, ...], padding: Pairs, conv: Any
) -> Float[Array, "b *size o"]:
    axes = [
        _phases(n, k, s, low, high)
        for n, k, s, (low, high) in zip(
            x.shape[1:-1], kernel.shape[:-2], strides, padding, strict=True
        )
    ]
    parts = []
    for phase in itertools.product(*axes):
        rows, taps, pads = zip(*phase, strict=True)
        ones = (1,) * len(rows)
        slices = _slice(x, (ALL, *rows, ALL)), _slice(kernel, (*taps, ALL, ALL))
        parts.append(conv(*slices, ones, pads))
    if not parts:  # every tap meets padding alone
        return conv(x, kernel, strides, padding)
    return sum(parts[1:], start=parts[0])


def _slice(x: Any, axes: tuple[slice, ...]) -> Any:
    """`x[axes]`, without what indexing by arrays takes to trace."""
    bounds = (  # a whole axis may be symbolic
        (0, n, 1) if axis == ALL else axis.indices(n)
        for axis, n in zip(axes, x.shape, strict=True)
    )
    return lax.slice(x, *zip(*bounds, strict=True))


def _phases(
    n: int, k: int, stride: int, low: int, high: int
) -> list[tuple[slice, slice, tuple[int, int]]]:
    """Of one axis: rows of the input, rows of the kernel, padding."""
    out = out_side(n, k, stride, (low, high))
    found = []
    for i in range(min(stride, k)):
        before = max(0, -((i - low) // stride))  # whole rows of padding
        first = i + stride * before - low
        taps = -((i - k) // stride)
        needed = out - 1 + taps
        rows = min(max(0, -((first - n) // stride)), max(0, needed - before))
        if rows:
            chosen = slice(first, first + (rows - 1) * stride + 1, stride)
            pads = (before, needed - before - rows)
            found.append((chosen, slice(i, None, stride), pads))
    return found
