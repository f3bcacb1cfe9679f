from itertools import combinations

import numpy as np
import pytest

from jaxgan.core.errors import UserError
from jaxgan.evaluation.diversity import (
    mean_pairwise_l1,
    mean_pairwise_l2,
    mean_pairwise_squared_l2,
)


@pytest.mark.parametrize(
    "metric, distance",
    [
        (mean_pairwise_l1, lambda d: np.abs(d).mean(-1)),
        (mean_pairwise_l2, lambda d: np.sqrt((d**2).sum(-1))),
        (mean_pairwise_squared_l2, lambda d: (d**2).sum(-1)),
    ],
    ids=["l1", "l2", "squared_l2"],
)
def test_diversity_is_the_mean_over_explicit_pairs(metric, distance):
    # A large common part, as two pictures of one input have.
    vectors = np.random.default_rng(0).normal(size=(3, 5, 7)).astype(np.float32) + 50
    expected = np.mean(
        [distance(vectors[:, i] - vectors[:, j]) for i, j in combinations(range(5), 2)],
        axis=0,
    )
    np.testing.assert_allclose(metric(vectors), expected, rtol=1e-5)


def test_equal_outputs_have_no_diversity():
    vectors = np.repeat(np.float32([[[1.0, 2.0, 3.0]]]), 4, axis=1)
    for metric in (mean_pairwise_l1, mean_pairwise_l2, mean_pairwise_squared_l2):
        assert metric(vectors).tolist() == [0.0]


def test_one_output_is_an_error():
    with pytest.raises(UserError, match="2 outputs or more"):
        mean_pairwise_l1(np.zeros((1, 1, 3), np.float32))
