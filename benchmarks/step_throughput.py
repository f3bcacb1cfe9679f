"""Time, flops and memory of a training step, its batch resident on the device.

    python -m benchmarks.step_throughput --config=dcgan:celeba
    python -m benchmarks.step_throughput --dtype=float32,bfloat16 --output=rows.md \\
        --config=pix2pix:facades --config.training.batch_size=16 \\
        --config=cyclegan:horse2zebra
    python -m benchmarks.step_throughput --all=demo \\
        --config=semantic_inpainting:demo --config.system.num_iters=20

Several --config may follow one another; overrides --config.<key>=<value> belong to the
config before them, those before the first to all. A config that is named is not taken a
second time by --all. Every stage and dtype is a row: a JSON line, and a line of the
tables at the end. A system without stages has a row for its first mode, other modes on
request. See README.md beside this file.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from absl import flags
from jax.sharding import Mesh

from benchmarks import feeding, minimum, report, step_page, steps
from jaxgan import command, config_files, core, devices, huge_pages
from jaxgan.planning import hlo, peaks
from jaxgan.training import configs, programs, sharding

FLAGS = flags.FlagValues()
flags.DEFINE_string("config", None, config_files.HELP, flag_values=FLAGS)
flags.DEFINE_string(
    "all",
    None,
    "every config that has this variant; `default`: every config as it is published",
    flag_values=FLAGS,
)
flags.DEFINE_string("stage", None, "only this stage", flag_values=FLAGS)
flags.DEFINE_string("mode", None, "this mode instead of stages", flag_values=FLAGS)
flags.DEFINE_list(
    "dtype", [], "a row for each of these; else the config's", flag_values=FLAGS
)
flags.DEFINE_integer("repetitions", 5, "timed windows", 1, flag_values=FLAGS)
flags.DEFINE_integer(
    "steps",
    0,
    "steps a window; 0: 20, on a CPU 5, fewer where they take over 3 s",
    0,
    flag_values=FLAGS,
)
flags.DEFINE_bool(
    "input", True, "measure the config's own data too, if it is here", flag_values=FLAGS
)
flags.DEFINE_string("output", None, report.OUTPUT_HELP, flag_values=FLAGS)
devices.define_flags(FLAGS)

WARM_UP = 3
LONGEST_WINDOW = 3.0  # seconds, where the user does not choose its steps


def main(argv: Sequence[str]) -> int:
    """Measures row by row; prints the page at the end. 1 if a row failed."""
    chosen, common, others = split_configs(argv[1:])
    command.parse(FLAGS, [argv[0], *others], __doc__)
    if FLAGS.all:
        given = {spec for spec, _ in chosen}
        rest = [spec for spec in all_configs(FLAGS.all) if spec not in given]
        chosen = [(spec, common) for spec in rest] + chosen
    if not chosen:
        raise core.UserError(f"--config or --all is missing: {config_files.HELP}")
    if FLAGS.compilation_cache is None:  # an empty one, so that `cached` means it
        FLAGS.compilation_cache = tempfile.mkdtemp(prefix="jaxgan-compiled-")
    devices.prepare(FLAGS)
    name = report.command("step_throughput", argv)
    rows = report.Report(FLAGS.output, lambda rows: step_page.page(rows, name))
    for spec, overrides in chosen:
        for dtype in FLAGS.dtype or [None]:
            extra = [f"--config.dtype={dtype}"] if dtype else []
            config = config_files.load(spec, [*overrides, *extra])
            for part in parts(config, FLAGS.stage, FLAGS.mode):
                label = {"config": " ".join([spec, *overrides])}
                row = attempt(config, part, FLAGS.repetitions, FLAGS.steps, FLAGS.input)
                rows.add(label | row)
    rows.close()
    return int(any("error" in row for row in rows.rows))


def split_configs(
    arguments: Sequence[str],
) -> tuple[list[tuple[str, list[str]]], list[str], list[str]]:
    """`[(config, its overrides)]`, the overrides of all, and the other arguments."""
    overrides, others = command.split(arguments)
    chosen: list[tuple[str, list[str]]] = []
    common: list[str] = []
    rest = [a for a in arguments if a in overrides or a.startswith("--config=")]
    for argument in rest:
        if argument.startswith("--config="):
            chosen.append((argument.removeprefix("--config="), list(common)))
        else:
            (chosen[-1][1] if chosen else common).append(argument)
    return chosen, common, [a for a in others if not a.startswith("--config=")]


def all_configs(variant: str) -> list[str]:
    """The configs that have a variant.

    Raises:
      UserError: if none has it.
    """
    if variant == "default":
        return config_files.names()
    names = [n for n in config_files.names() if variant in config_files.variants(n)]
    if not names:
        raise core.UserError(f"--all={variant}: no config has this variant")
    return [f"{name}:{variant}" for name in names]


def parts(
    config: Mapping[str, Any], stage: str | None = None, mode: str | None = None
) -> list[str]:
    """What of a config becomes a row: its stages, this stage, or this mode.

    Raises:
      UserError: if there is no such stage or mode.
    """
    system = configs.build_system(config)
    found = steps.names(system, mode)
    if stage is None or mode is not None:
        return found
    known = [s.name for s in system.stages]
    if stage not in known:
        there = ", ".join(known) or f"none, but modes: --mode={found[0]}"
        raise core.UserError(f"{config['name']} has no stage {stage!r}; it has {there}")
    return [stage]


def attempt(
    config: Mapping[str, Any], part: str, repetitions: int, window: int, fed_too: bool
) -> dict[str, Any]:
    """As `measure`; what the device refuses becomes a row that says so."""
    try:
        return measure(config, part, repetitions, window, fed_too)
    except jax.errors.JaxRuntimeError as error:
        about = report.machine() | {"system": config["name"], "part": part}
        return about | {"error": str(error).strip().splitlines()[0][:200]}


def measure(
    config: Mapping[str, Any],
    part: str,
    repetitions: int,
    window: int = 0,
    fed_too: bool = False,
) -> dict[str, Any]:
    """Compiles, times and counts a stage's step or a mode, placed as in training.

    Args:
      config: resolved, as `config_files.load` gives it.
      part: the stage or mode.
      repetitions: timed windows.
      window: steps a window; 0: 20, on a CPU 5, fewer where they take too long.
      fed_too: a step is also measured with the config's own data, if it is here.
    """
    system = configs.build_system(config)
    row = _setting(config, system, part)
    size, mesh = config["training"]["batch_size"], sharding.make_mesh(config["devices"])
    sharding.check_batch_size(size, mesh, config["system"].get("microbatches", 1))
    program = program_of(config, system, part, mesh)
    shapes = jax.eval_shape(lambda: program.arguments)
    least = _minimum(f"{config['name']}/{part}", system, shapes)
    compiled, first = compile_timed(program)
    jax.clear_caches()  # what is compiled stays on the disk
    _, again = compile_timed(program)
    state, seconds, seen = _time(compiled, program, repetitions, window)
    draws = configs.stage_data(config, part).get("draws", 1)
    middle = statistics.median(seconds)
    images = _images(shapes.batch)
    row |= {
        "batch_size": size,
        "repetitions": repetitions,
        "ms_median": 1e3 * middle,
        "ms_min": 1e3 * min(seconds),
        "ms_max": 1e3 * max(seconds),
        "examples_per_second": size * draws / middle,
        "images_per_second": images * size * draws / middle,
        "images_per_example": images,
    }
    row |= first | {f"cached_{name}": value for name, value in again.items()}
    row |= _work(compiled, mesh.size, least, middle, system.dtype)
    row |= _memory(compiled) | seen
    if fed_too and program.is_step:
        (stage,) = (s for s in system.stages if s.name == part)
        frozen = program.arguments.frozen
        row |= feeding.measure(
            config, system, stage, state, frozen, mesh, seen["steps"]
        )
    return row


def program_of(
    config: Mapping[str, Any],
    system: core.System,
    part: str,
    mesh: Mesh,
    abstract: bool = False,
) -> steps.Program:
    """A stage's or a mode's program, for batches as the config has them."""
    side = configs.stage_data(config, part).get("image_size")
    side = side if isinstance(side, int) else 32
    size = config["training"]["batch_size"]
    return steps.program(system, part, size, mesh, side=side, abstract=abstract)


def _setting(
    config: Mapping[str, Any], system: core.System, part: str
) -> dict[str, Any]:
    """What was measured, and on what."""
    digest = hashlib.sha256(configs.to_json(config).encode()).hexdigest()
    return report.machine() | {
        "system": config["name"],
        "part": part,
        "config_sha256": digest,
        "devices": sharding.make_mesh(config["devices"]).size,
        "dtype": system.dtype,
    }


def _minimum(name: str, system: core.System, shapes: steps.Arguments) -> float | None:
    """Counted in float32, which a CPU compiles as it is; other dtypes cost the same."""
    if name not in minimum.MINIMUM:
        return None
    in_float32: Any = dataclasses.replace(system, dtype="float32")  # type: ignore
    plain = jax.default_backend() != "cpu" or system.dtype != "float32"
    piece = minimum.Pieces(in_float32, shapes.state, shapes.frozen, plain=plain)
    return minimum.MINIMUM[name](in_float32, piece, shapes.batch)


def _images(batch: Mapping[str, Any]) -> int:
    """How many images (or shapes) an example is.

    Those of the largest size: a pair is two, a picture and its small copy one.
    """
    sizes = [
        math.prod(field.shape[1:])
        for name, field in batch.items()
        if len(field.shape) >= 4 and "mask" not in name
    ]
    return sizes.count(max(sizes)) if sizes else 1


def compile_timed(program: steps.Program) -> tuple[Any, dict[str, float]]:
    began = time.perf_counter()
    with programs.collector_paused():
        traced = program.call.trace(*program.arguments)
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
    compiled: Any, program: steps.Program, repetitions: int, window: int
) -> tuple[Any, list[float], dict[str, Any]]:
    """The last state, seconds a step of every window, and what might mislead."""
    state, *others = program.arguments

    def once(state: Any) -> tuple[Any, Any]:
        out = compiled(state, *others)
        return out if program.is_step else (state, out)

    one, out, warm_up = 0.0, None, 0
    start = time.perf_counter()
    while warm_up < WARM_UP and time.perf_counter() - start < LONGEST_WINDOW:
        began = time.perf_counter()
        state, out = jax.block_until_ready(once(state))
        one = time.perf_counter() - began
        warm_up += 1
    if not window:
        usual = 5 if jax.default_backend() == "cpu" else 20
        window = max(1, min(usual, int(LONGEST_WINDOW / one)))
    seconds, kept = [], []
    for _ in range(repetitions):
        began = time.perf_counter()
        for _ in range(window):
            state, out = once(state)
            if program.is_step:
                kept.append(out)
        jax.block_until_ready((state, out))
        seconds.append((time.perf_counter() - began) / window)
    rows = jax.device_get(kept or [out])
    finite = all(np.all(np.isfinite(value)) for row in rows for value in row.values())
    gates = [name for name in rows[0] if name.startswith("skipped/")]
    skipped = {g.split("/")[1]: float(np.mean([r[g] for r in rows])) for g in gates}
    about = {"warm_up": warm_up, "steps": window, "finite": finite, "skipped": skipped}
    return state, seconds, about


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


if __name__ == "__main__":
    huge_pages.ask(sys.argv[1:])  # as the commands do
    command.run(main, sys.argv)
