"""The training loop of any system: stages in turn, rows, pictures, checkpoints.

The loop knows state, stages and metrics. It waits for the devices only where it logs,
looks or saves, and where it is far ahead of them; everything else is dispatched.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
from etils import epath
from jax.sharding import Mesh

from jaxgan.core.dtypes import resolve
from jaxgan.core.errors import (
    UserError,
    did_you_mean,
    is_lost_peer,
    lost_peer,
    out_of_memory,
)
from jaxgan.core.mode import check_modes
from jaxgan.core.state import TrainState
from jaxgan.core.system import Frozen, System
from jaxgan.training import configs, runs, sharding, starts
from jaxgan.training.checkpoint import Checkpoints
from jaxgan.training.feeds import Feeds, MakeTask
from jaxgan.training.frozen import hashes
from jaxgan.training.profiling import Profiler
from jaxgan.training.programs import (
    Leg,
    Programs,
    learns_beyond,
    legs,
    root_key,
    stretches,
    terms,
)
from jaxgan.training.progress import Progress, Stopwatch
from jaxgan.training.signals import Stopped, StopRequests
from jaxgan.training.writer import Writer, as_number

# (system, variables, frozen, config, mesh)
Evaluate = Callable[..., Mapping[str, float]]

# Updates dispatched and not done; their raw batches lie on the devices. XLA's client
# for CPUs lets in 32 programs a device: threads that wait to let in one more are
# missing to run what the other devices' collectives wait for, and nothing ends.
_STEPS_AHEAD = 16


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


def train(
    system: System,
    config: Mapping[str, Any],
    workdir: epath.PathLike,
    make_task: MakeTask,
    *,
    frozen: Frozen | None = None,
    evaluate_fn: Evaluate | None = None,
    judges: Mapping[str, Any] | None = None,
    init_from: epath.PathLike | None = None,
    init_from_partial: bool = False,
    profile: int = 0,
) -> Result:
    """Trains a system, or goes on with it where `workdir` holds a run of it.

    Args:
      system: what to train.
      config: resolved, see `jaxgan.training.configs`.
      workdir: the run's directory.
      make_task: `make_task(data, split=, seed=)` of `jaxgan.data`.
      frozen: pretrained networks of the system.
      evaluate_fn: `evaluate_fn(system, variables, frozen, config, mesh)` gives figures,
        every `training.evaluate_every` steps and at the end. Each process computes all
        of them by itself, on its own devices: those of the mesh.
      judges: what its rows name beside the figures, such as the hashes of the weights
        that they depend on.
      init_from: another run whose networks a new run starts from.
      init_from_partial: take only what matches.
      profile: updates of this start to profile, to `workdir / "profile"`; on the first
        process.

    Raises:
      UserError: for everything a user can put right.
      PeerLost: if another process of the run is gone.
      Stopped: after SIGTERM or SIGINT, when the checkpoint is written.
    """
    configs.check_values(config)
    if profile < 0:
        raise UserError(f"profile = {profile} is impossible: it must be at least 0")
    mesh = sharding.make_mesh(config["devices"])
    parts = config["system"].get("microbatches", 1)
    sharding.check_batch_size(config["training"]["batch_size"], mesh, parts)
    frozen = dict(frozen or {})
    opened = starts.opened(workdir, config, hashes(frozen))
    with lost_peer(), opened as path, StopRequests() as stop:
        trainer = _Trainer(
            system,
            config,
            path,
            make_task,
            mesh,
            frozen,
            evaluate_fn,
            judges or {},
            profile,
        )
        with trainer, out_of_memory(_NO_MEMORY):
            return trainer.run(stop, init_from, init_from_partial)


_NO_MEMORY = (
    "the device is out of memory ({reason}): lower training.batch_size "
    "or data.image_size, raise system.microbatches, set system.remat=convs or "
    "dtype=bfloat16, or "
    "split large parameters with devices.model"
)


_RATES_END = (
    "the learning rates have fallen to 0 there; start another run with "
    "--init_from=RUN, and longer stages if they shall fall later (their lengths in "
    "config.system)"
)


class _Trainer:
    """One start of a run."""

    def __init__(
        self,
        system: System,
        config: Mapping[str, Any],
        workdir: epath.Path,
        make_task: MakeTask,
        mesh: Mesh,
        frozen: Frozen,
        evaluate_fn: Evaluate | None,
        judges: Mapping[str, Any],
        profile: int,
    ):
        self.system, self.config, self.workdir = system, config, workdir
        self.settings, self.mesh = config["training"], mesh
        self.judges = judges
        self.evaluate_fn = evaluate_fn if self.settings["evaluate_every"] else None
        if self.settings["best_metric"] and self.evaluate_fn is None:
            raise UserError(
                f"training.best_metric = {self.settings['best_metric']!r} needs "
                "training.evaluate_every > 0 and a protocol to evaluate with"
            )
        self.first_process = jax.process_index() == 0
        self.legs = legs(system.stages, self.settings["num_steps"])
        self.total = self.legs[-1].end if self.legs else 0
        self.feeds = Feeds(make_task, config, mesh)
        self.programs = Programs(
            system, config["seed"], mesh, frozen, config["devices"]["host"]
        )
        self.writer: Writer | None = None  # on the first process
        self.progress = Progress(0, 0, 1, shown=self.first_process)
        self.watch = Stopwatch()
        self.profiler = Profiler(
            workdir / "profile", profile if self.first_process else 0, self._say
        )
        self.evaluation: Mapping[str, float] = {}
        self.sample_inputs: dict[str, Any] = {}  # by stage
        self.advised: set[str] = set()  # what the stages' `watch` said
        self.checkpoints = Checkpoints(
            workdir / "checkpoints",
            keep_last=self.settings["keep_last"],
            keep_every=self.settings["keep_every"],
            best_metric=self.settings["best_metric"],
            best_mode=self.settings["best_mode"],
        )

    def run(self, stop: StopRequests, init_from: Any, partial: bool) -> Result:
        """Goes through what is left of the run."""
        if self.legs:
            step = self._train(stop, init_from, partial)
        else:
            step = self._assemble(init_from, partial)
        self.checkpoints.wait()
        grids = sorted((self.workdir / "samples").glob("step_*.png"))
        return Result(self.workdir, step, grids[-1] if grids else None, self.evaluation)

    def _train(self, stop: StopRequests, init_from: Any, partial: bool) -> int:
        raws = [self.feeds.first(leg) for leg in self.legs]
        if self.settings["sample_every"]:  # refused now, not at the first grid
            for leg in self.legs:
                self.feeds.samples(leg.stage.name)
        begins = [
            (leg, self.feeds.task(leg.stage.name), raw)
            for leg, raw in zip(self.legs, raws, strict=True)
        ]
        first = begins[0][1:]
        found = self.checkpoints.restore(
            lambda about: self.programs.abstract(
                [b for b in begins if b[0].begin < about.step], *first
            ),
            self._say,
        )
        if found is not None:
            state, step = found[0], found[1].step
            note = " (--init_from was for its first start)" if init_from else ""
            self._say(f"resuming {self.workdir} at step {step} of {self.total}{note}")
        else:
            state, step = self.programs.initial(*first), 0
            if init_from:
                state = self._take(state, init_from, partial)
            elif before := self.legs[0].stage.continues:
                self._say(
                    f"stage {self.legs[0].stage.name!r} is meant to go on from "
                    f"networks of {before!r}, and begins with untrained ones: pass "
                    "--init_from=RUN, or let that stage come first"
                )
            if self.settings["best_metric"]:
                self._figures(state)  # a name that it lacks is refused now
        self._begin(step)
        self.profiler.plan(self.legs, step, self.settings["steps_per_call"])
        for leg, task, raw in begins:
            if step < leg.end or step == leg.begin == leg.end:
                if step == leg.begin:
                    state = self.programs.enter(leg, task, state, raw)
                state = self._run_leg(leg, task, state, raw, step, stop)
                step = leg.end
        return step

    def _assemble(self, init_from: Any, partial: bool) -> int:
        """A run that trains nothing: one checkpoint of another run's networks, looked
        at as the last step of a training run is."""
        if self.checkpoints.latest() is not None:
            self._say(f"{self.workdir} is complete: this system trains nothing")
            return 0
        if not init_from:
            raise UserError(
                "this system trains nothing of its own: pass --init_from=RUN with a "
                "trained run whose networks it uses"
            )
        task = self.feeds.samples("")
        raw = task.examples([0])
        batch = jax.eval_shape(task.preprocess, raw, root_key(0))
        check_modes(batch, self.system.inference)
        raw = jax.device_put(raw, sharding.replicated(self.mesh))
        state = self._take(self.programs.initial(task, raw), init_from, partial)
        self._begin(0)
        if self.evaluate_fn is not None:
            self._evaluate("", state, 0)
        if self.settings["sample_every"]:
            self._sample("", state, 0)
        self._save(state, "", {})
        return 0

    def __enter__(self) -> _Trainer:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, _: Any) -> None:
        """Lets a checkpoint in flight finish, unless it waits for a lost process; an
        error on the way out stays hidden behind the one that led here."""
        if not is_lost_peer(error):
            with contextlib.suppress(UserError):
                self.checkpoints.wait()
            self.checkpoints.close()
        self.profiler.close()
        self.progress.close()
        if self.writer is not None:
            self.writer.close()

    def _begin(self, step: int) -> None:
        """From here on the directory is this config's."""
        if self.first_process:
            examples = {
                leg.stage.name: self.feeds.task(leg.stage.name).num_examples
                for leg in self.legs
            }
            weights = hashes(self.programs.frozen)
            starts.record(self.workdir, self.config, step, examples, weights)
            self.writer = Writer(self.workdir, step)
        scheduled = sum(stage.num_steps for stage in self.system.stages)
        if self.legs and step >= self.total:
            behind = f", and the run has {step}" if step > self.total else ""
            on = _RATES_END
            if learns_beyond(self.system):
                on = "raise training.num_steps to go on"
            self._say(
                f"nothing is left to do: {self.total} steps are asked for{behind}; {on}"
            )
            self.evaluation = runs.last_figures(self.workdir)
        elif self.total > scheduled and not learns_beyond(self.system):
            self._say(f"beyond step {scheduled} nothing is learned: {_RATES_END}")
        if self.settings["evaluate_every"] and self.evaluate_fn is None:
            self._say("no protocol evaluates this system: evaluate_every does nothing")
        self.progress = Progress(
            step, self.total, self.settings["batch_size"], shown=self.first_process
        )

    def _take(self, state: TrainState, source: Any, partial: bool) -> TrainState:
        state = runs.take_networks(state, source, partial, self._say, self.system)
        return jax.device_put(state, self.programs.places(state))

    def _run_leg(
        self,
        leg: Leg,
        task: Any,
        state: TrainState,
        raw: Any,
        step: int,
        stop: StopRequests,
    ) -> TrainState:
        updates: dict[int, tuple[Callable[..., Any], Any]] = {}  # by steps a call
        health = metrics = None
        several = self.settings["steps_per_call"]
        for steps, end in stretches(step, leg.end, several):
            feed = self.feeds.stream(leg, step, self.watch, steps)
            raws = next(feed)
            if steps not in updates:
                began = time.perf_counter()
                updates[steps] = self.programs.update(leg, task, state, raw, steps)
                seconds = time.perf_counter() - began
                what = f", {steps} steps a call" if several > 1 else ""
                self._say(f"stage {leg.stage.name}: compiled in {seconds:.1f} s{what}")
            update, healthy = updates[steps]
            health = healthy if health is None else health
            ahead: collections.deque[Any] = collections.deque()
            self.watch.start()
            for step in range(step + steps, end + 1, steps):
                before = step - steps
                signum = stop.now()
                if signum is not None:
                    self._stop(leg, state, before, signum)
                if len(ahead) >= max(2, _STEPS_AHEAD // steps):
                    jax.block_until_ready(ahead.popleft())
                self.profiler.before(before, metrics)
                state, health, metrics = update(
                    state, health, self.programs.frozen, raws
                )
                self.profiler.after(step, metrics)
                ahead.append(metrics)
                raws = next(feed) if step < end else None
                self.watch.step(steps)
                self.progress.advance(steps)
                self._after(leg, state, before, step, health, metrics)
        return state

    def _after(
        self,
        leg: Leg,
        state: TrainState,
        before: int,
        step: int,
        health: Any,
        metrics: Any,
    ) -> None:
        """Whatever is due after a call that went from one step to another."""
        settings, final = self.settings, step == self.total
        ends = step == leg.end

        def due(name: str) -> bool:
            every = settings[f"{name}_every"]
            return bool(every) and (step % every == 0 or final)

        evaluates = self.evaluate_fn is not None and due("evaluate")
        saves = ends or due("checkpoint") or (evaluates and settings["best_metric"])
        if before == 0 or ends or due("log"):
            self._log(leg, step, health, metrics)
        elif saves or evaluates or due("sample"):
            self._check_finite(leg, health, metrics)
        else:
            return
        figures: Mapping[str, float] = {}
        if evaluates:
            figures = self._evaluate(leg.stage.name, state, step)
        if due("sample"):
            self._sample(leg.stage.name, state, step)
        if saves:
            self._save(state, leg.stage.name, figures)
        if evaluates or saves or due("sample"):
            self.watch.start()

    def _log(self, leg: Leg, step: int, health: Any, metrics: Any) -> None:
        self._check_finite(leg, health, metrics)
        values = {k: as_number(v) for k, v in jax.device_get(metrics).items()}
        seconds, waiting = self.watch.stop()
        self.progress.report(step, leg.stage.name, values, seconds)
        advice = leg.stage.watch and leg.stage.watch(step, values)
        if advice and advice not in self.advised:
            self.advised.add(advice)
            self._say(f"step {step}  {advice}")
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
            kept = (
                "nothing was saved yet"
                if saved is None
                else f"the last finite state is checkpoint {saved}"
            )
            levers = "lower the learning rate"
            if resolve(self.config["dtype"]) == "bfloat16":
                levers += ", or set dtype=float32"
            raise UserError(
                f"{terms(metrics)[term]} is not finite at step {step} (stage "
                f"{leg.stage.name!r}); {kept}: {levers}"
            )

    def _evaluate(
        self, stage: str, state: TrainState, step: int
    ) -> Mapping[str, float]:
        self.evaluation = figures = self._figures(state)
        self._say(f"step {step}  evaluation  {format_figures(figures)}")
        if self.writer is not None:
            rows: dict[str, Any] = {f"evaluation/{n}": v for n, v in figures.items()}
            rows |= {
                f"evaluated_by/{name}": value for name, value in self.judges.items()
            }
            self.writer.metrics(step, stage, rows)
        return figures

    def _figures(self, state: TrainState) -> dict[str, float]:
        assert self.evaluate_fn is not None
        found = self.evaluate_fn(
            self.system,
            *self.programs.local(state),
            self.config,
            sharding.own_part(self.mesh),
        )
        figures = {name: float(value) for name, value in found.items()}
        best = self.settings["best_metric"]
        if best and best not in figures:
            raise UserError(
                f"training.best_metric = {best!r} is not among the figures of this "
                f"system{did_you_mean(best, figures)}: {', '.join(figures)}"
            )
        return figures

    def _sample(self, stage: str, state: TrainState, step: int) -> None:
        """A grid of the same examples under the same key, all run long."""
        if stage not in self.sample_inputs:
            self.sample_inputs[stage] = self.programs.sample_inputs(
                self.feeds.samples(stage), self.settings["sample_count"]
            )
        columns = self.programs.sample(state, *self.sample_inputs[stage])
        if self.writer is not None:
            self.writer.grid(step, columns)

    def _save(
        self, state: TrainState, stage: str, figures: Mapping[str, float]
    ) -> None:
        """Rows first: no checkpoint is ever ahead of them."""
        if self.writer is not None:
            self.writer.sync()
        self.checkpoints.save(state, stage, figures)

    def _stop(self, leg: Leg, state: TrainState, step: int, signum: int) -> None:
        if step and self.checkpoints.latest() != step:
            self._save(state, leg.stage.name, {})
        self.checkpoints.wait()
        self._say(f"stopped at step {step}; the same command goes on from there")
        raise Stopped(signum, step)

    def _say(self, line: str) -> None:
        self.progress.say(line)


def format_figures(figures: Mapping[str, float]) -> str:
    """`psnr 21.35  ssim 0.812`."""
    return "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
