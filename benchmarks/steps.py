"""A stage's step with all it takes, for systems that one knows by name alone."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxgan import core
from jaxgan.pretrained import load_weights


def random_batch(
    stage: core.Stage, size: int, seed: int = 0, side: int = 32
) -> core.types.Batch:
    """Arrays within the ranges that a stage declares.

    Args:
      stage: whose `batch_spec` is filled.
      size: of the batch.
      seed: of the draw.
      side: of every axis that the stage leaves open.
    """
    batch = {}
    for i, (name, spec) in enumerate(sorted(stage.batch_spec.items())):
        key = jax.random.fold_in(jax.random.key(seed), i)
        shape = (size, *(n or side for n in spec.shape))
        low = -1.0 if spec.low is None else spec.low
        high = 1.0 if spec.high is None else spec.high
        if spec.dtype == "int32":
            batch[name] = jax.random.randint(key, shape, int(low), int(high) + 1)
        else:
            batch[name] = jax.random.uniform(key, shape, jnp.float32, low, high)
    return batch


def random_frozen(system: core.System) -> dict[str, Any]:
    """Pretrained networks with random weights."""
    return {
        name: load_weights(need.network, "random", network=need.module)
        for name, need in system.pretrained().items()
    }


class Arguments(NamedTuple):
    """What a step takes, in its order: arrays, or their shapes."""

    state: core.TrainState
    frozen: core.Frozen
    batch: core.types.Batch
    key: core.types.Key


def start(system: core.System, stage: str, size: int, side: int = 32) -> Arguments:
    """A fresh state at the beginning of a stage, and a random batch.

    The stages before it are entered and left without a step.
    """
    key = jax.random.key(0)
    frozen, state = random_frozen(system), None
    for each in system.stages:
        batch = random_batch(each, size, side=side)
        if state is None:
            state = jax.jit(system.init)(key, batch, frozen)
        if each.enter:
            state = jax.jit(each.enter)(state, frozen, batch, key)
        if each.name == stage:
            return Arguments(state, frozen, batch, key)
    raise core.UserError(
        f"no stage {stage!r}; there are {', '.join(s.name for s in system.stages)}"
    )


def shapes(system: core.System, stage: str, size: int, side: int = 32) -> Arguments:
    """As `start`, the shapes alone; nothing is computed."""
    return jax.eval_shape(lambda: start(system, stage, size, side))
