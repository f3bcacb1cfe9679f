"""What the host's input pipeline delivers, by itself and to a step that waits."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh

from jaxgan import core
from jaxgan.data import Task, make_task, prefetch_to_device
from jaxgan.training import configs, sharding
from jaxgan.training.programs import Leg, Programs

WARM_UP = 3  # batches: more than are read ahead
WINDOWS = 3


class Rate(NamedTuple):
    """Attributes:
    per_second: examples, with the cores that the reader takes.
    per_cpu_second: examples a second of one core, of all threads together.
    """

    per_second: float
    per_cpu_second: float


def host_rate(task: Task, batch_size: int, seconds: float = 2.0) -> Rate:
    """How many examples a task reads when nobody else is at work.

    Args:
      task: whose batches are read.
      batch_size: of each.
      seconds: how long to measure.
    """
    with contextlib.closing(task.batches(0, batch_size)) as batches:  # type: ignore
        for _ in range(WARM_UP):
            next(batches)
        count, wall, used = 0, time.perf_counter(), time.process_time()
        while time.perf_counter() - wall < seconds or not count:
            next(batches)
            count += batch_size * task.options.draws
        used, wall = time.process_time() - used, time.perf_counter() - wall
    return Rate(count / wall, count / max(used, 1e-6))


def measure(
    config: Mapping[str, Any],
    system: core.System,
    stage: core.Stage,
    state: core.TrainState,
    frozen: core.Frozen,
    mesh: Mesh,
    window: int,
) -> dict[str, Any]:
    """The pipeline alone, and the trainer's update fed by it.

    Args:
      config: resolved.
      system: that it describes.
      stage: whose update and data are meant.
      state: on the mesh; it is donated.
      frozen: the pretrained networks.
      mesh: of the devices.
      window: updates of a timed window.

    Returns:
      Figures, or `input_note`: why there are none.
    """
    size, seed = config["training"]["batch_size"], config["seed"]
    section = configs.stage_data(config, stage.name)
    try:
        task = make_task(section, split="train", seed=seed)
        alone = host_rate(task, size)
    except (core.UserError, OSError) as error:
        return {"input_note": " ".join(str(error).split())}
    examples = size * task.options.draws
    batches = prefetch_to_device(task.batches(0, size), sharding.over_batch(mesh))
    with contextlib.closing(batches):  # type: ignore
        raw = next(batches)
        programs = Programs(system, seed, mesh, frozen)
        update, health = programs.update(Leg(stage, 0, 1), task, state, raw)
        seconds, metrics = [], None
        for _ in range(1 + WINDOWS):
            began = time.perf_counter()
            for _ in range(window):
                state, health, metrics = update(state, health, programs.frozen, raw)
                raw = next(batches)
            jax.block_until_ready((state, metrics))
            seconds.append((time.perf_counter() - began) / window)
    middle = statistics.median(seconds[1:])
    return {
        "input_examples_per_second": alone.per_second,
        "input_examples_per_cpu_second": alone.per_cpu_second,
        "fed_ms": 1e3 * middle,
        "fed_examples_per_second": examples / middle,
    }
