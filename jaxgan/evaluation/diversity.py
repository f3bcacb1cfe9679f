"""Diversity: mean distance between the outputs of one input (or between any samples).

A generator that ignores its noise scores 0. Vectors may be flat images or the features
of any network; for squared L2 all pairs cost no more than the vectors themselves.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxgan.core.errors import UserError
from jaxgan.evaluation.images import AnyArray


def _num_pairs(samples: int) -> float:
    if samples < 2:
        raise UserError("diversity needs 2 outputs or more of each input")
    return samples * (samples - 1) / 2.0


@jax.jit
def mean_pairwise_squared_l2(vectors: Float[AnyArray, "n k d"]) -> Float[Array, " n"]:
    """Mean over pairs i < j of |a_i - a_j|^2 among the k outputs of each input.

    By `sum_{i<j} |a_i - a_j|^2 = k sum |a_i - c|^2` with c their mean: k passes
    instead of k (k - 1) / 2. Fold non-negative weights of dimensions into the vectors
    as square roots.

    Args:
        vectors: k outputs of n inputs.

    Raises:
        UserError: with fewer than two outputs.
    """
    samples = vectors.shape[1]
    pairs = _num_pairs(samples)
    centred = vectors - jnp.mean(vectors, axis=1, keepdims=True)
    return samples * jnp.sum(jnp.square(centred), axis=(1, 2)) / pairs


def _mean_over_pairs(
    vectors: Float[Array, "n k d"], distance: Callable[[Array], Array]
) -> Float[Array, " n"]:
    samples = vectors.shape[1]
    pairs = _num_pairs(samples)

    def with_later(
        total: Float[Array, " n"], i: Int[Array, ""]
    ) -> tuple[Float[Array, " n"], None]:
        later = (jnp.arange(samples) > i)[None]
        values = distance(vectors - vectors[:, i][:, None])
        return total + jnp.sum(jnp.where(later, values, 0.0), axis=1), None

    start = jnp.zeros(vectors.shape[0], vectors.dtype)
    return jax.lax.scan(with_later, start, jnp.arange(samples))[0] / pairs


@jax.jit
def mean_pairwise_l2(vectors: Float[AnyArray, "n k d"]) -> Float[Array, " n"]:
    """Mean over pairs of the Euclidean distance among the k outputs of each input."""
    return _mean_over_pairs(
        jnp.asarray(vectors), lambda x: jnp.sqrt(jnp.sum(jnp.square(x), axis=-1))
    )


@jax.jit
def mean_pairwise_l1(vectors: Float[AnyArray, "n k d"]) -> Float[Array, " n"]:
    """Mean over pairs of the mean absolute difference among the k outputs."""
    return _mean_over_pairs(
        jnp.asarray(vectors), lambda x: jnp.mean(jnp.abs(x), axis=-1)
    )
