import numpy as np
import pytest

from jaxgan.core.errors import UserError
from jaxgan.evaluation.kid import kid, polynomial_mmd2
from tests.evaluation import vectors


def exact(x, y):
    """Unbiased MMD^2, float64, from the definition."""
    k = lambda a, b: (a @ b.T / a.shape[1] + 1) ** 3  # noqa: E731
    m, n = len(x), len(y)
    xx, yy = k(x, x), k(y, y)
    return (
        (xx.sum() - np.trace(xx)) / (m * (m - 1))
        + (yy.sum() - np.trace(yy)) / (n * (n - 1))
        - 2 * k(x, y).mean()
    )


@pytest.mark.parametrize(
    "rows_x, rows_y, unbiased, expected",
    [
        ("x", "y", True, -0.768794891003155),
        ("x", "y", False, 0.232017888248024),
        ("x", "x", True, -0.798952103372299),
        ("x5", "y", True, -0.737948627110427),
    ],
)
def test_check_01_mmd_of_the_vectors(rows_x, rows_y, unbiased, expected):
    x, y = vectors.features()
    sets = {"x": x, "y": y, "x5": x[:5]}
    value = polynomial_mmd2(sets[rows_x], sets[rows_y], unbiased=unbiased)
    assert value == pytest.approx(expected, rel=1e-5)


def test_subsets_of_everything_are_the_whole():
    row = kid(*vectors.features(), num_subsets=5)
    assert row["kid"] == pytest.approx(-0.768794891003155, rel=1e-5)
    assert row["kid/std"] < 1e-6
    assert row["kid/subset_size"] == row["kid/num_samples"] == 6


def test_kid_is_the_mean_over_the_seeded_subsets():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(40, 8)), random.normal(0.3, 1, size=(30, 8))
    draws = np.random.RandomState(2020)
    values = [
        exact(x[draws.choice(40, 20, replace=False)], y[draws.choice(30, 20, False)])
        for _ in range(7)
    ]
    row = kid(x, y, num_subsets=7, subset_size=20)
    assert row["kid"] == pytest.approx(np.mean(values), abs=2e-6)
    assert row["kid/std"] == pytest.approx(np.std(values), abs=2e-6)


def test_check_03_subsets_are_reproducible_by_seed():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(50, 4)), random.normal(size=(50, 4))
    args = {"num_subsets": 4, "subset_size": 10}
    first = kid(x, y, seed=1, **args)
    assert kid(x, y, seed=1, **args) == first
    assert kid(x, y, seed=2, **args)["kid"] != first["kid"]


def test_subsets_may_take_several_rounds(monkeypatch):
    from jaxgan.evaluation import kid as module

    random = np.random.default_rng(0)
    x, y = random.normal(size=(50, 4)), random.normal(size=(50, 4))
    whole = kid(x, y, num_subsets=5, subset_size=10)
    monkeypatch.setattr(module, "_GATHERED", 2 * 2 * 10 * 4)  # two subsets a round
    rounds = kid(x, y, num_subsets=5, subset_size=10)
    assert rounds["kid"] == pytest.approx(whole["kid"], rel=1e-5)


def test_equal_distributions_score_near_zero_and_shifted_ones_do_not():
    random = np.random.default_rng(0)
    a, b, c = (
        random.normal(size=(500, 16)) + [[0.0], [0.0], [0.5]][i] for i in range(3)
    )
    assert abs(kid(a, b)["kid"]) < 0.02 < kid(a, c)["kid"]


def test_bad_input_is_named():
    x, y = vectors.features()
    with pytest.raises(UserError, match="2 images or more a side, got 1 and 6"):
        kid(x[:1], y)
    with pytest.raises(UserError, match="NaN or infinity"):
        kid(np.full_like(x, np.nan), y)
