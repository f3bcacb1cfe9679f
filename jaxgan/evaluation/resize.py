"""The resizes that FID variants differ by, on the device.

All take `[b, h, w, c]` levels 0..255 and return float32 without rounding. For the input
row (0, 10, 20, 60) and six output samples they give

    tf1_bilinear     0       6.667   13.333  20      46.667  60
    torch_bilinear   0       5       11.667  18.333  40      60
    pil_bicubic     -0.658   4.118   11.319  16.597  41.765  62.632   before the clip
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from jaxgan.evaluation.images import AnyArray


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
def pil_bicubic(
    images: Shaped[AnyArray, "b h w c"], size: tuple[int, int]
) -> Float[Array, "b h2 w2 c"]:
    """Pillow's bicubic filter (a = -0.5) on float images: antialiased, overshoots.

    Args: as `tf1_bilinear`.
    """
    return _resize(images, size, "cubic", antialias=True)
