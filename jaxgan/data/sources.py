"""Where examples come from, under URI-like names.

| name | what it reads |
|---|---|
| `folder:/path` | image files: flat, label folders, domain folders, side by side |
| `zip:path[!/inner/folder]` | the same inside an archive |
| `npz:path` | arrays; packed voxels |
| `tfds:name/config` | TensorFlow Datasets, by index (array_record) |
| `synthetic:name` | the embedded procedural sets |

A source yields examples by index, always in the same order. Fields that are image
files are handed out as they lie on the disk (`encoded`); decoding and resizing belong
to the reader.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int

from jaxgan.core.errors import UserError, did_you_mean
from jaxgan.data.pictures import decode


@dataclasses.dataclass(frozen=True)
class Field:
    """One field of a source's examples.

    Attributes:
      shape: of one example; None for image files, whose sizes may differ.
      dtype: as stored; `uint8` for image files.
      names: the class names, where the field is a class number and they are known.
      grid: the shape of the voxel grid, where it is packed eight to a byte.
    """

    shape: tuple[int, ...] | None
    dtype: str = "uint8"
    names: tuple[str, ...] | None = None
    grid: tuple[int, ...] | None = None

    @property
    def encoded(self) -> bool:
        """Whether it holds image files."""
        return self.shape is None


@runtime_checkable
class Source(Protocol):
    """Examples by index, in a fixed order."""

    @property
    def name(self) -> str:
        """As the user wrote it, for messages."""
        ...

    @property
    def fields(self) -> Mapping[str, Field]:
        """What an example holds."""
        ...

    def __len__(self) -> int: ...

    def read(
        self, indices: Int[np.ndarray, " n"], fields: Sequence[str] | None = None
    ) -> dict[str, np.ndarray]:
        """The fields that are not image files, `[n, ...]` each; all of them if None."""
        ...

    def column(self, field: str) -> np.ndarray | None:
        """A whole field, where it lies in memory anyway; else None."""
        ...

    def encoded(self, index: int) -> dict[str, bytes]:
        """The image files of one example."""
        ...

    def file_names(self, index: int) -> tuple[str, ...]:
        """Of the image files of one example, relative to the source; () for arrays."""
        ...

    def describe(self, index: int) -> str:
        """What a message calls this example: the file, if it is one."""
        ...


class ArraySource:
    """Examples that lie in memory. A field of words becomes one of class numbers."""

    def __init__(
        self,
        name: str,
        arrays: Mapping[str, np.ndarray],
        names: Mapping[str, Sequence[str]] | None = None,
        grids: Mapping[str, tuple[int, ...]] | None = None,
    ):
        self.name = name
        lengths = {key: len(value) for key, value in arrays.items()}
        if not lengths:
            raise UserError(f"{name}: there are no arrays; give at least one")
        if len(set(lengths.values())) != 1:
            found = ", ".join(f"{k} has {n}" for k, n in lengths.items())
            raise UserError(f"{name}: all arrays need the same length, but {found}")
        self._arrays, names = dict(arrays), dict(names or {})
        for key, value in arrays.items():
            # Words are numbered as label folders are; `split` is read as it is.
            if value.ndim == 1 and value.dtype.kind == "U" and key != "split":
                words, numbers = np.unique(value, return_inverse=True)
                names[key] = tuple(words.tolist())
                self._arrays[key] = numbers.astype(np.int32)
        self._length = next(iter(lengths.values()))
        if self._length == 0:
            raise UserError(f"{name}: it holds no examples")
        self.fields = {
            key: Field(
                tuple(value.shape[1:]),
                str(value.dtype),
                tuple(names[key]) if key in names else None,
                grids.get(key) if grids else None,
            )
            for key, value in self._arrays.items()
        }

    def __len__(self) -> int:
        return self._length

    def read(
        self, indices: Int[np.ndarray, " n"], fields: Sequence[str] | None = None
    ) -> dict[str, np.ndarray]:
        return {key: self._arrays[key][indices] for key in fields or self.fields}

    def column(self, field: str) -> np.ndarray:
        return self._arrays[field]

    def encoded(self, index: int) -> dict[str, bytes]:
        return {}

    def file_names(self, index: int) -> tuple[str, ...]:
        return ()

    def describe(self, index: int) -> str:
        return f"{self.name}, example {index}"


class RenderedSource:
    """Examples drawn when asked for: `jaxgan.data.synthetic`."""

    def __init__(self, name: str, generator: Any):
        self.name, self._generator = name, generator
        names = getattr(generator, "names", None) or {}
        self.fields = {
            key: Field(
                tuple(shape), str(dtype), tuple(names[key]) if key in names else None
            )
            for key, (shape, dtype) in generator.fields.items()
        }

    def __len__(self) -> int:
        return len(self._generator)

    def read(
        self, indices: Int[np.ndarray, " n"], fields: Sequence[str] | None = None
    ) -> dict[str, np.ndarray]:
        if fields is None:
            fields = tuple(self.fields)
        return self._generator.examples(np.asarray(indices), tuple(fields))

    def column(self, field: str) -> np.ndarray | None:
        # Factors are cheap, pictures are not.
        if len(self.fields[field].shape or ()) > 1:
            return None
        return self.read(np.arange(len(self)), (field,))[field]

    def encoded(self, index: int) -> dict[str, bytes]:
        return {}

    def file_names(self, index: int) -> tuple[str, ...]:
        return ()

    def describe(self, index: int) -> str:
        return f"{self.name}, example {index}"


class Subset:
    """Some rows of a source."""

    def __init__(self, source: Source, rows: Int[np.ndarray, " n"]):
        self.name, self.fields = source.name, source.fields
        self._source, self._rows = source, np.asarray(rows, np.int64)

    def __len__(self) -> int:
        return len(self._rows)

    def read(
        self, indices: Int[np.ndarray, " n"], fields: Sequence[str] | None = None
    ) -> dict[str, np.ndarray]:
        return self._source.read(self._rows[np.asarray(indices)], fields)

    def column(self, field: str) -> np.ndarray | None:
        values = self._source.column(field)
        return None if values is None else values[self._rows]

    def encoded(self, index: int) -> dict[str, bytes]:
        return self._source.encoded(int(self._rows[index]))

    def file_names(self, index: int) -> tuple[str, ...]:
        return self._source.file_names(int(self._rows[index]))

    def describe(self, index: int) -> str:
        return self._source.describe(int(self._rows[index]))


def example(source: Source, index: int) -> dict[str, np.ndarray]:
    """One whole example: image files decoded at their own size, `[h, w, c]` uint8."""
    row = source.read(np.array([index]))
    files = {key: decode(data) for key, data in source.encoded(index).items()}
    return {**{key: np.asarray(value[0]) for key, value in row.items()}, **files}


def from_arrays(
    arrays: Mapping[str, Any] | None = None,
    *,
    name: str = "the arrays",
    names: Mapping[str, Sequence[str]] | None = None,
    **more: Any,
) -> Source:
    """A source of arrays in memory, for `data.source` in Python.

    Args:
      arrays: `{field: [n, ...]}`; images are uint8 `[n, h, w]` or `[n, h, w, c]`.
      name: what messages call it.
      names: `{field: class names}` of fields that are class numbers.
      **more: further fields, by keyword.

    Raises:
      UserError: if the lengths differ or there is nothing.

    Example:
      >>> source = from_arrays(image=np.zeros((5, 8, 8, 3), np.uint8))
      >>> len(source)
      5
    """
    return ArraySource(
        name,
        {key: np.asarray(value) for key, value in {**(arrays or {}), **more}.items()},
        names,
    )


SCHEMES = ("folder", "zip", "npz", "tfds", "synthetic")


def split_name(name: str) -> tuple[str, str]:
    """Splits `scheme:rest`.

    Raises:
      UserError: for an unknown scheme, with the nearest one.
    """
    scheme, colon, rest = name.partition(":")
    if not colon or scheme not in SCHEMES or not rest:
        hint = did_you_mean(scheme, SCHEMES) if colon else ""
        raise UserError(
            f"data.source {name!r}: unknown kind{hint}; write one of folder:/path, "
            "zip:file.zip, npz:file.npz, tfds:name/config, synthetic:name"
        )
    return scheme, rest
