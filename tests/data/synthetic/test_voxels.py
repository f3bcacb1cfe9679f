"""Furniture and boxes: solid, whole, turned the right way, and seen the right way."""

import numpy as np
import pytest

from jaxgan.core.errors import UserError
from jaxgan.data.synthetic import Boxes, Voxels, furniture, voxel_views, voxels

MIDDLE = np.full(10, 0.4, np.float32)


@pytest.mark.parametrize("name", voxels.CLASSES)
def test_furniture_is_one_piece_that_fits_the_grid(name):
    ndimage = pytest.importorskip("scipy.ndimage")
    data = Voxels(size=32, classes=(name,), rotation_step=0.0)
    grids = data.examples(np.arange(25), ["voxels"])["voxels"]
    assert set(np.unique(grids)) == {0, 1}
    for grid in grids:
        parts, number = ndimage.label(grid, np.ones((3, 3, 3)))
        assert number == 1, np.bincount(parts.ravel())
        where = np.argwhere(grid)
        assert where.min() >= 0 and np.ptp(where, axis=0).max() >= 20
        low, high = where.min(0), where.max(0) + 1
        np.testing.assert_allclose((low + high) / 2, 16, atol=1.6)


@pytest.mark.parametrize("size", voxels.SIZES)
def test_no_part_is_too_thin_for_the_grid(size):
    """The cell in which a part's centre lies is solid, at every angle."""
    data = Voxels(size=size, rotation_step=0.0)
    examples = data.examples(np.arange(40), ["voxels", *data.factors(np.arange(1))])
    parts = furniture.build(examples["label"], examples["parameters"])
    turn = np.deg2rad(examples["rotation"])[:, None]
    x, y, z = np.moveaxis((parts.low + parts.high) / 2, -1, 0)
    x, y = x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)
    cell = np.floor((np.stack([x, y, z]) + 1) * size / 2).astype(int)
    example = np.broadcast_to(np.arange(40)[:, None], x.shape)
    solid = examples["voxels"][example, *cell.clip(0, size - 1)]
    assert parts.there.sum() > 300
    assert solid[parts.there].all()


@pytest.mark.parametrize("name", voxels.CLASSES)
def test_turning_by_a_right_angle_turns_the_grid(name):
    still, turned = (voxels.build(name, MIDDLE, angle)[0] for angle in (0, 90))
    expected = np.rot90(still, 1, axes=(0, 1))  # counter-clockwise from above: x to y
    assert (turned != expected).mean() < 1e-3
    if name in ("chair", "sofa", "bed", "shelf"):  # these have a front
        assert (turned != np.rot90(still, -1, axes=(0, 1))).mean() > 5e-3


def test_a_chair_faces_the_positive_x_axis_and_stands_upright():
    grid = voxels.build("chair", MIDDLE)[0]
    top = grid[:, :, 24:]  # above the seat there is only the back
    assert np.argwhere(top)[:, 0].max() < 16
    assert grid[:, :, :4].any() and grid[:, :, -4:].any()


def test_a_rotation_is_a_multiple_of_the_step():
    assert set(Voxels().factors(np.arange(300))["rotation"]) == set(range(0, 360, 30))
    assert set(Voxels(rotation_step=360).factors(np.arange(20))["rotation"]) == {0}
    free = Voxels(rotation_step=0).factors(np.arange(300))["rotation"]
    assert len(set(free)) == 300 and 0 <= free.min() and free.max() < 360


@pytest.mark.parametrize("number", range(10))
def test_every_parameter_changes_some_furniture(number):
    low, high = MIDDLE.copy(), MIDDLE.copy()
    low[number], high[number] = 0.05, 0.95
    labels = np.arange(len(voxels.CLASSES))
    first = voxels.build(labels, low)
    second = voxels.build(labels, high)
    assert ((first != second).mean((1, 2, 3)) > 1e-3).sum() >= 2


def test_examples_are_built_from_their_factors():
    examples = Voxels(size=16).examples(np.arange(9), ["voxels", "label", "rotation",
                                                      "parameters"])  # fmt: skip
    grids = examples.pop("voxels")
    np.testing.assert_array_equal(voxels.build(**examples, size=16), grids)


def test_silhouettes_look_along_each_axis_with_z_up():
    grid = np.zeros((1, 8, 8, 8), np.uint8)
    grid[0, 1, 2, 5] = 1  # x, y, z
    red, green, blue = np.moveaxis(voxels.silhouettes(grid)[0], -1, 0)
    assert np.argwhere(red).tolist() == [[2, 2]]  # row 7 - z, column y
    assert np.argwhere(green).tolist() == [[2, 1]]  # row 7 - z, column x
    assert np.argwhere(blue).tolist() == [[5, 1]]  # row 7 - y, column x
    assert red.max() == 255


def test_silhouettes_are_those_of_the_voxels():
    examples = Voxels(size=16).examples(np.arange(6), ["voxels", "silhouettes"])
    side = examples["voxels"].any(1).transpose(0, 2, 1)[:, ::-1] * 255
    np.testing.assert_array_equal(examples["silhouettes"][..., 0], side)


def test_the_camera_sees_three_faces_of_a_cube_lit_differently():
    cube = np.zeros((1, 16, 16, 16), np.uint8)
    cube[0, 5:11, 5:11, 5:11] = 1
    paint = np.array([[1.0, 0.5, 0.0]], np.float32)
    image = voxel_views.view(cube, paint, 64)[0].astype(int)
    shown = image[..., 0] - image[..., 2] > 60  # orange on a blue-grey floor
    assert 0.05 < shown.mean() < 0.3
    x, y = np.argwhere(shown).mean(0)
    assert abs(x - 31.5) < 2 and abs(y - 31.5) < 2
    top, left, right = image[22, 32, 0], image[38, 24, 0], image[38, 41, 0]
    assert top > right > left or top > left > right
    assert len({int(top) // 12, int(left) // 12, int(right) // 12}) == 3


def test_the_near_hides_the_far():
    grid = np.zeros((1, 16, 16, 16), np.uint8)
    grid[0, 4:12, 4:12, 4:12] = 1
    paint = np.array([[1.0, 0.5, 0.0]], np.float32)
    hollow = grid.copy()
    hollow[0, 5:11, 5:11, 5:11] = 0
    solid, shell = (voxel_views.view(g, paint, 48) for g in (grid, hollow))
    shown = solid[0, ..., 0].astype(int) - solid[0, ..., 2] > 60
    moved = np.abs(solid.astype(int) - shell)[0].max(-1)
    assert moved[~shown].max() < 30  # only light and shadow differ, a little
    assert (moved[shown] < 90).all()


def test_an_empty_grid_is_an_empty_floor():
    empty = np.zeros((1, 16, 16, 16), np.uint8)
    image = voxel_views.view(empty, np.ones((1, 3), np.float32), 32)
    assert image.min() > 200 and image.std() < 12


def test_boxes_are_solid_and_as_large_as_they_say():
    examples = Boxes().examples(np.arange(800))
    grids, sides, corner = (examples[k] for k in ("voxels", "sides", "corner"))
    np.testing.assert_array_equal(grids.sum((1, 2, 3), dtype=int), sides.prod(1))
    assert sides.min() == 4 and sides.max() == 12
    assert corner.min() == 1 and (corner + sides).max() == 15
    # gan3d.md, check 10: the data's mean occupancy is 0.125.
    assert grids.mean() == pytest.approx(0.125, abs=0.012)
    first = np.argwhere(grids[0])
    np.testing.assert_array_equal(first.min(0), corner[0])
    np.testing.assert_array_equal(first.max(0) + 1, corner[0] + sides[0])


def test_check_09_a_constant_prediction_of_boxes_stays_at_iou_030():
    grids = Boxes().examples(np.arange(500), ["voxels"])["voxels"].astype(bool)
    mean = grids.mean(0)
    best = 0.0
    for level in np.linspace(0.05, 0.5, 10):
        guess = mean > level
        both = (grids & guess).sum((1, 2, 3)) / (grids | guess).sum((1, 2, 3))
        best = max(best, both.mean())
    assert best == pytest.approx(0.30, abs=0.03)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Voxels(size=30), "size is 30"),
        (lambda: Voxels(rotation_step=-1), "rotation_step"),
        (lambda: Voxels(view_size=4), "view_size"),
        (lambda: Voxels(classes=("char",)), "did you mean 'chair'"),
        (lambda: voxels.build("tabel", MIDDLE), "did you mean 'table'"),
    ],
)
def test_impossible_grids_are_refused(call, message):
    with pytest.raises(UserError, match=message):
        call()
