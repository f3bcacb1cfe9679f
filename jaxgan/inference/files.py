"""The files that a user points at: one file, a folder with folders, a zip archive."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from PIL import Image

from jaxgan.core.errors import UserError, did_you_mean
from jaxgan.data.files import Files, open_files
from jaxgan.data.pictures import Unusable

MAX_PIXELS = 2**30  # of a picture; Pillow warns above it and refuses twice as many
_ORIENTATION = 0x0112  # the EXIF tag
_LYING = (5, 6, 7, 8)


def find(
    path: str,
    suffixes: Sequence[str],
    flag: str,
    leave_out: Path | None = None,
    what: str = "images",
) -> Files:
    """Lists the files of `--<flag>=<path>`.

    Args:
      path: a file, a folder (folders below it are searched too), `archive.zip`, or
        `archive.zip!/folder`.
      suffixes: those that are wanted.
      flag: for messages.
      leave_out: a folder of results that may lie inside; resolved.
      what: they are, for messages.

    Raises:
      UserError: if it is missing or holds no such file.
    """
    archive = path.partition("!/")[0]
    if archive.lower().endswith(".zip"):
        _require(Path(archive).expanduser(), flag)
        return open_files("zip", path, suffixes, what)
    root = Path(path).expanduser()
    _require(root, flag)
    if root.is_file():
        if root.suffix.lower() not in suffixes:
            raise UserError(
                f"--{flag}={path}: this mode does not take such a file; it takes "
                f"{', '.join(suffixes)}"
            )
        return Files(path, (root.name,), lambda _: root.read_bytes())
    files = dataclasses.replace(open_files("folder", path, suffixes, what), name=path)
    root = root.resolve()
    if leave_out is not None and not root.is_relative_to(leave_out):
        folders = {(root / name).parent for name in files.names}
        inner = {f for f in folders if f.resolve().is_relative_to(leave_out)}
        names = tuple(n for n in files.names if (root / n).parent not in inner)
        files = dataclasses.replace(files, names=names)
    if not files.names:
        raise UserError(f"--{flag}={path}: all files in it are results of --output")
    return files


def _require(path: Path, flag: str) -> None:
    if os.path.exists(path):  # `Path.exists` raises where a name is too long for one
        return
    near = ""
    if os.path.isdir(path.parent):
        near = did_you_mean(path.name, [p.name for p in path.parent.iterdir()])
    raise UserError(f"--{flag}={path}: there is no such file or folder{near}")


def stems(names: Sequence[str]) -> list[str]:
    """Names without suffix, for results; `a.png` beside `a.jpg` is `a_png`.

    They stay below the folder of results, whatever an archive's names say.
    """
    plain = [_inside(PurePosixPath(name)).with_suffix("").as_posix() for name in names]
    count = collections.Counter(plain)
    return [
        stem
        if count[stem] == 1
        else stem + PurePosixPath(name).suffix.replace(".", "_")
        for stem, name in zip(plain, names, strict=True)
    ]


def _inside(path: PurePosixPath) -> PurePosixPath:
    return PurePosixPath(*(part for part in path.parts if part not in ("..", "/")))


@contextlib.contextmanager
def large_pictures() -> Iterator[None]:
    """Reads pictures that Pillow would refuse from strangers: these are the user's."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def extent(data: bytes) -> tuple[int, int]:
    """Height and width of an image file, upright, from its head.

    Raises:
      Unusable: if it is no image file.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.format == "TIFF":
                image.load()  # Pillow turns these itself, by then
            width, height = image.size
            lies = image.getexif().get(_ORIENTATION) in _LYING
    except Exception as error:  # Pillow raises a dozen types on broken files
        what = "not an image file" if "cannot identify" in str(error) else str(error)
        raise Unusable(what) from error
    return (width, height) if lies else (height, width)
