"""Raw batches, from the tasks of a config to the devices."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from jaxgan.core.errors import UserError
from jaxgan.core.system import ArraySpec, check_batch
from jaxgan.data.opening import NothingHeldOut
from jaxgan.data.pipeline import prefetch_to_device
from jaxgan.training import configs, sharding
from jaxgan.training.programs import Leg, root_key
from jaxgan.training.progress import Stopwatch

MakeTask = Callable[..., Any]  # make_task(data, split=, seed=) -> jaxgan.data.Task

_SLACK = 0.05  # of a range: a task may add a little noise


class Feeds:
    """The tasks of a run, each opened once, and their batches on the mesh."""

    def __init__(self, make_task: MakeTask, config: Mapping[str, Any], mesh: Mesh):
        self._make_task, self._config = make_task, config
        self._mesh = mesh
        self._tasks: dict[str, Any] = {}

    def task(self, stage: str, split: str = "train") -> Any:
        """The task of a stage; stages with the same data share one."""
        data = configs.stage_data(self._config, stage)
        if split != "train" and "draws" in data:
            data["draws"] = 1
        key = f"{split} {configs.to_json(data)}"
        if key not in self._tasks:
            seed = self._config["seed"]
            self._tasks[key] = self._make_task(data, split=split, seed=seed)
        return self._tasks[key]

    def samples(self, stage: str) -> Any:
        """The task whose examples a sample grid shows: held-out ones if there are."""
        try:
            return self.task(stage, "test")
        except NothingHeldOut:
            return self.task(stage)

    def first(self, leg: Leg) -> dict[str, jax.Array]:
        """The stage's first raw batch.

        Raises:
          UserError: if it does not become what the stage expects, in shape, type,
            labels and range of values.
        """
        task = self.task(leg.stage.name)
        where = sharding.over_batch(self._mesh)
        (raw,) = prefetch_to_device([next(self._batches(leg, leg.begin))], where)
        batch = jax.eval_shape(task.preprocess, raw, root_key(0))
        stage = f"stage {leg.stage.name!r}"
        check_batch(batch, leg.stage.batch_spec, stage)
        _check_labels(task, leg.stage.batch_spec, stage)
        data = configs.stage_data(self._config, leg.stage.name)
        _check_value_range(data.get("value_range"), leg.stage.batch_spec, stage)
        _check_ranges(task, raw, leg.stage.batch_spec, stage)
        return raw

    def stream(
        self, leg: Leg, step: int, watch: Stopwatch, steps: int = 1
    ) -> Iterator[dict[str, jax.Array]]:
        """Raw batches from `step` on; the watch is told how long they take.

        Args:
          leg: whose stage is fed.
          step: updates that are done.
          watch: of the run.
          steps: updates of one call.

        Yields:
          Arrays `[b, ...]`, split over the devices along `b`; of several steps a call
          `[steps, b, ...]`, split as before.
        """

        def timed() -> Iterator[dict[str, np.ndarray]]:
            batches = self._batches(leg, step)
            while True:
                began = time.perf_counter()
                raw = next(batches) if steps == 1 else _stacked(batches, steps)
                watch.waited(time.perf_counter() - began)
                yield raw

        if steps == 1:
            return prefetch_to_device(timed(), sharding.over_batch(self._mesh))
        # What the next call takes is copied while one is computed; more would only
        # take memory.
        where = sharding.over_batches(self._mesh)
        return prefetch_to_device(timed(), where, depth=0)

    def _batches(self, leg: Leg, step: int) -> Iterator[dict[str, np.ndarray]]:
        """This process' slices."""
        return self.task(leg.stage.name).batches(
            step,
            self._config["training"]["batch_size"],
            jax.process_index(),
            jax.process_count(),
        )


def _stacked(
    batches: Iterator[dict[str, np.ndarray]], count: int
) -> dict[str, np.ndarray]:
    """The next batches `[b, ...]` as one `[count, b, ...]`."""
    several = [next(batches) for _ in range(count)]
    return {name: np.stack([raw[name] for raw in several]) for name in several[0]}


def _bounded(spec: Mapping[str, ArraySpec]) -> dict[str, tuple[float, float]]:
    """The continuous fields that have a range."""
    return {
        name: (want.low, want.high)
        for name, want in spec.items()
        if want.dtype == "float32" and want.low is not None and want.high is not None
    }


def _check_value_range(
    given: Sequence[float] | None, spec: Mapping[str, ArraySpec], where: str
) -> None:
    """Refuses another range of pictures than a stage takes, which may lie within it."""
    if given is None or tuple(given) == (-1, 1):  # the default
        return
    for name, bounds in _bounded(spec).items():
        if tuple(given) != bounds:
            raise UserError(
                f"{where}: data.value_range is {tuple(given)}, but it takes "
                f"{bounds[0]:g} to {bounds[1]:g} in {name!r}; set it to that"
            )


def _check_ranges(
    task: Any, raw: Mapping[str, jax.Array], spec: Mapping[str, ArraySpec], where: str
) -> None:
    """Refuses a batch whose values lie outside of what a stage takes."""
    bounded = _bounded(spec)

    @jax.jit
    def extremes(raw: Mapping[str, jax.Array]) -> dict[str, Any]:
        batch = task.preprocess(raw, root_key(0))
        return {name: (batch[name].min(), batch[name].max()) for name in bounded}

    for name, (least, greatest) in extremes(raw).items():
        low, high = bounded[name]
        slack = _SLACK * (high - low)
        if not (low - slack <= least and greatest <= high + slack):
            raise UserError(
                f"{where}: batch field {name!r} goes from {float(least):.3g} to "
                f"{float(greatest):.3g}, it takes {low:g} to {high:g}; check "
                "data.value_range and data.task"
            )


def _check_labels(task: Any, spec: Mapping[str, ArraySpec], where: str) -> None:
    """Refuses a task with class numbers that a stage does not know."""
    for name, want in spec.items():
        if want.dtype != "int32" or want.high is None:
            continue
        have = task.raw_spec[name].high
        if have is not None and have > want.high:
            raise UserError(
                f"{where}: the labels in {name!r} go up to {have:.0f}, it takes 0 to "
                f"{want.high:.0f}: raise system.num_classes, or choose examples with "
                "data.where"
            )
