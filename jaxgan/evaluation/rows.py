"""A row of figures: as a table to read, and as a line of JSON to keep."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

from etils import epath

from jaxgan.core.errors import UserError
from jaxgan.core.json_lines import json_line


def table(figures: Mapping[str, float]) -> str:
    """One line a figure; those of a metric stand together, in order of appearance."""
    metrics = list(dict.fromkeys(name.partition("/")[0] for name in figures))
    ordered = sorted(figures, key=lambda name: metrics.index(name.partition("/")[0]))
    width = max(map(len, figures), default=0)
    return "\n".join(f"{name:{width}}  {figures[name]:.6g}" for name in ordered)


def append(path: epath.PathLike, row: Mapping[str, Any]) -> None:
    """Appends a row to a file of JSON lines, local or in a bucket.

    Raises:
      UserError: if it cannot be written.
    """
    target, line = epath.Path(path), json_line(row)
    with _writing(target):
        if "://" in os.fspath(path):  # nothing can be appended to there
            target.write_text((target.read_text() if target.exists() else "") + line)
        else:
            with open(target, "a", encoding="utf-8") as file:
                file.write(line)


def require(path: epath.PathLike) -> None:
    """Makes sure that `append` can write there; leaves no trace.

    Raises:
      UserError: if it cannot.
    """
    target = epath.Path(path)
    if "://" in os.fspath(path):
        return
    with _writing(target):
        new = not target.exists()
        open(target, "a", encoding="utf-8").close()
        if new:
            target.unlink()


@contextlib.contextmanager
def _writing(target: epath.Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write {target}: {error.strerror or error}; name another --output, "
            "or pass --nowrite to only print"
        ) from error
