"""Files that are whole or absent, and a full disk as one line."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from jaxgan.core.errors import UserError


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to; it takes the place of `path` at the end."""
    temporary = path.with_name(f".part.{os.getpid()}.{path.name}")
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
        raise UserError(
            f"cannot write {path}: {error.strerror or error}; make room there, or "
            "choose another --output"
        ) from error


def make_folder(folder: Path) -> None:
    """Makes a folder and tries to write in it.

    Raises:
      UserError: if that cannot be done.
    """
    with disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".part.{os.getpid()}"
        probe.touch()
        probe.unlink()
