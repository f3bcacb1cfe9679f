"""How images enter a metric: 8-bit levels, whatever range they come in.

All published protocols score 8-bit pictures, so float images in [-1, 1] are quantised
on entry and metrics compute on the levels 0..255 held as float32 (differences of levels
are exact there). What is not finite becomes NaN: a broken generator does not score as a
black image.
"""

from typing import Any, TypeAlias

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped, UInt8

from jaxgan.core.errors import UserError, one_of
from jaxgan.ops import color

AnyArray: TypeAlias = Array | np.ndarray
AnyImage: TypeAlias = Shaped[AnyArray, "b h w c"]  # uint8, or float in [-1, 1]

# Width of the range that a figure is stated in: 8-bit, [-1, 1] or [0, 1].
RANGE_WIDTHS = {"uint8": 255.0, "signed": 2.0, "unit": 1.0}


def levels(
    images: Shaped[AnyArray, "*b c"], *, quantize: bool = True
) -> Float[Array, "*b c"]:
    """Images as grey levels, `floor(clip((x + 1) / 2, 0, 1) * 255 + 0.5)`.

    Args:
        images: uint8, or float in [-1, 1] (values outside are clipped).
        quantize: False keeps float images unrounded and unclipped: for tests only.

    Returns:
        float32 in [0, 255], integers if quantised; NaN where the image is not finite.

    Raises:
        TypeError: for any other dtype; it would leave the range to guesswork.
    """
    if images.dtype == jnp.uint8:
        return jnp.asarray(images, jnp.float32)
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise TypeError(
            f"images must be uint8 or float in [-1, 1], got {images.dtype.name}"
        )
    images = jnp.asarray(images, jnp.float32)
    if not quantize:
        return (images + 1.0) * 127.5
    quantised = color.to_uint8(images).astype(jnp.float32)
    return jnp.where(jnp.isfinite(images), quantised, jnp.nan)


def to_uint8(images: Any) -> UInt8[np.ndarray, "b h w c"]:
    """Images as the 8-bit levels that a PNG would hold, on the host.

    Args:
        images: `[b, h, w, c]`, uint8 or float in [-1, 1].

    Raises:
        UserError: if a float image holds NaN or infinity.
    """
    host = np.asarray(images)
    if host.dtype == np.uint8:
        return host
    if not np.isfinite(host).all():
        raise UserError(
            "images to evaluate hold NaN or infinity: the network that made them "
            "has diverged; evaluate an earlier checkpoint"
        )
    return np.asarray(levels(host)).astype(np.uint8)


def level_pair(
    images: AnyImage, targets: Shaped[AnyArray, "..."], *, quantize: bool = True
) -> tuple[Float[Array, "b h w c"], Float[Array, "b h w c"]]:
    """Both images as `levels`, after a check that nothing would broadcast.

    Raises:
        ValueError: if the shapes differ.
    """
    if images.shape != targets.shape:
        raise ValueError(
            f"images {images.shape} and targets {targets.shape} differ in shape"
        )
    return levels(images, quantize=quantize), levels(targets, quantize=quantize)


def range_width(value_range: str) -> float:
    """The width of `uint8` (255), `signed` (2) or `unit` (1).

    Raises:
        UserError: for another name.
    """
    return RANGE_WIDTHS[one_of(value_range, RANGE_WIDTHS, "value range")]
