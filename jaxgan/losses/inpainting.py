"""What a completed image owes to its surroundings and to the discriminator.

One number an example, summed over pixels, since the published weights of the two terms
belong to sums. Minimised over the latent (Yeh et al., CVPR 2017, section 4).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgan.core.update import at_least_float32

NORMS = {"l1": jnp.abs, "l2": jnp.square}


def context_loss(
    images: Float[Array, "b h w c"],
    targets: Float[Array, "b h w c"],
    weights: Float[Array, "b h w 1"],
    norm: str = "l1",
) -> Float[Array, " b"]:
    """`sum W |x - y|` over pixels and channels (equation 4), or `sum W (x - y)^2`.

    Where the weight is 0 the target is not read: it may be NaN there.
    """
    images, targets = at_least_float32(images), at_least_float32(targets)
    difference = images - jnp.where(weights > 0, targets, 0.0)
    distance = NORMS[norm](difference)
    return jnp.sum(weights * distance, axis=(1, 2, 3))


def saturating_prior(logits: Float[Array, " b"]) -> Float[Array, " b"]:
    """`log(1 - D(x))` (equation 5), from logits."""
    return -jax.nn.softplus(at_least_float32(logits))


def non_saturating_prior(logits: Float[Array, " b"]) -> Float[Array, " b"]:
    """`-log D(x)`, which the authors' code minimises instead, from logits."""
    return jax.nn.softplus(-at_least_float32(logits))
