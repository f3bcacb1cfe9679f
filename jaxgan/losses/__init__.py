"""Loss functions: one function a formula, weights belong to the systems."""

from jaxgan.losses.adversarial import (
    GAN_LOSSES,
    GanLoss,
    bce_discriminator,
    binary_accuracy,
    lsgan_discriminator,
    lsgan_generator,
    minimax_generator,
    non_saturating_generator,
    soft_bce_discriminator,
    soft_non_saturating_generator,
    wasserstein_discriminator,
    wasserstein_generator,
)
from jaxgan.losses.inpainting import (
    context_loss,
    non_saturating_prior,
    saturating_prior,
)
from jaxgan.losses.perceptual import feature_distance
from jaxgan.losses.pixel import l1, mse, total_variation

__all__ = [
    "GAN_LOSSES",
    "GanLoss",
    "bce_discriminator",
    "binary_accuracy",
    "context_loss",
    "feature_distance",
    "l1",
    "lsgan_discriminator",
    "lsgan_generator",
    "minimax_generator",
    "mse",
    "non_saturating_generator",
    "soft_bce_discriminator",
    "soft_non_saturating_generator",
    "non_saturating_prior",
    "saturating_prior",
    "total_variation",
    "wasserstein_discriminator",
    "wasserstein_generator",
]
