import numpy as np
import pytest

from jaxgan.core.errors import UserError
from jaxgan.evaluation import memorisation as module
from jaxgan.evaluation.memorisation import flatten, memorisation, update
from tests.evaluation import vectors


def brute_force(queries, samples):
    distances = np.linalg.norm(queries[:, None] - samples[None], axis=-1)
    return distances.min(1), distances.argmin(1)


@pytest.mark.parametrize("block_size", [3, 1000])
def test_the_nearest_is_found_across_blocks_and_batches(block_size):
    random = np.random.default_rng(0)
    queries = random.normal(size=(6, 9)).astype(np.float32)
    samples = random.normal(size=(20, 9)).astype(np.float32)
    acc = module.empty(6)
    for part in (samples[:11], samples[11:]):
        acc = update(acc, queries, part, block_size=block_size)
    distance, index = brute_force(queries, samples)
    np.testing.assert_allclose(acc.distance, distance, rtol=1e-5)
    np.testing.assert_array_equal(acc.index, index)
    halves = [update(module.empty(6), queries, x) for x in (samples[:11], samples[11:])]
    merged = module.merge(*halves)
    np.testing.assert_allclose(merged.distance, distance, rtol=1e-5)
    np.testing.assert_array_equal(merged.index, index)
    assert merged.seen == acc.seen == 20


def test_a_copy_is_at_distance_exactly_zero():
    images = vectors.noise(0, 5, 32, 32, 3)
    vector = np.asarray(flatten(images))
    acc = update(module.empty(2), vector[[3, 1]], vector)
    np.testing.assert_array_equal(acc.distance, [0, 0])
    np.testing.assert_array_equal(acc.index, [3, 1])


def test_distances_are_of_quantised_images_in_the_stated_range():
    black, white = (
        np.zeros((1, 2, 2, 3), np.uint8),
        np.full((1, 2, 2, 3), 255, np.uint8),
    )
    for value_range, width in (("signed", 2), ("unit", 1), ("uint8", 255)):
        row = memorisation(black, [white], counts=(1,), value_range=value_range)
        expected = width * 12**0.5
        assert row["memorisation/nearest_1"] == pytest.approx(expected, rel=1e-6)


def test_means_are_reported_at_every_count():
    validation, samples = vectors.noise(1, 4, 3, 3, 1), vectors.noise(2, 30, 3, 3, 1)
    queries, points = np.asarray(flatten(validation)), np.asarray(flatten(samples))
    row = memorisation(validation, np.split(samples, [4, 5, 17]), counts=(20, 3, 99))
    for count in (3, 20):
        expected = brute_force(queries, points[:count])[0].mean()
        value = row[f"memorisation/nearest_{count}"]
        assert value == pytest.approx(expected, rel=1e-5)
    assert "memorisation/nearest_99" not in row
    assert row["memorisation/num_validation"] == 4


def test_too_few_samples_are_named():
    with pytest.raises(UserError, match="needs 1000 samples, got 5"):
        memorisation(vectors.noise(0, 2, 3, 3, 1), [vectors.noise(1, 5, 3, 3, 1)])
