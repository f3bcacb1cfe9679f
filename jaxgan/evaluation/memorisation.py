"""Nearest-neighbour memorisation: how near validation images lie to the samples.

The mean L2 distance of validation images to the nearest of the first 1,000, 10,000 and
100,000 samples: a generator that covers the data gets nearer with more samples. With
training images for `samples` it finds each generated image's nearest original.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped

from jaxgan.core.errors import UserError
from jaxgan.evaluation.distances import blocks, squared_distances
from jaxgan.evaluation.images import AnyArray, levels, range_width

COUNTS = (1000, 10_000, 100_000)


@dataclass(frozen=True)
class Nearest:
    """Each query's nearest vector among `seen`: squared distance and index."""

    squared: Float[np.ndarray, " m"]
    index: Int[np.ndarray, " m"]
    seen: int = 0

    @property
    def distance(self) -> Float[np.ndarray, " m"]:
        """Euclidean distance to the nearest."""
        return np.sqrt(self.squared)


def empty(num_queries: int) -> Nearest:
    """The accumulator before the first vector."""
    return Nearest(np.full(num_queries, np.inf), np.full(num_queries, -1))


@jax.jit
def _nearest_of_block(
    queries: Float[Array, "m d"], block: Float[Array, "n d"], weight: Float[Array, " n"]
) -> tuple[Float[Array, " m"], Int[Array, " m"]]:
    # Around a common centre, so that the choice survives float32.
    centre = jnp.mean(queries, axis=0, keepdims=True)
    distances = squared_distances(queries - centre, block - centre)
    index = jnp.argmin(jnp.where(weight[None] > 0, distances, jnp.inf), axis=1)
    # The value itself comes from the difference: exactly 0 for a copy.
    return jnp.sum(jnp.square(queries - block[index]), axis=1), index


def update(
    acc: Nearest,
    queries: Float[AnyArray, "m d"],
    vectors: Float[AnyArray, "n d"],
    *,
    block_size: int = 1000,
) -> Nearest:
    """Adds vectors to the set that is searched.

    Args:
        acc: what was accumulated so far; `empty(m)` at the start.
        queries: the same in every call.
        vectors: candidates.
        block_size: candidates on the device at a time.
    """
    squared, index = acc.squared, acc.index
    parts, weights = blocks(vectors, block_size)
    for i, (part, weight) in enumerate(zip(parts, weights, strict=True)):
        found, at = jax.device_get(_nearest_of_block(queries, part, weight))
        nearer = found < squared
        squared = np.where(nearer, found, squared).astype(np.float64)
        index = np.where(nearer, at + acc.seen + i * block_size, index)
    return Nearest(squared, index, acc.seen + len(vectors))


def merge(a: Nearest, b: Nearest) -> Nearest:
    """The union of two searches of the same queries, `b`'s vectors after `a`'s."""
    nearer = b.squared < a.squared
    return Nearest(
        np.where(nearer, b.squared, a.squared),
        np.where(nearer, b.index + a.seen, a.index),
        a.seen + b.seen,
    )


def flatten(
    images: Shaped[AnyArray, "b ..."], value_range: str = "signed"
) -> Float[Array, "b d"]:
    """Images (uint8 or float in [-1, 1]) as flat vectors, quantised, in a range."""
    vectors = levels(images) * (range_width(value_range) / 255.0)
    return vectors.reshape(len(images), -1)


def distances(
    validation: Shaped[AnyArray, "m h w c"],
    samples: Iterable[Any],
    *,
    counts: tuple[int, ...] = COUNTS,
    value_range: str = "signed",
    block_size: int = 1000,
) -> dict[int, Float[np.ndarray, " m"]]:
    """L2 distance of each validation image to the nearest of the first n samples.

    Args:
        validation: uint8 or float in [-1, 1].
        samples: batches of generated images, until the largest count or their end.
        counts: the values of n; those that the samples do not reach are left out.
        value_range: the range that the distance is stated in.
        block_size: samples on the device at a time.

    Raises:
        UserError: if no count is reached.
    """
    queries = flatten(validation, value_range)
    acc = empty(len(queries))
    found: dict[int, np.ndarray] = {}
    remaining = sorted(counts)
    for batch in samples:
        vectors = flatten(batch, value_range)
        while remaining and len(vectors):
            part = vectors[: remaining[0] - acc.seen]
            vectors = vectors[len(part) :]
            acc = update(acc, queries, part, block_size=block_size)
            if acc.seen == remaining[0]:
                found[remaining.pop(0)] = acc.distance
        if not remaining:
            break
    if not found:
        raise UserError(
            f"memorisation needs {min(counts)} samples, got {acc.seen}: generate more "
            "or pass smaller counts"
        )
    return found


def memorisation(
    validation: Shaped[AnyArray, "m h w c"], samples: Iterable[Any], **options: Any
) -> dict[str, float]:
    """Mean L2 distance of validation images to the nearest of the first n samples.

    Args: as `distances`.

    Returns:
        `{memorisation/nearest_<n>: mean distance, memorisation/num_validation: m}`.

    Raises:
        UserError: if no count is reached.
    """
    found = distances(validation, samples, **options)
    row = {f"memorisation/nearest_{n}": float(x.mean()) for n, x in found.items()}
    return row | {"memorisation/num_validation": len(validation)}
