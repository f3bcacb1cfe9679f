import numpy as np
import pytest

from jaxgan.core.errors import UserError
from jaxgan.evaluation.voxels import (
    average_precision,
    class_means,
    coverage,
    iou,
    nearest_training_shape,
    pairwise_iou,
)

TRUTH = np.array([1, 0, 1, 1, 0, 0, 1, 0])
SCORES = np.array([0.9, 0.8, 0.7, 0.6, 0.55, 0.4, 0.3, 0.1])


@pytest.mark.parametrize(
    "interpolation, expected",
    [
        ("step", 0.747023809524),
        ("trapezoid", 0.706845238095),
        ("eleven_point", 0.769480519481),
    ],
)
def test_check_01_average_precision(interpolation, expected):
    value = average_precision(TRUTH, SCORES, interpolation=interpolation)
    assert value == pytest.approx(expected, rel=1e-11)


def test_check_01_ties_alone_give_the_prevalence():
    assert average_precision(TRUTH, np.full(8, 0.3)) == pytest.approx(0.5)


def test_average_precision_of_voxel_grids():
    grid = np.zeros((4, 4, 4, 1), np.float32)
    grid[1:3] = 1
    assert average_precision(grid, grid * 0.1) == 1.0
    # Every empty voxel before every full one: recall begins at the prevalence.
    assert average_precision(grid, 1 - grid) == pytest.approx(0.5)


def test_bad_input_is_named():
    with pytest.raises(UserError, match="without a voxel"):
        average_precision(np.zeros(8), SCORES)
    with pytest.raises(UserError, match="did you mean 'step'"):
        average_precision(TRUTH, SCORES, interpolation="steps")


def test_class_means_weigh_classes_alike():
    means = class_means(np.array([1.0, 0.0, 0.5]), ["bed", "bed", "sofa"])
    assert means == {"bed": 0.5, "sofa": 0.5, "mean": 0.5}
    means = class_means(np.array([1.0, 1.0, 1.0, 0.0]), ["bed", "bed", "bed", "sofa"])
    assert means["mean"] == 0.5


def shapes(count, seed=0):
    random = np.random.default_rng(seed)
    return random.uniform(size=(count, 3, 3, 3, 1)).astype(np.float32)


def test_iou_counts_voxels_above_the_threshold():
    a = np.float32([[0.9, 0.6, 0.5, 0.1]])
    b = np.float32([[1.0, 0.0, 1.0, 0.0]])
    assert float(iou(a, b)[0]) == pytest.approx(1 / 3)  # 0.5 itself is empty
    assert float(iou(a, b, threshold=0.4)[0]) == pytest.approx(2 / 3)
    empty = np.zeros((1, 4), np.float32)
    assert float(iou(empty, empty)[0]) == 1.0 and float(iou(empty, b)[0]) == 0.0


@pytest.mark.parametrize("block_size", [2, 256])
def test_all_pairs_agree_with_single_pairs(block_size):
    a, b = shapes(5), shapes(3, seed=1)
    matrix = pairwise_iou(a, b, block_size=block_size)
    for i, j in np.ndindex(5, 3):
        np.testing.assert_allclose(matrix[i, j], iou(a[i : i + 1], b[j : j + 1])[0])


def test_coverage_and_mmd():
    reference = shapes(4)
    row = coverage(reference[[2, 0, 2]], reference)
    assert row["voxels/coverage"] == 0.5
    others = pairwise_iou(reference[[0, 2]], reference[[1, 3]]).max(0)
    assert row["voxels/mmd_iou"] == pytest.approx((2 + others.sum()) / 4)
    full = coverage(reference, reference)
    assert full["voxels/coverage"] == full["voxels/mmd_iou"] == 1.0
    assert (full["voxels/num_samples"], full["voxels/num_reference"]) == (4, 4)


def test_copies_of_training_shapes_are_found():
    training = shapes(6)
    nearest, index = nearest_training_shape(training[[4, 1]], training)
    np.testing.assert_array_equal(nearest, [1, 1])
    np.testing.assert_array_equal(index, [4, 1])
    nearest, _ = nearest_training_shape(shapes(2, seed=5), training)
    assert (nearest < 0.8).all()
