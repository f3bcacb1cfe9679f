"""Solid furniture and solid boxes on a voxel grid, with pictures of them.

Grids have axes (x, y, z), z up, and are filled inside. A piece at rotation 0 faces the
positive x axis; rotation is in degrees about z, counter-clockwise seen from above.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Integer, UInt8

from jaxgan.core.errors import UserError, one_of
from jaxgan.data.synthetic import furniture, voxel_views
from jaxgan.data.synthetic.raster import hex_colours
from jaxgan.data.synthetic.sampling import (
    Draws,
    Fields,
    check_indices,
    check_options,
    chosen,
    fields_of,
)

CLASSES = tuple(furniture.BUILDERS)
SIZES = (16, 32, 64)
_PAINT = hex_colours(
    "e09a5f", "c96f4a", "6f9fc8", "7fae83", "b58bc4", "d9b45b", "c97f8f"
)
_BLOCK = 2**19  # voxels built at a time


def build(
    label: Any, parameters: Any, rotation: Any = 0.0, size: int = 32
) -> UInt8[np.ndarray, "n size size size"]:
    """Builds furniture; the truth of any change, such as the same piece turned.

    Args:
      label: index or name out of `CLASSES`, or `[n]` indices.
      parameters: `[10]` or `[n, 10]` numbers in [0, 1], see `furniture`.
      rotation: degrees, a number or `[n]`.
      size: cells a side.

    Returns:
      Occupancy 0 or 1, `[n, size, size, size]`, axes x, y, z.

    Raises:
      UserError: for a class that does not exist.
    """
    if isinstance(label, str):
        label = CLASSES.index(one_of(label, CLASSES, "synthetic:voxels: class"))
    parameters = np.atleast_2d(np.asarray(parameters, np.float32))
    n = max(len(parameters), np.size(label), np.size(rotation))
    label = np.broadcast_to(np.asarray(label, np.int32), n)
    parameters = np.broadcast_to(parameters, (n, furniture.NUM_PARAMETERS))
    turn = np.deg2rad(np.broadcast_to(np.asarray(rotation, np.float32), n))
    parts = furniture.build(label, parameters)

    centres = (np.arange(size, dtype=np.float32) + 0.5) * (2 / size) - 1
    cos, sin = np.cos(turn)[:, None, None], np.sin(turn)[:, None, None]
    x, y = centres[:, None], centres[None, :]
    x, y = x * cos + y * sin, y * cos - x * sin  # [n, size, size], the piece's axes
    # A part thinner than a cell would fall between the cells' centres.
    half = np.maximum((parts.high - parts.low) / 2, [1.42 / size] * 2 + [1.02 / size])
    middle = (parts.high + parts.low) / 2

    solid = np.zeros((n, size, size, size), bool)
    for k in range(parts.there.shape[1]):
        rows = np.flatnonzero(parts.there[:, k])
        if not len(rows):
            continue
        at, reach = middle[rows, k], half[rows, k]
        across = np.abs(x[rows] - at[:, 0, None, None]) / reach[:, 0, None, None]
        along = np.abs(y[rows] - at[:, 1, None, None]) / reach[:, 1, None, None]
        square = np.maximum(across, along) < 1
        footprint = np.where(
            parts.round[rows, k, None, None], across**2 + along**2 < 1, square
        )
        height = np.abs(centres - at[:, 2:]) < reach[:, 2:]
        solid[rows] |= footprint[..., None] & height[:, None, None]
    return solid.view(np.uint8)


def silhouettes(
    voxels: UInt8[np.ndarray, "n r r r"],
) -> UInt8[np.ndarray, "n r r 3"]:
    """The outlines seen along the three axes, as the channels of a picture.

    Red looks along x (y to the right, z up), green along y (x right, z up), blue from
    above (x right, y up). 255 where anything is solid.
    """
    planes = [voxels.any(axis=axis) for axis in (1, 2, 3)]
    # Pictures have their rows downwards.
    planes = [plane.transpose(0, 2, 1)[:, ::-1] for plane in planes]
    return np.stack(planes, axis=-1).astype(np.uint8) * np.uint8(255)


@dataclasses.dataclass(frozen=True)
class Voxels:
    """Chairs, tables, beds, sofas, night stands and shelves.

    Fields of an example: `voxels` uint8 `[size, size, size]`, 0 or 1; `silhouettes`
    uint8 `[size, size, 3]`, see `silhouettes`; `view` uint8
    `[view_size, view_size, 3]`, a shaded picture from a fixed camera; int32 `label`;
    float32 `rotation` (degrees) and `parameters` `[10]` (in [0, 1], see `furniture`).

    Attributes:
      size: cells a side: 16, 32 or 64.
      seed: another seed is another data set.
      split: `train`, `validation` or `test`; no two share a piece.
      count: number of examples.
      rotation_step: rotations are multiples of it, degrees; 0 for any rotation, 360
        for none.
      view_size: side of `view`, pixels.
      classes: which furniture appears.
    """

    size: int = 32
    seed: int = 0
    split: str = "train"
    count: int = 10_000
    rotation_step: float | int = 30
    view_size: int = 64
    classes: tuple[str, ...] = CLASSES

    def __post_init__(self):
        check_options("voxels", self.split, self.count, self.size, least=16)
        if self.size not in SIZES:
            raise UserError(
                f"synthetic:voxels: size is {self.size}; use one of {SIZES}."
            )
        if not 0 <= self.rotation_step <= 360:
            raise UserError("synthetic:voxels: rotation_step must lie in 0..360.")
        if self.view_size < 16 or not self.classes:
            raise UserError(
                "synthetic:voxels: view_size must be 16 or more, classes not empty."
            )
        for name in self.classes:
            one_of(name, CLASSES, "synthetic:voxels: class")

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
            voxels=((self.size,) * 3, np.uint8),
            silhouettes=((self.size, self.size, 3), np.uint8),
            view=((self.view_size, self.view_size, 3), np.uint8),
            label=((), np.int32),
            rotation=((), np.float32),
            parameters=((furniture.NUM_PARAMETERS,), np.float32),
        )

    def factors(self, indices: Integer[np.ndarray, " n"]) -> dict[str, np.ndarray]:
        """What determines the voxels; cheap."""
        draws = self._draws(indices)
        known = np.array([CLASSES.index(name) for name in self.classes], np.int32)
        rotation = draws.uniform("rotation", 0.0, 360.0)
        if self.rotation_step:
            turns = max(int(360 / self.rotation_step), 1)
            rotation = draws.integers("turn", 0, turns) * np.float32(self.rotation_step)
        return {
            "label": known[draws.integers("label", 0, len(known))],
            "rotation": rotation.astype(np.float32),
            "parameters": draws.uniform("form", shape=(furniture.NUM_PARAMETERS,)),
        }

    def examples(
        self, indices: Integer[np.ndarray, " n"], fields: Sequence[str] | None = None
    ) -> dict[str, np.ndarray]:
        """Builds the examples at `indices`, each a function of (seed, split, index).

        Args:
          indices: `[n]`, each in 0..count-1.
          fields: what to return; None for all. `view` is the slow one.

        Returns:
          The fields with a leading axis n.
        """
        wanted = chosen(self.fields, fields, "voxels")
        indices = check_indices(indices, self.count)
        found = self.factors(indices)
        drawn = [name for name in wanted if name not in found]
        for name in drawn:
            shape, dtype = self.fields[name]
            found[name] = np.empty((len(indices), *shape), dtype)
        paint = _PAINT[self._draws(indices).integers("paint", 0, len(_PAINT))]
        step = max(_BLOCK // self.size**3, 1)
        for first in range(0, len(indices) if drawn else 0, step):
            part = slice(first, first + step)
            some = (found[name][part] for name in ("label", "parameters", "rotation"))
            solid = build(*some, size=self.size)
            if "voxels" in drawn:
                found["voxels"][part] = solid
            if "silhouettes" in drawn:
                found["silhouettes"][part] = silhouettes(solid)
            if "view" in drawn:
                found["view"][part] = voxel_views.view(
                    solid, paint[part], self.view_size
                )
        return {name: found[name] for name in wanted}

    def _draws(self, indices: Integer[np.ndarray, " n"]) -> Draws:
        indices = check_indices(indices, self.count)
        return Draws(("voxels", self.seed, self.split), indices)


@dataclasses.dataclass(frozen=True)
class Boxes:
    """One solid box a grid: the smallest set of shapes worth learning.

    Fields of an example: `voxels` uint8 `[size, size, size]`, 0 or 1; `silhouettes`
    uint8 `[size, size, 3]`; int32 `sides` `[3]` and `corner` `[3]` (the lowest cell).
    Sides are uniform in a quarter to three quarters of the grid (4 to 12 of 16), places
    uniform but for the outermost cells, which stay empty. There are few enough boxes
    that splits may share some.

    Attributes:
      size: cells a side, 16 as a rule.
      seed: another seed is another data set.
      split: `train`, `validation` or `test`.
      count: number of examples.
    """

    size: int = 16
    seed: int = 0
    split: str = "train"
    count: int = 10_000

    def __post_init__(self):
        check_options("boxes", self.split, self.count, self.size, least=8)

    def __len__(self) -> int:
        return self.count

    @property
    def fields(self) -> Fields:
        """Name -> (shape, dtype) of one example."""
        return fields_of(
            voxels=((self.size,) * 3, np.uint8),
            silhouettes=((self.size, self.size, 3), np.uint8),
            sides=((3,), np.int32),
            corner=((3,), np.int32),
        )

    def examples(
        self, indices: Integer[np.ndarray, " n"], fields: Sequence[str] | None = None
    ) -> dict[str, np.ndarray]:
        """Builds the examples at `indices`, each a function of (seed, split, index).

        Args:
          indices: `[n]`, each in 0..count-1.
          fields: what to return; None for all.

        Returns:
          The fields with a leading axis n.
        """
        wanted = chosen(self.fields, fields, "boxes")
        indices = check_indices(indices, self.count)
        draws = Draws(("boxes", self.seed, self.split), indices)
        sides = draws.integers("sides", self.size // 4, self.size * 3 // 4 + 1, (3,))
        room = (self.size - 2 - sides + 1).astype(np.float32)
        place = np.floor(draws.uniform("corner", shape=(3,)) * room)
        corner = 1 + place.astype(np.int32)
        cells = np.arange(self.size)
        inside = (cells >= corner[..., None]) & (cells < (corner + sides)[..., None])
        x, y, z = inside[:, 0], inside[:, 1], inside[:, 2]
        solid = x[:, :, None, None] & y[:, None, :, None] & z[:, None, None, :]
        solid = solid.view(np.uint8)
        found = {"voxels": solid, "sides": sides, "corner": corner}
        if "silhouettes" in wanted:
            found["silhouettes"] = silhouettes(solid)
        return {name: found[name] for name in wanted}
