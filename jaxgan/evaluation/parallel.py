"""Batches split over the devices of a mesh, parameters whole on each of them.

A process judges on its own devices alone. Without a mesh all runs on one device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec


def several(mesh: Mesh | None) -> Mesh | None:
    """The mesh, if there is anything to split over it."""
    return mesh if mesh is not None and mesh.size > 1 else None


def rounded(batch_size: int, mesh: Mesh | None) -> int:
    """The least number of images, `batch_size` or more, that the devices share evenly.

    Args:
      batch_size: at least 1.
      mesh: None is one device.
    """
    return batch_size if mesh is None else -(-batch_size // mesh.size) * mesh.size


def over_batch(tree: Any, mesh: Mesh | None) -> Any:
    """Arrays `[b, ...]`, each device with its own rows; as they are without a mesh."""
    if mesh is None:
        return tree
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec(mesh.axis_names)))


def whole(tree: Any, mesh: Mesh | None) -> Any:
    """Arrays, whole on every device; as they are without a mesh.

    Args:
      tree: arrays on the host, on one device, or whole on all devices of all processes.
      mesh: of devices of this process.
    """
    if mesh is None:
        return tree

    def own(x: Any) -> Any:
        there = isinstance(x, jax.Array) and not x.is_fully_addressable
        return x.addressable_data(0) if there else x

    where = NamedSharding(mesh, PartitionSpec())
    return jax.device_put(jax.tree.map(own, tree), where)


def by_rows(fn: Callable[..., Any], mesh: Mesh | None) -> Callable[..., Any]:
    """A function of rows that do not depend on one another, compiled.

    Each device computes its own rows as if there were no others: nothing travels
    between devices, whatever the function does.

    Args:
      fn: `fn(shared, *rows) -> rows`; `shared` is a tree without rows, every other
        argument and the result are trees of arrays `[b, ...]`.
      mesh: None is one device; else it divides b.

    Returns:
      The same function, of `shared` as `whole` gives it.
    """
    if mesh is None:
        return jax.jit(fn)
    split = PartitionSpec(mesh.axis_names)
    apart = jax.jit(
        jax.shard_map(
            lambda shared, rows: fn(shared, *rows),
            mesh=mesh,
            in_specs=(PartitionSpec(), split),
            out_specs=split,
            check_vma=False,
        )
    )
    return lambda shared, *rows: apart(shared, over_batch(rows, mesh))
