"""Distances to the outlines of simple shapes, positive inside.

Each takes local coordinates in units of the shape's radius (y up, the shape upright).
References: Quilez, "2D distance functions", iquilezles.org.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

Plane = Float[np.ndarray, "n h w"]


def disc(x: Plane, y: Plane) -> Plane:
    return np.float32(0.92) - np.hypot(x, y)


def square(x: Plane, y: Plane) -> Plane:
    x, y = np.abs(x) - np.float32(0.80), np.abs(y) - np.float32(0.80)
    outside = np.hypot(np.maximum(x, 0), np.maximum(y, 0))
    return -outside - np.minimum(np.maximum(x, y), 0)


def _star(x: Plane, y: Plane, points: int, blunt: float, radius: float) -> Plane:
    """A star; `blunt` from 2 (a regular polygon) to `points` (needles)."""
    half, lean = np.pi / points, np.pi / blunt
    # Fold all arms onto one half of one arm, then measure to its straight edge.
    bearing = np.mod(np.arctan2(x, y), 2 * half) - half
    length = np.hypot(x, y)
    px = length * np.cos(bearing) - np.float32(radius * np.cos(half))
    py = length * np.abs(np.sin(bearing)) - np.float32(radius * np.sin(half))
    along = np.clip(
        -(px * np.float32(np.cos(lean)) + py * np.float32(np.sin(lean))),
        0,
        np.float32(radius * np.sin(half) / np.sin(lean)),
    )
    px = px + np.float32(np.cos(lean)) * along
    py = py + np.float32(np.sin(lean)) * along
    return -np.hypot(px, py) * np.sign(px)


def triangle(x: Plane, y: Plane) -> Plane:
    return _star(x, y + np.float32(0.12), 3, 2.0, 1.12)


def star(x: Plane, y: Plane) -> Plane:
    return _star(x, y, 5, 3.1, 1.12)


def heart(x: Plane, y: Plane) -> Plane:
    x, y = np.abs(x) / np.float32(1.65), (y + 0.95) / np.float32(1.65)
    lobe = np.hypot(x - 0.25, y - 0.75) - np.float32(2**0.5 / 4)
    slope = 0.5 * np.maximum(x + y, 0)
    side = np.minimum(np.hypot(x, y - 1), np.hypot(x - slope, y - slope))
    return -np.where(x + y > 1, lobe, side * np.sign(x - y)) * np.float32(1.65)


OUTLINES: dict[str, Callable[[Plane, Plane], Plane]] = {
    "disc": disc,
    "square": square,
    "triangle": triangle,
    "star": star,
    "heart": heart,
}
