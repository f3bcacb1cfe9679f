"""Sharpness: variance of the Laplacian of luma. Blurred images score low."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgan.core.errors import UserError
from jaxgan.evaluation.images import AnyImage, levels
from jaxgan.evaluation.luma import luma


@jax.jit
def sharpness(images: AnyImage) -> Float[Array, " b"]:
    """Variance of the 3x3 Laplacian (0 1 0, 1 -4 1, 0 1 0), inside the border.

    Report the ratio of outputs to inputs: the absolute value depends on content.

    Args:
        images: RGB or grey, uint8 or float in [-1, 1]; 3 pixels or more a side.

    Returns:
        One value an image, in squared levels of luma.
    """
    if min(images.shape[1:3]) < 3:
        raise UserError(
            f"sharpness needs images of at least 3x3 pixels, got {images.shape[1]}x"
            f"{images.shape[2]}"
        )
    y = luma(levels(images))[..., 0]
    laplacian = (
        y[:, :-2, 1:-1]
        + y[:, 2:, 1:-1]
        + y[:, 1:-1, :-2]
        + y[:, 1:-1, 2:]
        - 4.0 * y[:, 1:-1, 1:-1]
    )
    return jnp.var(laplacian, axis=(1, 2))
