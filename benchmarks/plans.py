"""What each system's step needs on TPUs and GPUs that are not here.

    python -m benchmarks.plans --output=benchmarks/results/plans.md
    python -m benchmarks.plans --topology=h200:1,h200:8 --only=dcgan,gan3d

Every row is a `jaxgan plan --json` in a process of its own, which needs the extra
`plan`; a batch grows with the devices. Times are bounds from data sheets: nothing runs.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

from benchmarks import report
from jaxgan import command
from jaxgan.core import UserError
from jaxgan.planning import topologies

TOPOLOGIES = ("h200:1", "h200:8", "v5e:2x4", "v5e:8x8", "v5e:16x16")
BATCHES = {  # of one device, as published but where that is one image
    "cyclegan": 4,
    "dcgan": 128,
    "gan": 100,
    "gan3d": 25,
    "pix2pix": 16,
    "srgan": 16,
}

FLAGS = flags.FlagValues()
flags.DEFINE_list("topology", list(TOPOLOGIES), topologies.HELP, flag_values=FLAGS)
flags.DEFINE_list("only", [], "these systems; else all", flag_values=FLAGS)
flags.DEFINE_integer(
    "timeout", 1800, "seconds that a compiler may take", 1, flag_values=FLAGS
)
flags.DEFINE_string("output", None, report.OUTPUT_HELP, flag_values=FLAGS)


def main(argv: Sequence[str]) -> int:
    """Plans row by row; prints the page at the end. 1 if a row failed."""
    command.parse(FLAGS, argv, __doc__)
    for name in FLAGS.only:
        if name not in BATCHES:
            raise UserError(f"--only={name}: there are {', '.join(BATCHES)}")
    machines = [topologies.parse(name) for name in FLAGS.topology]
    line = report.command("plans", argv)
    rows = report.Report(FLAGS.output, lambda rows: page(rows, line))
    for machine in machines:
        for name in FLAGS.only or BATCHES:
            for row in plan(name, machine, FLAGS.timeout):
                rows.add(report.machine() | row)
    rows.close()
    return int(any("error" in row for row in rows.rows))


def plan(name: str, machine: topologies.Topology, timeout: int) -> list[dict[str, Any]]:
    """The rows of a system's stages; what fails is a row that says so.

    Args:
      name: of the system.
      machine: to plan for.
      timeout: seconds.
    """
    batch_size = BATCHES[name] * machine.size
    arguments = [
        *(f"--config={name}", f"--topology={machine.name}", "--json"),
        f"--config.training.batch_size={batch_size}",
    ]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "jaxgan.plan", *arguments],
            capture_output=True,
            text=True,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        return [_failed(name, machine, batch_size, f"not done in {timeout} s")]
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    if not rows:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        return [_failed(name, machine, batch_size, last)]
    return rows


def _failed(
    name: str, machine: topologies.Topology, batch_size: int, why: str
) -> dict[str, Any]:
    about = {"config": name, "topology": machine.name, "batch_size": batch_size}
    return {**about, "error": why[:200]}


def page(rows: Sequence[report.Row], line: str) -> str:
    """The rows as Markdown."""
    done, failed = report.parted(
        rows, lambda row: f"`{row['config']}` on {row['topology']}"
    )
    blocks = ["# Plans for hardware that was not here", report.about(rows, line)]
    if done:
        blocks.append(report.table(HEAD, [_cells(row) for row in done]))
    return "\n\n".join([*blocks, *failed])


_TIMES = ("compute", "memory", "network")
HEAD = (
    "config, stage",
    "topology",
    "dtype",
    "batch",
    "GFLOP",
    "GB accessed",
    "collectives",
    "MB sent",
    "ms: compute",
    "memory",
    "network",
    "bound by",
    "examples/s at most",
    "memory GB",
    "of it temporary",
    "compiled in s",
)


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    what = f"`{row['config']}`, {row['stage']}"
    if not row["fits"] and "memory" not in row:
        return (what, row["topology"], *("-",) * (len(HEAD) - 3), "does not fit")
    seconds = row["seconds"]
    least = max(seconds.values()) if seconds else None
    kinds = row["collectives"].items()
    times = [1e3 * seconds[k] if k in seconds else None for k in _TIMES]
    return (
        what,
        row["topology"],
        row["dtype"],
        f"{row['batch_size']}",
        report.number(row["flops"] and row["flops"] / 1e9),
        report.number(row["bytes_accessed"] and row["bytes_accessed"] / 1e9),
        ", ".join(f"{each['count']} {kind}" for kind, each in kinds) or "-",
        report.number(sum(each["sent"] for _, each in kinds) / 1e6),
        *(report.number(ms) for ms in times),
        row["bound"] or "-",
        report.number(row["batch_size"] / least if least else None),
        report.number(row["memory_peak"] / 1e9)
        + ("" if row["fits"] else " (too much)"),
        report.number(row["memory"].get("temporary", 0) / 1e9),
        f"{row['compile_seconds']:.0f}",
    )


if __name__ == "__main__":
    command.run(main, sys.argv)
