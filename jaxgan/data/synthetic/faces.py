"""Drawn faces with every factor known: who, how old, turned where, wearing what.

A picture is a pure function of its factors, so that for each example the truth of any
change is one call of `render` away: the same person older, smiling, turned, without
glasses. Positive yaw turns the face towards the picture's right.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Integer, UInt8

from jaxgan.core.errors import UserError, one_of
from jaxgan.data.synthetic import face_hair, face_parts
from jaxgan.data.synthetic.face_person import Person, person
from jaxgan.data.synthetic.raster import grid, to_uint8
from jaxgan.data.synthetic.sampling import (
    Draws,
    Fields,
    check_indices,
    check_options,
    chosen,
    fields_of,
)

HAIR_COLOURS = ("black", "brown", "blond", "red", "grey")
BACKGROUNDS = ("teal", "peach", "lilac", "mint", "sky", "rose", "sand", "slate")
MAX_YAW = 60.0  # degrees
AGES = (10.0, 80.0)  # years

_INTEGERS = ("identity", "glasses", "hair_colour", "background")
# Factor -> lowest and highest value that can be drawn.
_RANGES = {
    "identity": (0, 2**31 - 1),
    "yaw": (-MAX_YAW, MAX_YAW),
    "age": AGES,
    "glasses": (0, 1),
    "smile": (0.0, 1.0),
    "hair_colour": (0, len(HAIR_COLOURS) - 1),
    "background": (0, len(BACKGROUNDS) - 1),
}
_NAMES = {"hair_colour": HAIR_COLOURS, "background": BACKGROUNDS}
_ZOOM, _DROP = 1.13, 0.07  # from face units to the picture
_BLOCK = 2**16  # pixels drawn at a time: their planes stay in the cache


def _factor(name: str, value: Any) -> np.ndarray:
    """A factor given as number, array or class name, checked, as int32 or float32."""
    if isinstance(value, str) and name in _NAMES:
        known = _NAMES[name]
        value = known.index(one_of(value, known, f"synthetic:faces: {name}"))
    value = np.asarray(value, np.int32 if name in _INTEGERS else np.float32)
    low, high = _RANGES[name]
    if value.size and not (low <= value.min() and value.max() <= high):
        raise UserError(
            f"synthetic:faces: {name} must lie in {low}..{high}, got {value}."
        )
    return value


def render(
    identity: Any,
    yaw: Any = 0.0,
    age: Any = 30.0,
    glasses: Any = 0,
    smile: Any = 0.5,
    hair_colour: Any = "brown",
    background: Any = "sky",
    size: int = 64,
) -> UInt8[np.ndarray, "n size size 3"]:
    """Draws people; the same identity is the same person in every picture.

    Args:
      identity: number of the person, 0 or more. This and all other factors are a
        number or an array `[n]`; numbers are broadcast.
      yaw: degrees in -60..60, positive towards the picture's right.
      age: years in 10..80.
      glasses: 1 to wear them, 0 not to.
      smile: 0 (neutral) to 1 (a laugh).
      hair_colour: index or name out of `HAIR_COLOURS`; age silvers it.
      background: index or name out of `BACKGROUNDS`.
      size: side of the square pictures, pixels.

    Returns:
      uint8 RGB, `[n, size, size, 3]`; n = 1 if all factors are numbers.

    Raises:
      UserError: for a factor outside its range.
    """
    check_options("faces", "train", 1, size, least=16)
    given = dict(identity=identity, yaw=yaw, age=age, glasses=glasses, smile=smile,
                 hair_colour=hair_colour, background=background)  # fmt: skip
    arrays = [np.atleast_1d(_factor(name, value)) for name, value in given.items()]
    factors = dict(zip(given, np.broadcast_arrays(*arrays), strict=True))
    who = person(factors["identity"], factors["age"])
    images = np.empty((len(factors["yaw"]), size, size, 3), np.uint8)
    step = max(_BLOCK // size**2, 1)
    for first in range(0, len(images), step):
        part = slice(first, first + step)
        some = {name: value[part] for name, value in factors.items()}
        images[part] = _draw(who.take(part), size=size, **some)
    return images


def _draw(
    who: Person,
    size: int,
    identity: Integer[np.ndarray, " n"],
    yaw: Float[np.ndarray, " n"],
    age: Float[np.ndarray, " n"],
    glasses: Integer[np.ndarray, " n"],
    smile: Float[np.ndarray, " n"],
    hair_colour: Integer[np.ndarray, " n"],
    background: Integer[np.ndarray, " n"],
) -> UInt8[np.ndarray, "n size size 3"]:
    """From back to front; `identity` has done its work in `who`."""
    x, y = grid(size)
    x, y = x / _ZOOM, (y - _DROP) / _ZOOM
    pixel = 2 / size / _ZOOM
    yaw = np.deg2rad(yaw)
    colour = face_hair.hair_colour(hair_colour, age, who)
    canvas = np.empty((len(identity), 3, size, size), np.float32)
    head = face_parts.Head(x, y, pixel, who, yaw)
    hair = face_hair.Hair(head, who, yaw, colour)

    face_hair.background(canvas, x, y, background)
    hair.behind(canvas)
    face_hair.body(canvas, x, y, pixel, who, yaw)
    cover = face_parts.skin_and_shade(canvas, head, who)
    face_parts.cheeks(canvas, head, who, smile, age, cover)
    face_parts.wrinkles(canvas, head, who, age, smile, cover)
    face_hair.beard(canvas, head, who, colour, cover)
    face_parts.eyes(canvas, head, who, smile, cover)
    face_parts.brows(canvas, head, who, colour * 0.8, smile, cover)
    face_parts.mouth(canvas, head, who, smile, cover)
    face_parts.nose(canvas, head, who, cover)
    face_hair.glasses(canvas, head, who, glasses)
    hair.before(canvas)
    face_hair.ears(canvas, head, who, shown=who.hair["burn"] < 0.3)
    return to_uint8(canvas)


@dataclasses.dataclass(frozen=True)
class Faces:
    """People drawn with independent factors.

    Fields of an example: `image` uint8 `[size, size, 3]`; int32 `identity`, `glasses`,
    `hair_colour` (index into `HAIR_COLOURS`), `background` (into `BACKGROUNDS`);
    float32 `yaw` (degrees), `age` (years), `smile` (0..1).

    Attributes:
      size: side of the pictures, pixels, 16 or more.
      seed: another seed is another data set (of the same people).
      split: `train`, `validation` or `test`; no two share a picture.
      count: number of examples.
      num_identities: how many people there are.
      first_identity: number of the first; set it beyond the training people's to meet
        people never seen.
      yaws: the yaws to choose from, degrees; empty for any in -60..60.
      fixed: factors held at one value, such as `(("glasses", 0), ("age", 30))`.
    """

    size: int = 64
    seed: int = 0
    split: str = "train"
    count: int = 10_000
    num_identities: int = 500
    first_identity: int = 0
    yaws: tuple[float | int, ...] = ()
    fixed: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self):
        check_options("faces", self.split, self.count, self.size, least=16)
        if self.num_identities < 1:
            raise UserError("synthetic:faces: num_identities must be 1 or more.")
        for name, value in (*self.fixed, *(("yaw", yaw) for yaw in self.yaws)):
            _factor(one_of(name, _RANGES, "synthetic:faces: fixed factor"), value)

    def __len__(self) -> int:
        return self.count

    @property
    def names(self) -> dict[str, tuple[str, ...]]:
        """Field -> the names of its classes."""
        return dict(_NAMES)

    @property
    def fields(self) -> Fields:
        """Name -> (shape, dtype) of one example."""
        factors = {
            name: ((), np.int32 if name in _INTEGERS else np.float32)
            for name in _RANGES
        }
        return fields_of(image=((self.size, self.size, 3), np.uint8), **factors)

    def factors(self, indices: Integer[np.ndarray, " n"]) -> dict[str, np.ndarray]:
        """What `examples` returns but for the image; cheap."""
        indices = check_indices(indices, self.count)
        draws = Draws(("faces", self.seed, self.split), indices)
        yaw = draws.uniform("yaw", -MAX_YAW, MAX_YAW)
        if self.yaws:
            yaw = np.asarray(self.yaws, np.float32)[
                draws.integers("view", 0, len(self.yaws))
            ]
        last = self.first_identity + self.num_identities
        factors = {
            "identity": draws.integers("identity", self.first_identity, last),
            "yaw": yaw,
            "age": draws.uniform("age", *AGES),
            "glasses": draws.chance("glasses", 0.4).astype(np.int32),
            "smile": draws.uniform("smile"),
            "hair_colour": draws.integers("hair_colour", 0, len(HAIR_COLOURS)),
            "background": draws.integers("background", 0, len(BACKGROUNDS)),
        }
        for name, value in self.fixed:
            factors[name] = np.full_like(factors[name], _factor(name, value))
        return factors

    def examples(
        self, indices: Integer[np.ndarray, " n"], fields: Sequence[str] | None = None
    ) -> dict[str, np.ndarray]:
        """Draws the examples at `indices`, each a function of (seed, split, index).

        Args:
          indices: `[n]`, each in 0..count-1.
          fields: what to return; None for all.

        Returns:
          The fields with a leading axis n.
        """
        wanted = chosen(self.fields, fields, "faces")
        found = self.factors(indices)
        if "image" in wanted:
            found["image"] = render(**found, size=self.size)
        return {name: found[name] for name in wanted}
