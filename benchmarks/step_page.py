"""The Markdown page of `step_throughput`."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import report


def page(rows: Sequence[report.Row], name: str) -> str:
    """The rows as Markdown: time in one table, work and memory in another."""
    done, failed = report.parted(rows, _what)
    notes = [
        f"Without its own data: {_what(row)}: {row['input_note']}"
        for row in done
        if "input_note" in row
    ]
    blocks = ["# Time, flops and memory of a step", report.about(rows, name)]
    if done:
        blocks += [times(done), work(done)]
    return "\n\n".join(blocks + failed + notes)


def times(rows: Sequence[report.Row]) -> str:
    """How long a step takes, and what feeds it."""
    head = (
        "config, part",
        "config sha",
        "devices",
        "dtype",
        "batch",
        "steps",
        "ms a step [min, max]",
        "examples/s",
        "images/s",
        "input alone examples/s",
        "step with input examples/s",
        "first start: trace + lower, compile s",
        "second s",
    )
    return report.table(
        head,
        [
            (
                _what(row) + _warnings(row),
                row["config_sha256"][:8],
                f"{row['devices']} x {row['device']}",
                row["dtype"],
                f"{row['batch_size']}",
                f"{row['repetitions']} x {row['steps']}",
                f"{row['ms_median']:.4g} [{row['ms_min']:.4g}, {row['ms_max']:.4g}]",
                report.number(row["examples_per_second"]),
                report.number(row["images_per_second"]),
                report.number(row.get("input_examples_per_second")),
                report.number(row.get("fed_examples_per_second")),
                f"{row['trace_s'] + row['lower_s']:.1f}, {row['compile_s']:.1f}",
                f"{row['cached_trace_s'] + row['cached_lower_s']:.1f}, "
                f"{row['cached_compile_s']:.1f}",
            )
            for row in rows
        ],
    )


def work(rows: Sequence[report.Row]) -> str:
    """What a step does in that time, and what it needs."""
    head = (
        "config, part",
        "dtype",
        "GFLOP executed",
        "minimum",
        "ratio",
        "MFU",
        "of the peak",
        "GB accessed",
        "bound ms",
        "memory MB planned",
        "seen",
    )
    return report.table(
        head,
        [
            (
                _what(row),
                row["dtype"],
                report.number(row["flops_executed"], 1e9),
                report.number(row["flops_minimum"], 1e9),
                report.number(row["flops_ratio"]),
                f"{row['mfu']:.1%}" if row["mfu"] else "-",
                row["peak"] or "-",
                report.number(row["bytes_accessed"], 1e9),
                report.number(row["bound_ms"]),
                report.number(row["memory_planned"], 1e6),
                report.number(row["memory_peak"], 1e6),
            )
            for row in rows
        ],
    )


def _what(row: report.Row) -> str:
    return f"`{row.get('config', row['system'])}`, {row['part']}"


def _warnings(row: report.Row) -> str:
    skipped = [f", {k} skipped {v:.0%}" for k, v in row["skipped"].items() if v]
    return "".join(skipped) + ("" if row["finite"] else ", NOT FINITE")
