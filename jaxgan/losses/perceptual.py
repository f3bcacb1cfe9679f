"""Distances of images in the feature space of a frozen network."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgan.core.types import Scalar
from jaxgan.core.update import at_least_float32


def feature_distance(
    predictions: Float[Array, "b h w c"], targets: Float[Array, "b h w c"]
) -> Scalar:
    """Squared distance of feature vectors, mean over positions and batch.

    Summed over channels: `sum_xy |phi(y)_xy - phi(x)_xy|^2 / (W H)` (Ledig et al.,
    CVPR 2017, equation 5, without the rescaling of the features).
    """
    difference = at_least_float32(predictions) - at_least_float32(targets)
    return jnp.mean(jnp.sum(jnp.square(difference), axis=-1))
