"""The Markdown page of `versus_pytorch`."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import official_pytorch, report


def page(rows: Sequence[report.Row], name: str) -> str:
    """The rows as Markdown."""
    done, failed = report.parted(rows, _what)
    blocks = ["# Our step and the official PyTorch step"]
    if not done:
        return "\n\n".join([*blocks, f"    {name}", *failed])
    blocks += [report.about(done, name), times(done), parameters(done), _notes(done)]
    return "\n\n".join(blocks + failed)


def times(rows: Sequence[report.Row]) -> str:
    """Milliseconds of both sides, and their ratio."""
    head = (
        "config",
        "config sha",
        "form",
        "batch",
        "image",
        "device: ours, PyTorch",
        "dtype: ours, PyTorch",
        "windows",
        "ours ms a step [min, max]",
        "PyTorch ms a step [min, max]",
        "PyTorch / ours [min, max]",
        "peak MB: ours, PyTorch",
    )
    return report.table(
        head,
        [
            (
                _what(row) + _warnings(row),
                row["config_sha256"][:8],
                row["form"],
                f"{row['batch_size']}",
                f"{row['image_size']}",
                f"{row['device']}, {row['torch_device']}",
                f"{row['dtype']}, {row['torch_dtype']}",
                f"{row['rounds']} x {row['steps']}",
                _spread(row, "ms"),
                _spread(row, "torch_ms"),
                _spread(row, "ratio"),
                f"{report.number(row['memory_peak'], 1e6)}, "
                f"{report.number(row['torch_memory_peak'], 1e6)}",
            )
            for row in rows
        ],
    )


def parameters(rows: Sequence[report.Row]) -> str:
    """How many parameters the networks have on both sides."""
    found = {
        (_what(row), f"{name}, {official_pytorch.name_of(name)}"): (
            f"{row['parameters'][name]}",
            f"{count}",
        )
        for row in rows
        for name, count in row["torch_parameters"].items()
    }
    head = ("config", "network: ours, PyTorch", "parameters of ours", "of PyTorch's")
    return report.table(head, [(*key, *counts) for key, counts in found.items()])


def _notes(rows: Sequence[report.Row]) -> str:
    """What else the official side was run with."""
    lines = [f"Official code: {rows[0]['official'] or 'of an unknown commit'}."]
    for row in {row["form"]: row for row in rows}.values():
        chosen = ", ".join(f"{k} {v}" for k, v in row["torch_backends"].items())
        lines.append(
            f"PyTorch, {row['form']}: {row['torch_threads']} threads; {chosen}."
        )
    return "\n".join(lines)


def _what(row: report.Row) -> str:
    return f"`{row['config']}`"


def _spread(row: report.Row, name: str) -> str:
    middle, low, high = (row[f"{name}_{how}"] for how in ("median", "min", "max"))
    return f"{middle:.4g} [{low:.4g}, {high:.4g}]"


def _warnings(row: report.Row) -> str:
    found = {
        "OURS NOT FINITE": not row["finite"],
        "PYTORCH NOT FINITE": not row["torch_finite"],
        "PYTORCH RECOMPILED": row["torch_recompiled"],
    }
    return "".join(f", {words}" for words, holds in found.items() if holds)
