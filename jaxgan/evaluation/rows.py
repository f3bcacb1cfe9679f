"""A row of figures: as a table to read, and as a line of JSON to keep."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from etils import epath

from jaxgan.core.errors import UserError


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
    target = epath.Path(path)
    try:
        rows = target.read_text() if target.exists() else ""
        target.write_text(rows + json.dumps(row) + "\n")
    except OSError as error:
        raise UserError(
            f"cannot write {target}: {error.strerror or error}; pass --nowrite to only "
            "print"
        ) from error
