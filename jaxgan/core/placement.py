"""Where arrays of a step lie among the devices of the mesh, if it sees one.

`jax.set_mesh` and `jax.sharding.use_abstract_mesh` show a mesh; without one, and where
the devices cannot share a batch evenly, nothing here does anything.
"""

from __future__ import annotations

from typing import Any

import jax
from jax.sharding import PartitionSpec


def devices() -> int:
    """How many devices the mesh has; 1 without a mesh."""
    mesh = jax.sharding.get_abstract_mesh()
    return 1 if mesh.empty else mesh.size


def over_batch(tree: Any) -> Any:
    """Arrays `[b, ...]`, each split over all devices along its first axis."""
    axes = PartitionSpec(jax.sharding.get_abstract_mesh().axis_names)

    def split(x: Any) -> Any:
        if devices() == 1 or x.ndim == 0 or x.shape[0] % devices():
            return x
        return jax.lax.with_sharding_constraint(x, axes)

    return jax.tree.map(split, tree)


def unsplit(tree: Any) -> Any:
    """Arrays, whole on every device where the mesh splits large ones over `model`.

    So are their gradients; nothing that is computed with them is split as they were.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or mesh.shape.get("model", 1) == 1:
        return tree
    return replicated(tree)


def replicated(tree: Any) -> Any:
    """Arrays, whole on every device."""
    if devices() == 1:
        return tree
    return jax.lax.with_sharding_constraint(tree, PartitionSpec())
