"""Colour histograms of sets of images and the L1 distance between them.

A check that needs no network: a generator whose colours are wrong, or that dropped a
part of them, is far from the data. It says nothing about shapes.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Shaped

from jaxgan.core.errors import UserError
from jaxgan.evaluation.images import AnyArray, AnyImage, levels

BINS = {1: 64, 3: 8}  # a channel, by the number of channels


def empty(channels: int) -> Int[np.ndarray, " k"]:
    """The counts before the first batch: 64 of grey levels, 8^3 of colours.

    Raises:
        UserError: for images that are neither grey nor RGB.
    """
    if channels not in BINS:
        raise UserError(f"colour histograms need 1 or 3 channels, got {channels}")
    return np.zeros(BINS[channels] ** channels, np.int64)


@partial(jax.jit, static_argnames="size")
def _counts(
    images: AnyImage, weight: Shaped[AnyArray, " b"], size: int
) -> Int[Array, " k"]:
    bins = BINS[images.shape[-1]]
    found = levels(images)
    cell = jnp.floor(found * (bins / 256.0)).astype(jnp.int32)
    index = jnp.zeros(cell.shape[:-1], jnp.int32)
    for channel in range(cell.shape[-1]):
        index = index * bins + cell[..., channel]
    counted = jnp.all(jnp.isfinite(found), axis=-1)
    counted &= (weight > 0)[:, None, None]
    index = jnp.where(counted, index, size)
    ones = jnp.ones(index.size, jnp.int32)
    return jax.ops.segment_sum(ones, index.reshape(-1), size + 1)[:-1]


def update(
    acc: Int[np.ndarray, " k"],
    images: AnyImage,
    weight: Shaped[AnyArray, " b"] | None = None,
) -> Int[np.ndarray, " k"]:
    """Adds a batch.

    Args:
        acc: what was counted so far; `empty(channels)` at the start.
        images: uint8, or float in [-1, 1], quantised on entry.
        weight: 1 for images that count, 0 for padding; None counts all.
    """
    if weight is None:
        weight = np.ones(len(images), np.float32)
    return merge(acc, np.asarray(_counts(images, weight, len(acc)), np.int64))


def merge(a: Int[np.ndarray, " k"], b: Int[np.ndarray, " k"]) -> Int[np.ndarray, " k"]:
    """The counts of both."""
    return a + b


def distance(a: Int[np.ndarray, " k"], b: Int[np.ndarray, " k"]) -> float:
    """`sum |p - q|` of the two shares: 0 equal, 2 without a colour in common.

    Raises:
        UserError: if one has counted nothing.
    """
    if not a.sum() or not b.sum():
        raise UserError("a colour histogram needs at least one finite image")
    return float(np.abs(a / a.sum() - b / b.sum()).sum())
