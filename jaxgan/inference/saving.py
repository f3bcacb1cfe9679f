"""Files that are whole or absent, and a full disk as one line."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from jaxgan.core.errors import UserError

_numbers = itertools.count()  # threads may write at once


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A short name beside `path` to write to; it becomes `path` at the end."""
    number = next(_numbers)
    temporary = path.with_name(f".part.{os.getpid()}.{number}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def disk(path: Path) -> Iterator[None]:
    """Turns a file system's refusal into one line.

    Raises:
      UserError: instead of an `OSError`.
    """
    try:
        yield
    except OSError as error:
        advice = "make room there, or choose another --output"
        if error.errno == errno.ENAMETOOLONG:
            advice = "choose a shorter name"
        raise UserError(
            f"cannot write {path}: {error.strerror or error}; {advice}"
        ) from error


def require_folder(folder: Path) -> None:
    """Makes sure that a folder can be made and written in; leaves no trace.

    Raises:
      UserError: if it cannot.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--output={folder} is a file: name a folder")
    made = [p for p in (folder, *folder.parents) if not p.exists()]
    with disk(folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _probe(folder)
        finally:
            with contextlib.suppress(OSError):  # never made
                for path in made:
                    path.rmdir()


def require_file(path: Path) -> None:
    """Makes sure that a file can be written; leaves no trace.

    Raises:
      UserError: if it cannot.
    """
    if path.is_dir():
        raise UserError(f"--output={path} is a folder: name a file")
    if not path.parent.exists():
        raise UserError(f"--output={path}: there is no folder {path.parent}: make it")
    with disk(path):
        _probe(path.parent)


def _probe(folder: Path) -> None:
    probe = folder / f".part.{os.getpid()}"
    probe.touch()
    probe.unlink()
