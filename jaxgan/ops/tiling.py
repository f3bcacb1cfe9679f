"""Large pictures tile by tile, with the result that the whole picture would give."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float


def map_tiles(
    fn: Callable[[Array], Array],
    image: Float[Array, "b h w c"],
    *,
    tile: int,
    halo: int,
    scale: int = 1,
) -> Float[Array, "b h*{scale} w*{scale} f"]:
    """`fn(image)` with the memory of one tile.

    A tile is computed inside a window that reaches `halo` pixels further, as far as
    `fn` sees, or to the picture's border, where `fn` pads as it does for the whole.

    Args:
        fn: A fully convolutional function without strides, from `[b, i, j, c]` to
            `[b, scale * i, scale * j, f]`.
        image: Pictures of any size.
        tile: Side of a tile in pixels of `image`; the last ones overlap.
        halo: How many pixels around a pixel its result depends on. With fewer the
            tiles' borders show.
        scale: Side of the result over side of `image`.

    Returns:
        What `fn(image)` returns, in its dtype.
    """
    batch, height, width, channels = image.shape
    rows, columns = _cut(height, tile, halo), _cut(width, tile, halo)
    window = (batch, rows.window, columns.window, channels)
    made = jax.eval_shape(fn, jax.ShapeDtypeStruct(window, image.dtype))
    size = (batch, scale * rows.size, scale * columns.size, made.shape[-1])
    places = [
        (y, x, top, left)
        for y, top in zip(rows.starts, rows.windows, strict=True)
        for x, left in zip(columns.starts, columns.windows, strict=True)
    ]

    def fill_one(out: Array, place: Array) -> tuple[Array, None]:
        y, x, top, left = place
        result = fn(lax.dynamic_slice(image, (0, top, left, 0), window))
        inside = (0, scale * (y - top), scale * (x - left), 0)
        result = lax.dynamic_slice(result, inside, size)
        return lax.dynamic_update_slice(out, result, (0, scale * y, scale * x, 0)), None

    empty = jnp.zeros((batch, scale * height, scale * width, size[-1]), made.dtype)
    return lax.scan(fill_one, empty, jnp.asarray(places, jnp.int32))[0]


@dataclasses.dataclass(frozen=True)
class _Cut:
    """One axis in tiles of `size`, each inside a window; all of equal sizes."""

    starts: tuple[int, ...]
    windows: tuple[int, ...]  # where they start
    size: int
    window: int


def _cut(length: int, tile: int, halo: int) -> _Cut:
    size, window = min(tile, length), min(tile + 2 * halo, length)
    starts = tuple(min(i, length - size) for i in range(0, length, size))
    windows = tuple(min(max(i - halo, 0), length - window) for i in starts)
    return _Cut(starts, windows, size, window)
