"""Transposed convolution whose gradients cost no more than they must.

`lax.conv_transpose` is correct, but autodiff writes its kernel gradient as a
convolution with a reversed, feature-map-sized window, which neither the CPU's nor the
GPU's fast paths recognise: zeros are materialised and 2 to 6 times the flops executed.
Here the three passes are stated as what they are:

    forward            the transpose of a strided convolution
    input gradient     that strided convolution
    kernel gradient    its own kernel gradient, input and cotangent swapped

A `custom_vjp` has no forward-mode derivative: use `lax.conv_transpose` where a `jvp`
is needed. Reverse over reverse works, since the backward pass is made of ordinary
convolutions.

References: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning",
2016, section 4 (the transpose view, padding and output size).
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

from jaxgan.core.remat import CONVOLUTION
from jaxgan.ops.strided_conv import strided_conv
from jaxgan.ops.windows import Pairs

IntOrPairs = int | Sequence[int | tuple[int, int]]


def conv_transpose(
    x: Float[Array, "b *size i"],
    kernel: Float[Array, "*window o _"],
    stride: int | Sequence[int],
    padding: IntOrPairs,
    output_padding: int | Sequence[int] = 0,
) -> Float[Array, "b *out_size o"]:
    """Transposes the strided convolution of this kernel, stride and padding.

    A side of length `n` becomes `(n - 1) * stride - (lo + hi) + k + output_padding`,
    where `(lo, hi)` is what the strided convolution pads. Recurring cases:

        k4 s2 padding 1                       2n   (DCGAN, pix2pix, 3D-GAN)
        k3 s2 padding 1 output_padding 1      2n   (CycleGAN)
        k5 s2 padding ((1, 2), (1, 2))        2n   (TensorFlow's SAME)
        k4 s1 padding 0, n = 1                4    (DCGAN's first layer)

    Args:
        x: `[b, h, w, i]` or `[b, d, h, w, i]`, any float dtype.
        kernel: The strided convolution's kernel, `[kh, kw, o, i]` or
            `[kd, kh, kw, o, i]`: it maps the `o` output channels to the `i` input
            channels. A torch `ConvTranspose2d` weight `(i, o, kh, kw)` is transposed by
            `(2, 3, 1, 0)` and not flipped. Same dtype as `x`.
        stride: One number, or one an axis.
        padding: What the strided convolution pads: one number for all sides (torch's
            `padding`), or for each axis a number or a pair `(lo, hi)`.
        output_padding: Rows added at the high end, below the stride (torch's
            `output_padding`), one number or one an axis.

    Returns:
        `[b, *out_size, o]`, in the dtype of `x`.

    Raises:
        ValueError: If the arguments do not fit together.
    """
    rank = x.ndim - 2
    if rank not in (2, 3) or kernel.ndim != x.ndim:
        raise ValueError(
            f"conv_transpose takes NHWC or NDHWC arrays and a kernel of the same rank; "
            f"got x {x.shape} and kernel {kernel.shape}"
        )
    if kernel.shape[-1] != x.shape[-1]:
        raise ValueError(
            f"kernel {kernel.shape} must end in (out_channels, in_channels) with "
            f"in_channels = {x.shape[-1]}"
        )
    strides = _per_axis(stride, rank, "stride")
    extra = _per_axis(output_padding, rank, "output_padding")
    if any(not 0 <= e < s for e, s in zip(extra, strides)):
        raise ValueError(f"output_padding {extra} must be in [0, stride {strides})")
    if isinstance(padding, int):
        padding = (padding,) * rank
    if len(padding) != rank:
        raise ValueError(f"padding {padding} must have one entry for {rank} axes")
    pads = tuple((p, p) if isinstance(p, int) else (p[0], p[1]) for p in padding)
    size = tuple(
        (n - 1) * s - lo - hi + k + e
        for n, s, (lo, hi), k, e in zip(
            x.shape[1:-1], strides, pads, kernel.shape[:-2], extra
        )
    )
    if any(n < 1 for n in size):  # sizes may be symbolic, which have no minimum
        raise ValueError(f"padding {pads} leaves nothing of x {x.shape}: {size}")
    y = _conv_transpose(x, kernel, strides, pads, size)
    return checkpoint_name(y, CONVOLUTION)


def _per_axis(value: int | Sequence[int], rank: int, name: str) -> tuple[int, ...]:
    values = (value,) * rank if isinstance(value, int) else tuple(value)
    if len(values) != rank:
        raise ValueError(f"{name} {values} must have one entry for {rank} axes")
    return values


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _conv_transpose(
    x: Any, kernel: Any, strides: tuple[int, ...], pads: Pairs, size: tuple[Any, ...]
) -> Float[Array, "b *size o"]:
    return _value(x, kernel, strides, pads, size)


# Layers of one shape are traced once, whatever is differentiated.
@partial(jax.jit, static_argnums=(2, 3, 4), inline=True)
def _value(
    x: Any, kernel: Any, strides: tuple[int, ...], pads: Pairs, size: tuple[Any, ...]
) -> Any:
    # The point does not matter to a linear function, and its value is not computed.
    zeros = jnp.zeros((x.shape[0], *size, kernel.shape[-2]), x.dtype)
    _, transpose = jax.vjp(lambda y: strided_conv(y, kernel, strides, pads), zeros)
    return transpose(x)[0]


def _forward(
    x: Any, kernel: Any, strides: tuple[int, ...], pads: Pairs, size: tuple[Any, ...]
) -> tuple[jax.Array, tuple[Any, Any]]:
    return _conv_transpose(x, kernel, strides, pads, size), (x, kernel)


def _backward(
    strides: tuple[int, ...],
    pads: Pairs,
    size: tuple[Any, ...],
    residuals: tuple[Any, Any],
    cotangent: Any,
) -> tuple[Any, Any]:
    return _gradients(*residuals, cotangent, strides, pads)


@partial(jax.jit, static_argnums=(3, 4), inline=True)
def _gradients(
    x: Any, kernel: Any, cotangent: Any, strides: tuple[int, ...], pads: Pairs
) -> tuple[Any, Any]:
    # The loss changes by <x, conv(g, k)>, linear in x and in k: a vjp in k yields the
    # input gradient as its value and, pulled back along x, the kernel gradient.
    x_gradient, pull = jax.vjp(
        lambda k: strided_conv(cotangent, k, strides, pads), kernel
    )
    return x_gradient, pull(x)[0]


_conv_transpose.defvjp(_forward, _backward)
