import sys

import numpy as np
import pytest

from jaxgan.core.errors import UserError
from jaxgan.evaluation import frechet
from jaxgan.evaluation.frechet import Moments, frechet_distance
from tests.evaluation import vectors


def sample(count: int, dimension: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    mix = random.normal(size=(dimension, dimension)) / dimension**0.5
    features = random.normal(size=(count, dimension)) @ mix + 5.0
    return features.astype(np.float32)


def gather(features, sizes, padding=0):
    acc = frechet.empty(features.shape[1])
    for part in np.split(features, np.cumsum(sizes)[:-1]):
        filler = np.full((padding, features.shape[1]), np.nan, np.float32)
        weight = np.r_[np.ones(len(part)), np.zeros(padding)]
        acc = frechet.update(acc, np.concatenate([part, filler]), weight)
    return acc


@pytest.mark.parametrize(
    "mean, first, second, expected",
    [
        ((1, 2), np.eye(2), np.diag([4, 9]), 10),
        (
            (0.5, -0.25),
            [[2, 0.5], [0.5, 1]],
            [[1, -0.3], [-0.3, 2]],
            0.887925893305007,
        ),
    ],
    ids=["diagonal", "closed form 2x2"],
)
def test_check_01_distance_of_gaussians(mean, first, second, expected):
    covariances = np.array(first, float), np.array(second, float)
    value = frechet_distance(
        np.zeros(2), covariances[0], np.array(mean, float), covariances[1]
    )
    assert value == pytest.approx(expected, rel=1e-12)


def test_check_01_distance_of_features_with_ddof_1():
    x, y = (frechet.from_features(f) for f in vectors.features())
    assert frechet.distance(x, y) == pytest.approx(0.7899533, abs=1e-7)
    # Population covariances would give this.
    biased = frechet_distance(x.mean, x.m2 / 6, y.mean, y.m2 / 6)
    assert biased == pytest.approx(0.658985181, rel=1e-6)


def test_check_01_distance_with_fewer_images_than_dimensions():
    x, y = (frechet.from_features(f) for f in vectors.wide_features())
    assert frechet.distance(x, y) == pytest.approx(11.5336917, abs=1e-6)


def test_check_01_streamed_features_give_the_same_distance():
    x, y = (gather(f.astype(np.float32), (3, 2)) for f in vectors.wide_features())
    assert frechet.distance(x, y) == pytest.approx(11.5336917, rel=1e-6)


def test_streamed_and_exact_moments_give_one_distance():
    sets = sample(300, 20), sample(300, 20, seed=1) + np.float32(0.3)
    exact = frechet.distance(*map(frechet.from_features, sets))
    streamed = frechet.distance(*(gather(x, (128, 128, 44), 84) for x in sets))
    assert streamed == pytest.approx(exact, rel=1e-6)


def test_check_03_distance_of_a_set_to_itself_is_zero():
    for features in (sample(500, 32), sample(10, 32), vectors.features()[0]):
        x = frechet.from_features(features)
        assert abs(frechet.distance(x, x)) < 1e-6


@pytest.mark.slow
@pytest.mark.picked
def test_check_11_the_step_at_2048_dimensions_with_fewer_images():
    """The value only: the time is for a benchmark to tell."""
    features = sample(300, 2048)
    x = frechet.from_features(features)
    y = frechet.from_features(2 * features.astype(np.float64) - 5)
    # The covariances commute: |m2 - m1|^2 + (2 - 1)^2 tr S. A float32 eigen-solver
    # is off by 3e-3.
    expected = np.sum(np.square(x.mean - 5)) + np.trace(x.covariance)
    assert frechet.distance(x, y) == pytest.approx(expected, rel=1e-6)


def test_either_side_may_be_the_one_with_fewer_images_than_dimensions():
    """The first covariance is factored, by Cholesky where it can be."""
    full, singular = (frechet.from_features(sample(n, 20, n)) for n in (300, 10))
    there, back = frechet.distance(full, singular), frechet.distance(singular, full)
    assert there == pytest.approx(back, rel=1e-7)


def test_the_distance_agrees_with_the_matrix_square_root():
    from scipy.linalg import sqrtm

    x, y = sample(300, 20), sample(300, 20, seed=1)
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    delta = x.mean(0, dtype=float) - y.mean(0, dtype=float)
    expected = delta @ delta + np.trace(a + b - 2 * sqrtm(a @ b).real)
    moments = frechet.from_features(x), frechet.from_features(y)
    assert frechet.distance(*moments) == pytest.approx(expected, rel=1e-6)


def test_the_distance_does_without_threadpoolctl(monkeypatch):
    x, y = (frechet.from_features(sample(30, 4, seed)) for seed in (0, 1))
    expected = frechet.distance(x, y)
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    assert frechet.distance(x, y) == pytest.approx(expected, rel=1e-9)


def test_streamed_moments_are_those_of_numpy():
    features = sample(200, 8)
    acc = gather(features, (64, 64, 64, 8), padding=3)
    exact = features.astype(np.float64)
    assert acc.count == 200
    np.testing.assert_allclose(acc.mean, exact.mean(0), rtol=1e-8)
    expected = np.cov(exact, rowvar=False)
    np.testing.assert_allclose(acc.covariance, expected, atol=1e-6)


def test_a_large_common_offset_does_not_cancel():
    features = sample(300, 6) + np.float32(1000.0)
    acc = gather(features, (100, 200))
    expected = np.cov(features.astype(np.float64), rowvar=False)
    np.testing.assert_allclose(acc.covariance, expected, atol=1e-4)


def test_merge_with_the_empty_accumulator_changes_nothing():
    acc = frechet.from_features(sample(5, 3))
    for merged in (
        frechet.merge(acc, frechet.empty(3)),
        frechet.merge(frechet.empty(3), acc),
        frechet.update(acc, np.zeros((2, 3), np.float32), np.zeros(2)),
    ):
        assert merged.count == 5
        np.testing.assert_array_equal(merged.mean, acc.mean)
        np.testing.assert_array_equal(merged.m2, acc.m2)
    assert frechet.merge(frechet.empty(3), frechet.empty(3)).count == 0


def test_one_image_has_no_covariance():
    one = frechet.from_features(sample(1, 3))
    with pytest.raises(UserError, match="2 images or more a side, got 1"):
        frechet.distance(one, frechet.from_features(sample(5, 3)))


def test_broken_features_are_named():
    good = frechet.from_features(sample(5, 3))
    bad = Moments(5, good.mean, np.full((3, 3), np.nan))
    with pytest.raises(UserError, match="NaN or infinity"):
        frechet.distance(good, bad)
