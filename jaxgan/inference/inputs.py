"""What a user gives for a mode's inputs, as arrays by example.

Every declared input that has a batch axis becomes a `Source`. Most sources hold several
values (files, rows, class numbers), of which an example picks one; what is drawn is
drawn under the example's own key, so that nothing depends on the size of a batch.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np

from jaxgan import core, ops
from jaxgan.core.state import fold_name
from jaxgan.core.types import Key
from jaxgan.data import pictures
from jaxgan.data.files import Files
from jaxgan.data.pictures import Unusable
from jaxgan.inference import animations, grids
from jaxgan.inference import files as user_files

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Example:
    """One call's worth of input.

    Attributes:
      name: relative, without suffix; its results are called after it.
      picks: `{input: which of its source's values}`.
      film: the animation of which its result is a frame, relative; empty if of none.
    """

    name: str
    picks: Mapping[str, int]
    film: str = ""

    def key(self, root: Key) -> Key:
        """A random key of its own, the same in any batch and any folder."""
        return fold_name(root, self.name)


@runtime_checkable
class Source(Protocol):
    """The values of one input.

    Attributes:
      count: how many there are; None where any number can be had.
      names: what they are called, if they are files.
      multiple: pictures `[..., h, w, c]` of any size are padded to a multiple of it; 0
        is no padding.
    """

    @property
    def count(self) -> int | None: ...

    @property
    def names(self) -> Sequence[str] | None: ...

    @property
    def multiple(self) -> int: ...

    def shape(self, example: Example) -> Shape:
        """The shape that `read` will return; does not decode."""
        ...

    def read(self, example: Example, key: Key) -> np.ndarray:
        """An example's value.

        Raises:
          Unusable: naming the file that cannot be used.
        """
        ...


@dataclasses.dataclass(frozen=True, eq=False)
class Pictures:
    """Image files, upright, as uint8; every frame of an animation is one.

    Attributes:
      channels: 1 or 3, as they are read.
      resize: where the size is fixed: `stretch`, or `cover` (what sticks out is cut).
      scale_to: where the size is not: `(height, width)` that pictures are resized to;
        of one None, the other alone decides and the aspect is kept.
    """

    field: str
    spec: core.Image
    files: Files
    channels: int
    resize: str = "stretch"
    scale_to: tuple[int | None, int | None] = (None, None)
    _lock: Any = dataclasses.field(default_factory=threading.Lock, repr=False)

    @functools.cached_property
    def timings(self) -> dict[str, animations.Timing]:
        """Of the files that may be animated."""
        found = {}
        for name in self.files.names:
            if PurePosixPath(name).suffix.lower() in animations.SUFFIXES:
                with contextlib.suppress(OSError, Unusable):  # said where it is read
                    found[name] = animations.timing(self.files.read(name))
        return found

    @functools.cached_property
    def entries(self) -> tuple[tuple[str, int], ...]:
        """File and frame of every picture."""
        return tuple((n, i) for n in self.files.names for i in range(self._frames(n)))

    def _frames(self, name: str) -> int:
        timing = self.timings.get(name)
        return 1 if timing is None else max(1, len(timing.durations))

    @property
    def count(self) -> int:
        return len(self.entries)

    @property
    def names(self) -> tuple[str, ...]:
        """Those of the files; frame 3 of `a.gif` is `a/0003.gif`."""
        return tuple(
            _numbered(name, i) if self._frames(name) > 1 else name
            for name, i in self.entries
        )

    def film(self, pick: int) -> str | None:
        """The animation of which picture number `pick` is a frame."""
        name, _ = self.entries[pick]
        return name if self._frames(name) > 1 else None

    @property
    def multiple(self) -> int:
        return 0 if self.spec.size else self.spec.multiple_of

    def shape(self, example: Example) -> Shape:
        return self.shape_of(example.picks[self.field])

    def read(self, example: Example, key: Key) -> np.ndarray:
        return self.item(example.picks[self.field])

    def shape_of(self, pick: int) -> Shape:
        """The shape of picture number `pick`."""
        return (*(self.spec.size or self._scaled(pick)), self.channels)

    def _scaled(self, pick: int) -> tuple[int, int]:
        """Height and width that the mode sees, where it takes any."""
        rows, columns = self.extent(pick)
        height, width = self.scale_to
        # Rounded down, as the official `scale_width` does.
        if width is not None:
            return height or max(1, int(width * rows / columns)), width
        if height is not None:
            return height, max(1, int(height * columns / rows))
        return rows, columns

    def extent(self, pick: int) -> tuple[int, int]:
        """Height and width in the file."""
        return self._extent(self.entries[pick][0])

    @functools.cache  # noqa: B019 a source lives as long as the command
    def _extent(self, name: str) -> tuple[int, int]:
        with _naming(name):
            return user_files.extent(self.files.read(name))

    def item(self, pick: int) -> np.ndarray:
        """Picture number `pick`."""
        name, frame = self.entries[pick]
        with _naming(name):
            if name in self.timings and len(self.timings[name].durations) != 1:
                with self._lock:  # threads ask for frames of one file
                    picture = self._decoded(name)[frame]
            else:
                picture = pictures.decode(self.files.read(name), upright=True)
            if self.spec.size is None:
                picture = pictures.convert(picture, self.channels)
                return pictures.resize(picture, *self._scaled(pick), "bicubic")
            return _to_size(picture, self.spec.size, self.channels, self.resize)

    @functools.lru_cache(maxsize=2)  # noqa: B019 frames are asked for in order
    def _decoded(self, name: str) -> list[np.ndarray]:
        return pictures.decode_frames(self.files.read(name))


def _numbered(name: str, number: int) -> str:
    path = PurePosixPath(name)
    return f"{path.with_suffix('')}/{number:04d}{path.suffix}"


def _to_size(
    picture: np.ndarray,
    size: tuple[int, int],
    channels: int,
    resize: str,
    mask: bool = False,
) -> np.ndarray:
    filter = "nearest" if mask else "bicubic"
    prepare = pictures.Prepare(*size, channels, resize, size, filter)
    return prepare(picture, (0.0, 0.0))


class _naming:
    """Puts the file's name before what is wrong with it."""

    def __init__(self, name: str):
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, _: Any) -> None:
        if isinstance(error, Unusable):
            raise Unusable(f"{self._name}: {error}") from error
        if isinstance(error, OSError):
            raise Unusable(f"{self._name}: {error.strerror or error}") from error


@dataclasses.dataclass(frozen=True, eq=False)
class Sets:
    """Sets of the pictures or shapes of another source."""

    field: str
    items: Pictures | Shapes
    groups: tuple[tuple[int, ...], ...]
    names: tuple[str, ...]

    @property
    def count(self) -> int:
        return len(self.groups)

    @property
    def multiple(self) -> int:
        return self.items.multiple

    def shape(self, example: Example) -> Shape:
        group = self.groups[example.picks[self.field]]
        return (len(group), *self.items.shape_of(group[0]))

    def read(self, example: Example, key: Key) -> np.ndarray:
        group = self.groups[example.picks[self.field]]
        members = [self.items.item(pick) for pick in group]
        if len({m.shape for m in members}) > 1:  # pictures: all like the first
            height, width = members[0].shape[:2]
            members = [pictures.resize(m, height, width, "bicubic") for m in members]
        return np.stack(members)


def grouped(items: Pictures | Shapes, minimum: int, name: str) -> Sets:
    """Sets of what lies in one folder, or in one file that holds several.

    Args:
      items: the members.
      minimum: how many a set must have.
      name: of the set that lies in no folder.

    Raises:
      UserError: naming the set that is too small.
    """
    members: dict[str, list[int]] = {}
    for i, item in enumerate(items.names):
        members.setdefault(PurePosixPath(item).parent.as_posix(), []).append(i)
    for folder, group in members.items():
        if len(group) < minimum:
            raise core.UserError(
                f"--{items.field}: {items.files.name}/{folder} has {len(group)}, and "
                f"this mode needs sets of {minimum} or more (a folder each)"
            )
    names = tuple(name if folder == "." else folder for folder in members)
    groups = tuple(tuple(group) for group in members.values())
    return Sets(items.field, items, groups, names)


@dataclasses.dataclass(frozen=True, eq=False)
class Masks:
    """Hole masks from files (bright is missing), for the pictures of another input."""

    field: str
    of: Pictures
    files: Files

    @property
    def count(self) -> int:
        return len(self.files.names)

    @property
    def names(self) -> tuple[str, ...]:
        return self.files.names

    @property
    def multiple(self) -> int:
        return self.of.multiple

    def shape(self, example: Example) -> Shape:
        return (*self.of.shape(example)[:2], 1)

    def read(self, example: Example, key: Key) -> np.ndarray:
        name = self.files.names[example.picks[self.field]]
        with _naming(name):
            mask = pictures.decode(self.files.read(name), upright=True)
            height, width = self.shape(example)[:2]
            # Where the picture is cut the mask is cut likewise.
            same = mask.shape[:2] == self.of.extent(example.picks[self.of.field])
            how = self.of.resize if same and self.of.spec.size else "stretch"
            mask = _to_size(mask, (height, width), 1, how, mask=True)
            if mask.min() > 127:
                raise Unusable("it is bright everywhere, so that nothing is known")
        return (mask > 127).astype(np.float32)


@dataclasses.dataclass(frozen=True, eq=False)
class NamedMasks:
    """Hole masks of a published kind, for the pictures of another input."""

    field: str
    of: Pictures
    kind: str  # of ops.HOLE_MASKS

    count = names = None

    @property
    def multiple(self) -> int:
        return self.of.multiple

    def shape(self, example: Example) -> Shape:
        return (*self.of.shape(example)[:2], 1)

    def read(self, example: Example, key: Key) -> np.ndarray:
        height, width = self.shape(example)[:2]
        own = fold_name(key, self.field)
        return np.asarray(_draw_hole_mask(self.kind, own, 1, height, width))[0]


# Compiled once for each size: a pattern drawn op by op takes seconds.
_draw_hole_mask = jax.jit(ops.draw_hole_mask, static_argnums=(0, 2, 3, 4))


@dataclasses.dataclass(frozen=True, eq=False)
class Shapes:
    """Occupancy grids from files; a file may hold many."""

    field: str
    spec: core.Voxels
    files: Files
    entries: tuple[tuple[str, int], ...]  # file, row
    names: tuple[str, ...]

    multiple = 0

    @property
    def count(self) -> int:
        return len(self.entries)

    def shape(self, example: Example) -> Shape:
        return self.shape_of(example.picks[self.field])

    def read(self, example: Example, key: Key) -> np.ndarray:
        return self.item(example.picks[self.field])

    def shape_of(self, pick: int) -> Shape:
        """The shape of any of them."""
        return (self.spec.resolution,) * 3 + (1,)

    def item(self, pick: int) -> np.ndarray:
        """Grid number `pick`."""
        name, row = self.entries[pick]
        with _naming(name):
            return grids.fit(self._grids(name)[row], self.spec.resolution)

    @functools.lru_cache(maxsize=2)  # noqa: B019 rows are asked for in order
    def _grids(self, name: str) -> np.ndarray:
        return read_grids(self.files, name, self.spec.resolution)


def read_grids(files: Files, name: str, resolution: int) -> np.ndarray:
    """All grids `[n, r, r, r]` of a file.

    Raises:
      Unusable: naming the file.
    """
    with _naming(name):
        suffix = PurePosixPath(name).suffix.lower()
        return grids.read(files.read(name), suffix, resolution)


def shapes(
    field: str, spec: core.Voxels, files: Files, say: Callable[[str], None]
) -> Shapes:
    """The grids in all of the files that can be read.

    Args:
      field: the input.
      spec: its declaration.
      files: of the kinds in `grids.SUFFIXES`.
      say: is told of every file that cannot.

    Raises:
      UserError: if none can be read.
    """
    entries, names, problems = [], [], []
    for name in files.names:
        try:
            count = len(read_grids(files, name, spec.resolution))
        except Unusable as error:
            problems.append(str(error))
            continue
        entries += [(name, row) for row in range(count)]
        stem = PurePosixPath(name).with_suffix("").as_posix()
        names += [name] if count == 1 else [f"{stem}/{i:04d}" for i in range(count)]
    if not entries:
        raise core.UserError(f"--{field}={files.name}: {problems[0]}; give others")
    for problem in problems:
        say(f"{problem}; skipped")
    return Shapes(field, spec, files, tuple(entries), tuple(names))


@dataclasses.dataclass(frozen=True, eq=False)
class Drawn:
    """Latents from the prior; with `several`, sets of so many."""

    field: str
    spec: core.Latent
    several: int | None = None

    count = names = None
    multiple = 0

    def shape(self, example: Example) -> Shape:
        lead = () if self.several is None else (self.several,)
        return (*lead, self.spec.size)

    def read(self, example: Example, key: Key) -> np.ndarray:
        own = fold_name(key, self.field)
        return np.asarray(core.draw_latent(self.spec.prior, own, self.shape(example)))


@dataclasses.dataclass(frozen=True, eq=False)
class Rows:
    """Arrays that were given as they are: latents, numbers, class numbers, sets."""

    field: str
    rows: np.ndarray  # [count, ...]

    names = None
    multiple = 0

    @property
    def count(self) -> int:
        return len(self.rows)

    def shape(self, example: Example) -> Shape:
        return self.rows.shape[1:]

    def read(self, example: Example, key: Key) -> np.ndarray:
        return np.asarray(self.rows[example.picks[self.field]])
