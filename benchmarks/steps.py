"""A system's steps and modes with all they take, for tools that know them by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jaxgan import core
from jaxgan.pretrained import load_weights
from jaxgan.training import sharding


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


def random_input(
    declared: core.mode.Input, key: core.types.Key, size: int = 2, side: int = 32
) -> Any:
    """What a mode's input may be: an array, or the default of a plain value.

    Args:
      declared: the input.
      key: of the draw.
      size: of the batch.
      side: of pictures whose size is open, at least.
    """
    match declared:
        case core.Image():
            height, width = declared.size or (max(side, declared.multiple_of),) * 2
            shape = (size, height, width, declared.channels)
            return jax.random.uniform(key, shape, minval=-1.0, maxval=1.0)
        case core.Mask():
            height, width = declared.size or (side, side)
            mask = jnp.zeros((size, height, width, 1))
            return mask.at[:, height // 4 : height // 2, width // 4 : width // 2].set(1)
        case core.Labels():
            return jnp.arange(size) % declared.count
        case core.Latent():
            return jax.random.uniform(key, (size, declared.size))
        case core.Voxels():
            return jnp.ones((size,) + (declared.resolution,) * 3 + (1,))
        case core.Values():
            return jnp.zeros((size, *(max(n, 1) for n in declared.shape)))
        case core.Set():
            keys = jax.random.split(key, max(declared.minimum, 2))
            members = [random_input(declared.item, k, size, side) for k in keys]
            return jnp.stack(members, axis=1)
        case core.Float():
            return jnp.asarray(declared.default, jnp.float32)
        case core.Int() | core.Choice():
            return declared.default
    raise TypeError(declared)


def random_frozen(system: core.System) -> dict[str, Any]:
    """Pretrained networks with random weights."""
    return {
        name: load_weights(
            need.network, "random", network=need.module, convention=need.convention
        )
        for name, need in system.pretrained().items()
    }


class Arguments(NamedTuple):
    """What a step takes, in its order: arrays, or their shapes.

    A mode takes the same but for the first, which is `{network: variables}`.
    """

    state: Any
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
    raise _unknown(stage, [s.name for s in system.stages])


def shapes(system: core.System, stage: str, size: int, side: int = 32) -> Arguments:
    """As `start`, the shapes alone; nothing is computed."""
    return jax.eval_shape(lambda: start(system, stage, size, side))


def mode_start(system: core.System, mode: str, size: int, side: int = 32) -> Arguments:
    """Fresh networks and random inputs of a mode, the plain values left out."""
    if mode not in system.inference:
        raise _unknown(mode, list(system.inference), "stage or mode")
    declared = system.inference[mode].inputs
    key = jax.random.key(0)
    batch = {
        name: random_input(spec, jax.random.fold_in(key, i), size, side)
        for i, (name, spec) in enumerate(sorted(declared.items()))
        if not isinstance(spec, core.mode.STATIC)
    }
    if system.stages:
        state = start(system, system.stages[0].name, size, side).state
    else:
        state = jax.jit(system.init)(key, batch, {})
    variables = {n: state.variables()[n] for n in system.inference[mode].networks}
    return Arguments(variables, random_frozen(system), batch, key)


class Program(NamedTuple):
    """A stage's step, or a mode, on a mesh.

    Attributes:
      name: of the stage or mode.
      call: jitted, not compiled; a step's state is donated.
      arguments: where they belong on the mesh; arrays, or their shapes.
      is_step: whether the result begins with the next state.
    """

    name: str
    call: Any
    arguments: Arguments
    is_step: bool


def names(system: core.System, mode: str | None = None) -> list[str]:
    """What there is to run: the stages, or of a system without any its first mode.

    Args:
      system: any.
      mode: this mode instead.

    Raises:
      UserError: if the system has no such mode.
    """
    if mode is not None and mode not in system.inference:
        raise _unknown(mode, list(system.inference), "mode")
    if mode is not None:
        return [mode]
    return [s.name for s in system.stages] or [next(iter(system.inference))]


def jitted(stage: core.Stage, state: core.TrainState, mesh: Mesh) -> Any:
    """A stage's step on a mesh, the state donated and left where it lies.

    Args:
      stage: whose step.
      state: arrays, or their shapes, that know where they lie.
      mesh: see `jaxgan.training.sharding`.
    """
    where = jax.tree.map(lambda x: x.sharding, state)
    out = (where, sharding.replicated(mesh))
    step = sharding.gathered(stage.step, mesh)
    return jax.jit(step, out_shardings=out, donate_argnums=0)


def program(
    system: core.System,
    name: str,
    size: int,
    mesh: Mesh,
    *,
    side: int = 32,
    abstract: bool = False,
) -> Program:
    """A stage's step or a mode, placed as the trainer places it.

    Args:
      system: whose.
      name: of the stage or mode.
      size: of the global batch.
      mesh: see `jaxgan.training.sharding`.
      side: of every axis that a stage or mode leaves open.
      abstract: shapes alone; nothing is computed.
    """
    stage = next((s for s in system.stages if s.name == name), None)
    begin = mode_start if stage is None else start
    make: Callable[[], Arguments] = lambda: begin(system, name, size, side)  # noqa: E731
    arguments = _placed(jax.eval_shape(make) if abstract else make(), mesh)
    if stage is not None:
        return Program(name, jitted(stage, arguments.state, mesh), arguments, True)
    mode = system.inference[name]
    plain = {
        field: declared.default
        for field, declared in mode.inputs.items()
        if isinstance(declared, core.Int | core.Choice)
    }

    def call(variables: Any, frozen: Any, inputs: Mapping[str, Any], key: Any) -> Any:
        return mode.fn(variables, frozen, {**inputs, **plain}, key)

    return Program(name, jax.jit(call), arguments, False)


def _placed(arguments: Arguments, mesh: Mesh) -> Arguments:
    """On the mesh: arrays, or shapes that say where."""
    whole, split = sharding.replicated(mesh), sharding.over_batch(mesh)
    where = Arguments(
        sharding.shardings(mesh, arguments.state),
        sharding.shardings(mesh, arguments.frozen),
        # A mode's numbers have no batch axis.
        jax.tree.map(lambda x: split if x.ndim else whole, arguments.batch),
        whole,
    )
    return sharding.placed(arguments, where)


def _unknown(name: str, known: list[str], what: str = "stage") -> core.UserError:
    return core.UserError(f"no {what} {name!r}; there are {', '.join(known) or 'none'}")
