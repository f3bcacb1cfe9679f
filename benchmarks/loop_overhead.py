"""The trainer's own loop against its compiled step alone, window by window.

    python -m benchmarks.loop_overhead --config=gan:demo --config=dcgan:demo
    python -m benchmarks.loop_overhead --config=pix2pix:facades --steps_per_call=1,10 \\
        --config.data.source=folder:/data/facades --output=loop.md

Several --config may follow one another; overrides --config.<key>=<value> belong to the
config before them, those before the first to all. Every config and number of steps a
call is a row, for the first stage.

`loop.train` runs as in a training run, on the config's own data, and logs at the end of
each window. There it stands still while two other windows are timed, their batch
resident on the device: the same compiled call (`update`), and the stage's step without
preprocessing (`step`). The medians of the pairwise ratios are what the loop costs. See
README.md beside this file.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from absl import flags

from benchmarks import report, step_throughput, steps
from jaxgan import command, config_files, core, devices, huge_pages
from jaxgan.data import make_task
from jaxgan.training import configs, loop, sharding
from jaxgan.training.feeds import Feeds
from jaxgan.training.programs import Leg, Programs, step_keys
from jaxgan.training.progress import Stopwatch

FLAGS = flags.FlagValues()
flags.DEFINE_string("config", None, config_files.HELP, flag_values=FLAGS)
flags.DEFINE_list(
    "steps_per_call", ["1"], "a row of a config for each", flag_values=FLAGS
)
flags.DEFINE_integer("rounds", 7, "windows of each kind", 1, flag_values=FLAGS)
flags.DEFINE_integer(
    "window",
    0,
    "steps a window; 0: as many as take 2 seconds, from 20 to 500",
    0,
    flag_values=FLAGS,
)
flags.DEFINE_string("output", None, report.OUTPUT_HELP, flag_values=FLAGS)
devices.define_flags(FLAGS)

KINDS = ("trainer", "update", "step")
LONGEST_WINDOW = 2.0  # seconds, where the user does not choose its steps
ALONE = {  # of the section `training`: nothing but rows is written
    "checkpoint_every": 0,
    "sample_every": 0,
    "evaluate_every": 0,
    "keep_every": 0,
    "best_metric": None,
}

Watch = Callable[[int, Mapping[str, float]], str]


def main(argv: Sequence[str]) -> int:
    """Measures row by row; prints the page at the end."""
    chosen, _, others = step_throughput.split_configs(argv[1:])
    command.parse(FLAGS, [argv[0], *others], __doc__)
    if not chosen:
        raise core.UserError(f"--config is missing: {config_files.HELP}")
    calls = [_count(text) for text in FLAGS.steps_per_call]
    devices.prepare(FLAGS)
    name = report.command("loop_overhead", argv)
    rows = report.Report(FLAGS.output, lambda rows: page(rows, name))
    for spec, overrides in chosen:
        config = config_files.load(spec, overrides)
        for steps_per_call in calls:
            row = measure(config, steps_per_call, FLAGS.rounds, FLAGS.window)
            rows.add({"config": " ".join([spec, *overrides])} | row)
    rows.close()
    return 0


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise core.UserError(f"--steps_per_call={text}: give numbers of at least 1")
    return int(text)


def watched(system: core.System, watch: Watch, num_steps: int) -> core.System:
    """The system, whose first stage, its only one, tells a watcher of each logged step.

    Args:
      system: of the library.
      watch: see `core.Stage`.
      num_steps: of the stage.
    """
    stage = dataclasses.replace(system.stages[0], num_steps=num_steps, watch=watch)
    own: Any = type("Watched", (type(system),), {"stages": (stage,)})
    fields = dataclasses.fields(own)
    return own(**{f.name: getattr(system, f.name) for f in fields})


class Windows:
    """What a trainer's windows are compared with, and how long each took.

    Attributes:
      seconds: `{kind: wall seconds of each window}`.
      processor: the same of all threads of this process.
    """

    def __init__(self, others: Mapping[str, Callable[[], None]], first: int):
        """Compares with `others`, from the first logged step after `first` on."""
        self._others, self._first = others, first
        self.seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
        self.processor: dict[str, list[float]] = {kind: [] for kind in KINDS}
        self._start()

    def watch(self, step: int, _: Mapping[str, float]) -> str:
        """Ends a trainer's window, runs the others, begins the trainer's next."""
        if step > self._first:
            self._end("trainer")
        if step >= self._first:
            for kind, run in self._others.items():
                self._start()
                run()
                if step > self._first:
                    self._end(kind)
        self._start()
        return ""

    def _start(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def _end(self, kind: str) -> None:
        self.seconds[kind].append(time.perf_counter() - self._wall)
        self.processor[kind].append(time.process_time() - self._cpu)


def measure(
    config: Mapping[str, Any], steps_per_call: int, rounds: int, window: int = 0
) -> dict[str, Any]:
    """Times the trainer's first stage, and its compiled step, by turns.

    Args:
      config: resolved, as `config_files.load` gives it.
      steps_per_call: of the trainer and of `update`.
      rounds: windows of each kind, besides a first one that does not count.
      window: steps of each; 0: as many as take about 2 seconds. Rounded up to whole
        calls.

    Raises:
      UserError: if the config's system trains nothing, or its data are not here.
    """
    system = configs.build_system(config)
    if not system.stages:
        raise core.UserError(f"{config['name']} trains nothing: choose another config")
    row = report.machine() | {
        "system": config["name"],
        "part": system.stages[0].name,
        "devices": sharding.make_mesh(config["devices"]).size,
        "dtype": system.dtype,
        "batch_size": config["training"]["batch_size"],
        "steps_per_call": steps_per_call,
        "rounds": rounds,
    }
    bare = Bare(config, system, steps_per_call)
    if not window:
        bare.step(1)
        began = time.perf_counter()
        bare.step(3)
        one = (time.perf_counter() - began) / 3
        window = min(max(round(LONGEST_WINDOW / one), 20), 500)
    window = math.ceil(window / steps_per_call) * steps_per_call
    kinds = {
        "update": lambda: bare.update(window),
        "step": lambda: bare.step(window),
    }
    windows = Windows(kinds, window)
    total = (1 + rounds) * window
    alone = ALONE | {"log_every": window, "num_steps": total}
    training = {**config["training"], **alone, "steps_per_call": steps_per_call}
    measured = watched(system, windows.watch, total)
    with (
        tempfile.TemporaryDirectory(prefix="jaxgan-loop-") as workdir,
        contextlib.redirect_stdout(io.StringIO()),  # its lines are not ours
    ):
        loop.train(
            measured,
            {**config, "training": training},
            workdir,
            make_task,
            frozen=bare.frozen,
        )
    return row | {"window": window} | _figures(windows, window)


class Bare:
    """A stage's compiled programs with their batch resident on the device.

    Attributes:
      frozen: the pretrained networks, with random weights.
    """

    def __init__(
        self, config: Mapping[str, Any], system: core.System, steps_per_call: int
    ):
        """Compiles them, and makes a state that both go on with."""
        mesh, stage = sharding.make_mesh(config["devices"]), system.stages[0]
        self._steps_per_call = steps_per_call
        self.frozen = steps.random_frozen(system)
        programs = Programs(system, config["seed"], mesh, self.frozen)
        feeds, leg = Feeds(make_task, config, mesh), Leg(stage, 0, stage.num_steps)
        task, raw = feeds.task(stage.name), feeds.first(leg)
        state = programs.initial(task, raw)
        self._state = state = programs.enter(leg, task, state, raw)
        self._frozen = programs.frozen
        self._update, self._health = programs.update(
            leg, task, state, raw, steps_per_call
        )
        self._raw = next(feeds.stream(leg, 0, Stopwatch(), steps_per_call))
        data_key, self._key, _ = step_keys(config["seed"], 0)
        self._batch = jax.jit(task.preprocess)(raw, data_key)
        step = steps.jitted(stage, state, mesh)
        lowered = step.lower(state, self._frozen, self._batch, self._key)
        self._step = lowered.compile()

    def update(self, count: int) -> None:
        """So many updates, by the program that the trainer calls."""
        out: Any = None
        for _ in range(count // self._steps_per_call):
            out = self._update(self._state, self._health, self._frozen, self._raw)
            self._state, self._health, _ = out
        jax.block_until_ready(out)

    def step(self, count: int) -> None:
        """So many steps, one a call."""
        out: Any = None
        for _ in range(count):
            out = self._step(self._state, self._frozen, self._batch, self._key)
            self._state, _ = out
        jax.block_until_ready(out)


def _figures(windows: Windows, window: int) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for kind in KINDS:
        each = [1e3 * s / window for s in windows.seconds[kind]]
        row[f"{kind}_ms_median"] = statistics.median(each)
        row[f"{kind}_ms_min"], row[f"{kind}_ms_max"] = min(each), max(each)
        processor = statistics.median(windows.processor[kind])
        row[f"{kind}_processor_ms"] = 1e3 * processor / window
    for kind in KINDS[1:]:
        pairs = zip(windows.seconds["trainer"], windows.seconds[kind], strict=True)
        ratios = [trainer / alone for trainer, alone in pairs]
        row[f"over_{kind}_median"] = statistics.median(ratios)
        row[f"over_{kind}_min"], row[f"over_{kind}_max"] = min(ratios), max(ratios)
    return row


def page(rows: Sequence[report.Row], name: str) -> str:
    """The rows as Markdown."""
    head = (
        "config, part",
        "devices",
        "dtype",
        "batch",
        "steps a call",
        "windows",
        "trainer ms a step [min, max]",
        "update ms",
        "step ms",
        "trainer over update",
        "trainer over step",
        "processor ms of the three",
    )

    def spread(row: report.Row, key: str) -> str:
        middle, low, high = (row[f"{key}_{of}"] for of in ("median", "min", "max"))
        return f"{middle:.4g} [{low:.4g}, {high:.4g}]"

    lines = [
        (
            f"`{row['config']}`, {row['part']}",
            f"{row['devices']} x {row['device']}",
            row["dtype"],
            f"{row['batch_size']}",
            f"{row['steps_per_call']}",
            f"{row['rounds']} x {row['window']}",
            *(spread(row, f"{kind}_ms") for kind in KINDS),
            *(spread(row, f"over_{kind}") for kind in KINDS[1:]),
            ", ".join(report.number(row[f"{kind}_processor_ms"]) for kind in KINDS),
        )
        for row in rows
    ]
    title = "# The trainer's loop against its compiled step"
    return "\n\n".join([title, report.about(rows, name), report.table(head, lines)])


if __name__ == "__main__":
    huge_pages.ask(sys.argv[1:])  # as the commands do
    command.run(main, sys.argv)
