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
axes that its fast path knows. Inside a `cond` (3D-GAN's gate) or a loop the gradients
that autodiff writes run 15 times more slowly, so those of the slices are written out in
that order, by a `custom_vjp`: there is no forward-mode derivative in three dimensions.
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
from jaxtyping import Array, Float

AnyArray: TypeAlias = Array | np.ndarray  # a custom_vjp's constants are NumPy's
Pairs = Sequence[tuple[int, int]]


def strided_conv(
    x: Float[AnyArray, "b *size i"],
    kernel: Float[AnyArray, "*window i o"],
    strides: Sequence[int],
    padding: Pairs,
) -> Float[Array, "b *out_size o"]:
    """`lax.conv_general_dilated` of NHWC or NDHWC arrays.

    Args:
        x: `[b, h, w, i]` or `[b, d, h, w, i]`.
        kernel: `[kh, kw, i, o]` or `[kd, kh, kw, i, o]`, same dtype as `x`.
        strides: One number an axis.
        padding: Zeros, `(low, high)` an axis.
    """
    sides, window = x.shape[1:-1], kernel.shape[:-2]
    plain = not all(isinstance(n, int) for n in sides) or max(strides) == 1
    if plain or min(low for pair in padding for low in pair) < 0:
        return _conv(x, kernel, strides, padding)
    axes = list(zip(sides, window, strides, padding, strict=True))
    out = [_out_side(*axis) for axis in axes]
    if min(out) < 1:
        return _conv(x, kernel, strides, padding)
    swapped = math.prod(window) > math.prod(out)
    # What the gradient to the input pads: unequal where rows are left over.
    unequal = any(lo != hi - (n + lo + hi - k) % s for n, k, s, (lo, hi) in axes)
    if swapped and unequal:
        return _by_phases(x, kernel, strides, padding)
    if swapped or len(sides) == 3:
        on_cpu = _by_phases if len(sides) == 2 else _by_slices
        return lax.platform_dependent(
            x,
            kernel,
            cpu=lambda x, kernel: on_cpu(x, kernel, strides, padding),
            default=lambda x, kernel: _conv(x, kernel, strides, padding),
        )
    return _conv(x, kernel, strides, padding)


def _conv(x: Any, kernel: Any, strides: Sequence[int], padding: Pairs) -> jax.Array:
    names = ("NHWC", "HWIO", "NHWC") if x.ndim == 4 else ("NDHWC", "DHWIO", "NDHWC")
    return lax.conv_general_dilated(
        x, kernel, strides, padding, dimension_numbers=names
    )


def _out_side(n: int, k: int, stride: int, pads: tuple[int, int]) -> int:
    return (n + sum(pads) - k) // stride + 1


def _by_slices(
    x: Any, kernel: Any, strides: Sequence[int], padding: Pairs
) -> jax.Array:
    depth, *window, _, features = kernel.shape
    x = jnp.pad(x, ((0, 0), padding[0], *[(0, 0)] * 3))
    out = (x.shape[1] - depth) // strides[0] + 1
    last = (out - 1) * strides[0] + 1
    slices = [x[:, i : i + last : strides[0]] for i in range(depth)]
    x = jnp.concatenate(slices, axis=-1)  # [b, d', h, w, depth * i]
    flat = x.reshape(-1, *x.shape[2:])
    kernel = jnp.moveaxis(kernel, 0, 2).reshape(*window, -1, features)
    sides = map(_out_side, x.shape[2:4], window, strides[1:], padding[1:])
    conv: Any = _ordered_conv  # custom_vjp has a type of its own
    if math.prod(window) > math.prod(sides):
        y = _by_phases(flat, kernel, strides[1:], padding[1:], conv)
    else:
        y = conv(flat, kernel, tuple(strides[1:]), tuple(padding[1:]))
    return y.reshape(-1, out, *y.shape[1:])


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _ordered_conv(x: Any, kernel: Any, strides: Any, padding: Any) -> jax.Array:
    return _conv(x, kernel, strides, padding)


def _ordered_forward(x, kernel, strides, padding):
    return _conv(x, kernel, strides, padding), (x, kernel)


def _ordered_backward(strides, padding, residuals, cotangent):
    """Both gradients as NHWC, HWIO -> NHWC, transposed before and after."""
    x, kernel = residuals
    window, sides = kernel.shape[:2], x.shape[1:3]
    names = ("NHWC", "HWIO", "NHWC")
    # What the last window leaves over is negative padding at the end.
    spread = [(n - 1) * s + 1 for n, s in zip(cotangent.shape[1:3], strides)]
    around = [
        (k - 1 - low, n + low - g)
        for n, k, g, (low, _) in zip(sides, window, spread, padding)
    ]
    x_gradient = lax.conv_general_dilated(
        cotangent,
        jnp.swapaxes(kernel[::-1, ::-1], 2, 3),
        (1, 1),
        around,
        lhs_dilation=strides,
        dimension_numbers=names,
    )
    ends = [
        (low, g + k - 1 - n - low)
        for n, k, g, (low, _) in zip(sides, window, spread, padding)
    ]
    kernel_gradient = lax.conv_general_dilated(
        jnp.transpose(x, (3, 1, 2, 0)),
        jnp.transpose(cotangent, (1, 2, 0, 3)),
        (1, 1),
        ends,
        rhs_dilation=strides,
        dimension_numbers=names,
    )
    return x_gradient, jnp.transpose(kernel_gradient, (1, 2, 0, 3))


_ordered_conv.defvjp(_ordered_forward, _ordered_backward)


def _by_phases(
    x: Any,
    kernel: Any,
    strides: Sequence[int],
    padding: Pairs,
    conv: Callable[..., jax.Array] = _conv,
) -> jax.Array:
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
        parts.append(conv(x[(slice(None), *rows)], kernel[taps], ones, pads))
    if not parts:  # every tap meets padding alone
        return _conv(x, kernel, strides, padding)
    return sum(parts[1:], start=parts[0])


def _phases(
    n: int, k: int, stride: int, low: int, high: int
) -> list[tuple[slice, slice, tuple[int, int]]]:
    """Of one axis: rows of the input, rows of the kernel, padding."""
    out = _out_side(n, k, stride, (low, high))
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
