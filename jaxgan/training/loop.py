"""The training loop of any system: stages in turn, rows, pictures, checkpoints.

The loop knows state, stages and metrics. It waits for the devices only where it logs,
looks or saves; everything else is dispatched ahead of them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath

from jaxgan.core.errors import UserError
from jaxgan.core.state import TrainState, fold_name
from jaxgan.core.system import Frozen, Stage, System, check_batch
from jaxgan.core.types import Key
from jaxgan.data.pipeline import prefetch_to_device
from jaxgan.training import configs, runs, sharding
from jaxgan.training.checkpoint import Checkpoints
from jaxgan.training.progress import Progress, Stopwatch
from jaxgan.training.signals import Stopped, StopRequests
from jaxgan.training.writer import Writer, as_number

MakeTask = Callable[..., Any]  # make_task(data, split=, seed=) -> jaxgan.data.Task
Evaluate = Callable[..., Mapping[str, float]]  # (system, variables, frozen, config)


@dataclasses.dataclass(frozen=True)
class Leg:
    """A stage's place in a run: updates `begin + 1` to `end`."""

    stage: Stage
    begin: int
    end: int


@dataclasses.dataclass(frozen=True)
class Result:
    """What a finished run has to show.

    Attributes:
      workdir: its directory.
      step: updates done.
      last_grid: the newest sample grid.
      evaluation: the newest figures.
    """

    workdir: epath.Path
    step: int
    last_grid: epath.Path | None
    evaluation: Mapping[str, float]


def legs(stages: tuple[Stage, ...], num_steps: int | None) -> list[Leg]:
    """Cuts a run of `num_steps` updates into stages.

    Each stage has its own length; the last one takes what remains, however much.
    """
    found, begin = [], 0
    total = sum(s.num_steps for s in stages) if num_steps is None else num_steps
    for i, stage in enumerate(stages):
        last = i == len(stages) - 1
        end = total if last else min(begin + stage.num_steps, total)
        if end > begin or not found:
            found.append(Leg(stage, begin, max(end, begin)))
        elif begin < total:  # of no length, but its hand-over may matter
            found.append(Leg(stage, begin, begin))
        begin = max(end, begin)
    return found


def step_keys(seed: int, step: Any) -> tuple[Key, Key, Key]:
    """The keys of one update: for preprocessing, for the step, for a hand-over."""
    root = jax.random.fold_in(root_key(seed), step)
    data, own, enter = (jax.random.fold_in(root, i) for i in range(3))
    return data, own, enter


def root_key(seed: int) -> Key:
    """The run's key; the generator is named, whatever the machine's default is."""
    return jax.random.key(seed, impl="threefry2x32")


def train(
    system: System,
    config: Mapping[str, Any],
    workdir: epath.PathLike,
    make_task: MakeTask,
    *,
    frozen: Frozen | None = None,
    evaluate_fn: Evaluate | None = None,
    init_from: epath.PathLike | None = None,
    init_from_partial: bool = False,
) -> Result:
    """Trains a system, or goes on with it where `workdir` holds a run of it.

    Args:
      system: what to train.
      config: resolved, see `jaxgan.training.configs`.
      workdir: the run's directory.
      make_task: `make_task(data, split=, seed=)` of `jaxgan.data`.
      frozen: pretrained networks of the system.
      evaluate_fn: `evaluate_fn(system, variables, frozen, config)` gives figures, every
        `training.evaluate_every` steps and at the end.
      init_from: another run whose networks a new run starts from.
      init_from_partial: take only what matches.

    Raises:
      UserError: for everything a user can put right.
      Stopped: after SIGTERM or SIGINT, when the checkpoint is written.
    """
    configs.check_values(config)
    mesh = sharding.make_mesh(config["devices"])
    sharding.check_batch_size(config["training"]["batch_size"], mesh)
    with runs.opened(workdir, config) as path, StopRequests() as stop:
        trainer = _Trainer(system, config, path, make_task, mesh, frozen, evaluate_fn)
        try:
            with _memory_errors():
                return trainer.run(stop, init_from, init_from_partial)
        finally:
            trainer.close()


@contextlib.contextmanager
def _memory_errors() -> Iterator[None]:
    """Names what can be done when a device's memory is full."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        reason = str(error).splitlines()[0].removeprefix("RESOURCE_EXHAUSTED: ")
        raise UserError(
            f"the device is out of memory ({reason[:120]}): lower training.batch_size "
            "or data.image_size, raise system.microbatches, set dtype=bfloat16, or "
            "split large parameters with devices.model"
        ) from error


class _Trainer:
    """One start of a run."""

    def __init__(self, system, config, workdir, make_task, mesh, frozen, evaluate_fn):
        self.system, self.config, self.workdir = system, config, workdir
        self.settings, self.seed = config["training"], config["seed"]
        self.mesh, self.evaluate_fn = mesh, evaluate_fn
        self.make_task = make_task
        self.first_process = jax.process_index() == 0
        self.legs = legs(system.stages, self.settings["num_steps"])
        self.total = self.legs[-1].end if self.legs else 0
        frozen = dict(frozen or {})
        self.frozen = jax.device_put(frozen, sharding.shardings(mesh, frozen))
        self.writer: Writer | None = None
        self.progress = Progress(0, 0, 1, shown=False)
        self.watch = Stopwatch()
        self.evaluation: Mapping[str, float] = {}
        self._tasks: dict[str, Any] = {}
        self._grid_inputs: dict[str, Any] = {}
        self._draw = jax.jit(system.sample_grid)
        if self.settings["best_metric"] and not self.evaluates:
            raise UserError(
                f"training.best_metric = {self.settings['best_metric']!r} needs "
                "training.evaluate_every > 0 and a protocol to evaluate with"
            )
        self.checkpoints = Checkpoints(
            workdir / "checkpoints",
            keep_last=self.settings["keep_last"],
            keep_every=self.settings["keep_every"],
            best_metric=self.settings["best_metric"],
            best_mode=self.settings["best_mode"],
        )

    @property
    def evaluates(self) -> bool:
        return bool(self.settings["evaluate_every"]) and self.evaluate_fn is not None

    def run(self, stop: StopRequests, init_from: Any, partial: bool) -> Result:
        """Goes through what is left of the run."""
        self.progress = Progress(0, 0, 1, shown=self.first_process)
        if self.legs:
            step = self._train(stop, init_from, partial)
        else:
            step = self._assemble(init_from, partial)
        self.checkpoints.wait()
        grids = sorted((self.workdir / "samples").glob("step_*.png"))
        return Result(self.workdir, step, grids[-1] if grids else None, self.evaluation)

    def _train(self, stop: StopRequests, init_from: Any, partial: bool) -> int:
        raws = {leg.stage.name: self._first_batch(leg) for leg in self.legs}
        found = self.checkpoints.restore(
            lambda about: self._abstract(raws, about.step), self._say
        )
        if found is not None:
            state, step = found[0], found[1].step
            note = " (--init_from was for its first start)" if init_from else ""
            self._say(f"resuming {self.workdir} at step {step} of {self.total}{note}")
            if step >= self.total:
                self._say("nothing is left to do: raise training.num_steps to go on")
                self.evaluation = runs.last_figures(self.workdir)
        else:
            first = self.legs[0].stage.name
            state, step = self._initial(self._task(first), raws[first]), 0
            if init_from:
                state = self._take(state, init_from, partial)
        self._begin(step)
        if self.settings["evaluate_every"] and self.evaluate_fn is None:
            self._say("no evaluation protocol for this system: evaluate_every is 0")
        self.progress = Progress(
            step, self.total, self.settings["batch_size"], shown=self.first_process
        )
        for leg in self.legs:
            if step < leg.end or step == leg.begin == leg.end:
                if step == leg.begin:
                    state = self._enter(leg, state, raws[leg.stage.name])
                state = self._run_leg(leg, state, step, stop)
                step = leg.end
        return step

    def _assemble(self, init_from: Any, partial: bool) -> int:
        """A run that trains nothing: one checkpoint of another run's networks."""
        if self.checkpoints.latest() is not None:
            self._say(f"{self.workdir} is complete: this system trains nothing")
            return 0
        if not init_from:
            raise UserError(
                "this system trains nothing of its own: pass --init_from=RUN with a "
                "trained run whose networks it uses"
            )
        task = self._task("", "test")
        raw = task.examples(np.arange(1))
        raw = jax.device_put(raw, sharding.replicated(self.mesh))
        state = self._take(self._initial(task, raw), init_from, partial)
        self._begin(0)
        self._save(state, "", {})
        return 0

    def close(self) -> None:
        """Lets a checkpoint in flight finish; an error on the way out stays hidden
        behind the one that led here."""
        with contextlib.suppress(UserError):
            self.checkpoints.wait()
        self.checkpoints.close()
        self.progress.close()
        if self.writer is not None:
            self.writer.close()

    # --- the start

    def _begin(self, step: int) -> None:
        """From here on the directory is this config's."""
        if self.first_process:
            runs.record_start(self.workdir, self.config, step)
            self.writer = Writer(self.workdir, step)

    def _take(self, state: TrainState, source: Any, partial: bool) -> TrainState:
        state = runs.take_networks(state, source, partial, self._say)
        return jax.device_put(state, sharding.shardings(self.mesh, state))

    def _task(self, stage: str, split: str = "train") -> Any:
        """The task of a stage; stages with the same data share one."""
        data = configs.stage_data(self.config, stage)
        if split != "train" and "draws" in data:
            data["draws"] = 1
        key = f"{split} {configs.to_json(data)}"
        if key not in self._tasks:
            self._tasks[key] = self.make_task(data, split=split, seed=self.seed)
        return self._tasks[key]

    def _first_batch(self, leg: Leg) -> dict[str, Any]:
        """The stage's first raw batch; also holds the task against the stage."""
        task = self._task(leg.stage.name)
        where = sharding.over_batch(self.mesh)
        local = next(self._batches(task, leg.begin))
        (raw,) = prefetch_to_device([local], where)
        batch = jax.eval_shape(task.preprocess, raw, root_key(0))
        check_batch(batch, leg.stage.batch_spec, f"stage {leg.stage.name!r}")
        return raw

    def _batches(self, task: Any, step: int) -> Iterator[dict[str, np.ndarray]]:
        """This process' raw batches from `step` on."""
        return task.batches(
            step,
            self.settings["batch_size"],
            jax.process_index(),
            jax.process_count(),
        )

    def _feed(self, task: Any, step: int) -> Iterator[dict[str, jax.Array]]:
        """Global batches from `step` on; the watch is told how long they take."""

        def timed() -> Iterator[dict[str, np.ndarray]]:
            batches = self._batches(task, step)
            while True:
                began = time.perf_counter()
                raw = next(batches)
                self.watch.waited(time.perf_counter() - began)
                yield raw

        return prefetch_to_device(timed(), sharding.over_batch(self.mesh))

    def _initialize(self, task: Any) -> Callable[..., TrainState]:
        def initialize(frozen: Frozen, raw: Any) -> TrainState:
            data_key, _, _ = step_keys(self.seed, 0)
            key = fold_name(root_key(self.seed), "init")
            return self.system.init(key, task.preprocess(raw, data_key), frozen)

        return initialize

    def _hand_over(self, leg: Leg) -> Callable[..., TrainState]:
        task, enter = self._task(leg.stage.name), leg.stage.enter

        def hand_over(state: TrainState, frozen: Frozen, raw: Any) -> TrainState:
            data_key, _, key = step_keys(self.seed, leg.begin)
            if enter is not None:
                state = enter(state, frozen, task.preprocess(raw, data_key), key)
            return state.replace(
                step=jnp.asarray(leg.begin, jnp.int32),
                stage_step=jnp.zeros((), jnp.int32),
            )

        return hand_over

    def _initial(self, task: Any, raw: Any) -> TrainState:
        """The state before the first step, made where it will lie."""
        initialize = self._initialize(task)
        abstract = jax.eval_shape(initialize, self.frozen, raw)
        where = sharding.shardings(self.mesh, abstract)
        return jax.jit(initialize, out_shardings=where)(self.frozen, raw)

    def _abstract(self, raws: Mapping[str, Any], step: int) -> TrainState:
        """Shapes and places of the state that a checkpoint of `step` holds."""
        first = self.legs[0].stage.name
        initialize = self._initialize(self._task(first))
        state = jax.eval_shape(initialize, self.frozen, raws[first])
        for leg in self.legs:
            if leg.begin < step and leg.stage.enter is not None:
                raw = raws[leg.stage.name]
                state = jax.eval_shape(self._hand_over(leg), state, self.frozen, raw)
        where = sharding.shardings(self.mesh, state)
        return jax.tree.map(
            lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s),
            state,
            where,
        )

    # --- a stage

    def _enter(self, leg: Leg, state: TrainState, raw: Any) -> TrainState:
        """Hand-over: the stage's own preparation, its counter at zero."""
        hand_over = self._hand_over(leg)
        abstract = jax.eval_shape(hand_over, state, self.frozen, raw)
        where = sharding.shardings(self.mesh, abstract)
        jitted = jax.jit(hand_over, out_shardings=where, donate_argnums=0)
        return jitted(state, self.frozen, raw)

    def _compile(self, leg: Leg, state: TrainState, raw: Any) -> Any:
        """The stage's step, compiled for this mesh, with its input donated.

        `health` is (first step, first term) that was not finite, or (-1, -1): the loop
        looks at it only where it logs and yet can name the step.
        """
        task = self._task(leg.stage.name)

        def update(state, health, frozen, raw):
            data_key, step_key, _ = step_keys(self.seed, state.step)
            batch = task.preprocess(raw, data_key)
            new, metrics = leg.stage.step(state, frozen, batch, step_key)
            bad = [~jnp.all(jnp.isfinite(metrics[n])) for n in _by_weight(metrics)]
            bad = jnp.stack(bad) if bad else jnp.zeros((1,), bool)
            now = jnp.stack([state.step + 1, jnp.argmax(bad).astype(jnp.int32)])
            health = jnp.where((health[0] < 0) & jnp.any(bad), now, health)
            return new, health, metrics

        where = jax.tree.map(lambda x: x.sharding, state)
        whole = sharding.replicated(self.mesh)
        jitted = jax.jit(
            update, out_shardings=(where, whole, whole), donate_argnums=(0, 1)
        )
        health = jax.device_put(np.full((2,), -1, np.int32), whole)
        began = time.perf_counter()
        compiled = jitted.lower(state, health, self.frozen, raw).compile()
        seconds = time.perf_counter() - began
        self._say(f"stage {leg.stage.name}: compiled in {seconds:.1f} s")
        return compiled, health

    def _run_leg(
        self, leg: Leg, state: TrainState, step: int, stop: StopRequests
    ) -> TrainState:
        if step >= leg.end:
            return state
        feed = self._feed(self._task(leg.stage.name), step)
        raw = next(feed)
        update, health = self._compile(leg, state, raw)
        self.watch.start()
        for step in range(step + 1, leg.end + 1):
            signum = stop.at(step)
            if signum is not None:
                self._stop(state, step - 1, leg, signum)
            state, health, metrics = update(state, health, self.frozen, raw)
            raw = next(feed) if step < leg.end else None
            self.watch.step()
            self.progress.advance()
            self._after(leg, state, step, health, metrics)
        return state

    def _after(self, leg: Leg, state, step: int, health: Any, metrics: Any) -> None:
        """Whatever is due after an update."""
        settings, final = self.settings, step == self.total
        ends = step == leg.end

        def due(name: str) -> bool:
            every = settings[f"{name}_every"]
            return bool(every) and (step % every == 0 or final)

        evaluates = self.evaluates and due("evaluate")
        saves = ends or due("checkpoint") or (evaluates and settings["best_metric"])
        if step == 1 or ends or due("log"):
            self._log(leg, step, health, metrics)
        elif saves or evaluates or due("sample"):
            self._check_finite(leg, health, metrics)
        else:
            return
        figures: Mapping[str, float] = {}
        if evaluates:
            figures = self._evaluate(leg, state, step)
        if due("sample"):
            self._sample(leg, state, step)
        if saves:
            self._save(state, leg.stage.name, figures)
        if evaluates or saves or due("sample"):
            self.watch.start()

    def _log(self, leg: Leg, step: int, health: Any, metrics: Any) -> None:
        self._check_finite(leg, health, metrics)
        values = {k: as_number(v) for k, v in jax.device_get(metrics).items()}
        seconds, waiting = self.watch.stop()
        self.progress.report(step, leg.stage.name, values, seconds)
        if self.writer is not None:
            self.writer.metrics(step, leg.stage.name, values)
            timing = {
                "images_per_second": self.settings["batch_size"] / seconds,
                "ms_per_step": 1e3 * seconds,
                "waiting_for_data": waiting,
            }
            rounded = {k: round(v, 4) for k, v in timing.items()}
            self.writer.timing(step, leg.stage.name, rounded)

    def _check_finite(self, leg: Leg, health: Any, metrics: Any) -> None:
        step, term = (int(x) for x in jax.device_get(health))
        if step >= 0:
            saved = self.checkpoints.latest()
            kept = "no checkpoint yet" if saved is None else f"checkpoint {saved}"
            raise UserError(
                f"{_by_weight(metrics)[term]} is not finite at step {step} (stage "
                f"{leg.stage.name!r}); the last finite state is {kept}: lower the "
                "learning rate, or set dtype=float32"
            )

    def _evaluate(self, leg: Leg, state: TrainState, step: int) -> Mapping[str, float]:
        variables, frozen = self._local(state)
        figures = {
            name: float(value)
            for name, value in self.evaluate_fn(
                self.system, variables, frozen, self.config
            ).items()
        }
        best = self.settings["best_metric"]
        if best and best not in figures:
            raise UserError(
                f"training.best_metric = {best!r} is not among the figures of this "
                f"system: {', '.join(figures)}"
            )
        self.evaluation = figures
        self._say(f"step {step}  evaluation  {format_figures(figures)}")
        if self.writer is not None:
            rows = {f"evaluation/{name}": value for name, value in figures.items()}
            self.writer.metrics(step, leg.stage.name, rows)
        return figures

    def _sample(self, leg: Leg, state: TrainState, step: int) -> None:
        """A grid of the same examples under the same key, all run long."""
        name = leg.stage.name
        if name not in self._grid_inputs:
            task = self._task(name, "test")
            count = min(self.settings["sample_count"], task.num_examples)
            key = fold_name(root_key(self.seed), "samples")
            batch = jax.jit(task.preprocess)(task.examples(np.arange(count)), key)
            self._grid_inputs[name] = batch, key
        columns = self._draw(*self._local(state), *self._grid_inputs[name])
        if self.writer is not None:
            self.writer.grid(step, jax.device_get(columns))

    def _local(self, state: TrainState) -> tuple[dict[str, Any], Frozen]:
        """The variables that inference uses, and `frozen`, for this process alone."""
        return sharding.on_this_process((state.variables(), self.frozen), self.mesh)

    def _save(
        self, state: TrainState, stage: str, figures: Mapping[str, float]
    ) -> None:
        """Rows first: no checkpoint is ever ahead of them."""
        if self.writer is not None:
            self.writer.sync()
        self.checkpoints.save(state, stage, figures)

    def _stop(self, state: TrainState, step: int, leg: Leg, signum: int) -> None:
        if step and self.checkpoints.latest() != step:
            self._save(state, leg.stage.name, {})
        self.checkpoints.wait()
        self._say(f"stopped at step {step}; the same command goes on from there")
        raise Stopped(signum, step)

    def _say(self, line: str) -> None:
        self.progress.say(line)


def _by_weight(metrics: Mapping[str, Any]) -> list[str]:
    """Metric names, losses first: the likeliest cause is named."""
    return sorted(metrics, key=lambda name: (not name.startswith("loss/"), name))


def format_figures(figures: Mapping[str, float]) -> str:
    """`psnr 21.35  ssim 0.812`."""
    return "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
