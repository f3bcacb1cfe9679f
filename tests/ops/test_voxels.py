"""Packing, pooling, cleaning, meshes and back."""

import builtins
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.core.errors import UserError
from jaxgan.ops import voxels


def _blocks(*places, size=16):
    """A grid with solid cubes `(corner, side)`."""
    grid = np.zeros((size,) * 3, np.float32)
    for (i, j, k), side in places:
        grid[i : i + side, j : j + side, k : k + side] = 1
    return grid


def _signed_volume(vertices, faces):
    a, b, c = (vertices[faces[:, i]].astype(np.float64) for i in range(3))
    return np.einsum("ij,ij->", a, np.cross(b, c)) / 6


def _is_watertight(faces):
    """Every edge is used once in each direction."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    forward = {tuple(edge) for edge in edges.tolist()}
    return len(forward) == len(edges) and all((b, a) in forward for a, b in forward)


@pytest.mark.parametrize("shape", [(4, 4, 4), (3, 5, 2)], ids=str)
def test_unpacking_undoes_numpy_packbits(shape):
    grids = np.random.default_rng(0).random((3, *shape)) < 0.5
    packed = jnp.asarray(np.packbits(grids.reshape(3, -1), axis=1))
    unpacked = jax.jit(voxels.unpack_bits, static_argnums=1)(packed, shape)
    assert unpacked.dtype == jnp.float32
    np.testing.assert_array_equal(unpacked[..., 0], grids)


def test_downsampling_takes_the_maximum_or_the_mean_of_each_cube():
    grid = jnp.zeros((1, 4, 4, 2, 1)).at[0, 3, 0, 1, 0].set(1)
    largest = voxels.downsample_voxels(grid, 2, "max")
    assert largest.shape == (1, 2, 2, 1, 1)
    np.testing.assert_array_equal(largest[0, :, :, 0, 0], [[0, 0], [1, 0]])
    mean = voxels.downsample_voxels(grid, 2, "mean")
    np.testing.assert_array_equal(mean, largest / 8)
    with pytest.raises(ValueError, match="cannot be divided by 4"):
        voxels.downsample_voxels(grid, 4)


def _largest(grid, *options):
    grid = jnp.asarray(grid, jnp.float32)[None, ..., None]
    return np.asarray(voxels.largest_component(grid, *options))[0, ..., 0]


def test_gan3d_check_08_largest_component_joins_blobs_within_the_distance():
    # Cells 2..5 and 8..9: the nearest centres, 5 and 8, are 3 apart.
    grid = _blocks(((2, 2, 2), 4), ((8, 2, 2), 2))
    np.testing.assert_array_equal(_largest(grid, 3), grid)
    alone = _blocks(((2, 2, 2), 4))
    np.testing.assert_array_equal(_largest(grid, 2.9), alone)
    np.testing.assert_array_equal(_largest(grid, 1), alone)
    np.testing.assert_array_equal(_largest(grid, 0), grid)


def test_largest_component_equals_single_linkage_on_scattered_voxels():
    grid = (np.random.default_rng(3).random((12, 12, 12)) < 0.02).astype(np.float32)
    points = np.argwhere(grid)
    for distance in (1, 1.5, 2, 3):
        gaps = np.linalg.norm(points[:, None] - points[None], axis=-1)
        group = np.arange(len(points))
        for _ in range(len(points)):  # the smallest label spreads along links
            group = np.where(gaps <= distance, group[None], len(points)).min(axis=1)
        sizes = np.bincount(group)
        kept = np.argwhere(_largest(grid, distance))
        assert len(kept) == sizes.max()
        own = {group[np.flatnonzero((points == p).all(axis=1))[0]] for p in kept}
        assert len(own) == 1


def test_largest_component_keeps_probabilities_and_empty_grids():
    grid = 0.9 * _blocks(((2, 2, 2), 3)) + 0.2 * _blocks(((10, 10, 10), 5))
    cleaned = _largest(grid)
    np.testing.assert_array_equal(cleaned, np.where(grid > 0.5, grid, 0))
    assert _largest(np.zeros((4, 4, 4))).sum() == 0


def test_a_cell_at_the_level_is_empty():
    grid = 0.5 * _blocks(((2, 2, 2), 3))
    assert _largest(grid).sum() == 0 and _largest(grid, 3, 0.4).sum() == grid.sum()
    assert voxels.voxels_to_mesh(grid)[0].shape == (0, 3)


def test_components_of_a_batch_are_those_of_its_grids():
    random = np.random.default_rng(4)
    grids = jnp.asarray(random.random((3, 9, 7, 8, 1)) < 0.03, jnp.float32)
    together = voxels.largest_component(grids, 2)
    for grid, own in zip(grids, together, strict=True):
        np.testing.assert_array_equal(own[..., 0], _largest(grid[..., 0], 2))
    assert 0 < jnp.sum(together) < jnp.sum(grids)


def test_gan3d_check_08_full_grid_has_a_closed_mesh_of_known_volume():
    vertices, faces = voxels.voxels_to_mesh(np.ones((8, 8, 8), np.float32))
    assert _is_watertight(faces)
    assert _signed_volume(vertices, faces) == pytest.approx(500.667, abs=1e-3)
    np.testing.assert_allclose(vertices.min(axis=0), -0.5)
    np.testing.assert_allclose(vertices.max(axis=0), 7.5)


def test_gan3d_check_08_box_to_voxels_to_mesh_keeps_the_volume():
    trimesh = pytest.importorskip("trimesh")
    grid = voxels.voxelize(trimesh.creation.box((1.0, 0.7, 0.5)), 24)
    assert grid.shape == (24, 24, 24) and set(np.unique(grid)) == {0, 1}
    assert not grid[0].any() and not grid[-1].any()
    vertices, faces = voxels.voxels_to_mesh(grid)
    assert _is_watertight(faces)
    assert _signed_volume(vertices, faces) == pytest.approx(grid.sum(), rel=0.05)
    extents = np.ptp(vertices, axis=0)
    np.testing.assert_allclose(extents / extents[0], [1, 0.7, 0.5], atol=0.06)


def test_filled_voxels_hold_the_interior_that_the_surface_lacks():
    trimesh = pytest.importorskip("trimesh")
    sphere = trimesh.creation.icosphere(subdivisions=2)
    before = sphere.vertices.copy()
    solid = voxels.voxelize(sphere, 24)
    shell = voxels.voxelize(sphere, 24, filled=False)
    assert solid[12, 12, 12] == 1 and shell[12, 12, 12] == 0
    assert (solid >= shell).all()
    assert solid.sum() == pytest.approx(4 / 3 * np.pi * 10**3, rel=0.2)
    np.testing.assert_array_equal(sphere.vertices, before)


def test_empty_grid_gives_an_empty_mesh_that_can_be_saved(tmp_path):
    vertices, faces = voxels.voxels_to_mesh(np.zeros((6, 6, 6), np.float32))
    assert vertices.shape == (0, 3) and faces.shape == (0, 3)
    for suffix in voxels.MESH_SUFFIXES:
        voxels.save_mesh(tmp_path / f"empty{suffix}", vertices, faces)
        assert (tmp_path / f"empty{suffix}").stat().st_size > 0


@pytest.mark.parametrize("suffix", voxels.MESH_SUFFIXES)
def test_saved_meshes_read_back_the_same_surface(tmp_path, suffix):
    trimesh = pytest.importorskip("trimesh")
    vertices, faces = voxels.voxels_to_mesh(_blocks(((2, 3, 4), 6)))
    path = tmp_path / f"block{suffix}"
    voxels.save_mesh(path, vertices, faces)
    mesh = trimesh.load(path, force="mesh")
    assert mesh.is_watertight and len(mesh.faces) == len(faces)
    assert mesh.volume == pytest.approx(_signed_volume(vertices, faces), rel=1e-5)
    # The file is also a source for voxels.
    assert voxels.voxelize(str(path), 12).sum() > 0


def test_a_full_size_probability_grid_has_a_surface_between_its_cells():
    index = np.indices((12, 12, 12)) - 5.5
    distance = np.sqrt((index**2).sum(axis=0))
    vertices, faces = voxels.voxels_to_mesh(1 / (1 + np.exp(2 * (distance - 4))))
    np.testing.assert_allclose(
        np.linalg.norm(vertices - 5.5, axis=1), 4, atol=0.1
    )  # vertices sit where the interpolated occupancy is 0.5
    assert _signed_volume(vertices, faces) == pytest.approx(
        4 / 3 * np.pi * 4**3, rel=0.05
    )


def test_unknown_suffix_lists_the_formats(tmp_path):
    mesh = voxels.voxels_to_mesh(_blocks(((2, 2, 2), 3)))
    with pytest.raises(UserError, match=r"shape\.gltf.*\.obj, \.ply, \.stl"):
        voxels.save_mesh(tmp_path / "shape.gltf", *mesh)


def test_missing_libraries_name_the_extra(tmp_path, monkeypatch):
    real_import = builtins.__import__

    def no_mesh_libraries(name, *args, **kwargs):
        if name.partition(".")[0] in ("trimesh", "skimage", "scipy"):
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    for name in list(sys.modules):
        if name.partition(".")[0] in ("trimesh", "skimage", "scipy"):
            monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(builtins, "__import__", no_mesh_libraries)
    grid = _blocks(((2, 2, 2), 3))
    empty = np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32)
    for call in (
        lambda: voxels.voxels_to_mesh(grid),
        lambda: voxels.save_mesh(tmp_path / "a.ply", *empty),
        lambda: voxels.voxelize("a.ply", 16),
    ):
        with pytest.raises(UserError, match=r"pip install 'jaxgan\[mesh\]'"):
            call()


def test_files_that_are_no_mesh_are_named(tmp_path):
    pytest.importorskip("trimesh")
    (tmp_path / "broken.ply").write_bytes(b"not a mesh")
    with pytest.raises(UserError, match="broken.ply"):
        voxels.voxelize(tmp_path / "broken.ply", 16)
    (tmp_path / "empty.obj").write_text("# nothing\n")
    with pytest.raises(UserError, match="empty.obj"):
        voxels.voxelize(tmp_path / "empty.obj", 16)
