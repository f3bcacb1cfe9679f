"""Peak signal-to-noise ratio of 8-bit images, in dB: RGB, inside a hole, luma.

`10 log10(255^2 / MSE)` an image, with MSE over its pixels and channels. The figure of a
test set is the *mean of the dB* (`per_image.py`), not the dB of the mean MSE. Identical
images give infinity, which `per_image.result` leaves out and counts.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from jaxgan.evaluation.images import AnyArray, AnyImage, level_pair
from jaxgan.evaluation.luma import crop, luma

_PEAK = 255.0


def _decibel(mse: Float[Array, " b"]) -> Float[Array, " b"]:
    return 10.0 * jnp.log10(_PEAK**2 / mse)


@partial(jax.jit, static_argnames="quantize")
def psnr(
    images: AnyImage, targets: AnyImage, *, quantize: bool = True
) -> Float[Array, " b"]:
    """PSNR over all pixels and channels, one value an image.

    Args:
        images: uint8, or float in [-1, 1], quantised on entry.
        targets: the same shape.
        quantize: False is for tests only.

    Returns:
        dB; infinity where image and target are identical.
    """
    images, targets = level_pair(images, targets, quantize=quantize)
    return _decibel(jnp.mean(jnp.square(images - targets), axis=(1, 2, 3)))


@jax.jit
def psnr_hole(
    images: AnyImage, targets: AnyImage, hole_mask: Float[AnyArray, "b h w 1"]
) -> Float[Array, " b"]:
    """PSNR over the pixels of the hole alone, one value an image.

    Args:
        images: completed images, uint8 or float in [-1, 1].
        targets: the same shape.
        hole_mask: 1 = missing, 0 = known.

    Returns:
        dB; infinity where the hole is filled exactly, and where there is no hole.
    """
    images, targets = level_pair(images, targets)
    squares = jnp.sum(jnp.square(images - targets) * hole_mask, axis=(1, 2, 3))
    count = images.shape[-1] * jnp.sum(hole_mask, axis=(1, 2, 3))
    return _decibel(squares / jnp.maximum(count, 1.0))


@partial(jax.jit, static_argnames=("scale", "border"))
def psnr_y(
    images: AnyImage,
    targets: Shaped[AnyArray, "b h2 w2 c"],
    *,
    scale: int = 4,
    border: int = 4,
) -> Float[Array, " b"]:
    """PSNR of the Y channel, as super-resolution is scored, one value an image.

    Both are cropped to a multiple of `scale`, then lose `border` pixels a side. The
    peak is 255 although Y spans 16..235, and Y is not rounded, as in the papers.

    Args:
        images: RGB (or grey), uint8 or float in [-1, 1].
        targets: the ground truth; it may exceed the images by less than `scale` pixels.
        scale: upsampling factor.
        border: pixels removed from each side.
    """
    images = crop(images, multiple=scale, border=border)
    targets = crop(targets, multiple=scale, border=border)
    images, targets = level_pair(images, targets)
    squares = jnp.square(luma(images) - luma(targets))
    return _decibel(jnp.mean(squares, axis=(1, 2, 3)))
