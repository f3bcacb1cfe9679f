"""What stands around the convolutions: padding, norms, biases, upsampling."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.choices.base import (
    Choice,
    Form,
    Setting,
    Tree,
    apply,
    normalized,
    params_of,
    two_passes,
)
from jaxgan.networks.layers import Conv, ConvTranspose
from jaxgan.networks.norms import BatchNorm, InstanceNorm
from jaxgan.networks.srresnet import PReLU, SubPixelUpsample
from jaxgan.ops.strided_conv import strided_conv


def padding(s: Setting) -> Choice:
    """CycleGAN at 256 px, a block's first padding and convolution: 3x3, 256."""
    x = s.maps(1, 64, 256)
    conv = partial(Conv, x.shape[-1], dtype=s.dtype)
    ours = conv(padding=1, padding_mode="reflect")

    def behind(pad: Callable[[jax.Array], jax.Array]) -> Form:
        return Form(lambda params, x: apply(conv(), params, pad(x)))

    forms = {
        "jnp.pad, reflect": Form(partial(apply, ours)),
        "concatenated slices": behind(_mirrored),
        "gathered rows": behind(_gathered),
        "zeros in the convolution": Form(
            partial(apply, conv(padding=1)), differs="zeros at the border"
        ),
    }
    return Choice((params_of(ours, x), x), forms)


def _mirrored(x: jax.Array) -> jax.Array:
    for axis in (1, 2):
        second, last_but_one = (
            lax.slice_in_dim(x, i, i + 1, axis=axis) for i in (1, x.shape[axis] - 2)
        )
        x = jnp.concatenate([second, x, last_but_one], axis)
    return x


def _gathered(x: jax.Array) -> jax.Array:
    for axis in (1, 2):
        index = np.pad(np.arange(x.shape[axis]), 1, mode="reflect")
        x = jnp.take(x, index, axis=axis)
    return x


def instance_norm(s: Setting) -> Choice:
    """CycleGAN at 256 px, in a block: 256."""
    ours = partial(apply, InstanceNorm(), {})
    other = partial(normalized, axes=(1, 2))
    return Choice((s.maps(1, 64, 256),), _norms(s, ours, other))


def batch_norm(s: Setting) -> Choice:
    """DCGAN, generator up3 at batch 32: 128."""
    x = s.maps(32, 32, 128)
    norm, channels = BatchNorm(), x.shape[-1]

    def ours(params: Tree, x: jax.Array) -> jax.Array:
        running = {"mean": jnp.zeros(channels), "var": jnp.ones(channels)}
        variables = {"params": params, "batch_stats": running}
        out, _ = norm.apply(variables, x, train=True, mutable=["batch_stats"])
        return out

    def other(params: Tree, x: jax.Array, **how: Any) -> jax.Array:
        return normalized(x, (0, 1, 2), **how, **params)

    params = params_of(norm, x, train=True)
    return Choice((params, x), _norms(s, ours, other))


def _norms(
    s: Setting, ours: Callable[..., jax.Array], other: Callable[..., jax.Array]
) -> dict[str, Form]:
    """The library's norm, and one that is told its moments and their dtype."""
    rounded = "" if s.dtype == "float32" else f"statistics in {s.dtype}"
    return {
        "one pass, float32": Form(ours),
        "two passes, float32": Form(partial(other, moments=two_passes)),
        "one pass, the activations' dtype": Form(
            partial(other, dtype=jnp.dtype(s.dtype)), differs=rounded
        ),
    }


def bias_before_norm(s: Setting) -> Choice:
    """CycleGAN at 256 px, a block's first convolution and norm: 3x3, 256."""
    x = s.maps(1, 64, 256)
    conv = partial(Conv, x.shape[-1], dtype=s.dtype, padding=1, padding_mode="reflect")

    def call(conv: nn.Module, params: Tree, x: jax.Array) -> jax.Array:
        return apply(InstanceNorm(), {}, apply(conv, params, x))

    def with_bias(params: Tree, x: jax.Array) -> tuple[Tree, ...]:
        return {**params, "bias": jnp.full(x.shape[-1:], 0.5)}, x

    without = conv(use_bias=False)
    forms = {
        "kept": Form(partial(call, conv()), with_bias),
        "left out": Form(partial(call, without)),
    }
    return Choice((params_of(without, x), x), forms)


def upsampling_nearest(s: Setting) -> Choice:
    """SRGAN (resize_conv), up1 at batch 4: nearest x2, 3x3, PReLU, 64."""
    x = s.maps(4, 24, 64)
    ours = SubPixelUpsample(upsample="resize_conv", dtype=s.dtype)
    conv = Conv(x.shape[-1], padding=1, dtype=s.dtype)

    def repeated(params: Tree, x: jax.Array) -> jax.Array:
        y = jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)
        return apply(PReLU(), params["prelu"], apply(conv, params["conv"], y))

    def resized(params: Tree, x: jax.Array) -> jax.Array:
        batch, height, width, channels = x.shape
        shape = (batch, 2 * height, 2 * width, channels)
        y = apply(conv, params["conv"], jax.image.resize(x, shape, "nearest"))
        return apply(PReLU(), params["prelu"], y)

    def folded(params: Tree, x: jax.Array) -> jax.Array:
        y = _upsampled(x, params["conv"]["kernel"])
        y += params["conv"]["bias"].astype(y.dtype)
        return apply(PReLU(), params["prelu"], y)

    forms = {
        "a 4x4 transposed convolution": Form(partial(apply, ours)),
        "jnp.repeat twice": Form(repeated),
        "jax.image.resize": Form(resized),
        "four 2x2 convolutions": Form(folded),
    }
    return Choice((params_of(ours, x), x), forms)


def _upsampled(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Nearest x2 and a 3x3 convolution: of the two rows (and columns) that one becomes,
    the first sees `w0, w1 + w2` of the rows that were there, the second `w0 + w1, w2`.
    """

    def fold(kernel: jax.Array, axis: int, second: int) -> jax.Array:
        w0, w1, w2 = jnp.split(kernel, 3, axis)
        return jnp.concatenate([w0 + w1, w2] if second else [w0, w1 + w2], axis)

    def phase(i: int, j: int) -> jax.Array:
        taps = fold(fold(kernel, 0, i), 1, j).astype(x.dtype)
        return strided_conv(x, taps, (1, 1), ((1 - i, i), (1 - j, j)))

    rows = [jnp.stack([phase(i, j) for j in (0, 1)], axis=3) for i in (0, 1)]
    y = jnp.stack(rows, axis=2)  # [b, h, 2, w, 2, c]
    return y.reshape(y.shape[0], 2 * y.shape[1], 2 * y.shape[3], y.shape[5])


def upsampling_sub_pixel(s: Setting) -> Choice:
    """SRGAN, up1 at batch 4: 3x3, 64 -> 256, pixel shuffle, PReLU."""
    x = s.maps(4, 24, 64)
    ours, channels = SubPixelUpsample(dtype=s.dtype), x.shape[-1]

    def one_bias(params: Tree, x: jax.Array) -> tuple[Tree, ...]:
        """The same for all four pixels, as a transposed convolution has it."""
        bias = jnp.tile(params["bias"], 4)
        conv = {"kernel": params["kernel"], "bias": bias}
        return {"conv": conv, "prelu": params["prelu"]}, x

    def transposed(window: int, differs: str = "") -> Form:
        cut = 3 - window // 2
        conv = ConvTranspose(channels, window, padding=2 - cut, dtype=s.dtype)

        def enter(params: Tree, x: jax.Array) -> tuple[Tree, ...]:
            # Output pixel 2y + i reads tap t, of input row y - 1 + t, at i + 4 - 2t.
            taps = params["kernel"].reshape(3, 3, channels, 2, 2, channels)[::-1, ::-1]
            taps = taps.transpose(0, 3, 1, 4, 5, 2).reshape(6, 6, channels, channels)
            kept = slice(cut, 6 - cut)
            own = {"kernel": taps[kept, kept], "bias": params["bias"]}
            return {"conv": own, "prelu": params["prelu"]}, x

        def call(params: Tree, x: jax.Array) -> jax.Array:
            return apply(PReLU(), params["prelu"], apply(conv, params["conv"], x))

        return Form(call, enter, differs=differs)

    forms = {
        "sub-pixel": Form(partial(apply, ours), one_bias),
        "transposed, 6x6": transposed(6),
        "transposed, 4x4": transposed(4, "4 taps a pixel instead of 9"),
    }
    conv, prelu = (params_of(ours, x)[name] for name in ("conv", "prelu"))
    bias = jax.ShapeDtypeStruct((channels,), jnp.float32)
    return Choice(({**conv, "bias": bias, "prelu": prelu}, x), forms)
