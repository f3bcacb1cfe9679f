"""Scenes of one to three shapes, drawn in several ways that determine one another.

edges      ink outlines on paper, hidden lines removed
labels     a flat colour a class, as in label maps of house fronts
filled     the painted scene: pattern from the class, its direction from the angle,
           tint from the size; a fixed function of the sketch
style_a    flat shapes in reds on grey; style_b: the same scene with red and green
           exchanged, exactly (`swap_style`)
flat       another kind of scene, for super-resolution: flat discs, rectangles and
           lines two pixels wide
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Integer, UInt8

from jaxgan.core.errors import UserError, one_of
from jaxgan.data.synthetic.outlines import OUTLINES
from jaxgan.data.synthetic.raster import (
    column,
    fill,
    grid,
    hex_colours,
    hsv_colours,
    paint,
    smoothstep,
    stripes,
    stroke,
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

CLASSES = tuple(OUTLINES)
PICTURES = ("edges", "labels", "filled", "style_a", "style_b", "flat")
MOST = 3  # shapes in a scene
_BLOCK = 2**16  # pixels drawn at a time

PAPER, INK = hex_colours("fbf8f1", "2b2d36")
# One row a class, in the order of CLASSES.
_LABEL = hex_colours("f26b4e", "3f7fd9", "3fb98a", "f7c548", "c85aa8")
_LABEL_GROUND = hex_colours("2a3350")[0]
_SMALL = hex_colours("ff9d6e", "6fb7ee", "7fd8a4", "ffd97a", "ff8fb0")
_LARGE = hex_colours("d63a3a", "2d5fb8", "23906c", "ee9f2a", "c22f73")
_PALE = hex_colours("ffd9b8", "b9dcf7", "c8f0d2", "fff3c4", "ffd3df")


def swap_style(
    image: UInt8[np.ndarray, "*n h w 3"],
) -> UInt8[np.ndarray, "*n h w 3"]:
    """The truth between `style_a` and `style_b`, both ways: red and green exchanged."""
    return image[..., [1, 0, 2]]


def render(
    picture: str,
    shape_class: Integer[np.ndarray, "n 3"],
    position: Float[np.ndarray, "n 3 2"],
    shape_size: Float[np.ndarray, "n 3"],
    angle: Float[np.ndarray, "n 3"],
    size: int = 64,
) -> UInt8[np.ndarray, "n size size 3"]:
    """Draws a sketch or painting of scenes; for the truth of changed factors.

    Args:
      picture: `edges`, `labels` or `filled`.
      shape_class, position, shape_size, angle: as the fields of `Shapes`.
      size: side of the pictures, pixels.

    Raises:
      UserError: for another picture.
    """
    one_of(picture, _OF_FACTORS, "synthetic:shapes: picture")
    scene = _Scene(size, {"shape_class": shape_class, "position": position,
                          "shape_size": shape_size, "angle": angle})  # fmt: skip
    return _OF_FACTORS[picture](scene)


@dataclasses.dataclass(frozen=True)
class Shapes:
    """Scenes of shapes.

    Fields of an example: the pictures of `PICTURES`, uint8 `[size, size, 3]`; int32
    `num_shapes` and `shape_class` `[3]` (index into `CLASSES`, -1 where there is no
    shape); float32 `position` `[3, 2]` (x right, y down, the picture is -1..1),
    `shape_size` `[3]` (radius, same units) and `angle` `[3]` (degrees, clockwise), 0
    where there is no shape. Later shapes lie on top. `flat` is a scene of its own and
    has no factors.

    Attributes:
      size: side of the pictures, pixels, 16 or more.
      seed: another seed is another data set.
      split: `train`, `validation` or `test`; no two share a scene.
      count: number of examples.
      max_shapes: 1 to 3.
      classes: which classes appear.
    """

    size: int = 64
    seed: int = 0
    split: str = "train"
    count: int = 10_000
    max_shapes: int = MOST
    classes: tuple[str, ...] = CLASSES

    def __post_init__(self):
        check_options("shapes", self.split, self.count, self.size, least=16)
        if not 1 <= self.max_shapes <= MOST:
            raise UserError(
                f"synthetic:shapes: max_shapes is {self.max_shapes}; use 1 to {MOST}."
            )
        if not self.classes:
            raise UserError(f"synthetic:shapes: classes is empty; use {CLASSES}.")
        for name in self.classes:
            one_of(name, CLASSES, "synthetic:shapes: class")

    def __len__(self) -> int:
        return self.count

    @property
    def names(self) -> dict[str, tuple[str, ...]]:
        """Field -> the names of its classes."""
        return {"shape_class": CLASSES}

    @property
    def fields(self) -> Fields:
        """Name -> (shape, dtype) of one example."""
        image = ((self.size, self.size, 3), np.uint8)
        return fields_of(
            **{name: image for name in PICTURES},
            num_shapes=((), np.int32),
            shape_class=((MOST,), np.int32),
            position=((MOST, 2), np.float32),
            shape_size=((MOST,), np.float32),
            angle=((MOST,), np.float32),
        )

    def factors(self, indices: Integer[np.ndarray, " n"]) -> dict[str, np.ndarray]:
        """What the scenes hold; cheap."""
        draws = self._draws(indices)
        number = draws.integers("number", 1, self.max_shapes + 1)
        known = np.array([CLASSES.index(name) for name in self.classes], np.int32)
        kind = known[draws.integers("class", 0, len(known), (MOST,))]
        # The more shapes, the smaller, and the further from the centre.
        unit = draws.uniform("size", shape=(MOST,))
        least = _by_number(number, 0.46, 0.33, 0.29)[:, None]
        most = _by_number(number, 0.74, 0.49, 0.42)[:, None]
        size = least + (most - least) * unit
        turn = np.arange(MOST) / number[:, None] + draws.uniform("turn")[:, None]
        turn = 2 * np.pi * (turn + draws.uniform("jitter", -0.04, 0.04, (MOST,)))
        away = _by_number(number, 0.0, 0.50, 0.56)[:, None]
        position = away[..., None] * np.stack([np.cos(turn), np.sin(turn)], -1)
        loose = (0.96 - size - away)[..., None].clip(0.03, None)
        position = position + loose * draws.uniform("shift", -1.0, 1.0, (MOST, 2))
        there = np.arange(MOST) < number[:, None]
        return {
            "num_shapes": number,
            "shape_class": np.where(there, kind, -1).astype(np.int32),
            "position": (position * there[..., None]).astype(np.float32),
            "shape_size": (size * there).astype(np.float32),
            "angle": draws.uniform("angle", -180.0, 180.0, (MOST,)) * there,
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
        wanted = chosen(self.fields, fields, "shapes")
        indices = check_indices(indices, self.count)
        found = self.factors(indices)
        pictures = [name for name in wanted if name in PICTURES]
        shape = (len(indices), self.size, self.size, 3)
        found.update({name: np.empty(shape, np.uint8) for name in pictures})
        step = max(_BLOCK // self.size**2, 1)
        for first in range(0, len(indices) if pictures else 0, step):
            part = slice(first, first + step)
            draws = self._draws(indices[part])
            scene = _Scene(self.size, {k: v[part] for k, v in found.items()})
            for name in pictures:
                drawn = (
                    _OF_FACTORS[name](scene)
                    if name in _OF_FACTORS
                    else _OF_DRAWS[name](scene, draws)
                )
                found[name][part] = drawn
        return {name: found[name] for name in wanted}

    def _draws(self, indices: Integer[np.ndarray, " n"]) -> Draws:
        indices = check_indices(indices, self.count)
        return Draws(("shapes", self.seed, self.split), indices)


def _by_number(number: np.ndarray, one: float, two: float, three: float) -> np.ndarray:
    return np.array([one, two, three], np.float32)[number - 1]


class _Scene:
    """The shapes of n scenes, placed on the pixel grid."""

    def __init__(self, size: int, factors: dict[str, np.ndarray]):
        self.size, self.pixel = size, 2 / size
        self.x, self.y = grid(size)
        self.kinds = factors["shape_class"]
        self.radii, self.angles = factors["shape_size"], factors["angle"]
        self.centres = factors["position"]

    def blank(self, colour: Any) -> np.ndarray:
        canvas = np.empty((len(self.kinds), 3, self.size, self.size), np.float32)
        canvas[:] = np.asarray(colour).reshape(-1, 3, 1, 1)
        return canvas

    def local(
        self, k: int, shift: tuple[float, float] = (0.0, 0.0)
    ) -> tuple[np.ndarray, np.ndarray]:
        """Pixel centres in shape k's own axes, in units of its radius, y up."""
        x = self.x - column(self.centres[:, k, 0] + shift[0])
        y = self.y - column(self.centres[:, k, 1] + shift[1])
        turn = column(np.deg2rad(self.angles[:, k]))
        radius = column(np.maximum(self.radii[:, k], 1e-3))
        cos, sin = np.cos(turn) / radius, np.sin(turn) / radius
        return x * cos + y * sin, x * sin - y * cos

    def distance(
        self, k: int, shift: tuple[float, float] = (0.0, 0.0)
    ) -> Float[np.ndarray, "n h w"]:
        """To the outline of shape k, positive inside; far outside if it is absent."""
        x, y = self.local(k, shift)
        result = np.full(x.shape, -9, np.float32)
        for index, name in enumerate(CLASSES):
            rows = np.flatnonzero(self.kinds[:, k] == index)
            if len(rows):
                radius = column(self.radii[rows, k])
                result[rows] = OUTLINES[name](x[rows], y[rows]) * radius
        return result


def _edges(scene: _Scene) -> np.ndarray:
    canvas = scene.blank(PAPER)
    half_width = max(0.016, 0.55 * scene.pixel)
    for k in range(MOST):
        distance = scene.distance(k)
        paint(canvas, fill(distance, scene.pixel), PAPER)
        paint(canvas, stroke(distance, half_width, scene.pixel), INK)
    return to_uint8(canvas)


def _labels(scene: _Scene) -> np.ndarray:
    canvas = scene.blank(_LABEL_GROUND)
    for k in range(MOST):
        paint(canvas, fill(scene.distance(k), scene.pixel), _LABEL[scene.kinds[:, k]])
    return to_uint8(canvas)


def _filled(scene: _Scene) -> np.ndarray:
    x, y, pixel = scene.x, scene.y, scene.pixel
    top, bottom = hex_colours("f6efe2", "cfe0ea")
    canvas = scene.blank(top)
    down = np.broadcast_to(smoothstep(-1.2, 1.2, y), canvas[:, 0].shape)
    paint(canvas, down, bottom)
    bands = stripes(9.0 * (x + y), 9.0 * 2**0.5, pixel)
    tint(canvas, np.broadcast_to(bands, down.shape), [0.955, 0.95, 0.94])
    for k in range(MOST):
        shadow = np.clip(scene.distance(k, (0.05, 0.07)) / 0.13 + 0.5, 0, 1)
        tint(canvas, 0.42 * shadow, [0.50, 0.52, 0.66])
        distance = scene.distance(k)
        inside = fill(distance, pixel)
        kind, radius = scene.kinds[:, k], scene.radii[:, k]
        share = smoothstep(0.28, 0.72, radius)[:, None]
        deep = _SMALL[kind] * (1 - share) + _LARGE[kind] * share
        paint(canvas, inside, deep)
        local_x, local_y = scene.local(k)
        pattern = _pattern(kind, local_x, local_y, pixel / column(radius + 1e-3))
        paint(canvas, inside * pattern, _PALE[kind])
        # Light from the upper left: a gloss there, shade along the lower right rim.
        across = (x - column(scene.centres[:, k, 0])) / column(radius + 1e-3)
        below = (y - column(scene.centres[:, k, 1])) / column(radius + 1e-3)
        lee = smoothstep(-0.6, 1.2, 0.6 * across + 0.8 * below)
        tint(canvas, 0.75 * lee * inside, [0.66, 0.62, 0.72])
        gloss = 1 - ((across + 0.34) ** 2 + (below + 0.40) ** 2) / 0.36
        paint(canvas, 0.38 * np.clip(gloss, 0, 1) * inside, np.ones(3))
        rim = stroke(distance, max(0.014, 0.4 * pixel), pixel)
        paint(canvas, rim, deep * 0.45)
    return to_uint8(canvas)


def _pattern(
    kind: Integer[np.ndarray, " n"],
    x: Float[np.ndarray, "n h w"],
    y: Float[np.ndarray, "n h w"],
    pixel: Float[np.ndarray, "n 1 1"],
) -> Float[np.ndarray, "n h w"]:
    """The share of the pale colour, by class, in the shape's own axes."""
    result = np.zeros(x.shape, np.float32)
    for index, name in enumerate(CLASSES):
        rows = np.flatnonzero(kind == index)
        if not len(rows):
            continue
        u, v, fine = x[rows], y[rows], pixel[rows]
        if name == "disc":  # rings
            share = stripes(10.2 * np.hypot(u, v) - 1.2, 10.2, fine)
        elif name == "square":  # a check
            one = stripes(5.9 * u, 5.9, fine)
            other = stripes(5.9 * v, 5.9, fine)
            share = one + other - 2 * one * other
        elif name == "triangle":  # bands across
            share = stripes(9.5 * v + 1.0, 9.5, fine)
        elif name == "star":  # one side of each arm
            reach = np.hypot(u, v)
            wave = np.sin(5 * np.arctan2(u, v))
            share = np.clip(reach * wave / (5 * fine) + 0.5, 0, 1)
        else:  # dots
            spot = np.cos(7.5 * (u + v)) * np.cos(7.5 * (u - v)) - 0.35
            share = np.clip(spot / (9.0 * fine) + 0.5, 0, 1) * (spot > -0.9)
        result[rows] = share
    return result


def _style_a(scene: _Scene, draws: Draws) -> np.ndarray:
    """Reds on grey; every grey has red = green, so that a swap leaves it alone."""
    grey = draws.uniform("ground", 0.55, 0.85)
    canvas = scene.blank(np.repeat(grey[:, None], 3, axis=1))
    strong = draws.uniform("strong", 0.72, 0.95, (MOST,))
    weak = draws.uniform("weak", 0.08, 0.30, (MOST, 2))
    for k in range(MOST):
        colour = np.stack([strong[:, k], weak[:, k, 0], weak[:, k, 1]], axis=1)
        paint(canvas, fill(scene.distance(k), scene.pixel), colour)
    return to_uint8(canvas)


def _flat(scene: _Scene, draws: Draws) -> np.ndarray:
    """3 to 6 flat discs, rectangles and lines; 4 x 4 samples a pixel."""
    most, size = 6, scene.size
    x, y = grid(4 * size)
    number = draws.integers("flat_number", 3, most + 1)
    kind = draws.integers("flat_kind", 0, 3, (most,))
    centre = draws.uniform("flat_centre", -0.85, 0.85, (most, 2))
    extent = draws.uniform("flat_extent", 0.12, 0.50, (most, 2))
    angle = draws.uniform("flat_angle", 0.0, np.pi, (most,))
    shades = hsv_colours(
        draws.uniform("flat_hue", shape=(most + 1,)),
        draws.uniform("flat_saturation", 0.15, 0.75, (most + 1,)),
        draws.uniform("flat_value", 0.35, 1.0, (most + 1,)),
    )
    canvas = np.empty((len(number), 3, size, size), np.float32)
    canvas[:] = shades[:, most, :, None, None]
    for k in range(most):
        for shape in range(3):
            rows = np.flatnonzero((kind[:, k] == shape) & (k < number))
            if not len(rows):
                continue
            across = x - column(centre[rows, k, 0])
            below = y - column(centre[rows, k, 1])
            wide, high = column(extent[rows, k, 0]), column(extent[rows, k, 1])
            if shape == 0:
                inside = across * across + below * below < wide * wide
            elif shape == 1:
                inside = (np.abs(across) < wide) & (np.abs(below) < high)
            else:  # 2 pixels wide, longer than the other shapes
                cos, sin = (column(f(angle[rows, k])) for f in (np.cos, np.sin))
                inside = np.abs(across * sin - below * cos) < 2 / size
                inside &= np.abs(across * cos + below * sin) < wide + 0.35
            samples = inside.reshape(len(rows), size, 4, size, 4).view(np.uint8)
            cover = samples.sum(axis=(2, 4), dtype=np.uint8).astype(np.float32) / 16
            part = canvas[rows]
            paint(part, cover, shades[rows, k])
            canvas[rows] = part
    return to_uint8(canvas)


def _style_b(scene: _Scene, draws: Draws) -> np.ndarray:
    return swap_style(_style_a(scene, draws))


# The first follow from the factors alone, the others take further draws.
_OF_FACTORS = {"edges": _edges, "labels": _labels, "filled": _filled}
_OF_DRAWS = {"style_a": _style_a, "style_b": _style_b, "flat": _flat}
