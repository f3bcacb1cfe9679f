"""Losses between arrays of equal shape; each says what it reduces over."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgan.core.types import Scalar
from jaxgan.core.update import at_least_float32


def l1(predictions: Float[Array, "*shape"], targets: Float[Array, "*shape"]) -> Scalar:
    """Mean absolute difference over all elements."""
    return jnp.mean(jnp.abs(at_least_float32(predictions) - at_least_float32(targets)))


def mse(predictions: Float[Array, "*shape"], targets: Float[Array, "*shape"]) -> Scalar:
    """Mean squared difference over all elements."""
    difference = at_least_float32(predictions) - at_least_float32(targets)
    return jnp.mean(jnp.square(difference))


def total_variation(images: Float[Array, "b h w c"]) -> Scalar:
    """Sum of squared differences of neighbours, mean over the batch only."""
    x = at_least_float32(images)
    rows, columns = (
        jnp.square(x[:, 1:] - x[:, :-1]),
        jnp.square(x[:, :, 1:] - x[:, :, :-1]),
    )
    return (jnp.sum(rows) + jnp.sum(columns)) / x.shape[0]
