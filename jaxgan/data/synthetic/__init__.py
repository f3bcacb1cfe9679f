"""Embedded procedural data sets: drawn, not stored, with the truth of every factor.

Each is a frozen dataclass with `len`, `fields` (name -> shape and dtype of one
example), `names` (field -> its classes), `factors(indices)` and
`examples(indices, fields)`. Example i is a function of (seed, split, i) alone. Plain
NumPy: no file, no download, no TensorFlow.

    faces      people: identity, yaw, age, glasses, smile, hair colour, background
    shapes     scenes: sketch, label map, painting, two styles; flat ones for upscaling
    digits     handwriting in grey, and the same strokes in colour on a wall
    voxels     furniture, its silhouettes and a view of it
    boxes      one solid box a grid
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from jaxgan.core.errors import UserError, one_of
from jaxgan.data.synthetic.digits import Digits as Digits
from jaxgan.data.synthetic.faces import Faces as Faces
from jaxgan.data.synthetic.shapes import Shapes as Shapes
from jaxgan.data.synthetic.voxels import Boxes as Boxes
from jaxgan.data.synthetic.voxels import Voxels as Voxels

DATA_SETS = {
    "faces": Faces,
    "shapes": Shapes,
    "digits": Digits,
    "voxels": Voxels,
    "boxes": Boxes,
}


def make(name: str, **options: Any) -> Faces | Shapes | Digits | Voxels | Boxes:
    """Makes a data set by name.

    Args:
      name: a key of `DATA_SETS`.
      options: fields of its class; lists become tuples, mappings tuples of pairs.

    Raises:
      UserError: for an unknown name or option (the nearest is suggested) and for
        values that the data set refuses.
    """
    kind = DATA_SETS[one_of(name, DATA_SETS, "synthetic data set")]
    known = {field.name: field for field in dataclasses.fields(kind)}
    for option, value in options.items():
        one_of(option, known, f"synthetic:{name}: option")
        default = known[option].default
        # A number of the wrong type would fail deep inside the drawing.
        if isinstance(default, int) and (
            isinstance(value, bool) or not isinstance(value, int)
        ):
            raise UserError(
                f"synthetic:{name}: {option} is {value!r}; give a whole number"
            )
    return kind(**{option: _hashable(value) for option, value in options.items()})


def _hashable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return tuple((key, _hashable(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return tuple(_hashable(item) for item in value)
    return value
