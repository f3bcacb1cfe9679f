"""Voxel grids: packing, pooling, cleaning up, and the way to meshes and back.

Grids are `[b, d, h, w, 1]` on the device and `[d, h, w]` on the host. In coordinates of
a mesh the centre of cell `(i, j, k)` is the point `(i, j, k)`.

References: Wu et al., "Learning a Probabilistic Latent Space of Object Shapes via 3D
Generative-Adversarial Modeling", NeurIPS 2016; the visualisation tools of its official
sampler (largest component, downsampling).
"""

import itertools
import math
import os
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any, Literal

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


def max_pool_features(
    activations: Sequence[Float[Array, "b _ _ _ _"]],
    kernels: Sequence[int] = (8, 4, 2),
) -> Float[Array, "b f"]:
    """Max-pools the activations of several layers and joins them to one vector.

    Args:
        activations: NDHWC feature maps, such as those of 3D-GAN's discriminator layers
            2, 3 and 4: 16^3 x 128, 8^3 x 256, 4^3 x 512.
        kernels: Side and stride of each layer's pooling window.

    Returns:
        One vector a shape; 1024 + 2048 + 4096 = 7168 numbers for the layers above.

    References: Wu et al., NeurIPS 2016, section 4.2 (3D object classification).
    """
    pooled = []
    for features, kernel in zip(activations, kernels, strict=True):
        window = (1, kernel, kernel, kernel, 1)
        pooled.append(
            lax.reduce_window(features, -jnp.inf, lax.max, window, window, "VALID")
        )
    return jnp.concatenate([p.reshape(p.shape[0], -1) for p in pooled], axis=1)


def largest_component(
    voxels: Grid, distance: float | int = 3.0, level: float | int = 0.5
) -> Grid:
    """Keeps the largest connected part of a shape and clears everything else.

    Voxels are connected when their centres are at most `distance` apart.

    Args:
        voxels: One grid on the host.
        distance: In voxels, Euclidean; below 1 nothing is removed.
        level: Cells above it are occupied.

    Returns:
        A copy in which cells outside the largest component are zero.

    Raises:
        UserError: If SciPy is missing.
    """
    occupied = voxels > level
    if distance < 1 or not occupied.any():
        return voxels.copy()
    ndimage = require("scipy.ndimage", "the largest component of voxels", "mesh")
    csgraph = require("scipy.sparse.csgraph", "the largest component of voxels", "mesh")
    sparse = require("scipy.sparse", "the largest component of voxels", "mesh")
    # Parts connected through faces are at distance 1; wider gaps join whole parts.
    labels, count = ndimage.label(occupied)
    edges = np.concatenate(
        [np.empty((0, 2), labels.dtype)]
        + [_touching(labels, offset) for offset in _offsets(distance)]
    )
    graph = sparse.coo_matrix(
        (np.ones(len(edges)), (edges[:, 0], edges[:, 1])), (count + 1, count + 1)
    )
    group = csgraph.connected_components(graph, directed=False)[1][labels]
    largest = np.bincount(group[occupied]).argmax()
    return np.where(occupied & (group == largest), voxels, np.zeros_like(voxels))


def _offsets(distance: float | int) -> list[tuple[int, ...]]:
    """One of each pair `(o, -o)` of grid vectors longer than 1, up to `distance`."""
    reach = range(-int(distance), int(distance) + 1)
    ball = [
        offset
        for offset in itertools.product(reach, repeat=3)
        if 1 < sum(o * o for o in offset) <= distance**2
    ]
    return [offset for offset in ball if offset > (0, 0, 0)]


def _touching(labels: np.ndarray, offset: tuple[int, ...]) -> np.ndarray:
    """Pairs of different parts that have voxels exactly `offset` apart."""
    here = tuple(
        slice(max(-o, 0), max(n - max(o, 0), 0)) for o, n in zip(offset, labels.shape)
    )
    there = tuple(
        slice(max(o, 0), max(n + min(o, 0), 0)) for o, n in zip(offset, labels.shape)
    )
    a, b = labels[here], labels[there]
    different = (a != b) & (a > 0) & (b > 0)
    return np.unique(np.stack([a[different], b[different]], axis=1), axis=0)


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
        pad: Empty voxels on every side along the longest axis, at least 1 (rounding
            can take one of them).
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
    mesh.apply_translation(-mesh.bounds.mean(axis=0))
    surface = mesh.voxelized(float(max(mesh.extents)) / (inner - 1))
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
