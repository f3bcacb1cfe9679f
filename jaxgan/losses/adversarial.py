"""Adversarial losses: a pair of functions a formula, targets and signs in the open.

All take logits or scores of any shape and return the mean over everything, in float32
at least. Discriminator losses are minimised by the discriminator, generator losses by
the generator.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgan.core.types import Logits, Scalar
from jaxgan.core.update import at_least_float32


def _mean(x: Logits) -> Scalar:
    return jnp.mean(at_least_float32(x))


def _mean_square(x: Logits) -> Scalar:
    return _mean(jnp.square(at_least_float32(x)))


def bce_discriminator(real_logits: Logits, fake_logits: Logits) -> Scalar:
    """`-log D(x) - log(1 - D(G(z)))`: two means, summed (Goodfellow et al., 2014)."""
    return non_saturating_generator(real_logits) - minimax_generator(fake_logits)


def non_saturating_generator(fake_logits: Logits) -> Scalar:
    """`-log D(G(z))` (Goodfellow et al., 2014, section 3)."""
    return _mean(jax.nn.softplus(-at_least_float32(fake_logits)))


def minimax_generator(fake_logits: Logits) -> Scalar:
    """`log(1 - D(G(z)))` (Goodfellow et al., 2014, algorithm 1)."""
    return -_mean(jax.nn.softplus(at_least_float32(fake_logits)))


def soft_bce_discriminator(
    real_logits: Float[Array, "*n"],
    fake_logits: Float[Array, "*m"],
    real_targets: Float[Array, "*n"],
    fake_targets: Float[Array, "*m"],
) -> Scalar:
    """`bce_discriminator` with targets in place of 1 and 0 (Salimans et al., 2016,
    section 3.4, smooths the real ones): two means, summed."""
    real = soft_non_saturating_generator(real_logits, real_targets)
    return real + soft_non_saturating_generator(fake_logits, fake_targets)


def soft_non_saturating_generator(
    fake_logits: Float[Array, "*n"], targets: Float[Array, "*n"]
) -> Scalar:
    """`-t log D(G(z)) - (1 - t) log(1 - D(G(z)))` with a target t each; t = 1 is
    `non_saturating_generator`.

    The logit that suits t best is `log(t / (1 - t))`; above 1 there is none, and the
    loss falls for ever with a slope of 1 - t.
    """
    logits = at_least_float32(fake_logits)
    return _mean(jax.nn.softplus(logits) - targets * logits)


def lsgan_discriminator(real_scores: Logits, fake_scores: Logits) -> Scalar:
    """`(D(x) - 1)^2 + D(G(z))^2`, sum of the two means (Mao et al., 2017)."""
    return lsgan_generator(real_scores) + _mean_square(fake_scores)


def lsgan_generator(fake_scores: Logits) -> Scalar:
    """`(D(G(z)) - 1)^2` (Mao et al., 2017)."""
    return _mean_square(at_least_float32(fake_scores) - 1.0)


def wasserstein_discriminator(real_scores: Logits, fake_scores: Logits) -> Scalar:
    """`D(G(z)) - D(x)` (Arjovsky et al., 2017, equation 2, negated)."""
    return _mean(fake_scores) - _mean(real_scores)


def wasserstein_generator(fake_scores: Logits) -> Scalar:
    """`-D(G(z))` (Arjovsky et al., 2017)."""
    return -_mean(fake_scores)


def binary_accuracy(
    real_logits: Logits, fake_logits: Logits, threshold: float = 0.0
) -> Scalar:
    """Share of right calls: reals above the threshold, fakes below; in [0, 1]."""
    right = jnp.sum(real_logits > threshold) + jnp.sum(fake_logits < threshold)
    return right.astype(jnp.float32) / (real_logits.size + fake_logits.size)


class GanLoss(NamedTuple):
    """A formula in which the generator's loss is that of fakes which are to be real.

    Attributes:
      real: loss of scores that should call their images real: the discriminator's of
        real images, the generator's of its own.
      fake: the discriminator's loss of scores of generated images.
      threshold: what separates the scores of real and fake; None if nothing does.

    References: junyanz/pytorch-CycleGAN-and-pix2pix, `GANLoss`.
    """

    real: Callable[[Logits], Scalar]
    fake: Callable[[Logits], Scalar]
    threshold: float | None


GAN_LOSSES = {
    "bce": GanLoss(non_saturating_generator, lambda x: -minimax_generator(x), 0.0),
    "lsgan": GanLoss(lsgan_generator, _mean_square, 0.5),
    "wasserstein": GanLoss(wasserstein_generator, _mean, None),  # without penalty
}
