"""Strided convolutions and their transposes, whose gradients the library states."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks.choices.base import Choice, Form, Setting, Tree
from jaxgan.ops import conv_transpose, winograd
from jaxgan.ops.strided_conv import strided_conv

NAMES: dict[int, Any] = {
    2: ("NHWC", "HWIO", "NHWC"),
    3: ("NDHWC", "DHWIO", "NDHWC"),
}


def transposed_k3(s: Setting) -> Choice:
    """CycleGAN at 256 px, up1: 3x3, 256 -> 128."""
    return _transposed(s.maps(1, 64, 256), s.kernel(3, 128, 256), output_padding=1)


def transposed_k4(s: Setting) -> Choice:
    """DCGAN (torch), up3 at batch 8: 4x4, 128 -> 64."""
    return _transposed(s.maps(8, 16, 128), s.kernel(4, 64, 128))


def transposed_3d(s: Setting) -> Choice:
    """3D-GAN, up3: 4x4x4, 256 -> 128."""
    return _transposed(s.maps(1, 8, 256, rank=3), s.kernel(4, 128, 256, rank=3))


def _transposed(x: Tree, kernel: Tree, output_padding: int = 0) -> Choice:
    """Stride 2, padding 1."""
    window, *_ = kernel.shape
    rank = len(x.shape) - 2

    def ours(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return conv_transpose(x, kernel, 2, 1, output_padding)

    def by_autodiff(x: jax.Array, kernel: jax.Array) -> jax.Array:
        pads = [(window - 2, window - 2 + output_padding)] * rank
        names = NAMES[rank]
        return lax.conv_transpose(x, kernel, (2,) * rank, pads, dimension_numbers=names)

    def flipped(x: jax.Array, kernel: jax.Array) -> tuple[Tree, ...]:
        return x, jnp.flip(kernel, range(rank)).swapaxes(-1, -2)

    forms = {
        "ops.conv_transpose": Form(ours),
        "lax.conv_transpose": Form(by_autodiff, flipped),
    }
    return Choice((x, kernel), forms)


def strided_2d(s: Setting) -> Choice:
    """pix2pix at 256 px, discriminator conv2: 4x4, 64 -> 128."""
    return _strided(s.maps(1, 128, 64), s.kernel(4, 64, 128))


def strided_in_cond(s: Setting) -> Choice:
    """The layer of `strided_2d` inside a `lax.cond`, as those of a gated player are."""
    x, kernel = strided_2d(s).arguments

    def gated(conv: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
        def call(x: jax.Array, kernel: jax.Array) -> jax.Array:
            out = jax.eval_shape(conv, x, kernel)
            zeros = lambda *_: jnp.zeros(out.shape, out.dtype)  # noqa: E731
            return lax.cond(x.ravel()[0] < jnp.inf, conv, zeros, x, kernel)

        return call

    return _strided(x, kernel, around=gated)


def strided_small_map(s: Setting) -> Choice:
    """DCGAN (tf), conv4 at batch 4: 5x5 onto 4x4, 256 -> 512."""
    return _strided(s.maps(4, 8, 256), s.kernel(5, 256, 512), pads=(1, 2))


def residual(s: Setting) -> Choice:
    """CycleGAN at 64 px, a residual block's: 3x3, 256 -> 256, its border is there."""
    return _strided(*_residual(s, 64), pads=(0, 0), stride=1)


def residual_128(s: Setting) -> Choice:
    """CycleGAN at 128 px, a residual block's: 3x3, 256 -> 256, its border is there."""
    return _strided(*_residual(s, 128), pads=(0, 0), stride=1)


def _residual(s: Setting, side: int) -> tuple[Tree, Tree]:
    return s.maps(1, side // 4 + 2, 256), s.kernel(3, 256, 256)


def innermost(s: Setting) -> Choice:
    """pix2pix at 256 px, down6: 4x4 onto 4x4, 512 -> 512."""
    return _strided(s.maps(1, 8, 512), s.kernel(4, 512, 512))


def onto_colours(s: Setting) -> Choice:
    """CycleGAN at 64 px, output: 7x7, 64 -> 3, its border is there."""
    x, kernel = s.maps(1, 70, 64), s.kernel(7, 64, 3)
    return _strided(x, kernel, pads=(0, 0), stride=1)


def strided_3d(s: Setting) -> Choice:
    """3D-GAN (32^3), discriminator conv2 at batch 2: 4x4x4, 32 -> 64."""
    return _strided(s.maps(2, 16, 32, rank=3), s.kernel(4, 32, 64, rank=3))


def strided_3d_one_channel(s: Setting) -> Choice:
    """3D-GAN (32^3), discriminator conv1: 4x4x4, 1 -> 32."""
    return _strided(s.maps(1, 32, 1, rank=3), s.kernel(4, 1, 32, rank=3))


def _strided(
    x: Tree,
    kernel: Tree,
    pads: tuple[int, int] = (1, 1),
    around: Callable[..., Callable[..., jax.Array]] = lambda conv: conv,
    stride: int = 2,
) -> Choice:
    """`around` makes of a convolution what is called."""
    rank = len(x.shape) - 2
    strides, padding = (stride,) * rank, (pads,) * rank

    def ours(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return strided_conv(x, kernel, strides, padding)

    def plain(x: jax.Array, kernel: jax.Array) -> jax.Array:
        names = NAMES[rank]
        return lax.conv_general_dilated(
            x, kernel, strides, padding, dimension_numbers=names
        )

    def tiles(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return winograd.of_tiles(x, kernel, strides, padding)

    forms = {
        "ops.strided_conv": Form(around(ours)),
        "lax.conv_general_dilated": Form(around(plain)),
    }
    if rank == 2 and winograd.fits(kernel.shape[:2], strides):
        forms["ops.winograd.of_tiles"] = Form(around(tiles))
    return Choice((x, kernel), forms)
