"""One mesh for everything: which device holds which part of what.

Axes: `data` and `model`. Batches are split over both; parameters are whole on every
device, or, where `model` is larger than 1, the large ones lie split over it and are
gathered where a network is applied (`gathered`). What a config names in `devices.host`
rests in the memory of the hosts between steps (`near`, `resting`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxgan.core.errors import UserError
from jaxgan.core.pool import ImagePool
from jaxgan.core.state import TrainState

Step = Callable[..., tuple[TrainState, Any]]

AXES = ("data", "model")
LARGE = 1 << 20  # elements; a smaller parameter is cheaper to keep than to gather
HOST = {"pools": "memory", "optimizer": "opt_state"}  # devices.host: field of a state
HOST_MEMORY = "pinned_host"
SMALL = 1 << 10  # elements; a smaller array stays on the devices


def make_mesh(devices: Mapping[str, int], there: Sequence[Any] | None = None) -> Mesh:
    """The mesh that the config's section `devices` asks for.

    Args:
      devices: `{"data": n or -1, "model": m}`; -1 is all that `model` leaves.
      there: the devices to choose from; None: all that JAX sees.

    Raises:
      UserError: if there are not that many devices.
    """
    there = jax.devices() if there is None else there
    available = len(there)
    data, model = devices["data"], devices["model"]
    if data == -1:
        if available % model:
            raise UserError(
                f"devices.model = {model} does not divide the {available} devices that "
                "exist: choose a divisor"
            )
        data = available // model
    count = data * model
    several = len({d.process_index for d in there}) > 1
    if count > available or (several and count != available):
        raise UserError(
            f"devices.data x devices.model = {data} x {model} = {count}, but there are "
            f"{available} devices: lower them, or set devices.data=-1"
        )
    # In the order of the hosts, so that a host's part of a batch is one slice of it.
    ordered = sorted(there, key=lambda d: (d.process_index, d.id))
    grid = np.array(ordered[:count]).reshape(data, model)
    return Mesh(grid, AXES, axis_types=(AxisType.Auto,) * 2)


def mesh_to_judge(
    devices: Mapping[str, int], there: Sequence[Any] | None = None
) -> Mesh:
    """The mesh on which one process judges a run.

    Of as many devices as the config asks for, or all that there are: where a run was
    trained says nothing of where it is judged.

    Args:
      devices: `{"data": n or -1, "model": m}`; -1 is all.
      there: the devices to choose from; None: this process's.
    """
    there = jax.local_devices() if there is None else there
    data, model = devices["data"], devices["model"]
    count = len(there) if data == -1 else min(data * model, len(there))
    return _along_data(there[:count])


def own_part(mesh: Mesh) -> Mesh:
    """This process's devices of a mesh, to judge on by itself."""
    own = jax.process_index()
    return _along_data([d for d in mesh.devices.flat if d.process_index == own])


def _along_data(devices: Sequence[Any]) -> Mesh:
    grid = np.array(devices).reshape(-1, 1)
    return Mesh(grid, AXES, axis_types=(AxisType.Auto,) * 2)


def check_batch_size(batch_size: int, mesh: Mesh, microbatches: int = 1) -> None:
    """Refuses a global batch whose parts the devices cannot share evenly."""
    step = mesh.size * microbatches
    if batch_size % step:
        below = batch_size - batch_size % step
        choices = [str(n) for n in (below, below + step) if n]
        parts = f" in {microbatches} parts (system.microbatches)"
        raise UserError(
            f"training.batch_size {batch_size}{parts if microbatches > 1 else ''} "
            f"cannot be divided over {mesh.size} devices: choose "
            f"{' or '.join(choices)}, or fewer devices with devices.data"
        )


def replicated(mesh: Mesh) -> NamedSharding:
    """Whole on every device."""
    return NamedSharding(mesh, PartitionSpec())


def over_batch(mesh: Mesh) -> NamedSharding:
    """The first axis split over all devices."""
    return NamedSharding(mesh, PartitionSpec(AXES))


def over_batches(mesh: Mesh) -> NamedSharding:
    """Several batches stacked along the first axis: that whole, the second split."""
    return NamedSharding(mesh, PartitionSpec(None, AXES))


def stacked(batch: Any, count: int, mesh: Mesh) -> Any:
    """Shapes and places of as many batches, stacked along a new leading axis.

    Args:
      batch: arrays `[b, ...]`, or their shapes.
      count: how many.
      mesh: of `make_mesh`.
    """
    where = over_batches(mesh)
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct((count, *x.shape), x.dtype, sharding=where),
        batch,
    )


def shardings(
    mesh: Mesh, tree: Any, large: int = LARGE, host: Sequence[str] = ()
) -> Any:
    """The sharding of every leaf of a state (or of frozen networks).

    A leaf of at least `large` elements has its longest axis that `model` divides split
    over `model` (of equal ones the last: the output channels). Image pools in as many
    groups as there are devices, or a multiple, lie where their part of the batch lies.

    Args:
      mesh: of `make_mesh`.
      tree: arrays or shape structs.
      large: least number of elements of what is split.
      host: of `HOST`, what of a state rests in the hosts' memory.
    """
    whole, split = replicated(mesh), over_batch(mesh)
    model = mesh.shape["model"]

    def leaf(x: Any) -> NamedSharding:
        axes = [i for i, n in enumerate(x.shape) if n % model == 0]
        if model == 1 or x.size < large or not axes:
            return whole
        axis = max(axes, key=lambda i: (x.shape[i], i))
        return NamedSharding(mesh, PartitionSpec(*[None] * axis, "model"))

    def node(x: Any) -> Any:
        if isinstance(x, ImagePool):
            groups = x.count.shape[0]
            own = split if groups % mesh.size == 0 else whole
            return jax.tree.map(lambda _: own, x)
        return leaf(x)

    def on_host(x: Any, s: NamedSharding) -> NamedSharding:
        return s if x.size < SMALL else s.with_memory_kind(HOST_MEMORY)

    where = jax.tree.map(node, tree, is_leaf=lambda x: isinstance(x, ImagePool))
    for field in map(HOST.__getitem__, host):
        its = jax.tree.map(on_host, getattr(tree, field), getattr(where, field))
        where = where.replace(**{field: its})
    return where


def near(tree: Any, where: Any) -> Any:
    """In a compiled function: everything in the devices' memory, to compute with.

    Args:
      tree: arrays.
      where: the sharding of every leaf, of `shardings`.
    """
    return _moved(tree, where, lambda s: NamedSharding(s.mesh, s.spec))


def resting(tree: Any, where: Any) -> Any:
    """The opposite of `near`."""
    return _moved(tree, where, lambda s: s)


def _moved(tree: Any, where: Any, to: Callable[[Any], Any]) -> Any:
    def move(x: Any, s: NamedSharding) -> Any:
        return jax.device_put(x, to(s)) if s.memory_kind == HOST_MEMORY else x

    return jax.tree.map(move, tree, where)


def placed(tree: Any, where: Any) -> Any:
    """Arrays where they belong; shapes that say where they would.

    Args:
      tree: arrays or `jax.ShapeDtypeStruct`s.
      where: the sharding of every leaf.
    """

    def place(x: Any, s: NamedSharding) -> Any:
        if isinstance(x, jax.ShapeDtypeStruct):
            return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s)
        return jax.device_put(x, s)

    return jax.tree.map(place, tree, where)


def gathered(step: Step, mesh: Mesh) -> Step:
    """A stage's step that sees the mesh.

    Of what lies split over `model`, parameters are gathered wherever a network is
    applied (`core.forward`), statistics here. Optimisers' moments are never whole: each
    device updates its part of them and of the parameters.

    Left to itself, XLA splits activations along with the parameters, and both of its
    partitioners then compute wrong gradients of some networks (DCGAN's, on a mesh of
    4 x 2; jax 0.10.2 and 0.12.0): by a factor of 4, by 1 %.

    Args:
      step: `step(state, ...) -> (state, metrics)`.
      mesh: of `make_mesh`.
    """
    if mesh.size == 1:
        return step

    def whole(state: TrainState) -> TrainState:
        if mesh.shape["model"] == 1:
            return state
        found = {"stats": state.stats, "memory": state.memory}
        where = shardings(mesh, found, large=sys.maxsize)
        return state.replace(**jax.lax.with_sharding_constraint(found, where))

    def call(state: TrainState, *others: Any) -> tuple[TrainState, Any]:
        with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
            state, metrics = step(whole(state), *others)
        return whole(state), metrics

    return call


def on_this_process(tree: Any, mesh: Mesh) -> Any:
    """Whole arrays on one device of this process, to compute with by itself."""
    if any(not x.sharding.is_fully_replicated for x in jax.tree.leaves(tree)):
        tree = jax.jit(lambda t: t, out_shardings=replicated(mesh))(tree)
    return jax.tree.map(lambda x: x.addressable_data(0), tree)
