"""Hole masks (1 = missing, 0 = known), compositing and importance weights.

References: Yeh et al., "Semantic Image Inpainting with Deep Generative Models", CVPR
2017, sections 4 and 5 (masks and weights); Pathak et al., "Context Encoders: Feature
Learning by Inpainting", CVPR 2016, section 3.3 (the random pattern).
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxgan.core.errors import one_of
from jaxgan.core.types import HoleMask, Image, Key
from jaxgan.ops.bicubic import keys_kernel


def center_hole(key: Key, batch: int, height: int, width: int) -> HoleMask:
    """The central square of half the side is missing: rows 16..47 of 64."""
    del key
    rows = _between(height, height // 4, height // 4 + height // 2)
    columns = _between(width, width // 4, width // 4 + width // 2)
    return _mask(rows[:, None] & columns[None, :], batch)


def without_center(image: Image) -> Image:
    """The image with its central square of half the side set to 1, as pix2pix's code
    trains inpainting; doing so twice is doing it once."""
    rows, columns = (_between(n, n // 4, n // 4 + n // 2) for n in image.shape[1:3])
    square = (rows[:, None] & columns[None, :])[None, ..., None]
    return jnp.where(square, jnp.ones_like(image), image)


def pattern_hole(
    key: Key,
    batch: int,
    height: int,
    width: int,
    *,
    cell: float | int = 1 / 0.06,
    threshold: float | int = 0.25,
    missing: tuple[float | int, float | int] = (0.2, 0.3),
    max_draws: int = 1000,
) -> HoleMask:
    """Random blobs that leave out between 20 and 30 per cent of every image.

    The published recipe cuts windows out of uniform noise that was enlarged bicubically
    to 10000 pixels a side, and thresholds. Here only the noise under each window is
    drawn, at a random phase: the same statistics without the canvas. Windows with too
    much or too little missing are drawn anew.

    Args:
        key: Random key.
        batch: Number of masks, all different.
        height: Height in pixels.
        width: Width in pixels.
        cell: Pixels between neighbouring noise values.
        threshold: Interpolated noise below it is missing.
        missing: The missing share of an image lies strictly between these.
        max_draws: After so many draws an image keeps its draw nearest to the middle of
            `missing`; images of a few pixels may not have one inside.

    Returns:
        Masks `[batch, height, width, 1]`.
    """
    low, high = missing

    def draw(key: Key) -> tuple[Array, Array]:
        noise_key, row_key, column_key = jax.random.split(key, 3)
        rows = _phase_matrices(row_key, batch, height, cell)
        columns = _phase_matrices(column_key, batch, width, cell)
        noise = jax.random.uniform(
            noise_key, (batch, rows.shape[-1], columns.shape[-1])
        )
        smooth = jnp.einsum(
            "bhm,bmn,bwn->bhw", rows, noise, columns, precision=lax.Precision.HIGHEST
        )
        holes = smooth < threshold
        return holes, jnp.mean(holes, axis=(1, 2))

    def accepted(share: Array) -> Array:
        return (share > low) & (share < high)

    def unfinished(carry: tuple) -> Array:
        count, _, share = carry
        return (count < max_draws) & ~jnp.all(accepted(share))

    def redraw(carry: tuple) -> tuple:
        count, holes, share = carry
        new_holes, new_share = draw(jax.random.fold_in(key, count))
        middle = (low + high) / 2
        nearer = jnp.abs(new_share - middle) < jnp.abs(share - middle)
        take = ~accepted(share) & (accepted(new_share) | nearer)
        holes = jnp.where(take[:, None, None], new_holes, holes)
        return count + 1, holes, jnp.where(take, new_share, share)

    first = draw(jax.random.fold_in(key, 0))
    _, holes, _ = lax.while_loop(unfinished, redraw, (jnp.int32(1), *first))
    return holes[..., None].astype(jnp.float32)


def random_hole(
    key: Key, batch: int, height: int, width: int, *, missing: float | int = 0.8
) -> HoleMask:
    """Every pixel is missing by itself with probability `missing`, in all channels."""
    holes = jax.random.bernoulli(key, missing, (batch, height, width, 1))
    return holes.astype(jnp.float32)


def half_hole(key: Key, batch: int, height: int, width: int) -> HoleMask:
    """The left, right, top or bottom half is missing, drawn for every image."""
    left = _between(width, 0, width // 2)[None, :]
    top = _between(height, 0, height // 2)[:, None]
    shape = (height, width)
    halves = jnp.stack(
        [
            jnp.broadcast_to(half, shape)
            for half in (left, left[:, ::-1], top, top[::-1])
        ]
    )
    return halves[jax.random.randint(key, (batch,), 0, 4)][..., None].astype(
        jnp.float32
    )


def left_hole(key: Key, batch: int, height: int, width: int) -> HoleMask:
    """The left half is missing."""
    del key
    holes = jnp.broadcast_to(_between(width, 0, width // 2), (height, width))
    return _mask(holes, batch)


def grid_hole(key: Key, batch: int, height: int, width: int) -> HoleMask:
    """Only every fourth pixel of every fourth row is known."""
    del key
    rows, columns = jnp.arange(height) % 4 == 0, jnp.arange(width) % 4 == 0
    return _mask(~(rows[:, None] & columns[None, :]), batch)


def no_hole(key: Key, batch: int, height: int, width: int) -> HoleMask:
    """Nothing is missing: inverting the generator on a whole image."""
    del key
    return jnp.zeros((batch, height, width, 1))


def lowres_hole(key: Key, batch: int, height: int, width: int) -> HoleMask:
    """Every pixel is missing; what is known is the image's `average_pool`.

    Not among `HOLE_MASKS`: the task of this name is the mode `super_resolve`.
    """
    del key
    return jnp.ones((batch, height, width, 1))


HOLE_MASKS: dict[str, Callable[[Key, int, int, int], HoleMask]] = {
    "center": center_hole,
    "pattern": pattern_hole,
    "random": random_hole,
    "half": half_hole,
    "left": left_hole,
    "grid": grid_hole,
    "full": no_hole,
}
"""Those that leave something known."""


class Rectangle(NamedTuple):
    """A hole's rows `top .. top + height - 1`, columns `left .. left + width - 1`."""

    top: int
    left: int
    height: int
    width: int

    def slices(self) -> tuple[slice, slice]:
        """Its rows and columns."""
        rows = slice(self.top, self.top + self.height)
        return rows, slice(self.left, self.left + self.width)


def hole_rectangles(height: int, width: int) -> tuple[Rectangle, ...]:
    """The rectangles that holes of the kinds `center`, `half` and `left` can be."""
    rows, columns = height // 2, width // 2
    found = (
        Rectangle(height // 4, width // 4, rows, columns),
        Rectangle(0, 0, height, columns),
        Rectangle(0, width - columns, height, columns),
        Rectangle(0, 0, rows, width),
        Rectangle(height - rows, 0, rows, width),
    )
    return tuple(one for one in found if one.height and one.width)


def draw_hole_mask(
    kind: str, key: Key, batch: int, height: int, width: int
) -> HoleMask:
    """Draws hole masks of a published kind.

    Args:
        kind: A key of `HOLE_MASKS`.
        key: Random key; kinds without chance ignore it.
        batch: Number of masks.
        height: Height in pixels.
        width: Width in pixels.

    Returns:
        Masks `[batch, height, width, 1]`, 1 = missing.

    Raises:
        UserError: If the kind is unknown.
    """
    one_of(kind, HOLE_MASKS, "hole mask")
    return HOLE_MASKS[kind](key, batch, height, width)


def composite(known: Image, generated: Image, hole_mask: HoleMask) -> Image:
    """Fills the hole with what was generated and keeps known pixels bit for bit.

    A selection, not a weighted sum: what `known` holds inside the hole and `generated`
    outside it has no influence, NaN included.

    Args:
        known: Images; read where the mask is 0.
        generated: Images; read where the mask is 1.
        hole_mask: 1 = missing.

    Returns:
        The completed images.
    """
    return jnp.where(hole_mask > 0.5, generated, known)


def importance_weights(
    hole_mask: HoleMask,
    window: int = 7,
    border: Literal["symmetric", "count"] = "symmetric",
) -> HoleMask:
    """Weighs a known pixel by the missing share of the window around it.

    Known pixels near a hole say more about it than distant ones:
    `W_i = M_i * sum_{j in N(i)} (1 - M_j) / |N(i)|`, with `M = 1 - hole_mask`.

    Args:
        hole_mask: 1 = missing.
        window: Odd side of the square window `N(i)`.
        border: `symmetric` mirrors the mask beyond the image, as the authors' code
            does; `count` averages over the pixels inside the image, as the paper says.

    Returns:
        Weights in [0, 1), zero inside the hole. Not meant to be differentiated.

    Raises:
        ValueError: If the window is even or the border unknown.

    References: Yeh et al., CVPR 2017, equation 3.
    """
    if window % 2 == 0:
        raise ValueError(f"window {window} must be odd")
    reach = window // 2
    sides = ((0, 0), (reach, reach), (reach, reach), (0, 0))
    if border == "symmetric":
        missing = _window_sum(jnp.pad(hole_mask, sides, mode="symmetric"), window)
        share = missing / window**2
    elif border == "count":
        pixels = jnp.pad(jnp.ones_like(hole_mask[:1]), sides)
        missing = _window_sum(jnp.pad(hole_mask, sides), window)
        share = missing / _window_sum(pixels, window)
    else:
        raise ValueError(f"border {border!r} must be 'symmetric' or 'count'")
    return (1 - hole_mask) * share


def average_pool(
    image: Image, factor: int = 8
) -> Float[Array, "b h//{factor} w//{factor} c"]:
    """Means over blocks of `factor` by `factor`: what the `lowres` task knows."""
    b, h, w, c = image.shape
    if h % factor or w % factor:
        raise ValueError(f"{h} x {w} images cannot be divided by {factor}")
    blocks = image.reshape(b, h // factor, factor, w // factor, factor, c)
    return jnp.mean(blocks, axis=(2, 4))


def _between(size: int, start: int, stop: int) -> Array:
    index = jnp.arange(size)
    return (index >= start) & (index < stop)


def _mask(holes: Array, batch: int) -> Array:
    mask = holes.astype(jnp.float32)[None, :, :, None]
    return jnp.broadcast_to(mask, (batch, *mask.shape[1:]))


def _phase_matrices(key: Key, batch: int, size: int, cell: float | int) -> Array:
    """Bicubic interpolation of noise at a random phase: `[batch, size, cells]`."""
    phase = jax.random.uniform(key, (batch, 1, 1))
    # Start between cells 1 and 2: all four taps then exist on both sides.
    position = 1 + phase + jnp.arange(size)[None, :, None] / cell
    cells = int(size / cell) + 5
    return jnp.asarray(keys_kernel(position - jnp.arange(cells)[None, None, :]))


def _window_sum(padded: Array, window: int) -> Array:
    return lax.reduce_window(
        padded, 0.0, lax.add, (1, window, window, 1), (1, 1, 1, 1), "VALID"
    )
