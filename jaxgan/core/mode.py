"""Modes: what one can do with a trained system, declared so that tools need no names.

`generate`, `export`, the contract test and the studio read these declarations alone.
Arrays carry a batch axis first; images are in [-1, 1].
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from jaxgan.core.errors import UserError


@dataclasses.dataclass(frozen=True)
class Image:
    """Images `[b, h, w, channels]` in [-1, 1].

    Attributes:
      channels: 1 or 3 (2 for the ab planes of Lab), or more, which no image file holds.
      size: `(height, width)` that the network was built for, or None where it is fully
        convolutional and takes any size.
      multiple_of: both sides must be a multiple of this; inputs of a fully
        convolutional mode are padded and the results cropped back.
      scale: an output's size over its input's (super-resolution).
      help: a line for `--help`.
    """

    channels: int = 3
    size: tuple[int, int] | None = None
    multiple_of: int = 1
    scale: int = 1
    help: str = ""


@dataclasses.dataclass(frozen=True)
class Mask:
    """Hole masks `[b, h, w, 1]`, 1 = missing, of the same size as the image input."""

    size: tuple[int, int] | None = None
    help: str = ""


@dataclasses.dataclass(frozen=True)
class Labels:
    """Class numbers `[b]`, int32 in [0, count)."""

    count: int
    help: str = ""


@dataclasses.dataclass(frozen=True)
class Latent:
    """Latent vectors `[b, size]`; drawn from `prior` where the user gives none.

    Attributes:
      prior: `normal`, `uniform` in [-1, 1), `uniform01` in [0, 1), or
        `uniform_unit_variance` in [-sqrt 3, sqrt 3).
    """

    size: int
    prior: str = "normal"
    help: str = ""


@dataclasses.dataclass(frozen=True)
class Voxels:
    """Occupancy `[b, r, r, r, 1]` in [0, 1], the last spatial axis up."""

    resolution: int
    help: str = ""


@dataclasses.dataclass(frozen=True)
class Values:
    """Plain numbers `[b, *shape]`; a size of -1 is any (features, scores, curves)."""

    shape: tuple[int, ...] = ()
    help: str = ""


@dataclasses.dataclass(frozen=True)
class Float:
    """A number, traced."""

    default: float
    low: float = float("-inf")
    high: float = float("inf")
    help: str = ""


@dataclasses.dataclass(frozen=True)
class Int:
    """A whole number, static: it may decide shapes, such as the number of steps."""

    default: int
    low: int = 0
    high: int = 2**31 - 1
    help: str = ""


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of several words, static."""

    options: tuple[str, ...]
    default: str
    help: str = ""


@dataclasses.dataclass(frozen=True)
class Set:
    """Several of `item` for each example: the axis `n` follows the batch axis."""

    item: Image | Latent | Voxels
    minimum: int = 1
    help: str = ""


Input: TypeAlias = (
    Image | Mask | Labels | Latent | Voxels | Values | Float | Int | Choice | Set
)
Output: TypeAlias = Image | Voxels | Values | Latent | Set
STATIC = (Int, Choice)  # inputs that are Python values where the mode is compiled


@dataclasses.dataclass(frozen=True)
class Mode:
    """One thing that a trained system does.

    Attributes:
      fn: `fn(variables, frozen, inputs, key) -> {name: array}`, pure and jittable.
        `variables` is `{network: variables}`; `inputs` has the declared names; `Int`
        and `Choice` inputs are Python values, all others arrays.
      inputs: the declared inputs.
      output: the declared outputs, the main one first.
      host: optional `host(outputs) -> {file name pattern: writer}` outside `jit`, such
        as a mesh made of voxels: `{suffix: write(path, example_outputs)}`.
      networks: the networks that `fn` reads (so that an export holds no others).
      help: one line for `jaxgan systems` and `--help`.
      per_example: whether an example's result is independent of its batch mates.
    """

    fn: Callable[..., dict[str, Any]]
    inputs: Mapping[str, Input]
    output: Mapping[str, Output]
    networks: tuple[str, ...]
    host: Mapping[str, Callable[..., None]] | None = None
    help: str = ""
    per_example: bool = True


def check_modes(batch: Mapping[str, Any], modes: Mapping[str, Mode]) -> None:
    """Holds a batch (arrays or shape structs) against the modes that know its fields.

    A field is as the first mode that takes or makes it declares it; where that is any
    size, any will do.

    Raises:
      UserError: naming the first field of another size.
    """
    for name, array in batch.items():
        known = (
            mode.inputs.get(name) or mode.output.get(name) for mode in modes.values()
        )
        declared = next((one for one in known if one is not None), None)
        if isinstance(declared, Image) and declared.size is not None:
            wanted = (*declared.size, declared.channels)
        elif isinstance(declared, Voxels):
            wanted = (declared.resolution,) * 3 + (1,)
        else:
            continue
        if array.shape[1:] != wanted:
            raise UserError(
                f"the data's {name!r} is {list(array.shape[1:])}, this system's "
                f"{list(wanted)}: set data.image_size and data.channels so that they "
                "agree"
            )
