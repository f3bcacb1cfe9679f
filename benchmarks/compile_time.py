"""How long a step takes to compile, and how long when it was compiled before.

    python -m benchmarks.compile_time --output=benchmarks/results/compile_time.md
    python -m benchmarks.compile_time --config=cyclegan:horse2zebra --device=cpu

Each row is two processes that share an empty compilation cache, as two starts of a run
share `$JAX_COMPILATION_CACHE_DIR` or `--compilation_cache`. Both trace the step, lower
it, and compile it or read it from the cache; nothing is computed and no weights exist.
Without --config every system as published, each of its stages a row.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

from benchmarks import report, step_throughput
from jaxgan import command, config_files, devices
from jaxgan.training import configs, sharding

FLAGS = flags.FlagValues()
flags.DEFINE_string("config", None, config_files.HELP, flag_values=FLAGS)
flags.DEFINE_string(
    "part", None, "be one start: print the seconds of this stage", flag_values=FLAGS
)
flags.DEFINE_string("output", None, report.OUTPUT_HELP, flag_values=FLAGS)
devices.define_flags(FLAGS)

STARTS = ("first", "second")
PIECES = ("trace_s", "lower_s", "compile_s")


def main(argv: Sequence[str]) -> int:
    """Measures row by row; prints the page at the end. 1 if a row failed."""
    chosen, common, others = step_throughput.split_configs(argv[1:])
    command.parse(FLAGS, [argv[0], *others], __doc__)
    devices.prepare(FLAGS)
    if FLAGS.part is not None:
        ((spec, overrides),) = chosen
        print(json.dumps(start(config_files.load(spec, overrides), FLAGS.part)))
        return 0
    everything = [(spec, common) for spec in config_files.names()]
    line = report.command("compile_time", argv)
    rows = report.Report(FLAGS.output, lambda rows: page(rows, line))
    for spec, overrides in chosen or everything:
        config = config_files.load(spec, overrides)
        for part in step_throughput.parts(config):
            label = {"config": " ".join([spec, *overrides]), "part": part}
            rows.add(report.machine() | label | both_starts(spec, overrides, part))
    rows.close()
    return int(any("error" in row for row in rows.rows))


def start(config: Mapping[str, Any], part: str) -> dict[str, float]:
    """Seconds of `PIECES` in this process."""
    system, mesh = configs.build_system(config), sharding.make_mesh(config["devices"])
    program = step_throughput.program_of(config, system, part, mesh, abstract=True)
    return step_throughput.compile_timed(program)[1]


def both_starts(spec: str, overrides: Sequence[str], part: str) -> dict[str, Any]:
    """`first` and `second`, each the seconds of its `PIECES`; or the `error`."""
    row: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="jaxgan-compiled-") as cache:
        arguments = [
            *(f"--config={spec}", *overrides, f"--part={part}"),
            *(f"--device={FLAGS.device}", f"--compilation_cache={cache}"),
        ]
        for name in STARTS:
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.compile_time", *arguments],
                capture_output=True,
                text=True,
            )
            if done.returncode:
                words = done.stderr.strip().splitlines() or ["no output"]
                return {"error": words[-1][:200]}
            row[name] = json.loads(done.stdout.splitlines()[-1])
    return row


HEAD = (
    "config, part",
    "trace s",
    "lower s",
    "compile s",
    "first start s",
    "trace s",
    "lower s",
    "from the cache s",
    "second start s",
    "second / first",
)


def page(rows: Sequence[report.Row], line: str) -> str:
    """The rows as Markdown."""
    done, failed = report.parted(rows, lambda row: f"`{row['config']}`, {row['part']}")
    blocks = ["# Compiling a step, first and again", report.about(rows, line)]
    if done:
        blocks.append(report.table(HEAD, [_cells(row) for row in done]))
    return "\n\n".join([*blocks, *failed])


def _cells(row: Mapping[str, Any]) -> list[str]:
    cells, totals = [f"`{row['config']}`, {row['part']}"], []
    for name in STARTS:
        pieces = [row[name][piece] for piece in PIECES]
        totals.append(sum(pieces))
        cells += [f"{seconds:.2f}" for seconds in (*pieces, totals[-1])]
    return [*cells, f"{totals[1] / totals[0]:.2f}"]


if __name__ == "__main__":
    command.run(main, sys.argv)
