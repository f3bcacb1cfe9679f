"""Time, flops and memory of a training step, its batch resident on the device.

    python -m benchmarks.step_throughput --config=dcgan:celeba
    python -m benchmarks.step_throughput --dtype=float32,bfloat16 --output=rows.jsonl \\
        --config=pix2pix:facades --config.training.batch_size=16 \\
        --config=cyclegan:horse2zebra

Several --config may follow one another; overrides --config.<key>=<value> belong to the
config before them, those before the first to all. Every stage and dtype is a row: a
JSON line, and a line of the table at the end. See README.md beside this file.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from absl import flags

from benchmarks import hlo, minimum, peaks, steps
from jaxgan import command, config_files, core, devices
from jaxgan.training import configs, sharding

FLAGS = flags.FlagValues()
flags.DEFINE_string("config", None, config_files.HELP, flag_values=FLAGS)
flags.DEFINE_string("stage", None, "only this stage", flag_values=FLAGS)
flags.DEFINE_list(
    "dtype", [], "a row for each of these; else the config's", flag_values=FLAGS
)
flags.DEFINE_integer("repetitions", 5, "timed windows", 1, flag_values=FLAGS)
flags.DEFINE_integer(
    "steps", 0, "steps a window; 0: 20, on a CPU 5", 0, flag_values=FLAGS
)
flags.DEFINE_string("output", None, "append the JSON lines here", flag_values=FLAGS)
devices.define_flags(FLAGS)

WARM_UP = 3
PACKAGES = ("jax", "jaxlib", "flax", "optax")
ENVIRONMENT = ("XLA_FLAGS", "XLA_PYTHON_CLIENT_PREALLOCATE", "OMP_NUM_THREADS")


def main(argv: Sequence[str]) -> None:
    """Measures, prints JSON lines (or appends them to --output), then the table."""
    chosen, others = split_configs(argv[1:])
    command.parse(FLAGS, [argv[0], *others], __doc__)
    if not chosen:
        raise core.UserError(f"--config is missing: {config_files.HELP}")
    if FLAGS.compilation_cache is None:  # an empty one, so that `cached` means it
        FLAGS.compilation_cache = tempfile.mkdtemp(prefix="jaxgan-compiled-")
    devices.prepare(FLAGS)
    rows = []
    for spec, overrides in chosen:
        for dtype in FLAGS.dtype or [None]:
            extra = [f"--config.dtype={dtype}"] if dtype else []
            config = config_files.load(spec, [*overrides, *extra])
            for row in rows_of(config, FLAGS.repetitions, FLAGS.steps, FLAGS.stage):
                row["config"] = " ".join([spec, *overrides])
                rows.append(row)
                write(row, FLAGS.output)
    print(table(rows))


def split_configs(
    arguments: Sequence[str],
) -> tuple[list[tuple[str, list[str]]], list[str]]:
    """`[(config, its overrides)]`, and the other arguments."""
    overrides, others = command.split(arguments)
    chosen: list[tuple[str, list[str]]] = []
    common: list[str] = []
    rest = [a for a in arguments if a in overrides or a.startswith("--config=")]
    for argument in rest:
        if argument.startswith("--config="):
            chosen.append((argument.removeprefix("--config="), list(common)))
        else:
            (chosen[-1][1] if chosen else common).append(argument)
    return chosen, [a for a in others if not a.startswith("--config=")]


def write(row: Mapping[str, Any], output: str | None) -> None:
    """One JSON line, as soon as it is there."""
    line = json.dumps(row)
    if output is None:
        print(line, flush=True)
        return
    with open(output, "a") as file:
        file.write(line + "\n")


def rows_of(
    config: Mapping[str, Any], repetitions: int, window: int, only: str | None = None
) -> list[dict[str, Any]]:
    """A row for every stage of a config's system.

    Args:
      config: resolved, as `config_files.load` gives it.
      repetitions: timed windows.
      window: steps a window; 0: 20, on a CPU 5.
      only: the stage that is wanted; None: all.
    """
    system = configs.build_system(config)
    stages = [s for s in system.stages if only in (None, s.name)]
    if not stages:
        known = ", ".join(s.name for s in system.stages) or "none"
        raise core.UserError(f"{config['name']} has no stage {only!r}; it has {known}")
    return [measure(config, system, s, repetitions, window) for s in stages]


def measure(
    config: Mapping[str, Any],
    system: core.System,
    stage: core.Stage,
    repetitions: int,
    window: int,
) -> dict[str, Any]:
    """Compiles, times and counts one stage's step, placed as the trainer places it."""
    row = _setting(config, system, stage)
    size, mesh = config["training"]["batch_size"], sharding.make_mesh(config["devices"])
    sharding.check_batch_size(size, mesh)
    data = configs.stage_data(config, stage.name)
    side = data.get("image_size")
    start = steps.start(system, stage.name, size, side if isinstance(side, int) else 32)
    whole, where = sharding.replicated(mesh), sharding.shardings(mesh, start.state)
    arguments = steps.Arguments(
        jax.device_put(start.state, where),
        jax.device_put(start.frozen, sharding.shardings(mesh, start.frozen)),
        jax.device_put(start.batch, sharding.over_batch(mesh)),
        jax.device_put(start.key, whole),
    )

    def build() -> tuple[Any, dict[str, float]]:
        jitted = jax.jit(stage.step, out_shardings=(where, whole), donate_argnums=0)
        return _compile(jitted, arguments)

    compiled, first = build()
    jax.clear_caches()  # what is compiled stays on the disk
    _, again = build()
    window = window or (5 if jax.default_backend() == "cpu" else 20)
    seconds, seen = _time(compiled, arguments, repetitions, window)
    least = _minimum(f"{config['name']}/{stage.name}", system, start)

    middle, examples = statistics.median(seconds), size * data.get("draws", 1)
    row |= {
        "batch_size": size,
        "warm_up": WARM_UP,
        "steps": window,
        "repetitions": repetitions,
        "ms_median": 1e3 * middle,
        "ms_min": 1e3 * min(seconds),
        "ms_max": 1e3 * max(seconds),
        "examples_per_second": examples / middle,
        "images_per_second": _images(stage) * examples / middle,
        "images_per_example": _images(stage),
    }
    row |= first | {f"cached_{name}": value for name, value in again.items()}
    row |= _work(compiled, mesh.size, least, middle, system.dtype)
    row |= _memory(compiled) | seen
    return {name: _short(value) for name, value in row.items()}


def _setting(
    config: Mapping[str, Any], system: core.System, stage: core.Stage
) -> dict[str, Any]:
    """What was measured, and on what."""
    device = jax.devices()[0]
    return {
        "system": config["name"],
        "stage": stage.name,
        "config_sha256": hashlib.sha256(configs.to_json(config).encode()).hexdigest(),
        "device": device.device_kind,
        "platform": device.platform,
        "devices": sharding.make_mesh(config["devices"]).size,
        "cpu_cores": len(os.sched_getaffinity(0)),
        "load_before": os.getloadavg()[0],
        "versions": {p: importlib.metadata.version(p) for p in PACKAGES},
        "environment": {k: os.environ[k] for k in ENVIRONMENT if k in os.environ},
        "dtype": system.dtype,
        "matmul_precision": jax.config.jax_default_matmul_precision or "default",
    }


def _minimum(name: str, system: core.System, start: steps.Arguments) -> float | None:
    if name not in minimum.MINIMUM:
        return None
    piece = minimum.Pieces(system, start.state, start.frozen)
    return minimum.MINIMUM[name](system, piece, start.batch)


def _images(stage: core.Stage) -> int:
    """How many images (or shapes) an example is.

    Those of the largest size: a pair is two, a picture and its small copy one.
    """
    sizes = [
        math.prod(n or 1 for n in spec.shape)
        for name, spec in stage.batch_spec.items()
        if len(spec.shape) >= 3 and "mask" not in name
    ]
    return sizes.count(max(sizes)) if sizes else 1


def _compile(jitted: Any, arguments: Any) -> tuple[Any, dict[str, float]]:
    began = time.perf_counter()
    traced = jitted.trace(*arguments)
    traced_at = time.perf_counter()
    lowered = traced.lower()
    lowered_at = time.perf_counter()
    compiled = lowered.compile()
    return compiled, {
        "trace_s": traced_at - began,
        "lower_s": lowered_at - traced_at,
        "compile_s": time.perf_counter() - lowered_at,
    }


def _time(
    compiled: Any, arguments: steps.Arguments, repetitions: int, window: int
) -> tuple[list[float], dict[str, Any]]:
    """Seconds a step of every window; and what would make them misleading."""
    state, *others = arguments
    for _ in range(WARM_UP):
        state, metrics = compiled(state, *others)
        jax.block_until_ready((state, metrics))
    seconds, kept = [], []
    for _ in range(repetitions):
        began = time.perf_counter()
        for _ in range(window):
            state, metrics = compiled(state, *others)
            kept.append(metrics)
        jax.block_until_ready((state, metrics))
        seconds.append((time.perf_counter() - began) / window)
    rows = jax.device_get(kept)
    finite = all(np.isfinite(value) for row in rows for value in row.values())
    gates = [name for name in rows[0] if name.startswith("skipped/")]
    skipped = {g.split("/")[1]: float(np.mean([r[g] for r in rows])) for g in gates}
    return seconds, {"finite": finite, "skipped": skipped}


def _work(
    compiled: Any, count: int, least: float | None, seconds: float, dtype: str
) -> dict[str, Any]:
    """Flops and bytes of one step on all devices, and how near the device's peak."""
    try:
        executed = count * hlo.flops(compiled)
    except ValueError:  # a loop without an end that is known
        executed = None
    costs = compiled.cost_analysis() or {}
    accessed = costs.get("bytes accessed")
    accessed = None if accessed is None else count * accessed
    row = {
        "flops_executed": executed,
        "flops_minimum": least,
        "flops_ratio": executed / least if executed and least else None,
        "bytes_accessed": accessed,
        "peak": None,
        "mfu": None,
        "bound_ms": None,
    }
    peak = peaks.find(jax.devices()[0].device_kind)
    if peak is None or dtype not in peak.matmul:
        return row
    rate, bandwidth = 1e12 * count * peak.matmul[dtype], 1e12 * count * peak.bandwidth
    row["peak"] = f"{peak.matmul[dtype]:g} TFLOP/s ({peak.units[dtype]}, nominal)"
    if least:
        row["mfu"] = least / (seconds * rate)
        row["bound_ms"] = 1e3 * max(least / rate, (accessed or 0.0) / bandwidth)
    return row


def _memory(compiled: Any) -> dict[str, Any]:
    """Bytes on one device: by the compiler's plan, and as the allocator saw it."""
    plan = compiled.memory_analysis()
    parts = {
        "arguments": plan.argument_size_in_bytes,
        "outputs": plan.output_size_in_bytes,
        "aliased": plan.alias_size_in_bytes,
        "temporary": plan.temp_size_in_bytes,
    }
    total = parts["arguments"] + parts["outputs"] + parts["temporary"]
    seen = jax.local_devices()[0].memory_stats() or {}
    return {
        "memory": parts,
        "memory_planned": total - parts["aliased"],
        # Of the whole process: exact for the first row alone.
        "memory_peak": seen.get("peak_bytes_in_use"),
    }


def _short(value: Any) -> Any:
    """Six digits are enough."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as a Markdown table."""
    head = (
        "config, stage",
        "device",
        "dtype",
        "batch",
        "ms a step [min, max]",
        "examples/s",
        "images/s",
        "compile s (cached)",
        "GFLOP",
        "/ minimum",
        "MFU",
        "GB accessed",
        "memory MB",
    )
    lines = [head, ("---",) * len(head)]
    for row in rows:
        note = "".join(f", {k} skipped {v:.0%}" for k, v in row["skipped"].items() if v)
        note += "" if row["finite"] else ", NOT FINITE"
        seen = row["memory_peak"] or row["memory_planned"]
        lines.append(
            (
                f"`{row['config']}`, {row['stage']}{note}",
                f"{row['devices']} x {row['device']}",
                row["dtype"],
                f"{row['batch_size']}",
                f"{row['ms_median']:.4g} [{row['ms_min']:.4g}, {row['ms_max']:.4g}]",
                f"{row['examples_per_second']:.4g}",
                f"{row['images_per_second']:.4g}",
                f"{row['trace_s'] + row['lower_s']:.1f} + {row['compile_s']:.1f} "
                f"({row['cached_compile_s']:.1f})",
                _number(row["flops_executed"], 1e9),
                _number(row["flops_ratio"], 1.0),
                f"{row['mfu']:.1%}" if row["mfu"] else "-",
                _number(row["bytes_accessed"], 1e9),
                _number(seen, 1e6),
            )
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _number(value: float | None, unit: float) -> str:
    return "-" if value is None else f"{value / unit:.4g}"


if __name__ == "__main__":
    command.run(main, sys.argv)
