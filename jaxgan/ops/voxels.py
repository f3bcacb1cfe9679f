"""Voxel grids: packing, pooling, cleaning up, and the way to meshes and back.

Grids are `[b, d, h, w, 1]` on the device and `[d, h, w]` on the host. A cell is solid
if its value is above the level, here and in pictures and metrics; one at the level is
empty. In coordinates of a mesh the centre of cell `(i, j, k)` is the point `(i, j, k)`.

References: Wu et al., "Learning a Probabilistic Latent Space of Object Shapes via 3D
Generative-Adversarial Modeling", NeurIPS 2016; the visualisation tools of its official
sampler (largest component, downsampling).
"""

import itertools
import math
import os
from functools import partial
from pathlib import PurePath
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from jax import lax
from jaxtyping import Array, Float, Int, Shaped, UInt8

from jaxgan.core.errors import UserError
from jaxgan.core.optional import require
from jaxgan.core.types import Voxels

Grid = Shaped[np.ndarray, "d h w"]
Vertices = Float[np.ndarray, "n 3"]
Faces = Int[np.ndarray, "m 3"]
MESH_SUFFIXES = (".obj", ".ply", ".stl")


def unpack_bits(packed: UInt8[Array, "b n"], shape: tuple[int, int, int]) -> Voxels:
    """Unpacks eight voxels a byte, the first in the highest bit, as `numpy.packbits`.

    Args:
        packed: Flattened grids, packed; the last byte may be partly used.
        shape: The grid's `(d, h, w)`.

    Returns:
        Occupancy 0 or 1, float32 `[b, d, h, w, 1]`. Jittable.
    """
    bits = jnp.unpackbits(packed, axis=1, count=math.prod(shape))
    return bits.reshape(-1, *shape, 1).astype(jnp.float32)


def downsample_voxels(
    voxels: Voxels, factor: int, mode: Literal["max", "mean"] = "max"
) -> Float[Array, "b d//{factor} h//{factor} w//{factor} 1"]:
    """Pools cubes of `factor` a side into one voxel.

    Args:
        voxels: Grids whose sides are multiples of `factor`.
        factor: 1, 2, 4, ...
        mode: `max` keeps thin parts, `mean` keeps the volume.

    Returns:
        Grids `[b, d / factor, h / factor, w / factor, 1]`.

    Raises:
        ValueError: If a side is not a multiple of `factor`, or on an unknown mode.
    """
    b, d, h, w, c = voxels.shape
    if d % factor or h % factor or w % factor:
        raise ValueError(f"a {d} x {h} x {w} grid cannot be divided by {factor}")
    if mode not in ("max", "mean"):
        raise ValueError(f"mode {mode!r} must be 'max' or 'mean'")
    cubes = voxels.reshape(
        b, d // factor, factor, h // factor, factor, w // factor, factor, c
    )
    pool = jnp.max if mode == "max" else jnp.mean
    return pool(cubes, axis=(2, 4, 6))


@partial(jax.jit, static_argnames="distance")
def largest_component(
    voxels: Voxels,
    distance: float | int = 3.0,
    level: float | int | Float[Array, ""] = 0.5,
) -> Voxels:
    """Keeps the largest connected part of each shape and clears everything else.

    Voxels are connected when their centres are at most `distance` apart.

    Args:
        voxels: Grids of occupancies.
        distance: In voxels, Euclidean; static. Below 1 nothing is removed.
        level: Cells above it are solid.

    Returns:
        The grids, zero outside the largest component.
    """
    if distance < 1:
        return voxels
    shape = voxels.shape[1:4]
    count = math.prod(shape)
    occupied = voxels[..., 0] > level
    number = jnp.arange(1, count + 1, dtype=jnp.int32).reshape(shape)

    def unfinished(carry: tuple[Array, Array]) -> Array:
        return carry[1]

    def spread(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        labels = carry[0]
        new = jnp.where(occupied, _ball_maximum(labels, distance), 0)
        return new, jnp.any(new != labels)

    # Every part ends with the highest number of its cells.
    labels = jnp.where(occupied, number, 0)
    labels, _ = lax.while_loop(unfinished, spread, (labels, jnp.any(occupied)))
    flat = labels.reshape(len(labels), -1)
    sizes = jax.vmap(lambda own: jnp.bincount(own, length=count + 1))(flat)
    largest = jnp.argmax(sizes.at[:, 0].set(0), axis=1)
    keep = occupied & (labels == largest[:, None, None, None])
    return jnp.where(keep[..., None], voxels, 0)


def _ball_maximum(
    labels: Int[Array, "b d h w"], distance: float | int
) -> Int[Array, "b d h w"]:
    """The maximum over the ball around every cell: of runs along the last axis, as
    long as the ball is at each offset of the other two."""
    reach = int(distance)
    sides = ((0, 0), (reach, reach), (reach, reach), (0, 0))
    d, h = labels.shape[1:3]
    runs, largest = {}, labels
    for i, j in itertools.product(range(-reach, reach + 1), repeat=2):
        room = distance**2 - i * i - j * j
        if room < 0:
            continue
        half = int(math.sqrt(room))
        if half not in runs:
            window, ends = (1, 1, 1, 2 * half + 1), ((0, 0),) * 3 + ((half, half),)
            run = lax.reduce_window(labels, 0, lax.max, window, (1,) * 4, ends)
            runs[half] = jnp.pad(run, sides)
        own = runs[half][:, reach + i : reach + i + d, reach + j : reach + j + h]
        largest = jnp.maximum(largest, own)
    return largest


def voxels_to_mesh(voxels: Grid, level: float | int = 0.5) -> tuple[Vertices, Faces]:
    """Extracts the surface by marching cubes.

    The surface is closed even where the shape touches the grid's border, and its faces
    point outwards: the signed volume is positive.

    Args:
        voxels: One grid of occupancies on the host.
        level: The surface lies where the interpolated occupancy crosses it.

    Returns:
        Vertices in voxel units and triangles as indices into them, both empty if no
        cell is above `level`.

    Raises:
        UserError: If scikit-image is missing.
    """
    if not (voxels > level).any():
        return np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32)
    measure = require("skimage.measure", "turning voxels into a mesh", "mesh")
    # One empty voxel around: a surface on the border would fail or stay open.
    padded = np.pad(voxels.astype(np.float32), 1)
    vertices, faces = measure.marching_cubes(padded, level)[:2]
    # scikit-image winds the triangles so that normals point to higher values, inwards.
    return (vertices - 1).astype(np.float32), faces[:, ::-1].astype(np.int32)


def save_mesh(path: str | os.PathLike, vertices: Vertices, faces: Faces) -> None:
    """Writes a mesh; the suffix names the format.

    Args:
        path: Ends in `.obj`, `.ply` or `.stl`; local or `gs://`.
        vertices: Corners.
        faces: Triangles as indices into `vertices`; none is fine.

    Raises:
        UserError: On another suffix, or if trimesh is missing.
    """
    suffix = PurePath(path).suffix.lower()
    if suffix not in MESH_SUFFIXES:
        raise UserError(
            f"cannot write a mesh to {os.fspath(path)!r}: "
            f"end its name in {', '.join(MESH_SUFFIXES)}"
        )
    library = require("trimesh", f"writing {suffix} files", "mesh")
    mesh = library.Trimesh(vertices, faces, process=False)
    data = mesh.export(file_type=suffix[1:])
    if isinstance(data, str):
        data = data.encode()
    if not len(vertices) and suffix == ".obj":
        data = b"# empty mesh\n"  # trimesh would write a vertex without coordinates
    epath.Path(path).write_bytes(data)


def voxelize(
    mesh: Any,
    resolution: int,
    pad: int = 2,
    filled: bool = True,
) -> Float[np.ndarray, "{resolution} {resolution} {resolution}"]:
    """Turns a mesh into occupancy; it is scaled to fill the grid and centred.

    Args:
        mesh: A `trimesh.Trimesh`, or the path of a file that trimesh reads, such as
            .off, .obj, .ply or .stl.
        resolution: Side of the grid.
        pad: Empty voxels on every side along the longest axis, at least 1.
        filled: The interior too, not the surface alone.

    Returns:
        Occupancy 0 or 1, float32.

    Raises:
        UserError: If trimesh is missing, the file cannot be read as a mesh, or the mesh
            has no extent.
        ValueError: If the grid leaves no room within `pad`.
    """
    inner = resolution - 2 * pad
    if pad < 1 or inner < 2:
        raise ValueError(f"resolution {resolution} with pad {pad}: pad >= 1, 2 inside")
    mesh = _read_mesh(mesh)
    pitch = float(max(mesh.extents)) / (inner - 1)
    # trimesh rounds to multiples of the pitch. Centred on one, a longest axis of an
    # even number of cells would end between two, and a cell more or less be chance.
    centre = mesh.bounds.mean(axis=0) - (0.0 if inner % 2 else 0.5 * pitch)
    mesh.apply_translation(-centre)
    surface = mesh.voxelized(pitch)
    matrix = (surface.fill() if filled else surface).matrix
    grid = np.zeros((resolution,) * 3, np.float32)
    place = tuple(
        slice((resolution - n) // 2, (resolution - n) // 2 + n) for n in matrix.shape
    )
    grid[place] = matrix
    return grid


def _read_mesh(mesh: Any) -> Any:
    """A copy of a trimesh mesh, or what a file holds."""
    library = require("trimesh", "turning a mesh into voxels", "mesh")
    name = "the mesh"
    if isinstance(mesh, (str, os.PathLike)):
        name = os.fspath(mesh)
        try:
            mesh = library.load(name, force="mesh")
        except Exception as error:  # trimesh's readers raise whatever befalls them
            reason = str(error).partition("\n")[0]
            raise UserError(f"{name} cannot be read as a mesh: {reason}") from error
    if not len(mesh.faces) or not float(max(mesh.extents)) > 0:
        raise UserError(f"{name} has no triangles or no extent: nothing to voxelise")
    return mesh.copy()
