"""What happens to a batch inside the compiled step: crops, flips, normalisation.

All functions are pure and draw for every image by itself; an image and its partner
(a pair, a mask) share a draw by sharing the key.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, Shaped, UInt8

from jaxgan.core.types import Key


def random_crop(
    images: Shaped[Array, "b h w c"], height: int, width: int, key: Key
) -> Shaped[Array, "b {height} {width} c"]:
    """Windows at offsets uniform over all that fit, both ends included."""
    rows, columns = images.shape[1] - height, images.shape[2] - width
    if rows == 0 and columns == 0:
        return images
    top_key, left_key = jax.random.split(key)
    top = jax.random.randint(top_key, (images.shape[0],), 0, rows + 1)
    left = jax.random.randint(left_key, (images.shape[0],), 0, columns + 1)

    def window(
        image: Shaped[Array, "h w c"], top: Int[Array, ""], left: Int[Array, ""]
    ) -> Shaped[Array, "_h _w c"]:
        return lax.dynamic_slice(
            image, (top, left, 0), (height, width, image.shape[-1])
        )

    return jax.vmap(window)(images, top, left)


def center_crop(
    images: Shaped[Array, "b h w c"], height: int, width: int
) -> Shaped[Array, "b {height} {width} c"]:
    """The central window; of two middles the upper left one."""
    top, left = (images.shape[1] - height) // 2, (images.shape[2] - width) // 2
    return images[:, top : top + height, left : left + width]


def random_flip(images: Shaped[Array, "b h w c"], key: Key) -> Shaped[Array, "b h w c"]:
    """Mirrors half of the images left to right."""
    coins = jax.random.bernoulli(key, 0.5, (images.shape[0],))
    return jnp.where(coins[:, None, None, None], images[:, :, ::-1], images)


def random_flip_rotate(
    images: Shaped[Array, "b n n c"], key: Key
) -> Shaped[Array, "b n n c"]:
    """One of the eight symmetries of the square, for each image."""
    flip_key, turn_key, quarter_key = jax.random.split(key, 3)
    images = random_flip(images, flip_key)
    coins = jax.random.bernoulli(turn_key, 0.5, (images.shape[0],))
    images = jnp.where(coins[:, None, None, None], images[:, ::-1, ::-1], images)
    coins = jax.random.bernoulli(quarter_key, 0.5, (images.shape[0],))
    turned = jnp.rot90(images, axes=(1, 2))
    return jnp.where(coins[:, None, None, None], turned, images)


def normalize(
    images: UInt8[Array, "*b"], low: float = -1.0, high: float = 1.0
) -> Float[Array, "*b"]:
    """Maps 0..255 to float32 in [low, high]."""
    values = images.astype(jnp.float32)
    # The usual ranges need no sum at the end: fused with the product it would skip a
    # rounding, and 255 would become 1.0000001.
    if low == -high:
        return (2.0 * values - 255.0) / (255.0 / high)
    if low == 0.0:
        return values / (255.0 / high)
    return values / (255.0 / (high - low)) + low


def palette(classes: int) -> UInt8[np.ndarray, "k 3"]:
    """Colours for maps of class numbers, far apart: hues by the golden ratio."""
    k = np.arange(classes)
    hue = (k * 0.61803398875) % 1.0 * 6.0
    value = np.where(k % 3 == 2, 0.55, 1.0)
    saturation = np.where(k % 3 == 1, 0.55, 1.0)
    shift = np.array([5.0, 3.0, 1.0])
    f = (shift + hue[:, None]) % 6.0
    wave = np.clip(np.minimum(f, 4.0 - f), 0.0, 1.0)
    rgb = value[:, None] * (1.0 - saturation[:, None] * wave)
    return np.round(rgb * 255).astype(np.uint8)


def colour(maps: UInt8[Array, "b h w 1"], classes: int) -> UInt8[Array, "b h w 3"]:
    """Paints maps of class numbers; numbers beyond the last class are black."""
    colours = np.concatenate([palette(classes), np.zeros((256 - classes, 3), np.uint8)])
    return jnp.asarray(colours)[maps[..., 0].astype(jnp.int32)]
