"""Furniture as upright prisms: a table of boxes and round posts from ten parameters.

Object axes: x is depth and points to the front, y is width, z is up; the floor is
z = 0 and lengths are about metres. Every number `p[k]` is a parameter in [0, 1].
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float, Integer

NUM_PARAMETERS = 10
_MOST = 20  # parts of one piece


def _between(low: float, high: float, share: np.ndarray) -> np.ndarray:
    return low + (high - low) * share


@dataclasses.dataclass
class Parts:
    """Parts of m pieces: `[m, 20]` bounds, and whether the footprint is round."""

    low: np.ndarray  # [m, 20, 3]
    high: np.ndarray
    round: np.ndarray  # [m, 20]
    there: np.ndarray
    used: int = 0

    @classmethod
    def none(cls, pieces: int) -> "Parts":
        """No part yet."""
        bounds = np.zeros((pieces, _MOST, 3), np.float32)
        flags = np.zeros((pieces, _MOST), bool)
        return cls(bounds, bounds.copy(), flags, flags.copy())

    def add(
        self, x: Any, y: Any, z: Any, when: Any = True, circular: Any = False
    ) -> None:
        """A prism over `x = (low, high)` and so on, numbers or `[m]`."""
        for axis, (low, high) in enumerate((x, y, z)):
            self.low[:, self.used, axis] = low
            self.high[:, self.used, axis] = high
        self.there[:, self.used] = when
        self.round[:, self.used] = circular
        self.used += 1

    def legs(
        self,
        depth: Float[np.ndarray, " m"],
        width: Float[np.ndarray, " m"],
        top: Float[np.ndarray, " m"],
        thick: Float[np.ndarray, " m"],
        when: Any = True,
        circular: Any = False,
    ) -> None:
        """Four legs under a rectangle centred on the origin."""
        for x in (-1, 1):
            for y in (-1, 1):
                at_x, at_y = x * (depth / 2 - thick / 2), y * (width / 2 - thick / 2)
                self.add(
                    (at_x - thick / 2, at_x + thick / 2),
                    (at_y - thick / 2, at_y + thick / 2),
                    (0, top),
                    when,
                    circular,
                )


def _chair(parts: Parts, p: Float[np.ndarray, "10 m"]) -> None:
    wide, deep = _between(0.42, 0.56, p[0]), _between(0.42, 0.54, p[1])
    seat, tall = _between(0.38, 0.50, p[2]), _between(0.34, 0.62, p[3])
    slab, leg = _between(0.04, 0.09, p[4]), _between(0.045, 0.075, p[5])
    pedestal, round_leg = p[6] < 0.2, p[5] > 0.5
    parts.add((-deep / 2, deep / 2), (-wide / 2, wide / 2), (seat - slab, seat))
    parts.legs(deep, wide, seat - slab, leg, ~pedestal, round_leg)
    parts.add((-leg, leg), (-leg, leg), (0, seat - slab), pedestal, True)
    parts.add((-0.22, 0.22), (-0.22, 0.22), (0, 0.05), pedestal, True)
    # The back: solid, a frame with a rail, or slats.
    solid, slats = p[7] < 0.4, p[7] > 0.7
    rear = (-deep / 2, -deep / 2 + _between(0.045, 0.075, p[5]))
    parts.add(rear, (-wide / 2, wide / 2), (seat, seat + tall), solid)
    for side in (-1, 1):
        edge = side * (wide / 2 - leg / 2)
        parts.add(rear, (edge - leg / 2, edge + leg / 2), (seat, seat + tall), ~solid)
    parts.add(rear, (-wide / 2, wide / 2), (seat + tall * 0.72, seat + tall), ~solid)
    for place in (-0.18, 0.0, 0.18):
        middle = place * wide
        parts.add(rear, (middle - 0.02, middle + 0.02), (seat, seat + tall), slats)
    parts.add(
        rear, (-wide / 2, wide / 2), (seat + tall * 0.32, seat + tall * 0.50),
        ~solid & ~slats,
    )  # fmt: skip
    arms, lift = p[8] < 0.35, _between(0.18, 0.25, p[9])
    for side in (-1, 1):
        outer = np.sort([side * wide / 2, side * (wide / 2 - 0.055)], axis=0)
        parts.add(
            (-deep / 2, deep * 0.42), outer, (seat + lift - 0.04, seat + lift), arms
        )
        parts.add((deep * 0.30, deep * 0.42), outer, (seat, seat + lift), arms)


def _table(parts: Parts, p: Float[np.ndarray, "10 m"]) -> None:
    wide, deep = _between(0.8, 1.6, p[0]), _between(0.7, 1.0, p[1])
    tall, slab = _between(0.42, 0.78, p[2]), _between(0.04, 0.08, p[3])
    oval, kind = p[4] < 0.35, p[5]
    leg = _between(0.06, 0.11, p[6])
    parts.add((-deep / 2, deep / 2), (-wide / 2, wide / 2), (tall - slab, tall),
              True, oval)  # fmt: skip
    four, column, panels = (kind < 0.55), (kind >= 0.55) & (kind < 0.8), kind >= 0.8
    inset = np.where(oval, 0.70, 0.95)
    parts.legs(deep * inset, wide * inset, tall - slab, leg, four, p[7] > 0.5)
    parts.add((-leg, leg), (-leg, leg), (0, tall - slab), column, True)
    foot = deep * _between(0.28, 0.36, p[8])
    parts.add((-foot, foot), (-foot, foot), (0, 0.06), column, True)
    for side in (-1, 1):
        at = side * wide * 0.36
        half = np.where(oval, 0.26, 0.44) * deep
        parts.add((-half, half), (at - leg / 2, at + leg / 2), (0, tall - slab), panels)
    shelf = (p[9] < 0.35) & ~column
    size = np.where(oval, 0.31, 0.44)
    level = tall * 0.28
    parts.add((-deep * size, deep * size), (-wide * size * 0.85, wide * size * 0.85),
              (level, level + 0.05), shelf)  # fmt: skip


def _bed(parts: Parts, p: Float[np.ndarray, "10 m"]) -> None:
    wide, long = _between(1.0, 1.8, p[0]), _between(1.95, 2.15, p[1])
    base, mattress = _between(0.14, 0.30, p[2]), _between(0.16, 0.28, p[3])
    head, foot = _between(0.65, 1.15, p[4]), _between(0.30, 0.75, p[5])
    half, side = long / 2, wide / 2
    raised = p[6] < 0.6
    under = np.where(raised, base * 0.6, 0.0)
    parts.add((-half, half), (-side, side), (under, base + 0.06))
    parts.add((-half + 0.08, half - 0.05), (-side + 0.05, side - 0.05),
              (base, base + mattress))  # fmt: skip
    parts.legs(long, wide, base, np.full_like(wide, 0.12), raised)
    parts.add((-half - 0.04, -half + 0.08), (-side - 0.03, side + 0.03), (0, head))
    parts.add((half - 0.06, half + 0.05), (-side - 0.03, side + 0.03), (0, foot),
              p[7] < 0.55)  # fmt: skip
    top, double = base + mattress, wide > 1.35
    depth = _between(0.34, 0.46, p[8])
    for sign in (-1, 1):
        near, far = 0.06, wide * 0.44
        edge = np.sort([sign * near * np.ones_like(far), sign * far], axis=0)
        parts.add((-half + 0.14, -half + 0.14 + depth), edge, (top, top + 0.12), double)
    parts.add((-half + 0.14, -half + 0.14 + depth), (-wide * 0.32, wide * 0.32),
              (top, top + 0.12), ~double)  # fmt: skip
    throw = p[9] < 0.5
    parts.add((half - 0.75, half - 0.05), (-side - 0.02, side + 0.02),
              (base + 0.06, top + 0.05), throw)  # fmt: skip


def _sofa(parts: Parts, p: Float[np.ndarray, "10 m"]) -> None:
    wide, deep = _between(1.3, 2.2, p[0]), _between(0.80, 0.98, p[1])
    seat, tall = _between(0.36, 0.46, p[2]), _between(0.72, 0.95, p[3])
    arm, arm_tall = _between(0.12, 0.26, p[4]), _between(0.52, 0.68, p[5])
    back, leg = _between(0.18, 0.28, p[6]), np.where(p[7] < 0.6, 0.12, 0.0)
    half, side = deep / 2, wide / 2
    parts.add((-half, half), (-side, side), (leg, seat - 0.10))
    parts.add((-half, -half + back), (-side, side), (leg, tall))
    for sign in (-1, 1):
        outer = np.sort([sign * side, sign * (side - arm)], axis=0)
        parts.add((-half, half), outer, (leg, arm_tall), p[8] > 0.12)
    parts.legs(deep * 0.94, wide * 0.96, leg, np.full_like(wide, 0.10), leg > 0)
    # Cushions with a gap between them: two or three seats.
    inner = wide - 2 * arm
    three = wide > 1.75
    gap = 0.05
    for number, when in ((2, ~three), (3, three)):
        each = inner / number
        for k in range(number):
            left = -inner / 2 + k * each
            right = left + each - gap / 2
            parts.add((-half + back, half + 0.03), (left + gap / 2, right),
                      (seat - 0.10, seat + 0.06), when)  # fmt: skip
    # Two loose cushions against the back.
    front, pillow = (-half + back, -half + back + 0.14), (seat + 0.04, seat + 0.38)
    parts.add(front, (0.04 - inner / 2, 0.42 - inner / 2), pillow, p[9] < 0.5)
    parts.add(front, (inner / 2 - 0.42, inner / 2 - 0.04), pillow, p[9] < 0.3)


def _night_stand(parts: Parts, p: Float[np.ndarray, "10 m"]) -> None:
    wide, deep = _between(0.42, 0.62, p[0]), _between(0.38, 0.50, p[1])
    tall, leg = _between(0.46, 0.72, p[2]), _between(0.06, 0.22, p[3])
    half, side, wall = deep / 2, wide / 2, 0.05
    parts.add((-half - 0.02, half + 0.03), (-side - 0.03, side + 0.03),
              (tall - 0.05, tall))  # fmt: skip
    parts.legs(deep, wide, leg, np.full_like(wide, 0.07), True, p[4] > 0.5)
    split = leg + (tall - leg) * _between(0.35, 0.55, p[5])
    open_ = p[6] < 0.55
    # The lower half is open to the front or has a second drawer.
    parts.add((-half, half), (-side, side), (split, tall - 0.05))
    parts.add((-half, half), (-side, side), (leg, split), ~open_)
    parts.add((-half, half), (-side, side), (leg, leg + wall), open_)
    parts.add((-half, -half + wall), (-side, side), (leg, split), open_)
    for sign in (-1, 1):
        edge = np.sort([sign * side, sign * (side - wall)], axis=0)
        parts.add((-half, half), edge, (leg, split), open_)
    knob = (half, half + 0.05)
    upper, lower = (split + tall - 0.05) / 2, (leg + split) / 2
    reach = np.where(p[7] < 0.5, 0.035, wide * 0.2)  # a knob or a bar
    parts.add(knob, (-reach, reach), (upper - 0.03, upper + 0.03))
    parts.add(knob, (-reach, reach), (lower - 0.03, lower + 0.03), ~open_)
    lamp = p[8] < 0.4
    parts.add((-0.09, 0.09), (-0.09, 0.09), (tall, tall + 0.04), lamp, True)
    parts.add((-0.03, 0.03), (-0.03, 0.03), (tall, tall + 0.24), lamp, True)
    shade = _between(0.12, 0.17, p[9])
    parts.add((-shade, shade), (-shade, shade), (tall + 0.20, tall + 0.42), lamp, True)


def _shelf(parts: Parts, p: Float[np.ndarray, "10 m"]) -> None:
    wide, deep = _between(0.7, 1.3, p[0]), _between(0.30, 0.44, p[1])
    tall, board = _between(1.3, 2.0, p[2]), 0.05
    half, side = deep / 2, wide / 2
    for sign in (-1, 1):
        edge = np.sort([sign * side, sign * (side - board)], axis=0)
        parts.add((-half, half), edge, (0, tall))
    parts.add((-half, -half + 0.04), (-side, side), (0.0, tall), p[3] < 0.7)
    number = 2 + np.floor(p[4] * 3.999)  # boards between floor and top
    for k in range(7):
        height = 0.04 + (tall - board - 0.04) * k / (number + 1)
        parts.add(
            (-half, half), (-side, side), (height, height + board), k <= number + 1
        )
    middle = p[5] < 0.35
    parts.add((-half, half), (-board / 2, board / 2), (0, tall), middle)
    # Some books, standing on the boards.
    for k in range(1, 4):
        height = 0.04 + (tall - board - 0.04) * k / (number + 1) + board
        room = (tall - board) / (number + 1)
        left = -side + board + (wide * 0.5) * ((p[6] * 7.3 + k * 0.37) % 1)
        right = left + wide * _between(0.15, 0.38, (p[7] * 5.1 + k * 0.61) % 1)
        right = np.minimum(right, side - board)
        parts.add((-half, half - 0.07), (left, right), (height, height + room * 0.68),
                  (p[8] < 0.75) & (k <= number))  # fmt: skip


BUILDERS: dict[str, Callable[[Parts, np.ndarray], None]] = {
    "chair": _chair,
    "table": _table,
    "bed": _bed,
    "sofa": _sofa,
    "night_stand": _night_stand,
    "shelf": _shelf,
}


def build(
    label: Integer[np.ndarray, " n"], parameters: Float[np.ndarray, "n 10"]
) -> Parts:
    """The parts of n pieces, scaled and centred.

    Args:
      label: index into `BUILDERS`.
      parameters: each in [0, 1].

    Returns:
      Parts in a cube from -1 to 1 that a turn about the upright never leaves.
    """
    result = Parts.none(len(label))
    for index, builder in enumerate(BUILDERS.values()):
        rows = np.flatnonzero(label == index)
        if len(rows):
            parts = Parts.none(len(rows))
            builder(parts, parameters[rows].T)
            for name in ("low", "high", "round", "there"):
                getattr(result, name)[rows] = getattr(parts, name)
    there = result.there[..., None]
    low = np.where(there, result.low, np.inf).min(axis=1)
    high = np.where(there, result.high, -np.inf).max(axis=1)
    middle, extent = (low + high) / 2, (high - low) / 2
    radius = np.maximum(np.hypot(extent[:, 0], extent[:, 1]), extent[:, 2])
    scale = (np.float32(0.94) / radius)[:, None, None]
    result.low = ((result.low - middle[:, None]) * scale).astype(np.float32)
    result.high = ((result.high - middle[:, None]) * scale).astype(np.float32)
    return result
