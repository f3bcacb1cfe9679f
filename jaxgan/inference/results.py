"""Results as files: pictures, strips, grids, meshes, numbers; each whole or absent."""

from __future__ import annotations

import contextlib
import csv
import io
import math
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from jaxgan import core
from jaxgan.core.errors import UserError
from jaxgan.data.files import SHEET, SHEET_MARK
from jaxgan.data.pictures import SUFFIXES
from jaxgan.inference import animations, marks
from jaxgan.inference.declared import is_numbers
from jaxgan.inference.saving import disk, require_folder, whole

CSV_NUMBERS = 64  # longer vectors are only in values.npz
GIF_MILLISECONDS = 120
STRIP_GAP = 2  # pixels
VALUES = "values"  # the tables of numbers
_STRIP = "_strip.png"


class Results:
    """The folder that a command writes into."""

    def __init__(
        self,
        folder: str | os.PathLike,
        mode: core.Mode,
        *,
        gif: bool = False,
        mesh: str | None = None,
        films: Sequence[animations.Film] = (),
    ):
        """Makes sure that the folder can be written; it is made with the first result.

        Args:
          folder: where to.
          mode: whose outputs are written.
          gif: sets of pictures as an animation instead of a strip.
          mesh: also write each result as a mesh: a suffix without its dot.
          films: animations to be made of the pictures of several examples.

        Raises:
          UserError: if the folder cannot be made, or the mode has no such mesh.
        """
        self.folder, self._mode, self._gif = Path(folder), mode, gif
        self._films, self._added = films, set()
        self._write_mesh = None
        if mesh:
            writers = {s.lstrip("."): w for s, w in (mode.host or {}).items()}
            if not writers:
                raise UserError(f"--mesh={mesh}: this mode makes no shapes to write so")
            core.one_of(mesh, writers, "--mesh")
            self._mesh, self._write_mesh = f".{mesh}", writers[mesh]
        if self.folder.suffix.lower() in SUFFIXES:
            raise UserError(f"--output={folder}: give a folder, it gets several files")
        require_folder(self.folder)
        self.sheet_name, self.values_name = SHEET, VALUES
        self._values: list[tuple[int, str, dict[str, np.ndarray]]] = []
        self._lock, self.count = threading.Lock(), 0

    def paths(self, name: str) -> dict[str, str]:
        """The files of one example.

        Args:
          name: the example's.

        Returns:
          `{output: file}` below the folder, and the mesh under its suffix. The
          pictures of a set stand beside its file: `a_0.png` beside `a_strip.png`.
        """
        found = {}
        for output, stem in self._stems(name).items():
            declared = self._mode.output[output]
            if isinstance(declared, core.Image):
                end = ".png"
            elif _is_picture_set(declared):
                end = ".gif" if self._gif else _STRIP
            else:
                end = ".npz"
            found[output] = stem + end
        if self._write_mesh is not None:
            found[self._mesh] = name + self._mesh
        return found

    def _stems(self, name: str) -> dict[str, str]:
        files = [n for n, d in self._mode.output.items() if not is_numbers(d)]
        return {n: name if len(files) == 1 else f"{name}_{n}" for n in files}

    def _film_files(self, film: animations.Film) -> dict[str, str]:
        """`{output: file}` of an animation, for the outputs that are pictures."""
        path = PurePosixPath(film.file)
        return {
            output: stem + path.suffix
            for output, stem in self._stems(str(path.with_suffix(""))).items()
            if isinstance(self._mode.output[output], core.Image)
        }

    def require_free(self, names: Sequence[str]) -> None:
        """Makes sure that no file is replaced but those of an earlier command.

        Args:
          names: of all examples.

        Raises:
          UserError: naming the first file that would be lost.
        """
        planned = [path for name in names for path in self.paths(name).items()]
        own = [path for _, path in planned]
        own += [
            file for film in self._films for file in self._film_files(film).values()
        ]
        taken = {*own}
        while f"{self.sheet_name}.png" in taken:
            self.sheet_name += "_of_all"
        while f"{self.values_name}.npz" in taken:
            self.values_name += "_of_all"
        own.append(f"{self.sheet_name}.png")
        if any(is_numbers(declared) for declared in self._mode.output.values()):
            own += [f"{self.values_name}.npz", f"{self.values_name}.csv"]
        sets = {n for n, d in self._mode.output.items() if _is_picture_set(d)}
        stems = {_stem(path) for output, path in planned if output in sets}
        for path in (*own, *self._numbered(stems)):
            with disk(self.folder / path):
                exists = (self.folder / path).exists()
            if exists and not marks.has(self.folder / path):
                raise UserError(
                    f"--output={self.folder}: the result {path} would replace your "
                    "file of that name; choose another folder"
                )

    def _numbered(self, stems: Set[str]) -> list[str]:
        """Files in the folder that are called as pictures of these sets may be."""
        found = []
        for place in {PurePosixPath(stem).parent for stem in stems}:
            with contextlib.suppress(OSError):  # not there yet
                for file in sorted(os.listdir(self.folder / place)):
                    path = (place / file).as_posix()
                    match = re.fullmatch(r"(?s)(.*)_\d+\.png", path)
                    if match and match[1] in stems:
                        found.append(path)
        return found

    def add(self, number: int, name: str, outputs: Mapping[str, np.ndarray]) -> None:
        """Writes one example's results; several threads may do so.

        Args:
          number: its place, for the rows of numbers.
          name: relative, without suffix.
          outputs: as the mode declares them; pictures uint8.
        """
        paths = self.paths(name)
        values = {}
        for output, declared in self._mode.output.items():
            x = outputs[output]
            if is_numbers(declared):
                values[output] = x
            elif isinstance(declared, core.Image):
                self._image(paths[output], to_image(x))
            elif _is_picture_set(declared):
                self._picture_set(paths[output], x)
            else:
                self._grid(paths[output], x)
        if self._write_mesh is not None:
            with self._file(paths[self._mesh]) as path:
                self._write_mesh(path, _as_declared(outputs, self._mode))
                marks.add(path)
        with self._lock:
            if values:
                self._values.append((number, name, values))
            self.count += 1
            self._added.add(name)

    def sheet(self, image: Image.Image) -> None:
        """Writes the picture of all results, which no command takes for an example."""
        self._image(f"{self.sheet_name}.png", image, SHEET_MARK.decode())

    def _image(self, file: str, image: Image.Image, title: str | None = None) -> None:
        with self._file(file) as path:
            image.save(path, format="png", pnginfo=marks.png(title))

    def _picture_set(self, file: str, x: UInt8[np.ndarray, "n h w c"]) -> None:
        digits = len(str(len(x) - 1))
        for i, one in enumerate(x):
            self._image(f"{_stem(file)}_{i:0{digits}d}.png", to_image(one))
        if not self._gif:
            self._image(file, to_image(strip(x)))
            return
        first, *others = (to_image(one) for one in x)
        with self._file(file) as path:
            first.save(
                path,
                format="gif",
                save_all=True,
                append_images=others,
                duration=GIF_MILLISECONDS,
                loop=0,
                **marks.animation("gif"),
            )

    def _grid(self, file: str, x: np.ndarray) -> None:
        self._arrays(file, {"voxels": x[..., 0]})

    def _arrays(self, file: str, arrays: Mapping[str, Any]) -> None:
        with self._file(file) as path:
            np.savez_compressed(path, **arrays)  # its name ends in .npz
            marks.add(path)

    def finish(self) -> list[str]:
        """Writes the animations, and the numbers: all in `values.npz`, short ones in
        `values.csv` too.

        Returns:
          The names of the files.
        """
        return [*self._write_films(), *self._write_numbers()]

    def _write_films(self) -> list[str]:
        """Of the frames that there are."""
        written = []
        for film in self._films:
            shown = zip(film.frames, film.timing.durations, strict=True)
            there = [(name, time) for name, time in shown if name in self._added]
            if not there:
                continue
            names, times = zip(*there, strict=True)
            timing = animations.Timing(times, film.timing.loop)
            for output, file in self._film_files(film).items():
                frames = [self.folder / self.paths(name)[output] for name in names]
                with self._file(file) as path:
                    kind = path.suffix.lower().lstrip(".")
                    animations.write(path, frames, timing, kind)
                written.append(file)
        return written

    def _write_numbers(self) -> list[str]:
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
        whole_table, table = f"{self.values_name}.npz", f"{self.values_name}.csv"
        self._arrays(whole_table, arrays)
        short = {
            key: np.reshape(arrays[key], (len(names), -1))
            for key in columns
            if key in arrays and math.prod(arrays[key].shape[1:]) <= CSV_NUMBERS
        }
        if not short:
            return [whole_table]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        heads = [_heads(key, arrays[key].shape[1:]) for key in short]
        writer.writerow(["name", *(head for group in heads for head in group)])
        for i, name in enumerate(names):
            numbers = [f"{v:.7g}" for values in short.values() for v in values[i]]
            writer.writerow([name, *numbers])
        with self._file(table) as path:
            path.write_text(text.getvalue(), encoding="utf-8")
        return [whole_table, table]

    @contextlib.contextmanager
    def _file(self, name: str) -> Iterator[Path]:
        path = self.folder / name
        with disk(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole(path) as temporary:
                yield temporary


def _is_picture_set(declared: Any) -> bool:
    return isinstance(declared, core.Set) and isinstance(declared.item, core.Image)


def _stem(file: str) -> str:
    """What the numbered pictures beside a set's file begin with."""
    return file.removesuffix(".gif").removesuffix(_STRIP)


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
