"""Adversarial losses: a pair of functions a formula, targets and signs in the open.

All take logits or scores of any shape and return the mean over everything, in float32
at least. Discriminator losses are minimised by the discriminator, generator losses by
the generator.
"""

import jax
import jax.numpy as jnp

from jaxgan.core.types import Logits, Scalar
from jaxgan.core.update import at_least_float32


def _mean(x) -> Scalar:
    return jnp.mean(at_least_float32(x))


def bce_discriminator(real_logits: Logits, fake_logits: Logits) -> Scalar:
    """`-log D(x) - log(1 - D(G(z)))`: two means, summed (Goodfellow et al., 2014)."""
    return _mean(jax.nn.softplus(-at_least_float32(real_logits))) + _mean(
        jax.nn.softplus(at_least_float32(fake_logits))
    )


def non_saturating_generator(fake_logits: Logits) -> Scalar:
    """`-log D(G(z))` (Goodfellow et al., 2014, section 3)."""
    return _mean(jax.nn.softplus(-at_least_float32(fake_logits)))


def minimax_generator(fake_logits: Logits) -> Scalar:
    """`log(1 - D(G(z)))` (Goodfellow et al., 2014, algorithm 1)."""
    return -_mean(jax.nn.softplus(at_least_float32(fake_logits)))


def lsgan_discriminator(real_scores: Logits, fake_scores: Logits) -> Scalar:
    """`(D(x) - 1)^2 + D(G(z))^2`, sum of the two means (Mao et al., 2017)."""
    real = jnp.square(at_least_float32(real_scores) - 1.0)
    return _mean(real) + _mean(jnp.square(at_least_float32(fake_scores)))


def lsgan_generator(fake_scores: Logits) -> Scalar:
    """`(D(G(z)) - 1)^2` (Mao et al., 2017)."""
    return _mean(jnp.square(at_least_float32(fake_scores) - 1.0))


def wasserstein_discriminator(real_scores: Logits, fake_scores: Logits) -> Scalar:
    """`D(G(z)) - D(x)` (Arjovsky et al., 2017, equation 2, negated)."""
    return _mean(fake_scores) - _mean(real_scores)


def wasserstein_generator(fake_scores: Logits) -> Scalar:
    """`-D(G(z))` (Arjovsky et al., 2017)."""
    return -_mean(fake_scores)


def binary_accuracy(real_logits: Logits, fake_logits: Logits) -> Scalar:
    """Share of right calls: real logits above 0, fake logits below 0; in [0, 1]."""
    right = jnp.sum(real_logits > 0) + jnp.sum(fake_logits < 0)
    return right.astype(jnp.float32) / (real_logits.size + fake_logits.size)
