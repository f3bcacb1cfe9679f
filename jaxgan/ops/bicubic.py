"""Resampling of images as two small matrix products, exactly as MATLAB's `imresize`.

Other libraries' antialiased bicubic (TensorFlow, JAX, PIL) differs in one point: at the
border they renormalise the truncated kernel where MATLAB mirrors the image, up to 3e-2
in the outermost two pixels. Published super-resolution figures assume MATLAB's.

References: Keys, "Cubic Convolution Interpolation for Digital Image Processing", IEEE
Transactions on Acoustics, Speech, and Signal Processing, 1981, equation 15 (a = -1/2).
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

Boundary = Literal["symmetric", "renormalise"]


def keys_kernel(x: np.ndarray | Array) -> np.ndarray | Array:
    """Keys' cubic kernel with a = -1/2, for NumPy and JAX arrays alike."""
    xp = np if isinstance(x, np.ndarray) else jnp
    x = xp.abs(x)
    inner = (1.5 * x - 2.5) * x * x + 1
    outer = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return xp.where(x < 1, inner, xp.where(x < 2, outer, 0.0))


def bicubic_resize(
    x: Float[Array, "b h w c"],
    height: int,
    width: int,
    boundary: Boundary = "symmetric",
) -> Float[Array, "b {height} {width} c"]:
    """Resizes with Keys' kernel, widened by the scale when an axis shrinks.

    Args:
        x: Images of any range; the result may overshoot it by some percent.
        height: New height.
        width: New width.
        boundary: `symmetric` mirrors the image (MATLAB); `renormalise` leaves out what
            lies beyond it (`jax.image.resize`, TensorFlow and PIL with antialiasing).

    Returns:
        The resized images in the dtype of `x`.

    Raises:
        ValueError: If the boundary is unknown or a size is not positive.
    """
    return _apply(
        x,
        _bicubic_matrix(x.shape[1], height, boundary),
        _bicubic_matrix(x.shape[2], width, boundary),
    )


def bicubic_downsample(
    x: Float[Array, "b h w c"], r: int, boundary: Boundary = "symmetric"
) -> Float[Array, "b h//{r} w//{r} c"]:
    """Shrinks by the integer factor `r`: the low-resolution images of SRGAN.

    Args:
        x: Images whose sides are multiples of `r`.
        r: The factor.
        boundary: As in `bicubic_resize`.

    Returns:
        The small images in the dtype of `x`, not clipped and not quantised.

    Raises:
        ValueError: If a side is not a multiple of `r`.

    References: Ledig et al., "Photo-Realistic Single Image Super-Resolution Using a
    Generative Adversarial Network", CVPR 2017, section 3.2.
    """
    height, width = _divided(x, r)
    return bicubic_resize(x, height, width, boundary)


def gaussian_downsample(
    x: Float[Array, "b h w c"], r: int, sigma: float | int | None = None
) -> Float[Array, "b h//{r} w//{r} c"]:
    """Blurs with a Gaussian and takes the centre of every `r` by `r` block.

    Args:
        x: Images whose sides are multiples of `r`; the border is mirrored.
        r: The factor.
        sigma: Standard deviation in pixels of `x`; `0.4 * r` by default, which is the
            usual 1.6 at factor 4.

    Returns:
        The small images in the dtype of `x`.

    Raises:
        ValueError: If a side is not a multiple of `r`.
    """
    height, width = _divided(x, r)
    sigma = 0.4 * r if sigma is None else sigma
    return _apply(
        x,
        _gaussian_matrix(x.shape[1], height, sigma),
        _gaussian_matrix(x.shape[2], width, sigma),
    )


def _divided(x: Array, r: int) -> tuple[int, int]:
    height, width = x.shape[1:3]
    if height % r or width % r:
        raise ValueError(f"{height} x {width} images cannot be divided by {r}: crop")
    return height // r, width // r


def _apply(x: Array, rows: np.ndarray, columns: np.ndarray) -> Array:
    dtype = jnp.promote_types(x.dtype, jnp.float32)
    # bfloat16 products, an accelerator's default, are worse than the 8-bit grid.
    exact = {"precision": lax.Precision.HIGHEST, "preferred_element_type": dtype}
    y = jnp.einsum("ph,bhwc->bpwc", jnp.asarray(rows, dtype), x.astype(dtype), **exact)
    y = jnp.einsum("qw,bpwc->bpqc", jnp.asarray(columns, dtype), y, **exact)
    return y.astype(x.dtype)


@lru_cache(maxsize=256)
def _bicubic_matrix(size: int, new_size: int, boundary: str) -> np.ndarray:
    stretch = max(1.0, size / max(new_size, 1))
    return _matrix(
        size,
        new_size,
        lambda x: np.asarray(keys_kernel(x / stretch)),
        2 * stretch,
        boundary,
    )


@lru_cache(maxsize=256)
def _gaussian_matrix(size: int, new_size: int, sigma: float | int) -> np.ndarray:
    return _matrix(
        size,
        new_size,
        lambda x: np.exp(-0.5 * (x / sigma) ** 2),
        4 * sigma,
        "symmetric",
    )


def _matrix(
    size: int,
    new_size: int,
    kernel: Callable[[np.ndarray], np.ndarray],
    radius: float | int,
    boundary: str,
) -> np.ndarray:
    """Resampling weights `[new_size, size]` in float64; pixel centres are aligned."""
    if size < 1 or new_size < 1:
        raise ValueError(f"cannot resize {size} pixels to {new_size}")
    if boundary not in ("symmetric", "renormalise"):
        raise ValueError(f"boundary {boundary!r} must be 'symmetric' or 'renormalise'")
    centre = (np.arange(new_size) + 0.5) * (size / new_size) - 0.5
    reach = int(np.ceil(radius)) + 1
    tap = np.floor(centre)[:, None].astype(int) + np.arange(-reach, reach + 1)
    offset = centre[:, None] - tap
    weight = np.where(np.abs(offset) <= radius, kernel(offset), 0.0)
    inside = (tap >= 0) & (tap < size)
    if boundary == "renormalise":
        weight = np.where(inside, weight, 0.0)
        tap = np.clip(tap, 0, size - 1)
    else:
        tap = tap % (2 * size)
        tap = np.where(tap < size, tap, 2 * size - 1 - tap)
    weight = weight / weight.sum(axis=1, keepdims=True)
    matrix = np.zeros((new_size, size))
    np.add.at(matrix, (np.arange(new_size)[:, None], tap), weight)
    return matrix
