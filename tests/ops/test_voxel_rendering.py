"""Pictures of voxels: geometry, light, and independence of the rest of the batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.ops import render_voxels

render = jax.jit(render_voxels, static_argnames=("size", "level", "zoom"))


def _grid(*boxes, size=12):
    grid = np.zeros((1, size, size, size, 1), np.float32)
    for x, y, z in boxes:
        grid[0, slice(*x), slice(*y), slice(*z)] = 1
    return jnp.asarray(grid)


def _object_pixels(pictures):
    """The paint is orange, background and floor are bluish grey."""
    pictures = np.asarray(pictures)
    return pictures[..., 0] > pictures[..., 2] + 0.05


def test_empty_grid_is_plain_light_background():
    picture = np.asarray(render(_grid(), 35.0, 25.0, size=64))
    assert picture.shape == (1, 64, 64, 3)
    np.testing.assert_allclose(
        picture, np.broadcast_to(picture[0, 0, 0], picture.shape), atol=1e-5
    )
    assert (picture > 0.8).all() and (picture <= 1).all()


def test_front_view_shows_the_exact_silhouette():
    # From +x: y runs to the right, z upwards.
    grid = _grid(((4, 6), (2, 5), (6, 11)))
    zoom = 1.04 * np.hypot(12, 12) / 12  # the picture then spans the 12 cells exactly
    seen = _object_pixels(render(grid, 0.0, 0.0, size=48, zoom=zoom))[0]
    expected = np.zeros((12, 12), bool)
    expected[12 - 11 : 12 - 6, 2:5] = True
    np.testing.assert_array_equal(seen[2::4, 2::4], expected)


@pytest.mark.parametrize(
    "azimuth, column",
    [(0.0, "right"), (180.0, "left"), (90.0, "left"), (270.0, "right")],
)
def test_azimuth_turns_the_camera_counterclockwise(azimuth, column):
    # A block at high x and high y: right of the viewer at +x, left of the one at +y.
    grid = _grid(((9, 12), (9, 12), (0, 3)))
    seen = _object_pixels(render(grid, azimuth, 10.0, size=64))[0]
    left, right = seen[:, :32].sum(), seen[:, 32:].sum()
    assert (right > 0 and left == 0) if column == "right" else (left > 0 and right == 0)


@pytest.mark.parametrize("elevation", [-60.0, 0.0, 25.0, 89.0])
@pytest.mark.parametrize("azimuth", [0.0, 45.0])
def test_a_full_grid_just_fits(azimuth, elevation):
    seen = _object_pixels(
        render(jnp.ones((1, 12, 12, 12, 1)), azimuth, elevation, size=64)
    )
    border = np.concatenate([seen[0, 0], seen[0, -1], seen[0, :, 0], seen[0, :, -1]])
    assert not border.any() and seen.mean() > 0.25


def _away_from_object(picture):
    """Floor and background at least three pixels from the object's edge."""
    seen = np.pad(_object_pixels(picture), 3)
    shape = picture.shape[:2]
    near = [
        seen[i : i + shape[0], j : j + shape[1]] for i in range(7) for j in range(7)
    ]
    return ~np.any(near, axis=0)


def test_top_is_brighter_than_the_sides():
    picture = np.asarray(render(_grid(((4, 8), (4, 8), (0, 6))), 45.0, 30.0, size=64))[
        0
    ]
    top_row = np.flatnonzero(_object_pixels(picture).any(axis=1))[0]
    top, left, right = picture[top_row + 4, 32], picture[42, 26], picture[42, 38]
    assert top.sum() > left.sum() + 0.1 > right.sum() + 0.2


def test_shadow_falls_on_the_floor_to_the_right():
    picture = np.asarray(render(_grid(((4, 8), (4, 8), (0, 6))), 45.0, 30.0, size=64))[
        0
    ]
    floor = np.where(_away_from_object(picture), picture.sum(axis=-1), np.nan)
    left, right = np.nanmin(floor[:, :32]), np.nanmin(floor[:, 32:])
    # On the left the block hides a part of the sky, on the right the sun as well.
    assert right < left - 0.1 and left < picture[0, 0].sum() - 0.1


def test_a_plate_shades_what_lies_below_it():
    pillar, plate = ((5, 7), (5, 7), (0, 8)), ((1, 11), (1, 11), (8, 10))
    bare, covered = (
        np.asarray(render(_grid(*boxes), 45.0, 25.0, size=64))[0]
        for boxes in ([pillar], [pillar, plate])
    )
    place = np.s_[40:44, 32]  # on the pillar, below the plate
    assert covered[place].mean() < bare[place].mean() - 0.15
    # What stands below the plate takes no light from its top.
    edge = _object_pixels(covered)
    top = np.flatnonzero(edge.any(axis=1))[0] + 6
    single = np.asarray(render(_grid(plate), 45.0, 25.0, size=64))[0]
    np.testing.assert_allclose(covered[top, 32], single[top, 32], atol=0.02)


def test_faces_of_a_convex_block_are_free_of_rounding_noise():
    picture = np.asarray(render(jnp.ones((1, 12, 12, 12, 1)), 45.0, 25.0, size=64))[0]
    # A column down the middle of the left face: shading changes smoothly.
    steps = np.abs(np.diff(picture[28:48, 16].sum(axis=-1)))
    assert steps.max() < 0.02


def test_pictures_do_not_depend_on_the_batch_and_take_one_angle_each():
    key = jax.random.key(0)
    grids = jax.random.bernoulli(key, 0.1, (11, 8, 8, 8, 1)).astype(jnp.float32)
    azimuth = jnp.linspace(0, 300, 11)
    together = render(grids, azimuth, 25.0, size=16)
    assert together.shape == (11, 16, 16, 3)
    assert float(jnp.min(together)) >= -1 and float(jnp.max(together)) <= 1
    for i in (0, 10):
        alone = render(grids[i : i + 1], azimuth[i], 25.0, size=16)
        np.testing.assert_allclose(together[i], alone[0], atol=1e-4)


def test_level_decides_what_is_solid():
    grid = 0.4 * _grid(((4, 8), (4, 8), (0, 6)))
    assert not _object_pixels(render(grid, 35.0, 25.0, size=64, level=0.5)).any()
    assert _object_pixels(render(grid, 35.0, 25.0, size=64, level=0.3)).any()
    assert _object_pixels(render(0.5 * grid, 35.0, 25.0, size=64)).any()
    empty = render(0 * grid, 35.0, 25.0, size=64)
    faint = render(0.2 * grid, 35.0, 25.0, size=64)  # 0.08: the viewer hides it
    np.testing.assert_array_equal(faint, empty)


def test_cells_that_are_hardly_solid_are_grey_and_as_bright():
    def saturation(occupancy):
        picture = render(occupancy * grid, 35.0, 25.0, size=64, level=0.5)
        picture = np.asarray(picture)
        return np.ptp(picture, axis=-1).max()

    grid = _grid(((4, 8), (4, 8), (0, 6)))
    faint, half, full = (saturation(o) for o in (0.5001, 0.75, 1.0))
    assert faint < 0.2 and faint + 0.2 < half < full - 0.2


def test_grids_need_not_be_cubes():
    grid = jnp.ones((2, 4, 9, 6, 1))
    assert _object_pixels(render(grid, size=24)).any(axis=(1, 2)).all()
