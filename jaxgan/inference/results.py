"""Results as files: pictures, strips, grids, meshes, numbers; each whole or absent."""

from __future__ import annotations

import contextlib
import csv
import io
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from jaxgan import core
from jaxgan.core.errors import UserError
from jaxgan.data.files import SHEET, SHEET_MARK
from jaxgan.data.pictures import SUFFIXES
from jaxgan.inference.declared import is_numbers
from jaxgan.inference.saving import disk, require_folder, whole

CSV_NUMBERS = 64  # longer vectors are only in values.npz
GIF_MILLISECONDS = 120
STRIP_GAP = 2  # pixels
MARK = (
    "Software",
    "jaxgan",
)  # in every picture, so that a later command may replace it


class Results:
    """The folder that a command writes into."""

    def __init__(
        self,
        folder: str | os.PathLike,
        mode: core.Mode,
        *,
        gif: bool = False,
        mesh: str | None = None,
    ):
        """Makes sure that the folder can be written; it is made with the first result.

        Args:
          folder: where to.
          mode: whose outputs are written.
          gif: sets of pictures as an animation instead of a strip.
          mesh: also write each result as a mesh: a suffix without its dot.

        Raises:
          UserError: if the folder cannot be made, or the mode has no such mesh.
        """
        self.folder, self._mode, self._gif = Path(folder), mode, gif
        self._write_mesh = None
        if mesh:
            writers = {s.lstrip("."): w for s, w in (mode.host or {}).items()}
            if not writers:
                raise UserError(f"--mesh={mesh}: this mode makes no shapes to write so")
            core.one_of(mesh, writers, "--mesh")
            self._mesh, self._write_mesh = mesh, writers[mesh]
        if self.folder.suffix.lower() in SUFFIXES:
            raise UserError(f"--output={folder}: give a folder, it gets several files")
        require_folder(self.folder)
        self.sheet_name = SHEET
        self._values: list[tuple[int, str, dict[str, np.ndarray]]] = []
        self.count = 0

    def require_free(self, names: Sequence[str]) -> None:
        """Makes sure that no picture is replaced but those of an earlier command.

        Args:
          names: of all examples.

        Raises:
          UserError: naming the first picture that would be lost.
        """
        files = [n for n, d in self._mode.output.items() if not is_numbers(d)]
        ends = [""] if len(files) == 1 else [f"_{n}" for n in files]
        own = [f"{n}{end}" for n in names for end in ends]
        while self.sheet_name in own:
            self.sheet_name += "_of_all"
        for name in (*own, self.sheet_name):
            path = self.folder / f"{name}.png"
            if path.exists() and not _is_ours(path):
                raise UserError(
                    f"--output={self.folder}: the result {path.name} would replace "
                    "your file of that name; choose another folder"
                )

    def add(self, number: int, name: str, outputs: Mapping[str, np.ndarray]) -> None:
        """Writes one example's results.

        Args:
          number: its place, for the rows of numbers.
          name: relative, without suffix.
          outputs: as the mode declares them; pictures uint8.
        """
        values = {}
        files = [n for n, d in self._mode.output.items() if not is_numbers(d)]
        for output, declared in self._mode.output.items():
            x = outputs[output]
            if is_numbers(declared):
                values[output] = x
                continue
            own = name if len(files) == 1 else f"{name}_{output}"
            if isinstance(declared, core.Image):
                self.picture(own, x)
            elif isinstance(declared, core.Set) and isinstance(
                declared.item, core.Image
            ):
                self._picture_set(own, x)
            else:
                self._grid(own, x)
        if self._write_mesh is not None:
            with self._file(f"{name}.{self._mesh}") as path:
                self._write_mesh(path, _as_declared(outputs, self._mode))
        if values:
            self._values.append((number, name, values))
        self.count += 1

    def picture(self, name: str, x: UInt8[np.ndarray, "h w c"]) -> None:
        """Writes `<name>.png`."""
        self.image(name, to_image(x))

    def sheet(self, image: Image.Image) -> None:
        """Writes the picture of all results, which no command takes for an example."""
        self.image(self.sheet_name, image, SHEET_MARK.decode())

    def image(self, name: str, image: Image.Image, title: str | None = None) -> None:
        """Writes `<name>.png`."""
        mark = PngInfo()
        if title:
            mark.add_text("Title", title)
        mark.add_text(*MARK)
        with self._file(f"{name}.png") as path:
            image.save(path, format="png", pnginfo=mark)

    def _picture_set(self, name: str, x: UInt8[np.ndarray, "n h w c"]) -> None:
        digits = len(str(len(x) - 1))
        for i, one in enumerate(x):
            self.picture(f"{name}_{i:0{digits}d}", one)
        if not self._gif:
            self.picture(f"{name}_strip", strip(x))
            return
        first, *others = (to_image(one) for one in x)
        with self._file(f"{name}.gif") as path:
            first.save(
                path,
                format="gif",
                save_all=True,
                append_images=others,
                duration=GIF_MILLISECONDS,
                loop=0,
            )

    def _grid(self, name: str, x: np.ndarray) -> None:
        with self._file(f"{name}.npz") as path, open(path, "wb") as file:
            np.savez_compressed(file, voxels=x[..., 0])

    def finish(self) -> list[str]:
        """Writes the numbers: all in `values.npz`, those of few in `values.csv`.

        Returns:
          The names of the files.
        """
        if not self._values:
            return []
        rows = sorted(self._values, key=lambda row: row[0])
        names = [name for _, name, _ in rows]
        columns = {key: [values[key] for _, _, values in rows] for key in rows[0][2]}
        arrays: dict[str, Any] = {"name": np.array(names)}
        for key, values in columns.items():
            if len({v.shape for v in values}) == 1:
                arrays[key] = np.stack(values)
            else:  # sets of different sizes
                arrays |= {f"{key}/{n}": v for n, v in zip(names, values, strict=True)}
        with self._file("values.npz") as path, open(path, "wb") as file:
            np.savez_compressed(file, **arrays)
        short = {
            key: np.reshape(arrays[key], (len(names), -1))
            for key in columns
            if key in arrays and math.prod(arrays[key].shape[1:]) <= CSV_NUMBERS
        }
        if not short:
            return ["values.npz"]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        heads = [_heads(key, arrays[key].shape[1:]) for key in short]
        writer.writerow(["name", *(head for group in heads for head in group)])
        for i, name in enumerate(names):
            numbers = [f"{v:.7g}" for values in short.values() for v in values[i]]
            writer.writerow([name, *numbers])
        with self._file("values.csv") as path:
            path.write_text(text.getvalue(), encoding="utf-8")
        return ["values.npz", "values.csv"]

    @contextlib.contextmanager
    def _file(self, name: str) -> Iterator[Path]:
        path = self.folder / name
        with disk(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole(path) as temporary:
                yield temporary


def _is_ours(path: Path) -> bool:
    """Whether a picture bears our mark."""
    try:
        with Image.open(path) as image:
            return image.info.get(MARK[0]) == MARK[1]
    except (OSError, ValueError, SyntaxError):  # no picture at all
        return False


def _heads(key: str, shape: Sequence[int]) -> list[str]:
    size = math.prod(shape)
    return [key] if not shape else [f"{key}_{i}" for i in range(size)]


def _as_declared(
    outputs: Mapping[str, np.ndarray], mode: core.Mode
) -> dict[str, np.ndarray]:
    """Pictures in [-1, 1] again, for a mode's own writers."""
    return {
        name: x.astype(np.float32) / 127.5 - 1 if x.dtype == np.uint8 else x
        for name, x in outputs.items()
    }


def to_image(x: UInt8[np.ndarray, "h w c"]) -> Image.Image:
    """1 channel as grey, 3 as RGB."""
    return Image.fromarray(x[..., 0] if x.shape[-1] == 1 else x)


def strip(x: UInt8[np.ndarray, "n h w c"]) -> UInt8[np.ndarray, "h _ c"]:
    """Pictures side by side, white between them."""
    gap = np.full((x.shape[1], STRIP_GAP, x.shape[3]), 255, np.uint8)
    parts = [part for one in x for part in (gap, one)][1:]
    return np.concatenate(parts, axis=1)
