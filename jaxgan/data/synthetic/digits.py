"""Digits from pen strokes in two renderings of the same hand.

    grey      light ink on black, as scanned handwriting
    colour    paint on a lit, patterned wall, as house numbers

Both pictures of an example show the same strokes, so the true translation of every
digit is known.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int, Integer

from jaxgan.core.errors import UserError
from jaxgan.data.synthetic.glyphs import GLYPHS, SEGMENTS
from jaxgan.data.synthetic.raster import (
    column,
    grid,
    hsv_colours,
    paint,
    smoothstep,
    stripes,
    tint,
    to_uint8,
)
from jaxgan.data.synthetic.sampling import (
    Draws,
    Fields,
    check_indices,
    check_options,
    chosen,
    fields_of,
)

CLASSES = tuple(str(digit) for digit in range(10))
_PICTURES = ("grey", "colour")
_BLOCK = 2**15  # pixels drawn at a time


@dataclasses.dataclass(frozen=True)
class Digits:
    """Handwritten digits.

    Fields of an example: `grey` uint8 `[size, size, 1]`, `colour` uint8
    `[size, size, 3]`, `label` int32 0..9; float32 `slant` (degrees, positive leans to
    the right) and `thickness` (of the stroke, as a share of the picture's side).

    Attributes:
      size: side of the pictures, pixels, 16 or more; 28 and 32 are usual.
      seed: another seed is another data set.
      split: `train`, `validation` or `test`; no two share a picture.
      count: number of examples.
      digits: which digits appear.
    """

    size: int = 28
    seed: int = 0
    split: str = "train"
    count: int = 10_000
    digits: tuple[int, ...] = tuple(range(10))

    def __post_init__(self):
        check_options("digits", self.split, self.count, self.size, least=16)
        if not self.digits or not set(self.digits) <= set(range(10)):
            raise UserError(
                f"synthetic:digits: digits is {self.digits}; give some of 0 to 9."
            )

    def __len__(self) -> int:
        return self.count

    @property
    def names(self) -> dict[str, tuple[str, ...]]:
        """Field -> the names of its classes."""
        return {"label": CLASSES}

    @property
    def fields(self) -> Fields:
        """Name -> (shape, dtype) of one example."""
        return fields_of(
            grey=((self.size, self.size, 1), np.uint8),
            colour=((self.size, self.size, 3), np.uint8),
            label=((), np.int32),
            slant=((), np.float32),
            thickness=((), np.float32),
        )

    def factors(self, indices: Integer[np.ndarray, " n"]) -> dict[str, np.ndarray]:
        """What `examples` returns but for the pictures; cheap."""
        draws = self._draws(indices)
        known = np.asarray(self.digits, np.int32)
        return {
            "label": known[draws.integers("label", 0, len(known))],
            "slant": draws.uniform("slant", -10.0, 28.0),
            "thickness": draws.uniform("thickness", 0.060, 0.135),
        }

    def examples(
        self, indices: Integer[np.ndarray, " n"], fields: Sequence[str] | None = None
    ) -> dict[str, np.ndarray]:
        """Draws the examples at `indices`, each a function of (seed, split, index).

        Args:
          indices: `[n]`, each in 0..count-1.
          fields: what to return, and which pictures to draw; None for all.

        Returns:
          The fields with a leading axis n.
        """
        wanted = chosen(self.fields, fields, "digits")
        indices = check_indices(indices, self.count)
        found = self.factors(indices)
        for name in set(_PICTURES) & set(wanted):
            shape, dtype = self.fields[name]
            found[name] = np.empty((len(indices), *shape), dtype)
        if set(_PICTURES) & set(wanted):
            step = max(_BLOCK // self.size**2, 1)
            for first in range(0, len(indices), step):
                part = slice(first, first + step)
                draws = self._draws(indices[part])
                level = _written(
                    draws, self.size, *(found[k][part] for k in self._hand)
                )
                if "grey" in wanted:
                    found["grey"][part] = _grey(draws, level, self.size)
                if "colour" in wanted:
                    found["colour"][part] = _colour(draws, level, self.size)
        return {name: found[name] for name in wanted}

    @property
    def _hand(self) -> tuple[str, ...]:
        return ("label", "slant", "thickness")

    def _draws(self, indices: Integer[np.ndarray, " n"]) -> Draws:
        indices = check_indices(indices, self.count)
        return Draws(("digits", self.seed, self.split), indices)


def _written(
    draws: Draws,
    size: int,
    label: Int[np.ndarray, " n"],
    slant: Float[np.ndarray, " n"],
    thickness: Float[np.ndarray, " n"],
) -> Float[np.ndarray, "n size size"]:
    """Distance to the edge of the ink, positive inside, the picture being 2 wide."""
    way = draws.uniform("way") * GLYPHS.number[label]
    way = GLYPHS.first[label] + way.astype(np.int32)
    points = GLYPHS.points[way] - np.float32(0.5)
    points = points + draws.normal("wobble", 0.034, points.shape[1:])
    lean = np.tan(np.deg2rad(slant))
    wide = draws.uniform("wide", 0.68, 1.12)
    tall = draws.uniform("tall", 1.20, 1.46)
    turn = draws.uniform("turn", -0.10, 0.10)
    x = points[..., 0] * wide[:, None] - lean[:, None] * 0.6 * points[..., 1]
    y = points[..., 1] * tall[:, None]
    cos, sin = np.cos(turn)[:, None], np.sin(turn)[:, None]
    shift = draws.uniform("shift", -0.09, 0.09, (2,))
    x, y = x * cos - y * sin + shift[:, :1], x * sin + y * cos + shift[:, 1:]
    points = np.stack([x, y], axis=-1)  # [n, p, 2]
    starts = np.einsum("nsp,npc->nsc", GLYPHS.starts[way], points)
    steps = np.einsum("nsp,npc->nsc", GLYPHS.ends[way], points) - starts

    # The pen presses unevenly along the way.
    along = np.arange(SEGMENTS, dtype=np.float32) / SEGMENTS
    phase = draws.uniform("phase", 0.0, 6.28)[:, None]
    press = 1 + 0.20 * np.sin(phase + 5 * along) * draws.uniform("uneven")[:, None]
    half = thickness[:, None] * press

    grid_x, grid_y = grid(size)
    level = np.full((len(label), size, size), -9, np.float32)
    lengths = np.maximum((steps**2).sum(-1), 1e-9)
    for k in range(SEGMENTS):
        dx, dy = column(steps[:, k, 0]), column(steps[:, k, 1])
        across = grid_x - column(starts[:, k, 0])
        down = grid_y - column(starts[:, k, 1])
        share = (across * dx + down * dy) / column(lengths[:, k])
        np.clip(share, 0, 1, out=share)
        distance = np.hypot(across - share * dx, down - share * dy)
        np.maximum(level, column(half[:, k]) - distance, out=level)
    return level


def _grey(draws: Draws, level: np.ndarray, size: int) -> np.ndarray:
    """Light ink, softer than a hard edge by a scanner's blur."""
    ink = smoothstep(-1.6 / size, 1.9 / size, level)
    ink = ink * column(draws.uniform("ink", 0.86, 1.0))
    bytes_ = np.clip(ink * 255 + 0.5, 0, 255).astype(np.uint8)
    return bytes_[..., None]


def _colour(draws: Draws, level: np.ndarray, size: int) -> np.ndarray:
    """A painted digit with a soft shadow on a wall of two hues."""
    x, y = grid(size)
    pixel = 2 / size
    dark = draws.chance("dark", 0.5)
    hue = draws.uniform("hue")
    wall = np.where(
        dark, draws.uniform("low", 0.22, 0.48), draws.uniform("high", 0.72, 0.98)
    )
    rich = draws.uniform("rich", 0.25, 0.70) * np.where(dark, 1.1, 0.6)
    base = hsv_colours(hue, rich, wall)
    other = hsv_colours(
        (hue + draws.uniform("drift", -0.09, 0.09)) % 1, rich, wall * 0.80
    )
    canvas = np.empty((len(hue), 3, size, size), np.float32)
    canvas[:] = base[:, :, None, None]

    bearing, rate = (
        draws.uniform("bearing", 0.0, 6.28),
        draws.uniform("rate", 5.0, 11.0),
    )
    cos, sin = column(np.cos(bearing)), column(np.sin(bearing))
    along, across = x * cos + y * sin, y * cos - x * sin
    rate, phase = column(rate), column(draws.uniform("pattern_phase", 0.0, 6.28))
    kind = column(draws.integers("pattern", 0, 4))
    bands = stripes(rate * along + phase, rate, pixel)
    waves = stripes(rate * along + 1.6 * np.sin(3 * across) + phase, rate, pixel)
    check = bands + stripes(rate * across, rate, pixel) * (1 - 2 * bands)
    smooth = smoothstep(-1.0, 1.0, along)
    pattern = np.where(kind == 0, bands, np.where(kind == 1, waves,
                       np.where(kind == 2, check, smooth)))  # fmt: skip
    paint(canvas, 0.75 * pattern, other)
    light = smoothstep(1.9, 0.2, np.hypot(x + 0.5, y + 0.6))
    tint(canvas, np.broadcast_to(0.5 * (1 - light), level.shape), [0.62, 0.62, 0.70])

    shadow = np.zeros_like(level)
    drop = max(round(size / 28), 1)
    shadow[:, drop:, drop:] = smoothstep(-0.12, 0.05, level[:, :-drop, :-drop])
    tint(canvas, 0.5 * shadow, [0.45, 0.45, 0.50])
    far = (hue + 0.5 + draws.uniform("contrast", -0.22, 0.22)) % 1
    bright = np.where(
        dark, draws.uniform("bright", 0.88, 1.0), draws.uniform("dim", 0.15, 0.45)
    )
    paint_rich = np.where(
        dark, draws.uniform("pale", 0.05, 0.55), draws.uniform("deep", 0.5, 0.9)
    )
    colour = hsv_colours(far, paint_rich, bright)
    thick = column(draws.uniform("bolder", 0.0, 0.03))
    paint(canvas, np.clip((level + thick) / pixel + 0.5, 0, 1), colour)
    grain = draws.uniform("grain", -1.0, 1.0, (size, size))
    canvas += 0.03 * grain[:, None]
    return to_uint8(canvas)
