"""Users' shapes as occupancy grids: arrays, packed voxels, .binvox files, meshes.

Floating-point arrays in [0, 1], such as `sample` writes, are probabilities and stay
what they are; of all others a cell is filled or not.
"""

from __future__ import annotations

import io
import os
import tempfile
from typing import Any, TypeAlias

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Float32, Shaped, UInt8

from jaxgan import ops
from jaxgan.core.optional import require
from jaxgan.data import voxel_grids
from jaxgan.data.pictures import Unusable

ARRAY_SUFFIXES = (".npz", ".npy", ".binvox")
MESH_SUFFIXES = (".obj", ".ply", ".stl", ".off")
SUFFIXES = ARRAY_SUFFIXES + MESH_SUFFIXES
KEYS = ("voxels", "packed")
Grids: TypeAlias = UInt8[np.ndarray, "n x y z"] | Float32[np.ndarray, "n x y z"]
Grid: TypeAlias = Float[np.ndarray, "r r r 1"]


def default_pad(resolution: int) -> int:
    """Empty voxels around a mesh: 1 at 32^3 and 2 at 64^3, the border of 3DShapeNets'
    30^3 grids there, so that both are of one scale."""
    return max(1, resolution // 32)


def read(
    data: bytes,
    suffix: str,
    resolution: int,
    pad: int | None = None,
    filled: bool = True,
) -> Grids:
    """The cubes in a file, z up: one, or as many as an array file holds.

    They are float32 if they are probabilities, else uint8.

    Args:
      data: the file.
      suffix: one of `SUFFIXES`.
      resolution: of the grid that a mesh is turned into.
      pad: empty voxels on every side of it along the mesh's longest axis; None is
        `default_pad`.
      filled: a mesh's interior too, not its surface alone.

    Raises:
      Unusable: if they cannot be read.
      UserError: if a mesh needs a library that is not installed.
    """
    if suffix in MESH_SUFFIXES:
        pad = default_pad(resolution) if pad is None else pad
        return _from_mesh(data, suffix, resolution, pad, filled)
    try:
        if suffix == ".binvox":
            found = _from_binvox(data)[None]
        else:
            found = _from_arrays(np.load(io.BytesIO(data), allow_pickle=False))
    except Unusable:
        raise
    except Exception as error:  # broken archives raise a dozen types
        raise Unusable(f"not a whole {suffix} file ({error})") from error
    if len(set(found.shape[1:])) != 1:
        raise Unusable(f"has {'x'.join(map(str, found.shape[1:]))} voxels, not a cube")
    return found


def fit(grid: Shaped[np.ndarray, "x x x"], resolution: int) -> Grid:
    """A cube at the network's resolution.

    Smaller ones are centred and their voxels repeated, larger ones pooled: a voxel is
    as full as the fullest in it, so that thin parts stay.
    """
    factor = -(-grid.shape[0] // resolution)
    whole = voxel_grids.fit(jnp.asarray(grid)[None], factor * resolution)
    is_float = jnp.issubdtype(whole.dtype, jnp.floating)
    batch = whole[..., None] if is_float else voxel_grids.to_batch(whole)
    return np.asarray(ops.downsample_voxels(batch, factor))[0]


def _from_arrays(loaded: Any) -> Grids:
    if isinstance(loaded, np.ndarray):
        return _as_grids(loaded)
    with loaded:
        name = next((k for k in KEYS if k in loaded.files), None)
        if name is None and len(loaded.files) == 1:
            name = loaded.files[0]
        if name is None:
            found = ", ".join(loaded.files) or "nothing"
            raise Unusable(f"has no array 'voxels' or 'packed', but {found}")
        values = loaded[name]
        if name != "packed":
            return _as_grids(values)
        side = round((values.shape[-1] * 8) ** (1 / 3))
        shape = tuple(loaded["shape"]) if "shape" in loaded.files else (side,) * 3
    bits = np.unpackbits(values.reshape(-1, values.shape[-1]), axis=1)
    return bits[:, : int(np.prod(shape))].reshape(-1, *shape)


def _as_grids(values: np.ndarray) -> Grids:
    if values.ndim in (4, 5) and values.shape[-1] == 1:
        values = values[..., 0]
    if values.ndim == 3:
        values = values[None]
    if values.ndim != 4:
        raise Unusable(
            f"holds an array of shape {values.shape}, not grids [n, r, r, r]"
        )
    is_float = np.issubdtype(values.dtype, np.floating)
    if is_float and np.all((values >= 0) & (values <= 1)):
        return values.astype(np.float32)
    return (values > 0.5).astype(np.uint8)


def _from_binvox(data: bytes) -> UInt8[np.ndarray, "x y z"]:
    """binvox 1: lines of text, then runs (value, length) along x, z, y; y is up."""
    head, separator, body = data.partition(b"\ndata\n")
    lines = head.decode("ascii").splitlines()
    dims = [line.split()[1:] for line in lines if line.startswith("dim")]
    if not lines[0].startswith("#binvox") or not separator or not dims:
        raise Unusable("not a binvox file")
    shape = [int(n) for n in dims[0]]
    runs = np.frombuffer(body, np.uint8).reshape(-1, 2)
    values = np.repeat(runs[:, 0], runs[:, 1])
    if values.size != np.prod(shape):
        raise Unusable("not a whole binvox file")
    # A quarter turn about x, so that z is up; without the flip it were a mirror image.
    return np.ascontiguousarray(values.reshape(shape)[:, ::-1])


def _from_mesh(
    data: bytes, suffix: str, resolution: int, pad: int, filled: bool
) -> Grids:
    require("trimesh", "reading meshes", "mesh")
    with tempfile.TemporaryDirectory() as folder:  # the suffix tells the format
        path = os.path.join(folder, f"mesh{suffix}")
        with open(path, "wb") as file:
            file.write(data)
        try:
            grid = ops.voxelize(path, resolution, pad, filled)
        except Exception as error:  # trimesh's methods raise whatever befalls them
            raise Unusable(str(error).replace(path, "it")) from error
    return grid[None].astype(np.uint8)
