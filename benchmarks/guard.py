"""Holds what every step compiles to against what was recorded: nothing is run or timed.

    python -m benchmarks.guard            # compares; exit 1 if anything differs
    python -m benchmarks.guard --update   # records what is there now

Each stage of `small.py` is compiled for one CPU device (flops, convolutions, slow forms
of them, fusions, bytes) and for eight (collectives). What these figures are for is in
README.md beside this file. They do not depend on the machine, but the compiler decides
some of them, so:

    flops over the algorithm's minimum     at most 1.05, whatever the versions
    flops executed, minimum                within 5 %, whatever the versions
    collectives, slow convolutions         equal  } with another jaxlib than the
    convolutions, fusions, bytes           within 5 %  } recorded one only reported
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import importlib.metadata
import json
import os
import pathlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
from absl import flags, logging

from benchmarks import minimum, steps
from benchmarks.small import SMALL, Small
from jaxgan import command, core, systems
from jaxgan.planning import hlo
from jaxgan.training import sharding

RECORD = pathlib.Path(__file__).parent / "results" / "guard.json"
UPDATE = "python -m benchmarks.guard --update"
MAX_RATIO = 1.05
TOLERANCE = 0.05
DEVICES = 8
COLLECTIVES = (
    "all-reduce",
    "all-gather",
    "reduce-scatter",
    "all-to-all",
    "collective-permute",
)
EXACT = (*COLLECTIVES, "slow convolution")
ALGORITHM = ("flop", "flop of the minimum")  # no compiler may change them

FLAGS = flags.FlagValues()
flags.DEFINE_bool("update", False, "record what is there now", flag_values=FLAGS)
flags.DEFINE_list("only", [], "these systems; else all", flag_values=FLAGS)
flags.DEFINE_string("record", str(RECORD), "the recorded figures", flag_values=FLAGS)

Figures = dict[str, float]


class Deviation(NamedTuple):
    """A difference from the record.

    Attributes:
      line: what to tell.
      fails: whether it is one; else another compiler may be the cause.
    """

    line: str
    fails: bool


def main(argv: Sequence[str]) -> int:
    """Compares or records; returns the exit status."""
    command.parse(FLAGS, argv, __doc__)
    names = chosen(FLAGS.only)
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", DEVICES)
    path = pathlib.Path(FLAGS.record)
    if not FLAGS.update and not path.is_file():
        raise core.UserError(f"{path}: nothing is recorded; run {UPDATE}")
    known = json.loads(path.read_text()) if path.is_file() else {}
    with _quiet(), concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        counted = dict(zip(names, pool.map(figures, names), strict=True))
    found: dict[str, Any] = {"versions": versions(), "stages": counted}
    if FLAGS.update:
        kept = known.get("stages", {}) if FLAGS.only else {}
        found["stages"] = dict(sorted({**kept, **found["stages"]}.items()))
        path.write_text(json.dumps(found, indent=1) + "\n")
        print(f"guard: recorded {len(names)} programs in {path}")
        return 0
    if FLAGS.only:
        known["stages"] = {n: f for n, f in known["stages"].items() if n in names}
    deviations = compare(known, found)
    for deviation in deviations:
        print(("" if deviation.fails else "note: ") + deviation.line)
    failed = sum(d.fails for d in deviations)
    print(f"guard: {len(names)} programs, deviations from the record: {failed}")
    return 1 if failed else 0


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without warnings such as: the batch is small."""
    before = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(before)


def chosen(only: Sequence[str]) -> list[str]:
    """The programs of these systems, or all there are.

    Raises:
      UserError: for an unknown system, and if a program of a registered one has no row
        in `small.py`.
    """
    for name in only:
        systems.get(name)
    there = {
        f"{name}/{part}"
        for name, cls in systems.SYSTEMS.items()
        for part in steps.names(cls())
    }
    for name in sorted(there ^ set(SMALL)):
        lacks = "no row" if name in there else "a row for no program"
        raise core.UserError(f"benchmarks/small.py has {lacks}: {name}")
    return [n for n in SMALL if not only or n.split("/")[0] in only]


def versions() -> dict[str, str]:
    """What decides how a program is compiled."""
    return {name: importlib.metadata.version(name) for name in ("jax", "jaxlib")}


def figures(name: str) -> Figures:
    """Compiles a program of `SMALL` for one device and for eight, and counts."""
    system_name, part = name.split("/")
    small = SMALL[name]
    system = systems.get(system_name)(**small.fields)
    alone = _compile(system, part, small.batch_size, 1)
    found: Figures = {
        "flop": hlo.flops(alone),
        **_minimum(name, system, small),
        "convolution": hlo.instructions(alone, "convolution"),
        "slow convolution": len(hlo.slow_convolutions(alone, small.map_side)),
        "fusion": hlo.instructions(alone, "fusion"),
        "byte accessed": (alone.cost_analysis() or {})["bytes accessed"],
        "temporary byte": alone.memory_analysis().temp_size_in_bytes,
    }
    shared = hlo.collectives(_compile(system, part, DEVICES, DEVICES))
    return found | {kind: shared.get(kind, 0) for kind in COLLECTIVES}


def _compile(system: core.System, part: str, size: int, devices: int) -> Any:
    mesh = sharding.make_mesh({"data": devices, "model": 1})
    program = steps.program(system, part, size, mesh, abstract=True)
    return program.call.lower(*program.arguments).compile(hlo.QUICK)


def _minimum(name: str, system: core.System, small: Small) -> Figures:
    if name not in minimum.MINIMUM:  # a mode
        return {}
    start = steps.shapes(system, name.split("/")[1], small.batch_size)
    piece = minimum.Pieces(system, start.state, start.frozen)
    least = minimum.MINIMUM[name](system, piece, start.batch)
    return {"flop of the minimum": least}


def compare(known: Mapping[str, Any], found: Mapping[str, Any]) -> list[Deviation]:
    """Every difference between a record and what is there now, a line each."""
    same = known.get("versions") == found["versions"]
    stages = known.get("stages", {})
    lines = [
        Deviation(f"{name}: {what}; run {UPDATE}", True)
        for what, names in (
            ("not recorded", found["stages"].keys() - stages.keys()),
            ("recorded, but it is no more", stages.keys() - found["stages"].keys()),
        )
        for name in sorted(names)
    ]
    if not same:
        was, now = (
            " ".join(f"{k} {v}" for k, v in side.get("versions", {}).items())
            for side in (known, found)
        )
        lines.append(
            Deviation(
                f"recorded with {was}, this is {now}: what the compiler decides is "
                "reported, and fails nothing",
                False,
            )
        )
    for name in sorted(stages.keys() & found["stages"].keys()):
        lines += _differences(name, stages[name], found["stages"][name], same)
    return lines


def _differences(
    name: str, known: Figures, found: Figures, same: bool
) -> list[Deviation]:
    lines = []
    least = found.get("flop of the minimum")
    if least and found["flop"] > MAX_RATIO * least:
        line = (
            f"{name}: executes {found['flop'] / least:.3f} of the algorithm's minimum "
            f"of flops, more than {MAX_RATIO}: work is done twice"
        )
        lines.append(Deviation(line, True))
    for kind in dict.fromkeys([*known, *found]):
        was, now = known.get(kind, 0), found.get(kind, 0)
        tolerance = 0.0 if kind in EXACT else TOLERANCE * was
        if abs(now - was) <= tolerance:
            continue
        way = "more" if now > was else "fewer"
        line = (
            f"{name}: {_counted(abs(now - was), kind)} {way} than recorded "
            f"({now:.6g}, recorded {was:.6g}); if this is wanted run {UPDATE}"
        )
        lines.append(Deviation(line, same or kind in ALGORITHM))
    return lines


def _counted(number: float, kind: str) -> str:
    head, *rest = kind.split(" of ")
    return " of ".join([f"{number:.6g} {head}{'s' if number != 1 else ''}", *rest])


if __name__ == "__main__":
    command.run(main, sys.argv)
