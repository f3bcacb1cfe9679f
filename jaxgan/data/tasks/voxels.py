"""Occupancy grids of shapes."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import numpy as np
from jaxtyping import Array

from jaxgan.core.errors import UserError
from jaxgan.core.types import Batch, Key
from jaxgan.data import augment, voxel_grids
from jaxgan.data.opening import open_images
from jaxgan.data.options import Options
from jaxgan.data.sources import Source, Subset
from jaxgan.data.streams import Column, walk
from jaxgan.data.task import Task
from jaxgan.ops.voxels import unpack_bits

_OCCUPIED = 0.5  # numbers above it


def voxels(
    options: Options,
    split: str,
    seed: int,
    *,
    rotate_up_axis: int = 0,
    mirror: bool = False,
    min_voxels: int = 0,
) -> Task:
    """`voxels`: float32 {0, 1} `[b, r, r, r, 1]`, the last spatial axis up.

    Grids travel packed and are padded and enlarged in the step: 30 to 32 by a voxel on
    each side, 32 to 64 by repeating each voxel twice. Numbers above 0.5 are occupied.

    Args:
      options: see `Options`; `image_size` is the resolution r.
      split: which examples.
      seed: the run's.
      rotate_up_axis: in training, turn each shape by a random multiple of a turn over
        this number: 4 for quarter turns, 12 for 30 degrees; 0 is off.
      mirror: in training, mirror half of the shapes along the second axis.
      min_voxels: grids with fewer are left out: some voxelisations failed.

    Raises:
      UserError: if the source has no grids, or they are larger than r.

    References: Wu et al., "Learning a Probabilistic Latent Space of Object Shapes via
    3D Generative-Adversarial Modeling", NeurIPS 2016; 3DShapeNets (its 30^3 grids).
    """
    resolution = options.size[0]
    if str(options.source).startswith(("folder:", "zip:")):
        raise UserError(
            f"{options.source}: shapes are read from one file; `jaxgan prepare "
            f"--source={options.source} --output=shapes.npz` makes it, then set "
            "data.source=npz:shapes.npz"
        )
    source = open_images(options, split)
    known = ("packed", "voxels")
    name = options.fields[0] if options.fields else None
    name = name or next((k for k in known if k in source.fields), "")
    if name not in source.fields or source.fields[name].shape is None:
        raise UserError(
            f"{source.name}: it has no field 'voxels' or 'packed', only "
            f"{', '.join(source.fields)}; name it with data.fields"
        )
    shape = source.fields[name].shape or ()
    packed = len(shape) == 1
    grid = source.fields[name].grid or (_cube(shape[0]) if packed else shape[:3])
    if len(set(grid)) != 1 or len(grid) != 3 or not 0 < grid[0] <= resolution:
        raise UserError(
            f"{source.name}: grids of {'x'.join(map(str, grid))} voxels do not fit "
            f"data.image_size={resolution}; use cubes of at most that size"
        )
    if min_voxels:
        source = _at_least(source, name, packed, min_voxels)

    def transform(raw: Mapping[str, Array], key: Key) -> Batch:
        grids = raw["voxels"]
        if packed:
            grids = unpack_bits(grids, grid)[..., 0]
        elif grids.ndim == 5:
            grids = grids[..., 0]
        if split == "train":
            turn_key, mirror_key = jax.random.split(key)
            if rotate_up_axis:
                grids = voxel_grids.turn_about_up(grids, turn_key, int(rotate_up_axis))
            if mirror:  # [b, x, y, z] as [b, h, w, c]: y is mirrored
                grids = augment.random_flip(grids, mirror_key)
        return {"voxels": voxel_grids.to_batch(voxel_grids.fit(grids, resolution))}

    return Task(
        name="voxels",
        split=split,
        num_examples=len(source),
        streams={"examples": walk(source, split, seed)},
        columns={
            "voxels": Column(
                "examples", name, None, "uint8", above=None if packed else _OCCUPIED
            )
        },
        transform=transform,
        options=options,
    )


def _cube(num_bytes: int) -> tuple[int, int, int]:
    side = int((num_bytes * 8) ** (1 / 3) + 1e-6)
    return side, side, side


def _at_least(source: Source, name: str, packed: bool, least: int) -> Source:
    values = source.column(name)
    if values is None:
        values = source.read(np.arange(len(source)), [name])[name]
    flat = values.reshape(len(values), -1)
    counts = np.bitwise_count(flat) if packed else flat > _OCCUPIED
    keep = np.flatnonzero(counts.sum(axis=1, dtype=np.int64) >= least)
    if not keep.size:
        raise UserError(
            f"{source.name}: no grid has data.min_voxels={least} voxels; lower it"
        )
    return Subset(source, keep)
