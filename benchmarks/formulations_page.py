"""The rows of `formulations` as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import report

FIGURES = {  # kind: key, unit
    "GFLOP": ("flops", 1e9),
    "MB": ("bytes_accessed", 1e6),
    "temp MB": ("temporary", 1e6),
}
KEPT = ("choice", "the library's form", "fastest of the others", "its ratio")
NOTES = """\
The first form of each table is the library's; the others equal it, but where they say
how they differ. ms: forward and gradient, median [least, greatest] of windows in which
the forms take turns. Ratio: to the library's form in the same round, likewise. MB: what
the program reads and writes; loops and conditionals count once at most. Temp: what it
needs beside its arguments and results. Columns of a machine that was not here are
counts of the same program, compiled for one of its chips in the dtype that they name.
"""


def page(rows: Sequence[report.Row], line: str) -> str:
    """A table of forms for each choice, and at the end which is the library's.

    Args:
      rows: of `formulations`.
      line: the command that made them.
    """
    done, failed = report.parted(rows, lambda row: f"`{row['choice']}`")
    choices: dict[str, list[report.Row]] = {}
    for row in done:
        choices.setdefault(row["choice"], []).append(row)
    blocks = ["# Formulations", report.about(rows, line), NOTES.strip()]
    for name, forms in choices.items():
        first, lines = forms[0], [_cells(row) for row in forms]
        cut = "cut down, " if first["size"] == "small" else ""
        blocks += [f"## {name}", f"{first['layer']}; {cut}{first['dtype']}."]
        blocks.append(report.table(_head(first), lines))
        blocks += _refused(forms)
    if kept := [_kept(forms) for forms in choices.values() if len(forms) > 1]:
        blocks += ["## Kept", report.table(KEPT, kept)]
    return "\n\n".join([*blocks, *failed])


def _head(row: report.Row) -> list[str]:
    head = ["form", "ms [min, max]", "ratio [min, max]", *FIGURES, "compiled in s"]
    for target, counts in row["planned"].items():
        first, *others = FIGURES
        head += [f"{target} ({counts['dtype']}): {first}", *others]
    return head


def _cells(row: report.Row) -> list[str]:
    counts = [_figures(each) for each in row["planned"].values()]
    spreads = [_spread(row, "ms", 4), _spread(row, "ratio", 3)]
    own = [_name(row), *spreads, *_figures(row), f"{row['compile_s']:.2f}"]
    return [*own, *sum(counts, start=[])]


def _name(row: report.Row) -> str:
    return row["form"] + (f" ({row['differs']})" if row["differs"] else "")


def _spread(row: report.Row, key: str, digits: int) -> str:
    kinds = ("median", "min", "max")
    middle, low, high = (f"{row[f'{key}_{kind}']:.{digits}g}" for kind in kinds)
    return f"{middle} [{low}, {high}]"


def _figures(counts: Mapping[str, Any]) -> list[str]:
    return [report.number(counts.get(key), unit) for key, unit in FIGURES.values()]


def _refused(forms: Sequence[report.Row]) -> list[str]:
    return [
        f"Not compiled for {target}: {row['form']}: {counts['error']}"
        for row in forms
        for target, counts in row["planned"].items()
        if "error" in counts
    ]


def _kept(forms: Sequence[report.Row]) -> list[str]:
    ours, *others = forms
    best = min(others, key=lambda row: row["ratio_median"])
    ratio = f"{best['ratio_median']:.3g}"
    return [ours["choice"], ours["form"], _name(best), ratio]
