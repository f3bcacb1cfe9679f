"""Features of a discriminator for a linear classifier: pooled and joined."""

from collections.abc import Sequence

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float


def max_pool_features(
    activations: Sequence[Float[Array, "b ..."]], windows: Sequence[int]
) -> Float[Array, "b f"]:
    """Max-pools the activations of several layers and joins them to one vector.

    Args:
        activations: Feature maps of images or voxels, channels last.
        windows: Side and stride of each layer's pooling window.

    Returns:
        One vector an example, layer by layer.

    References: Radford et al., ICLR 2016, section 5.1 (all layers to 4x4); Wu et al.,
    NeurIPS 2016, section 4.2 (layers 2 to 4, by 8, 4 and 2: 7168 numbers).
    """
    pooled = []
    for maps, window in zip(activations, windows, strict=True):
        sides = (1, *[window] * (maps.ndim - 2), 1)
        largest = lax.reduce_window(maps, -jnp.inf, lax.max, sides, sides, "VALID")
        pooled.append(largest.reshape(len(maps), -1))
    return jnp.concatenate(pooled, axis=1)
