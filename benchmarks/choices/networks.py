"""Networks and blocks: how they are called, stacked and laid out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks.choices.base import (
    Choice,
    Form,
    Setting,
    Tree,
    apply,
    normalized,
    params_of,
    stacked,
)
from jaxgan.networks.layers import Conv
from jaxgan.networks.patchgan import PatchDiscriminator
from jaxgan.networks.resnet import ResidualBlock


def twins(s: Setting) -> Choice:
    """CycleGAN at 128 px, both discriminators."""
    call, params, image = _discriminator(s)
    forms = {
        "two calls": Form(lambda p, q, x, y: (call(p, x), call(q, y))),
        "vmap": Form(
            jax.vmap(call),
            lambda p, q, x, y: (stacked(p, q), stacked(x, y)),
            lambda logits: (logits[0], logits[1]),
        ),
    }
    return Choice((params, params, image, image), forms)


def real_and_fake(s: Setting) -> Choice:
    """CycleGAN at 128 px, a discriminator (instance norm)."""
    call, params, image = _discriminator(s)

    def joined(params: Tree, real: jax.Array, fake: jax.Array) -> tuple[jax.Array, ...]:
        logits = call(params, jnp.concatenate([real, fake]))
        return logits[: len(real)], logits[len(real) :]

    forms = {
        "two calls": Form(lambda p, real, fake: (call(p, real), call(p, fake))),
        "one call": Form(joined),
    }
    return Choice((params, image, image), forms)


def _discriminator(s: Setting) -> tuple[Callable[..., jax.Array], Tree, Tree]:
    """CycleGAN's, its parameters and an image."""
    width, layers = s.channels(64), s.depth(3)
    judge = PatchDiscriminator(width, layers, norm="instance", dtype=s.dtype)
    image = s.maps(1, 128, 3)
    call = partial(apply, judge, train=True)
    return call, params_of(judge, image, train=True), image


def condition(s: Setting) -> Choice:
    """pix2pix at 256 px, discriminator conv1: 4x4, 3 + 3 -> 64."""
    image = s.maps(1, 256, 3)
    conv = partial(Conv, s.channels(64), 4, 2, 1, dtype=s.dtype)
    ours, first = conv(), conv(use_bias=False)

    def joined(params: Tree, a: jax.Array, b: jax.Array) -> jax.Array:
        return apply(ours, params, jnp.concatenate([a, b], axis=-1))

    def split(params: Tree, a: jax.Array, b: jax.Array) -> tuple[Tree, ...]:
        of_a, of_b = jnp.split(params["kernel"], 2, axis=2)
        return {"kernel": of_a}, {"kernel": of_b, "bias": params["bias"]}, a, b

    def summed(p: Tree, q: Tree, a: jax.Array, b: jax.Array) -> jax.Array:
        return apply(first, p, a) + apply(ours, q, b)

    forms = {
        "concatenated": Form(joined),
        "two convolutions, summed": Form(summed, split),
    }
    pair = jax.ShapeDtypeStruct((*image.shape[:-1], 6), image.dtype)
    return Choice((params_of(ours, pair), image, image), forms)


def layout(s: Setting) -> Choice:
    """CycleGAN at 128 px, a residual block: 256."""
    call, params, x = _block(s)
    names = ("NCHW", "OIHW", "NCHW")

    def channels_first(params: Tree, x: jax.Array) -> jax.Array:
        y = x
        for i in (1, 2):
            conv = {k: v.astype(y.dtype) for k, v in params[f"conv{i}"].items()}
            y = jnp.pad(y, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect")
            y = lax.conv_general_dilated(
                y, conv["kernel"], (1, 1), "VALID", dimension_numbers=names
            )
            y = normalized(y + conv["bias"][:, None, None], (2, 3))
            y = jax.nn.relu(y) if i == 1 else y
        return x + y

    def enter(params: Tree, x: jax.Array) -> tuple[Tree, ...]:
        params = {
            name: {**conv, "kernel": conv["kernel"].transpose(3, 2, 0, 1)}
            for name, conv in params.items()
        }
        return params, x.transpose(0, 3, 1, 2)

    forms = {
        "NHWC": Form(call),
        "NCHW": Form(channels_first, enter, lambda y: y.transpose(0, 2, 3, 1)),
    }
    return Choice((params, x), forms)


def residual_blocks(s: Setting) -> Choice:
    """CycleGAN at 128 px, four of its residual blocks: 256."""
    call, params, x = _block(s)

    def unrolled(blocks: Sequence[Tree], x: jax.Array) -> jax.Array:
        for each in blocks:
            x = call(each, x)
        return x

    def scanned(unroll: bool) -> Form:
        def run(blocks: Tree, x: jax.Array) -> jax.Array:
            step = lambda x, each: (call(each, x), None)  # noqa: E731
            return lax.scan(step, x, blocks, unroll=unroll)[0]

        return Form(run, lambda blocks, x: (stacked(*blocks), x))

    forms = {
        "a loop in Python": Form(unrolled),
        "lax.scan": scanned(unroll=False),
        "lax.scan, unrolled": scanned(unroll=True),
    }
    return Choice(((params,) * s.depth(4), x), forms)


def _block(s: Setting) -> tuple[Callable[..., jax.Array], Tree, Tree]:
    """CycleGAN's residual block, its parameters and its input."""
    block, x = ResidualBlock(dtype=s.dtype), s.maps(1, 32, 256)
    train = {"train": True, "dropout": False}
    return partial(apply, block, **train), params_of(block, x, **train), x
