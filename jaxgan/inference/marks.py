"""The mark in every result: a later command replaces what bears it and nothing else."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

MARK = b"jaxgan"
_KEY = "Software"  # the text of a PNG that names its maker
_HEAD = 1024  # bytes; every mark but an archive's and a WebP's lies in them
_SOFTWARE = 0x0131  # the EXIF tag that names a picture's maker
_STL_HEAD = 80  # bytes, free for notes


def png(title: str | None = None) -> PngInfo:
    """What Pillow is to write into the head of a PNG: the mark, and perhaps a title."""
    info = PngInfo()
    if title:
        info.add_text("Title", title)
    info.add_text(_KEY, MARK.decode())
    return info


def animation(file_format: str) -> dict[str, Any]:
    """What Pillow is to write into a `gif` or `webp`: the mark."""
    if file_format == "gif":
        return {"comment": MARK}
    exif = Image.Exif()
    exif[_SOFTWARE] = MARK.decode()
    return {"exif": exif}


def add(path: Path) -> None:
    """Marks a whole `.npz`, `.obj`, `.ply` or binary `.stl`; other files stay."""
    suffix = path.suffix
    if suffix == ".npz":
        with zipfile.ZipFile(path, "a") as archive:
            archive.comment = MARK
    elif suffix in (".obj", ".ply", ".stl"):
        data = path.read_bytes()
        if suffix == ".obj":
            data = b"# " + MARK + b"\n" + data
        elif suffix == ".ply":
            end = b"\nend_header"
            data = data.replace(end, b"\ncomment " + MARK + end, 1)
        else:
            data = MARK.ljust(_STL_HEAD, b"\0") + data[_STL_HEAD:]
        path.write_bytes(data)


def has(path: Path) -> bool:
    """Whether a file is a result; a `.csv` is if the `.npz` beside it is."""
    suffix = path.suffix.lower()
    try:
        if suffix == ".csv":
            return has(path.with_suffix(".npz"))
        if suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                return archive.comment == MARK
        with path.open("rb") as file:
            if suffix == ".webp":  # EXIF is its end
                file.seek(max(0, path.stat().st_size - _HEAD))
            head = file.read(_HEAD)
    except (OSError, zipfile.BadZipFile):
        return False
    if suffix == ".png":
        return _KEY.encode() + b"\0" + MARK in head
    return suffix in (".gif", ".webp", ".obj", ".ply", ".stl") and MARK in head
