"""Distances between images, pixel by pixel: L1, MSE, L2 and the share of close pixels.

Each takes uint8 or float images in [-1, 1] (quantised on entry) and returns one value
an image, *stated in* a range: `signed` ([-1, 1], the default), `unit` ([0, 1]) or
`uint8` (0..255). Gather the values with `per_image.py`.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgan.core.errors import one_of
from jaxgan.evaluation.images import AnyImage, level_pair, range_width

_PIXELS = (1, 2, 3)


def _difference(
    images: AnyImage, targets: AnyImage, value_range: str, quantize: bool
) -> Float[Array, "b h w c"]:
    images, targets = level_pair(images, targets, quantize=quantize)
    return (images - targets) * (range_width(value_range) / 255.0)


@partial(jax.jit, static_argnames=("value_range", "quantize"))
def l1(
    images: AnyImage,
    targets: AnyImage,
    *,
    value_range: str = "signed",
    quantize: bool = True,
) -> Float[Array, " b"]:
    """Mean absolute difference over pixels and channels, one value an image.

    Args:
        images: uint8 or float in [-1, 1].
        targets: the same shape.
        value_range: the range that the figure is stated in.
        quantize: False is for tests only.
    """
    difference = _difference(images, targets, value_range, quantize)
    return jnp.mean(jnp.abs(difference), axis=_PIXELS)


@partial(jax.jit, static_argnames=("value_range", "quantize"))
def mse(
    images: AnyImage,
    targets: AnyImage,
    *,
    value_range: str = "signed",
    quantize: bool = True,
) -> Float[Array, " b"]:
    """Mean squared difference over pixels and channels, one value an image.

    Args: as `l1`.
    """
    difference = _difference(images, targets, value_range, quantize)
    return jnp.mean(jnp.square(difference), axis=_PIXELS)


@partial(jax.jit, static_argnames=("value_range", "quantize"))
def l2(
    images: AnyImage,
    targets: AnyImage,
    *,
    value_range: str = "signed",
    quantize: bool = True,
) -> Float[Array, " b"]:
    """Euclidean distance: root of the *sum* of squares over pixels and channels.

    Args: as `l1`.
    """
    difference = _difference(images, targets, value_range, quantize)
    return jnp.sqrt(jnp.sum(jnp.square(difference), axis=_PIXELS))


@partial(jax.jit, static_argnames=("threshold", "norm"))
def close_pixels(
    images: AnyImage, targets: AnyImage, *, threshold: float = 16.0, norm: str = "max"
) -> Float[Array, " b"]:
    """Share of pixels whose colour is right to within `threshold` grey levels.

    Args:
        images: uint8 or float in [-1, 1].
        targets: the same shape.
        threshold: in levels of 255; a difference equal to it is too far.
        norm: `max` over channels, or `l2`. Which one the paper took is not known.

    Returns:
        `[b]` in [0, 1].

    References:
        Liu, Breuel, Kautz, "Unsupervised Image-to-Image Translation Networks", 2017,
        section 4 (map accuracy).
    """
    one_of(norm, ("max", "l2"), "norm")
    difference = jnp.abs(_difference(images, targets, "uint8", True))
    if norm == "max":
        distance = jnp.max(difference, axis=-1)
    else:
        distance = jnp.sqrt(jnp.sum(jnp.square(difference), axis=-1))
    # NaN compares as False, so a broken image scores 0 here.
    return jnp.mean((distance < threshold).astype(jnp.float32), axis=(1, 2))
