"""From what the command line says to the sources of a mode's inputs."""

from __future__ import annotations

import dataclasses
import io
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxgan import core, ops
from jaxgan.core.mode import Input
from jaxgan.data.pictures import SUFFIXES
from jaxgan.inference import files as user_files
from jaxgan.inference import grids, inputs
from jaxgan.inference.declared import is_lab, item_of, takes_files

ARRAY_SUFFIXES = (".npy", ".npz")


@dataclasses.dataclass(frozen=True)
class Arguments:
    """All inputs of a mode.

    Attributes:
      sources: those with a batch axis.
      static: `Int` and `Choice`, Python values while tracing.
      scalars: `Float`.
      given: the inputs that the user gave.
    """

    sources: dict[str, inputs.Source]
    static: dict[str, Any]
    scalars: dict[str, float]
    given: frozenset[str]

    @property
    def lead(self) -> inputs.Source | None:
        """The files that results are called after."""
        kinds = inputs.Pictures | inputs.Shapes | inputs.Sets
        return next((s for s in self.sources.values() if isinstance(s, kinds)), None)


@dataclasses.dataclass(frozen=True)
class Reader:
    """How files are looked for and read.

    Attributes:
      resize: how pictures come to a fixed size, see `inputs.Pictures`.
      scale_to: the size of pictures that may have any, see `inputs.Pictures`.
      leave_out: the folder of results.
      say: is told what the user should know.
    """

    resize: str = "stretch"
    leave_out: Path | None = None
    say: Callable[[str], None] = print
    scale_to: tuple[int | None, int | None] = (None, None)


def read(
    name: str, mode: core.Mode, given: Mapping[str, Any], reader: Reader
) -> Arguments:
    """Makes sense of a mode's arguments.

    Args:
      name: the mode's.
      mode: its declaration.
      given: `{input: value}`, text for files, latents and values, and `input` for the
        first input that takes files; None or absent where the user gave nothing.
      reader: see there.

    Raises:
      UserError: naming the argument, and what it can be.
    """
    values = {k: v for k, v in given.items() if v is not None}
    typed = {field: field for field in mode.inputs}  # what the user calls it
    if "input" in values:
        main = _main_input(name, mode, values)
        values |= main
        typed |= dict.fromkeys(main, "input")
    files = {}
    for field, declared in mode.inputs.items():
        if takes_files(declared) or isinstance(declared, core.Mask):
            text = values.get(field)
            if text is None:
                raise core.UserError(_missing(name, mode, field, declared))
            files[field] = str(text)
    has_files = any(takes_files(declared) for declared in mode.inputs.values())
    sources, static, scalars = {}, {}, {}
    for field, declared in mode.inputs.items():
        value = values.get(field)
        if isinstance(declared, core.Int | core.Choice):
            static[field] = declared.default if value is None else value
        elif isinstance(declared, core.Float):
            scalars[field] = float(declared.default if value is None else value)
        elif isinstance(declared, core.Labels):
            sources[field] = _labels(name, field, declared, value, has_files)
        elif isinstance(declared, core.Values):
            sources[field] = _values(name, field, declared, value)
        elif isinstance(declared, core.Latent):
            sources[field] = _latents(field, declared, value)
        elif isinstance(declared, core.Set) and isinstance(declared.item, core.Latent):
            sources[field] = _latent_sets(field, declared, declared.item, value)
        elif not isinstance(declared, core.Mask):
            text = files[field]
            sources[field] = _from_files(name, mode, field, text, typed[field], reader)
    for field, declared in mode.inputs.items():
        if isinstance(declared, core.Mask):
            sources[field] = _masks(field, sources, files[field], reader)
    ordered = {field: sources[field] for field in mode.inputs if field in sources}
    return Arguments(ordered, static, scalars, frozenset(values))


def _main_input(
    name: str, mode: core.Mode, values: Mapping[str, Any]
) -> dict[str, Any]:
    fields = [field for field, declared in mode.inputs.items() if takes_files(declared)]
    if not fields:
        others = ", ".join(f"--{field}" for field in mode.inputs) or "none"
        raise core.UserError(
            f"--input: mode {name!r} takes no files; its arguments are {others}"
        )
    if fields[0] in values:
        raise core.UserError(
            f"--input and --{fields[0]} are the same: give one of them"
        )
    return {fields[0]: values["input"]}


def _missing(name: str, mode: core.Mode, field: str, declared: Input) -> str:
    about = f" ({declared.help})" if declared.help else ""
    if isinstance(declared, core.Mask):
        kinds = ", ".join(ops.HOLE_MASKS)
        return (
            f"--{field} is missing{about}: give files, white where the picture is "
            f"missing, or one of {kinds}"
        )
    first = next(f for f, d in mode.inputs.items() if takes_files(d))
    flag = "input" if field == first else field
    return (
        f"--{flag} is missing: mode {name!r} needs {field}{about}; give a file, a "
        "folder or a .zip"
    )


def _from_files(
    name: str, mode: core.Mode, field: str, text: str, flag: str, reader: Reader
) -> inputs.Source:
    declared = mode.inputs[field]
    item = item_of(declared)
    if isinstance(item, core.Voxels):
        found = user_files.find(text, grids.SUFFIXES, flag, reader.leave_out, "shapes")
        source = inputs.shapes(field, item, found, reader.say)
    else:
        found = user_files.find(text, SUFFIXES, flag, reader.leave_out)
        channels = 3 if is_lab(mode) else item.channels
        source = inputs.Pictures(
            field, item, found, channels, reader.resize, reader.scale_to
        )
    if isinstance(declared, core.Set):
        return inputs.grouped(source, declared.minimum, name)
    return source


def _masks(
    field: str, sources: Mapping[str, inputs.Source], text: str, reader: Reader
) -> inputs.Source:
    of = next(s for s in sources.values() if isinstance(s, inputs.Pictures))
    if os.path.exists(text) or text not in ops.HOLE_MASKS:
        if not os.path.exists(text.partition("!/")[0]):
            core.one_of(text, ops.HOLE_MASKS, f"--{field}: no file, and hole mask")
        found = user_files.find(text, SUFFIXES, field, reader.leave_out)
        return inputs.Masks(field, of, found)
    return inputs.NamedMasks(field, of, text)


def _labels(
    name: str, field: str, declared: core.Labels, value: Any, has_files: bool
) -> inputs.Source:
    last = declared.count - 1
    if value is None:
        if has_files:
            raise core.UserError(
                f"--{field} is missing: mode {name!r} needs class numbers from 0 to "
                f"{last}, one or several with commas"
            )
        return inputs.Rows(field, np.arange(declared.count, dtype=np.int32))
    try:
        numbers = [int(text) for text in value]
    except ValueError as error:
        raise core.UserError(
            f"--{field}={','.join(value)}: class numbers are whole, from 0 to {last}"
        ) from error
    for number in numbers:
        if not 0 <= number <= last:
            raise core.UserError(
                f"--{field}={number} is out of range: this run has {declared.count} "
                f"classes, 0 to {last}"
            )
    return inputs.Rows(field, np.array(numbers, np.int32))


def _latents(field: str, declared: core.Latent, text: str | None) -> inputs.Source:
    if text is None:
        return inputs.Drawn(field, declared)
    rows = _rows(field, text)
    rows = rows[None] if rows.ndim == 1 else rows
    _check_rows(field, text, rows, (declared.size,))
    return inputs.Rows(field, rows)


def _latent_sets(
    field: str, declared: core.Set, item: core.Latent, text: str | None
) -> inputs.Source:
    if text is None or text.isdigit():
        several = declared.minimum if text is None else int(text)
        _check_several(field, declared, several)
        return inputs.Drawn(field, item, several)
    rows = _rows(field, text)
    if rows.ndim == 1 and rows.size % item.size == 0:  # typed, one after another
        rows = rows.reshape(-1, item.size)
    rows = rows[None] if rows.ndim == 2 else rows
    _check_rows(field, text, rows, (-1, item.size))
    _check_several(field, declared, rows.shape[1])
    return inputs.Rows(field, rows)


def _check_several(field: str, declared: core.Set, several: int) -> None:
    if several < declared.minimum:
        raise core.UserError(
            f"--{field}={several} is too few: this mode needs {declared.minimum} or "
            "more latents"
        )


def _values(
    name: str, field: str, declared: core.Values, text: str | None
) -> inputs.Source:
    wanted = ", ".join("any" if n == -1 else str(n) for n in declared.shape)
    if text is None:
        about = f" ({declared.help})" if declared.help else ""
        raise core.UserError(
            f"--{field} is missing: mode {name!r} needs numbers [{wanted}]{about}; "
            "give a .npy file, or numbers with commas"
        )
    rows = _rows(field, text)
    if rows.ndim == len(declared.shape):
        rows = rows[None]
    _check_rows(field, text, rows, declared.shape)
    return inputs.Rows(field, rows)


def _rows(field: str, text: str) -> np.ndarray:
    """Typed numbers with commas between them, or the array in a file."""
    try:
        typed = np.array([float(number) for number in text.split(",")], np.float32)
    except ValueError:
        return _array(field, text)
    if not np.isfinite(typed).all():
        raise core.UserError(f"--{field}={text}: give finite numbers")
    return typed


def _array(field: str, text: str) -> np.ndarray:
    """The array in a `.npy` file, or that of the input's name in an `.npz`."""
    found = user_files.find(text, ARRAY_SUFFIXES, field, what="arrays")
    first, *others = found.names
    if others:
        raise core.UserError(
            f"--{field}={text}: there are {len(found.names)} files; name one of them"
        )
    try:
        loaded = np.load(io.BytesIO(found.read(first)), allow_pickle=False)
    except Exception as error:  # broken archives raise a dozen types
        raise core.UserError(
            f"--{field}={text}: not a whole .npy or .npz file ({error}); save it anew "
            "with numpy.save, of plain numbers"
        ) from error
    if not isinstance(loaded, np.ndarray):
        names = loaded.files
        key = field if field in names else names[0] if len(names) == 1 else None
        if key is None:
            raise core.UserError(
                f"--{field}={text}: it has no array {field!r}, but {', '.join(names)}"
            )
        loaded = loaded[key]
    if loaded.dtype.kind not in "fiub":
        raise core.UserError(f"--{field}={text}: it holds {loaded.dtype}, no numbers")
    if not np.isfinite(loaded).all():
        raise core.UserError(
            f"--{field}={text}: it holds numbers that are not finite; give others"
        )
    return loaded.astype(np.float32)


def _check_rows(
    field: str, text: str, rows: np.ndarray, shape: tuple[int, ...]
) -> None:
    fits = rows.ndim == len(shape) + 1 and all(
        n in (-1, m) for n, m in zip(shape, rows.shape[1:], strict=False)
    )
    if not fits or not len(rows):
        wanted = ", ".join(["n", *("any" if n == -1 else str(n) for n in shape)])
        found = ", ".join(map(str, rows.shape))
        raise core.UserError(f"--{field}={text}: it is [{found}], not [{wanted}]")
