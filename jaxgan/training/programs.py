"""What runs on the devices: the start of a state, hand-overs, updates, pictures."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Int

from jaxgan.core.state import TrainState, fold_name
from jaxgan.core.system import Frozen, Stage, System
from jaxgan.core.types import Key
from jaxgan.data.permutation import spread
from jaxgan.training import sharding


@dataclasses.dataclass(frozen=True)
class Leg:
    """A stage's place in a run: updates `begin + 1` to `end`."""

    stage: Stage
    begin: int
    end: int


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


def learns_beyond(system: System) -> bool:
    """Whether a rate is left when the last stage has had its own length.

    By schedules that count one update a step.
    """
    last, players = system.stages[-1], system.optimizers()
    rates = (players[name].learning_rate(last.num_steps) for name in last.players)
    return any(rate > 0 for rate in rates)


def stretches(step: int, end: int, steps_per_call: int) -> list[tuple[int, int]]:
    """`[(steps a call, last step)]` from `step` to the end of a stage.

    Calls of several steps begin and end at multiples of their number, wherever a run
    is taken up; what lies before the first and behind the last is done step by step.
    """
    first = min(end, -(-step // steps_per_call) * steps_per_call)
    last = end - (end - first) % steps_per_call
    planned = ((1, step, first), (steps_per_call, first, last), (1, last, end))
    return [(steps, to) for steps, since, to in planned if to > since]


def step_keys(seed: int, step: Any) -> tuple[Key, Key, Key]:
    """The keys of one update: for preprocessing, for the step, for a hand-over."""
    root = jax.random.fold_in(root_key(seed), step)
    data, own, enter = (jax.random.fold_in(root, i) for i in range(3))
    return data, own, enter


def root_key(seed: int) -> Key:
    """The run's key; the generator is named, whatever the machine's default is."""
    return jax.random.key(seed, impl="threefry2x32")


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Traces without Python's garbage collector.

    Nearly all that tracing makes stays, and looking through it again and again takes a
    fifth of the time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class Programs:
    """The compiled parts of one start of a run, on one mesh."""

    def __init__(
        self,
        system: System,
        seed: int,
        mesh: Mesh,
        frozen: Frozen,
        host: Sequence[str] = (),
    ):
        """Places the frozen networks; nothing is compiled yet.

        Args:
          system: what is trained.
          seed: of the run.
          mesh: of `sharding.make_mesh`, or of devices that are not there.
          frozen: pretrained networks; with shapes alone (`jax.ShapeDtypeStruct`)
            nothing can run, but `abstract` and `lower` work.
          host: what of the state rests in the hosts' memory, see `sharding.shardings`.
        """
        self._system, self._seed, self._mesh = system, seed, mesh
        self._host = host
        self.frozen = sharding.placed(frozen, sharding.shardings(mesh, frozen))
        self._column_names: list[str] = []  # compiled code would return them sorted
        self._draw = jax.jit(self._columns)

    def places(self, state: TrainState) -> Any:
        """The sharding of every leaf of a state between steps."""
        return sharding.shardings(self._mesh, state, host=self._host)

    def initial(self, task: Any, raw: Any) -> TrainState:
        """The state before the first update, made where it will lie.

        Args:
          task: of the first stage.
          raw: its first raw batch.
        """
        initialize = self._initialize(task)
        abstract = jax.eval_shape(initialize, self.frozen, raw)
        where = self.places(abstract)
        return jax.jit(initialize, out_shardings=where)(self.frozen, raw)

    def enter(self, leg: Leg, task: Any, state: TrainState, raw: Any) -> TrainState:
        """Hand-over: the stage's own preparation, its counter at zero.

        Args:
          leg: the stage that begins.
          task: of the stage.
          state: as the stage before left it; donated.
          raw: the stage's first raw batch.
        """
        hand_over, before = self._hand_over(leg, task), self.places(state)
        abstract = jax.eval_shape(hand_over, state, self.frozen, raw)

        def enter(state: TrainState, frozen: Frozen, raw: Any) -> TrainState:
            return hand_over(sharding.near(state, before), frozen, raw)

        jitted = jax.jit(enter, out_shardings=self.places(abstract), donate_argnums=0)
        return jitted(state, self.frozen, raw)

    def abstract(
        self, begun: Sequence[tuple[Leg, Any, Any]], task: Any, raw: Any
    ) -> TrainState:
        """Shapes and places of a state, as `jax.ShapeDtypeStruct`.

        Args:
          begun: `(leg, task, first raw batch)` of the stages that have begun.
          task: of the first stage.
          raw: its first raw batch.
        """
        state = jax.eval_shape(self._initialize(task), self.frozen, raw)
        for leg, its_task, its_raw in begun:
            if leg.stage.enter is not None:
                hand_over = self._hand_over(leg, its_task)
                state = jax.eval_shape(hand_over, state, self.frozen, its_raw)
        return sharding.placed(state, self.places(state))

    def update(
        self, leg: Leg, task: Any, state: TrainState, raw: Any, steps: int = 1
    ) -> tuple[Callable[..., Any], Int[Array, " 2"]]:
        """The stage's step, compiled for this mesh, with the state donated.

        Args:
          leg: whose stage is meant.
          task: of the stage.
          state: at its beginning.
          raw: one raw batch, arrays `[b, ...]`.
          steps: updates of one call.

        Returns:
          `update(state, health, frozen, raw) -> (state, health, metrics)`, and the
          first `health`: (first update, first term) that was not finite, or (-1, -1).
          So a look at it now and then is enough to name both. Of several steps a call
          takes the raw batches `[steps, b, ...]`, and tells the metrics of the last.
        """
        whole = sharding.replicated(self._mesh)
        health = jax.device_put(np.full((2,), -1, np.int32), whole)
        return self.lower(leg, task, state, raw, steps).compile(), health

    def lower(
        self, leg: Leg, task: Any, state: Any, raw: Any, steps: int = 1
    ) -> jax.stages.Lowered:
        """The program of `update`, not compiled yet.

        Args:
          leg: whose stage is meant.
          task: of the stage.
          state: at its beginning; arrays, or the shapes and places of `abstract`.
          raw: one raw batch, whatever `steps` is; arrays, or their shapes and places.
          steps: updates of one call.
        """
        where = jax.tree.map(lambda x: x.sharding, state)
        step = sharding.gathered(leg.stage.step, self._mesh)

        def update(
            state: TrainState, health: Int[Array, " 2"], frozen: Frozen, raw: Any
        ) -> tuple[TrainState, Int[Array, " 2"], Mapping[str, Any]]:
            state = sharding.near(state, where)
            data_key, step_key, _ = step_keys(self._seed, state.step)
            batch = task.preprocess(raw, data_key)
            new, metrics = step(state, frozen, batch, step_key)
            bad = [~jnp.all(jnp.isfinite(metrics[n])) for n in terms(metrics)]
            bad = jnp.stack(bad) if bad else jnp.zeros((1,), bool)
            now = jnp.stack([state.step + 1, jnp.argmax(bad).astype(jnp.int32)])
            health = jnp.where((health[0] < 0) & jnp.any(bad), now, health)
            return sharding.resting(new, where), health, metrics

        def updates(
            state: TrainState, health: Int[Array, " 2"], frozen: Frozen, raws: Any
        ) -> tuple[TrainState, Int[Array, " 2"], Mapping[str, Any]]:
            traced = jax.jit(update, inline=True)  # once, for its shapes and the loop

            def one(carry: Any, raw: Any) -> tuple[Any, None]:
                state, health, _ = carry
                state, health, metrics = traced(state, health, frozen, raw)
                state = jax.lax.with_sharding_constraint(state, where)
                return (state, health, metrics), None

            first = jax.tree.map(lambda x: x[0], raws)
            *_, metrics = jax.eval_shape(traced, state, health, frozen, first)
            # Carried, not stacked: a GPU would launch a kernel for each.
            metrics = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), metrics)
            return jax.lax.scan(one, (state, health, metrics), raws)[0]

        whole = sharding.replicated(self._mesh)
        jitted = jax.jit(
            update if steps == 1 else updates,
            out_shardings=(where, whole, whole),
            donate_argnums=(0, 1),
            compiler_options=self._loop_options() if steps > 1 else None,
        )
        health = jax.ShapeDtypeStruct((2,), jnp.int32, sharding=whole)
        if steps > 1:
            raw = sharding.stacked(raw, steps, self._mesh)
        with collector_paused():
            return jitted.lower(state, health, self.frozen, raw)

    def _loop_options(self) -> dict[str, Any] | None:
        """How a CPU compiles a loop of updates.

        Its compiler would move the counters of every draw out of the loop, each as a
        value of its own, before it looks for what is computed twice: two passes under
        the same dropout would no longer be one (GAN: 1.2 times the time).
        """
        if self._mesh.devices.flat[0].platform != "cpu":
            return None
        return {"xla_disable_hlo_passes": "while-loop-invariant-code-motion"}

    def sample_inputs(self, task: Any, count: int) -> tuple[Any, Key]:
        """Examples spread evenly over a task, and the key of all pictures of a run."""
        key = fold_name(root_key(self._seed), "samples")
        count = min(count, task.num_examples)
        raw = task.examples(spread(np.arange(count), count, task.num_examples))
        return jax.jit(task.preprocess)(raw, key), key

    def sample(self, state: TrainState, batch: Any, key: Key) -> dict[str, np.ndarray]:
        """The columns of a sample grid, in the system's order."""
        columns = jax.device_get(self._draw(*self.local(state), batch, key))
        return dict(zip(self._column_names, columns, strict=True))

    def local(self, state: TrainState) -> tuple[dict[str, Any], Frozen]:
        """The variables that inference uses, and `frozen`, on one own device."""
        return sharding.on_this_process((state.variables(), self.frozen), self._mesh)

    def _columns(
        self, variables: dict[str, Any], frozen: Frozen, batch: Any, key: Key
    ) -> list[jax.Array]:
        columns = self._system.sample_grid(variables, frozen, batch, key)
        self._column_names[:] = columns
        return list(columns.values())

    def _initialize(self, task: Any) -> Callable[..., TrainState]:
        def initialize(frozen: Frozen, raw: Any) -> TrainState:
            data_key, _, _ = step_keys(self._seed, 0)
            key = fold_name(root_key(self._seed), "init")
            return self._system.init(key, task.preprocess(raw, data_key), frozen)

        return initialize

    def _hand_over(self, leg: Leg, task: Any) -> Callable[..., TrainState]:
        def hand_over(state: TrainState, frozen: Frozen, raw: Any) -> TrainState:
            data_key, _, key = step_keys(self._seed, leg.begin)
            if leg.stage.enter is not None:
                calibration = task.preprocess(raw, data_key)
                state = leg.stage.enter(state, frozen, calibration, key)
            return state.replace(
                step=jnp.asarray(leg.begin, jnp.int32),
                stage_step=jnp.zeros((), jnp.int32),
            )

        return hand_over


def terms(metrics: Mapping[str, Any]) -> list[str]:
    """Metric names, losses first: the likeliest cause is named."""
    return sorted(metrics, key=lambda name: (not name.startswith("loss/"), name))
