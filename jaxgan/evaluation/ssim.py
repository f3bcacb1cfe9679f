"""Structural similarity in JAX, batched, equal to MATLAB's `ssim_index` of 2003.

Gaussian window 11x11 with sigma 1.5, K1 = 0.01, K2 = 0.03, population covariance, mean
over the region where the window fits (5 pixels a side excluded), peak 255.
`skimage.metrics.structural_similarity` agrees with `gaussian_weights=True, sigma=1.5,
use_sample_covariance=False, data_range=255`; its defaults are another metric.

References:
    Wang, Bovik, Sheikh, Simoncelli, "Image Quality Assessment: From Error Visibility to
    Structural Similarity", 2004, eq. 13.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from jaxgan.core.errors import UserError
from jaxgan.evaluation.images import AnyArray, AnyImage, level_pair
from jaxgan.evaluation.luma import crop, luma

_TAPS = 11
_SIGMA = 1.5
_C1 = 0.01**2
_C2 = 0.03**2


def _window(size: int) -> Float[np.ndarray, "n m"]:
    """The 1-D Gaussian as a band matrix `[size, size - 10]`.

    A product with it runs on matrix units and is 3 to 8 times faster on a CPU than
    a one-channel convolution or eleven shifted sums, at the sizes that papers score.
    """
    offsets = np.arange(_TAPS) - _TAPS // 2
    taps = np.exp(-0.5 * np.square(offsets / _SIGMA))
    taps /= taps.sum()
    band = np.zeros((size, size - _TAPS + 1), np.float32)
    for start in range(band.shape[1]):
        band[start : start + _TAPS, start] = taps
    return band


def _ssim(
    x: Float[Array, "b h w c"], y: Float[Array, "b h w c"]
) -> Float[Array, "b c"]:
    """SSIM of each channel, for levels 0..255."""
    height, width = x.shape[1:3]
    if min(height, width) < _TAPS:
        raise UserError(
            f"SSIM needs images of at least {_TAPS}x{_TAPS} pixels after cropping, "
            f"got {height}x{width}"
        )
    vertical, horizontal = _window(height), _window(width)

    def blur(values: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
        return jnp.einsum(
            "bhwc,hi,wj->bijc",
            values,
            vertical,
            horizontal,
            precision=jax.lax.Precision.HIGHEST,
        )

    # About the images' own mean E[x^2] - E[x]^2 cancels least.
    shift = jnp.mean(x + y, axis=(1, 2), keepdims=True) / 510.0
    x, y = x / 255.0 - shift, y / 255.0 - shift
    mean_x, mean_y = blur(x), blur(y)
    variance_x = blur(x * x) - mean_x * mean_x
    variance_y = blur(y * y) - mean_y * mean_y
    covariance = blur(x * y) - mean_x * mean_y
    mean_x, mean_y = mean_x + shift, mean_y + shift
    luminance = (2.0 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
    structure = (2.0 * covariance + _C2) / (variance_x + variance_y + _C2)
    return jnp.mean(luminance * structure, axis=(1, 2))


@partial(jax.jit, static_argnames="quantize")
def ssim(
    images: AnyImage, targets: AnyImage, *, quantize: bool = True
) -> Float[Array, " b"]:
    """SSIM, the mean over channels, one value an image.

    For RGB images this is `ssim_rgb`: papers do not say how they treat colour, the mean
    of the channels is our decision.

    Args:
        images: uint8, or float in [-1, 1], quantised on entry; 11x11 pixels or more.
        targets: the same shape.
        quantize: False is for tests only.

    Returns:
        `[b]`, at most 1.
    """
    return jnp.mean(_ssim(*level_pair(images, targets, quantize=quantize)), axis=-1)


def ssim_rgb(images: AnyImage, targets: AnyImage) -> Float[Array, " b"]:
    """The mean of the three channels' SSIM.

    Raises:
        UserError: if the images are not RGB.
    """
    if images.shape[-1] != 3:
        raise UserError(f"ssim_rgb needs 3 channels, got {images.shape[-1]}")
    return ssim(images, targets)


@partial(jax.jit, static_argnames=("scale", "border"))
def ssim_y(
    images: AnyImage,
    targets: Shaped[AnyArray, "b h2 w2 c"],
    *,
    scale: int = 4,
    border: int = 4,
) -> Float[Array, " b"]:
    """SSIM of the Y channel, as super-resolution is scored, one value an image.

    Args: as `psnr.psnr_y`; Y is not rounded.
    """
    images = crop(images, multiple=scale, border=border)
    targets = crop(targets, multiple=scale, border=border)
    images, targets = level_pair(images, targets)
    return _ssim(luma(images), luma(targets))[:, 0]
