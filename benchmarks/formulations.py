"""The library's way to write each hot piece of a step, against the other ways.

    python -m benchmarks.formulations --device=cpu --output=rows.md
    python -m benchmarks.formulations --only=padding,twins --size=small
    python -m benchmarks.formulations --topology=h200:1,v5e:2x4 --output=rows.md

A choice that was measured is kept here with its alternatives, so that a later compiler
can overturn it. What is timed is the forward pass and the gradient of a scalar loss,
with respect to parameters and inputs, as one compiled program; all forms of a choice
take turns in this process. Forms that claim to be equal are compared first, in float32
and full precision, and never timed if they are not.

--topology adds what each program would need on one chip that is not here, compiled by
the extra `plan`; nothing runs there. See README.md beside this file.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from jax.sharding import SingleDeviceSharding

from benchmarks import formulations_page, report
from benchmarks.choices import CHOICES, Choice, Form, Setting
from jaxgan import command, core, devices, huge_pages
from jaxgan.planning import estimate, topologies

FLAGS = flags.FlagValues()
flags.DEFINE_list(
    "only", [], f"these choices; else all: {', '.join(CHOICES)}", flag_values=FLAGS
)
flags.DEFINE_enum(
    "size",
    "full",
    ["full", "small"],
    "full: published layers, small maps and batches; small: for a quick look",
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "batch", 1, "times the batches, for accelerators", 1, flag_values=FLAGS
)
flags.DEFINE_enum(
    "dtype",
    "auto",
    ["auto", "float32", "bfloat16"],
    "of activations; auto: float32 on CPUs, bfloat16 elsewhere",
    flag_values=FLAGS,
)
flags.DEFINE_integer("rounds", 5, "timed windows of each form", 1, flag_values=FLAGS)
flags.DEFINE_list(
    "topology", [], f"count here too: {topologies.HELP}", flag_values=FLAGS
)
flags.DEFINE_string("output", None, report.OUTPUT_HELP, flag_values=FLAGS)
devices.define_flags(FLAGS)

WINDOW = 0.2  # seconds
MOST_CALLS = 200  # in a window
# Differences of equal forms over the norm of the array. A ReLU whose argument is nearly
# zero may have either slope, so gradients can differ more.
TOLERANCES = {"results": 1e-4, "gradients": 1e-2}
# An array whose norm is below this part of the largest one counts as if it had it: the
# gradient of a bias before a norm is nothing but rounding.
FLOOR = 1e-2


class UnequalError(Exception):
    """A form that claims to equal the library's does not."""


def main(argv: Sequence[str]) -> int:
    """Measures choice by choice; prints the page at the end. 1 if one failed."""
    command.parse(FLAGS, argv, __doc__)
    names = [core.one_of(name, CHOICES, "--only") for name in FLAGS.only]
    machines = [topologies.parse(name) for name in FLAGS.topology]
    if machines and FLAGS.device not in ("auto", "cpu"):
        raise core.UserError(
            f"--topology and --device={FLAGS.device}: programs for hardware that is "
            "not here are compiled on the CPU; leave one of them out"
        )
    for machine in machines:
        topologies.prepare(machine)
    devices.prepare(FLAGS)
    targets = {m.name: topologies.devices(m)[0] for m in machines}
    line = report.command("formulations", argv)
    rows = report.Report(FLAGS.output, lambda rows: formulations_page.page(rows, line))
    setting = Setting(FLAGS.dtype, FLAGS.batch, FLAGS.size == "small")
    for name in names or CHOICES:
        for row in attempt(name, setting, FLAGS.rounds, targets):
            rows.add(row)
    rows.close()
    return int(any("error" in row for row in rows.rows))


def attempt(
    name: str, setting: Setting, rounds: int, targets: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The rows of a choice, as `measure`; or one that says why there are none.

    Args:
      name: of the choice.
      setting: whose dtype may be `auto`.
      rounds: windows of each form.
      targets: `{topology: device}`, chips to compile for.
    """
    make, platform = CHOICES[name], jax.default_backend()
    here = _resolved(setting, platform)
    about = report.machine() | {
        "choice": name,
        "layer": (make.__doc__ or "").removesuffix("."),
        "dtype": here.dtype,
        "size": "small" if here.small else "full",
        "times_batch": here.batch,
    }
    try:
        rows = measure(make(here._replace(dtype="float32")), make(here), rounds)
    except (UnequalError, jax.errors.JaxRuntimeError) as error:
        return [about | {"error": _first_line(error)}]
    for row in rows:
        row["planned"] = {
            target: planned(
                make, _resolved(setting, device.platform), row["form"], device
            )
            for target, device in targets.items()
        }
    return [about | row for row in rows]


def _resolved(setting: Setting, platform: str) -> Setting:
    if setting.dtype != "auto":
        return setting
    return setting._replace(dtype="float32" if platform == "cpu" else "bfloat16")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200]


def measure(exact: Choice, choice: Choice, rounds: int) -> list[dict[str, Any]]:
    """A row for every form, timed by turns.

    Args:
      exact: the choice in float32, where equal forms must agree.
      choice: the same as it is timed.
      rounds: windows of each form.

    Raises:
      UnequalError: if a form is not what it says; then none is timed.
    """
    check(exact)
    check_types(choice)
    rows, calls = [], {}
    canonical = filled(choice.arguments)
    for name, form in choice.forms.items():
        arguments = jax.jit(form.enter)(*canonical)
        lowered = jax.jit(program(form, choice.trains)).lower(arguments)
        began = time.perf_counter()
        compiled = lowered.compile()
        row = {"form": name, "differs": form.differs, "kept": not rows}
        row["compile_s"] = time.perf_counter() - began
        rows.append(row | counts(compiled))
        calls[name] = partial(compiled, arguments)
    seconds = take_turns(calls, rounds)
    ours = seconds[rows[0]["form"]]
    for row in rows:
        each = seconds[row["form"]]
        ratios = [a / b for a, b in zip(each, ours, strict=True)]
        row |= _spread("ms", [1e3 * s for s in each]) | _spread("ratio", ratios)
    return rows


def _spread(name: str, values: Sequence[float]) -> dict[str, float]:
    kinds = {"median": statistics.median, "min": min, "max": max}
    return {f"{name}_{kind}": of(values) for kind, of in kinds.items()}


def filled(shapes: Any, seed: int = 0) -> Any:
    """Arrays of normal deviates in place of shapes."""
    rng = np.random.default_rng(seed)

    def draw(x: Any) -> jax.Array:
        return jnp.asarray(rng.standard_normal(x.shape, np.float32), x.dtype)

    return jax.tree.map(draw, shapes)


def program(form: Form, trains: bool) -> Callable[[tuple[Any, ...]], Any]:
    """What is timed: a loss of the form's results, with its gradient, or they alone.

    Args:
      form: whose `call`; the program takes a tuple of its arguments.
      trains: whether there is a gradient.
    """
    if not trains:
        return lambda arguments: form.call(*arguments)

    def loss(arguments: tuple[Any, ...]) -> jax.Array:
        # Not the plain square, whose mean a norm makes constant.
        parts = [
            jnp.mean(jnp.square(jax.nn.relu(x.astype(jnp.float32))))
            for x in jax.tree.leaves(form.call(*arguments))
        ]
        return sum(parts, start=jnp.zeros(()))

    return jax.value_and_grad(loss)


def check(choice: Choice) -> None:
    """Makes sure that forms which claim it equal the library's, gradients too.

    Args:
      choice: in float32.

    Raises:
      UnequalError: if one does not.
    """
    arguments = filled(choice.arguments)
    with jax.default_matmul_precision("highest"):
        found = {
            name: _results(form, arguments, choice.trains)
            for name, form in choice.forms.items()
            if not form.differs
        }
    (kept, ours), *others = found.items()
    for name, theirs in others:
        for what, tolerance in TOLERANCES.items():
            difference = _difference(ours[what], theirs[what])
            if not difference <= tolerance:
                raise UnequalError(
                    f"the {what} of {name!r} differ from those of {kept!r} by "
                    f"{difference:.2g}, more than {tolerance:g}: nothing is timed"
                )


def _as_ours(form: Form) -> Callable[..., Any]:
    """The form as a function of the choice's arguments, with the results of ours."""
    return lambda *arguments: form.leave(form.call(*form.enter(*arguments)))


def _results(form: Form, arguments: tuple[Any, ...], trains: bool) -> dict[str, Any]:
    """`results`, and the `gradients` of a random weighting of them."""
    call = _as_ours(form)
    weights = filled(jax.eval_shape(call, *arguments), seed=1) if trains else None

    def both(weights: Any, *arguments: Any) -> tuple[Any, Any]:
        if weights is None:
            return call(*arguments), ()
        out, pull = jax.vjp(call, *arguments)
        return out, pull(weights)

    results, gradients = jax.jit(both)(weights, *arguments)
    return {"results": results, "gradients": gradients}


def _difference(ours: Any, theirs: Any) -> float:
    """The largest of all arrays, relative to the norm of each; see `FLOOR`."""
    pairs = [jax.tree.leaves(jax.device_get(tree)) for tree in (ours, theirs)]
    norms = [np.linalg.norm(a) for a in pairs[0]]
    apart = [np.linalg.norm(a - b) for a, b in zip(*pairs, strict=True)]
    scales = np.maximum(norms, FLOOR * np.max(norms, initial=0.0))
    return float(np.max(apart / scales, initial=0.0))


def check_types(choice: Choice) -> None:
    """Makes sure that all forms return arrays of the same shapes and dtypes.

    Raises:
      UnequalError: if one does not.
    """
    found = {
        name: jax.tree.map(
            lambda x: f"{x.dtype}{list(x.shape)}",
            jax.eval_shape(_as_ours(form), *choice.arguments),
        )
        for name, form in choice.forms.items()
    }
    (kept, ours), *others = found.items()
    for name, theirs in others:
        if theirs != ours:
            raise UnequalError(f"{name!r} returns {theirs}, {kept!r} {ours}")


def take_turns(
    calls: Mapping[str, Callable[[], Any]], rounds: int
) -> dict[str, list[float]]:
    """Seconds a call of each in its windows; the next begins when one has ended.

    Args:
      calls: what to time, by name; each returns arrays.
      rounds: windows of each.
    """

    def window(call: Callable[[], Any], number: int) -> float:
        began, out = time.perf_counter(), None
        for _ in range(number):
            out = call()
        jax.block_until_ready(out)
        return (time.perf_counter() - began) / number

    numbers = {}
    for name, call in calls.items():
        first = window(call, 1)
        one = first if first > WINDOW else window(call, 1)
        numbers[name] = min(max(int(WINDOW / one), 1), MOST_CALLS)
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            seconds[name].append(window(call, numbers[name]))
    return seconds


def counts(compiled: Any) -> dict[str, Any]:
    """Flops, bytes accessed and temporary bytes of a program."""
    flops, accessed = estimate.work(compiled, compiled.as_text() or "")
    temporary = compiled.memory_analysis().temp_size_in_bytes
    return {"flops": flops, "bytes_accessed": accessed, "temporary": temporary}


def planned(
    make: Callable[[Setting], Choice], setting: Setting, form: str, device: Any
) -> dict[str, Any]:
    """As `counts`, of the program that is timed, on a chip that need not be here; or
    why its compiler refuses it.

    Args:
      make: of `CHOICES`.
      setting: of the chip.
      form: its name.
      device: of `topologies.devices`.
    """
    choice, place = make(setting), SingleDeviceSharding(device)
    own = choice.forms[form]
    arguments = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place),
        jax.eval_shape(own.enter, *choice.arguments),
    )
    about = {"dtype": setting.dtype}
    try:
        lowered = jax.jit(program(own, choice.trains)).lower(arguments)
        return about | counts(lowered.compile())
    except jax.errors.JaxRuntimeError as error:
        return about | {"error": _first_line(error)}


if __name__ == "__main__":
    huge_pages.ask(sys.argv[1:])  # as the commands do
    command.run(main, sys.argv)
