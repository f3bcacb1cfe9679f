"""The resizes that FID variants differ by, on the device.

All take `[b, h, w, c]` levels 0..255 and return float32, without rounding but for
`pil_bilinear_8bit`. For the input row (0, 10, 20, 60) and six output samples they give

    tf1_bilinear     0       6.667   13.333  20      46.667  60
    torch_bilinear   0       5       11.667  18.333  40      60
    pil_bicubic     -0.658   4.118   11.319  16.597  41.765  62.632   before the clip
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped

from jaxgan.evaluation.images import AnyArray

_PIL_BITS = 22  # of the fraction of Pillow's weights for 8-bit images


def _two_taps(
    images: Float[Array, "b h w c"], axis: int, size: int
) -> Float[Array, "b h2 w2 c"]:
    """Linear interpolation of one axis at `source = target * in / out`."""
    length = images.shape[axis]
    source = jnp.arange(size, dtype=jnp.float32) * jnp.float32(length / size)
    low = jnp.minimum(jnp.floor(source).astype(jnp.int32), length - 1)
    high = jnp.minimum(low + 1, length - 1)
    fraction = source - low.astype(jnp.float32)
    fraction = jnp.expand_dims(fraction, [i for i in range(4) if i != axis])
    lower = jnp.take(images, low, axis=axis)
    return lower + (jnp.take(images, high, axis=axis) - lower) * fraction


@partial(jax.jit, static_argnames="size")
def tf1_bilinear(
    images: Shaped[AnyArray, "b h w c"], size: tuple[int, int]
) -> Float[Array, "b h2 w2 c"]:
    """TensorFlow 1's `resize_bilinear`: no half-pixel centres, no antialiasing.

    A gather of two taps: `jax.image.scale_and_translate` with the same mapping would
    treat the last samples, whose second tap lies outside, as empty.

    Args:
        images: levels 0..255, any real dtype.
        size: (height, width) of the result.
    """
    images = jnp.asarray(images, jnp.float32)
    return _two_taps(_two_taps(images, 1, size[0]), 2, size[1])


def _resize(
    images: Shaped[AnyArray, "b h w c"],
    size: tuple[int, int],
    method: str,
    antialias: bool,
) -> Float[Array, "b h2 w2 c"]:
    images = jnp.asarray(images, jnp.float32)
    return jax.image.resize(
        images,
        (images.shape[0], *size, images.shape[3]),
        method,
        antialias=antialias,
        precision=jax.lax.Precision.HIGHEST,
    )


@partial(jax.jit, static_argnames="size")
def torch_bilinear(
    images: Shaped[AnyArray, "b h w c"], size: tuple[int, int]
) -> Float[Array, "b h2 w2 c"]:
    """PyTorch's bilinear `interpolate(align_corners=False)`: no antialiasing.

    Args: as `tf1_bilinear`.
    """
    return _resize(images, size, "bilinear", antialias=False)


@partial(jax.jit, static_argnames="size")
def pil_bilinear(
    images: Shaped[AnyArray, "b h w c"], size: tuple[int, int]
) -> Float[Array, "b h2 w2 c"]:
    """Pillow's bilinear filter on float images: antialiased when it shrinks.

    Args: as `tf1_bilinear`.
    """
    return _resize(images, size, "bilinear", antialias=True)


@partial(jax.jit, static_argnames="size")
def pil_bilinear_8bit(
    images: Shaped[AnyArray, "b h w c"], size: tuple[int, int]
) -> Float[Array, "b h2 w2 c"]:
    """Pillow's bilinear filter on 8-bit images, bit for bit: rounded after each axis.

    The width comes first. Pillow 13 begins with the height at some sizes, which moves
    every fifth value or so by one level.

    Args:
        images: whole levels 0..255, any real dtype.
        size: (height, width) of the result.
    """
    levels = jnp.asarray(images).astype(jnp.int32)
    for axis in (2, 1):
        levels = _pil_axis(levels, axis, size[axis - 1])
    return levels.astype(jnp.float32)


def _pil_axis(
    images: Int[Array, "b h w c"], axis: int, size: int
) -> Int[Array, "b h2 w2 c"]:
    if images.shape[axis] == size:
        return images
    index, weights = _pil_taps(images.shape[axis], size)
    shape = [-1 if i == axis else 1 for i in range(4)]
    total = jnp.int32(1 << (_PIL_BITS - 1))  # rounds to nearest
    for at, weight in zip(index.T, weights.T, strict=True):
        total += jnp.take(images, at, axis=axis) * weight.reshape(shape)
    return jnp.clip(total >> _PIL_BITS, 0, 255)


def _pil_taps(
    length: int, size: int
) -> tuple[Int[np.ndarray, "n t"], Int[np.ndarray, "n t"]]:
    """The samples that each result is made of, and their weights in fixed point."""
    scale = length / size
    reach = max(scale, 1.0)  # shrinking widens the triangle
    centre = (np.arange(size) + 0.5)[:, None] * scale
    first = np.maximum((centre - reach + 0.5).astype(np.int64), 0)
    last = np.minimum((centre + reach + 0.5).astype(np.int64), length)  # without it
    index = first + np.arange(int(np.ceil(reach)) * 2 + 1)
    weights = np.maximum(1.0 - np.abs((index - centre + 0.5) / reach), 0.0)
    weights = np.where(index < last, weights, 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    fixed = (weights * (1 << _PIL_BITS) + 0.5).astype(np.int32)
    return np.minimum(index, length - 1).astype(np.int32), fixed


@partial(jax.jit, static_argnames="size")
def pil_bicubic(
    images: Shaped[AnyArray, "b h w c"], size: tuple[int, int]
) -> Float[Array, "b h2 w2 c"]:
    """Pillow's bicubic filter (a = -0.5) on float images: antialiased, overshoots.

    Args: as `tf1_bilinear`.
    """
    return _resize(images, size, "cubic", antialias=True)
