"""Squared distances between two sets of vectors, as one matrix product, in blocks."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxgan.evaluation.images import AnyArray


def squared_distances(
    x: Float[Array, "m d"], y: Float[Array, "n d"]
) -> Float[Array, "m n"]:
    """|x|^2 + |y|^2 - 2 x.y, not below 0.

    Cancels where two vectors are close: subtract a common centre first, and compute the
    distance of a chosen pair from its difference.
    """
    cross = jnp.matmul(x, y.T, precision=jax.lax.Precision.HIGHEST)
    norms = jnp.sum(x * x, axis=1)[:, None] + jnp.sum(y * y, axis=1)[None]
    return jnp.maximum(norms - 2.0 * cross, 0.0)


def blocks(
    rows: Float[AnyArray, "n d"], size: int
) -> tuple[Float[np.ndarray, "k size d"], Float[np.ndarray, "k size"]]:
    """Cuts rows into blocks of `size`, the last filled with zeros of weight 0."""
    count = -(-len(rows) // size)
    padded = np.zeros((count * size, rows.shape[1]), np.float32)
    padded[: len(rows)] = rows
    weight = (np.arange(count * size) < len(rows)).astype(np.float32)
    return padded.reshape(count, size, -1), weight.reshape(count, size)
