"""Antialiased drawing on float planes, a batch at a time.

A canvas is float32 `[n, 3, h, w]` in [0, 1], planar because that is what NumPy is
fast on. Coordinates run from -1 to 1 over the picture, x right and y down. Shapes are
level functions `[n, h, w]`, positive inside; their edge is one pixel wide.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from numpy.typing import ArrayLike

Level = Float[np.ndarray, "#n #h #w"]
Canvas = Float[np.ndarray, "n 3 h w"]


@lru_cache(maxsize=32)
def grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixel centres: x `[1, 1, size]` and y `[1, size, 1]`, float32 in (-1, 1)."""
    centres = ((np.arange(size, dtype=np.float32) + 0.5) * (2 / size) - 1).astype(
        np.float32
    )
    centres.flags.writeable = False
    return centres[None, None, :], centres[None, :, None]


def column(values: ArrayLike) -> np.ndarray:
    """`[n]` or a number -> float32 `[n, 1, 1]`, to meet level functions."""
    return np.asarray(values, np.float32).reshape(-1, 1, 1)


def smoothstep(low: Any, high: Any, value: np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, a cubic between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def fill(distance: Level, pixel: float) -> Level:
    """Coverage in [0, 1] of a shape given its distance, positive inside.

    Args:
      distance: in picture units, with a gradient of about 1.
      pixel: a pixel's side in the same units.
    """
    return np.clip(distance * np.float32(1 / pixel) + np.float32(0.5), 0, 1)


def stroke(distance: Level, half_width: Any, pixel: float) -> Level:
    """Coverage of a line; one thinner than a pixel fades and keeps its weight.

    Args:
      distance: to the line's axis, in picture units; any sign.
      half_width: a number or `[n, 1, 1]`, same units.
      pixel: a pixel's side in the same units.
    """
    half_width = np.asarray(half_width, np.float32)
    wide = np.maximum(half_width, np.float32(pixel / 2))
    strength = np.minimum(half_width * np.float32(2 / pixel), np.float32(1))
    return np.clip((wide - np.abs(distance)) / pixel + 0.5, 0, 1) * strength


def steepness(level: Level) -> Level:
    """Length of the gradient of `level` per pixel, by differences."""
    along_x = np.empty_like(level)
    along_x[..., 1:-1] = (level[..., 2:] - level[..., :-2]) * np.float32(0.5)
    along_x[..., 0] = level[..., 1] - level[..., 0]
    along_x[..., -1] = level[..., -1] - level[..., -2]
    along_y = np.empty_like(level)
    along_y[:, 1:-1] = (level[:, 2:] - level[:, :-2]) * np.float32(0.5)
    along_y[:, 0] = level[:, 1] - level[:, 0]
    along_y[:, -1] = level[:, -1] - level[:, -2]
    along_x *= along_x
    along_y *= along_y
    along_x += along_y
    return np.sqrt(along_x, out=along_x)


def fill_level(level: Level) -> Level:
    """Coverage of `level > 0` for a function of any slope."""
    return np.clip(
        level / (steepness(level) + np.float32(1e-6)) + np.float32(0.5), 0, 1
    )


def fill_between(*levels: Level) -> Level:
    """Coverage of the strip where all levels are positive, however thin it is.

    The least of the levels has a ridge whose slope differences cannot see, so each
    edge is drawn alone.
    """
    cover = sum(fill_level(level) for level in levels) - np.float32(len(levels) - 1)
    return np.maximum(cover, 0, dtype=np.float32)


def stroke_level(level: Level, half_width: Any, pixel: float) -> Level:
    """Coverage of a line around `level == 0` for a function of any slope."""
    distance = level * (np.float32(pixel) / (steepness(level) + np.float32(1e-6)))
    return stroke(distance, half_width, pixel)


def paint(canvas: Canvas, alpha: Level, colour: ArrayLike) -> None:
    """Lays a colour over the canvas, in place.

    Args:
      canvas: float32 `[n, 3, h, w]`, changed.
      alpha: `[n, h, w]` in [0, 1].
      colour: `[3]`, `[n, 3]` or `[n, 3, h, w]` in [0, 1].
    """
    colour = np.asarray(colour, np.float32)
    if colour.ndim == 1:
        colour = colour[None, :, None, None]
    elif colour.ndim == 2:
        colour = colour[:, :, None, None]
    step = colour - canvas
    step *= alpha[:, None]
    canvas += step


def tint(canvas: Canvas, alpha: Level, factor: ArrayLike) -> None:
    """Multiplies the canvas by `factor` (`[3]`) where `alpha` is 1, in place."""
    factor = np.asarray(factor, np.float32).reshape(1, 3, 1, 1)
    canvas *= 1 + alpha[:, None] * (factor - 1)


def to_uint8(canvas: Canvas) -> UInt8[np.ndarray, "n h w 3"]:
    """A canvas as RGB bytes, channels last."""
    bytes_ = np.clip(canvas * np.float32(255) + np.float32(0.5), 0, 255)
    return np.ascontiguousarray(bytes_.astype(np.uint8).transpose(0, 2, 3, 1))


def hex_colours(*codes: str) -> Float[np.ndarray, "k 3"]:
    """`"ff8000"` and so on as float32 RGB rows in [0, 1]."""
    return np.array(
        [[int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)] for code in codes],
        np.float32,
    )


def stripes(phase: Level, rate: Any, pixel: Any) -> Level:
    """A square wave in [0, 1] of `sin(phase)`; too fine to see, it fades to 0.5.

    Args:
      phase: radians.
      rate: radians of phase in a unit of length.
      pixel: a pixel's side in the same unit, a number or `[n, 1, 1]`.
    """
    return np.clip(np.sin(phase) / (rate * pixel) + np.float32(0.5), 0, 1)


def hsv_colours(hue: Any, saturation: Any, value: Any) -> Float[np.ndarray, "*n 3"]:
    """RGB of hue (turns), saturation and value, all in [0, 1]."""
    ramp = (np.asarray(hue)[..., None] * 6 + np.array([5.0, 3.0, 1.0])) % 6
    dip = np.clip(np.minimum(ramp, 4 - ramp), 0, 1)
    value, saturation = np.asarray(value)[..., None], np.asarray(saturation)[..., None]
    return (value * (1 - saturation * dip)).astype(np.float32)
