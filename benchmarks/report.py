"""Rows of a benchmark: JSON lines as they come, and a Markdown page of them."""

from __future__ import annotations

import importlib.metadata
import json
import os
import pathlib
import platform
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from jaxgan.core import UserError

PACKAGES = ("jax", "jaxlib", "flax", "optax")
ENVIRONMENT = (
    "XLA_FLAGS",
    "XLA_PYTHON_CLIENT_PREALLOCATE",
    "OMP_NUM_THREADS",
    "GLIBC_TUNABLES",
)
OUTPUT_HELP = "NAME.md: a page of the rows; their JSON lines go beside it to NAME.jsonl"

Row = Mapping[str, Any]


class Report:
    """Writes rows where the user wants them, each as soon as it is there."""

    def __init__(self, output: str | None, page: Callable[[Sequence[Row]], str]):
        """Begins a page anew.

        Args:
          output: `NAME.md`; None: JSON lines are printed, at the end the page.
          page: the Markdown of all rows.

        Raises:
          UserError: if `output` is no `.md`, or cannot be written.
        """
        self.rows: list[Row] = []
        self._page, self._path = page, None
        if output is not None:
            self._path = pathlib.Path(output)
            if self._path.suffix != ".md":
                raise UserError(f"--output={output}: it must end in .md")
            try:
                self._lines.write_text("")
            except OSError as error:
                raise UserError(f"--output={output}: {error.strerror}") from error

    @property
    def _lines(self) -> pathlib.Path:
        assert self._path
        return self._path.with_suffix(".jsonl")

    def add(self, row: Row) -> None:
        """Takes a row; digits beyond the sixth are dropped."""
        row = {name: _short(value) for name, value in row.items()}
        self.rows.append(row)
        line = json.dumps(row)
        if self._path is None:
            print(line, flush=True)
            return
        with self._lines.open("a") as file:
            file.write(line + "\n")
        self._path.write_text(self._page(self.rows) + "\n")

    def close(self) -> None:
        """Prints the page."""
        print(self._page(self.rows))


def _short(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value


def machine() -> dict[str, Any]:
    """What a figure was measured on."""
    device = jax.devices()[0]
    return {
        "device": device.device_kind,
        "platform": device.platform,
        "processor": _processor(),
        "cpu_cores": len(os.sched_getaffinity(0)),
        "load_before": os.getloadavg()[0],
        "versions": {p: importlib.metadata.version(p) for p in PACKAGES},
        "environment": {k: os.environ[k] for k in ENVIRONMENT if k in os.environ},
        "matmul_precision": jax.config.jax_default_matmul_precision or "default",
    }


def _processor() -> str:
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text()
    except OSError:
        text = ""
    names = [
        s.partition(":")[2].strip() for s in text.splitlines() if "model name" in s
    ]
    return names[0] if names else platform.machine()


def command(name: str, argv: Sequence[str]) -> str:
    """The line that makes these rows again, but for where things are put."""
    paths = ("--output", "--compilation_cache")
    shown = shlex.join(a for a in argv[1:] if not a.startswith(paths))
    return f"python -m benchmarks.{name} {shown}"


def about(rows: Sequence[Row], command: str) -> str:
    """What all rows share, in front of their tables: command, versions, machine."""
    first = rows[0]
    versions = ", ".join(f"{k} {v}" for k, v in first["versions"].items())
    chosen = " ".join(f"{k}={v}" for k, v in first["environment"].items())
    load = max(row["load_before"] for row in rows)
    return (
        f"    {command}\n\n{versions}; {first['device']} ({first['processor']}, "
        f"{first['cpu_cores']} cores; load up to {load:.1f} before a row); matmul "
        f"precision {first['matmul_precision']}{'; ' + chosen if chosen else ''}."
    )


def parted(
    rows: Sequence[Row], what: Callable[[Row], str]
) -> tuple[list[Row], list[str]]:
    """The rows that have figures, and a line for each of the others.

    Args:
      rows: of a benchmark; a row that failed has an `error`.
      what: names a row.
    """
    done = [row for row in rows if "error" not in row]
    failed = [row for row in rows if "error" in row]
    return done, [f"Failed: {what(row)}: {row['error']}" for row in failed]


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def number(value: float | None, unit: float = 1.0) -> str:
    """Four digits, in a unit; a dash where there is none."""
    return "-" if value is None else f"{value / unit:.4g}"
