import numpy as np
import pytest

from jaxgan.core.errors import UserError
from jaxgan.evaluation.linear_probe import balanced_draws, fit, linear_probe

POINTS = np.array(
    [(0, 0), (0, 1), (1, 0), (3, 3), (3, 4), (4, 3), (0, 4), (1, 4), (0, 5)], float
)
LABELS = np.repeat(np.arange(3), 3)


def test_check_01_coefficients_of_the_vector():
    probe = fit(POINTS, LABELS, c=0.01, tolerance=1e-8)
    np.testing.assert_allclose(
        probe.coefficients,
        [(-0.05732, -0.14322), (0.12257, -0.05079), (-0.13427, 0.05696)],
        atol=1e-5,
    )
    np.testing.assert_allclose(
        probe.intercept, (0.01907, -0.05512, -0.04671), atol=1e-5
    )
    assert probe.accuracy(POINTS, LABELS) == pytest.approx(7 / 9)


def test_two_classes_have_one_row():
    probe = fit(POINTS[:6], LABELS[:6] + 5, c=1.0)
    assert probe.coefficients.shape == (1, 2)
    np.testing.assert_array_equal(probe.predict(POINTS[:6]), LABELS[:6] + 5)


def clusters(count, seed):
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    return random.normal(size=(count, 5)) + 1.5 * np.eye(3, 5)[labels], labels


def test_c_is_chosen_on_validation_and_reported_on_test():
    train, validation, test = clusters(60, 0), clusters(60, 1), clusters(60, 2)
    row = linear_probe(train, validation, test, c_grid=(1.0, 1e-4, 1e-2))
    scores = {c: fit(*train, c=c).accuracy(*validation) for c in (1e-4, 1e-2, 1.0)}
    best = max(scores, key=lambda c: scores[c])
    assert row["probe/c"] == best
    assert row["probe/validation_accuracy"] == scores[best]
    assert row["probe/accuracy"] == fit(*train, c=best).accuracy(*test) > 0.6
    assert (row["probe/num_train"], row["probe/num_test"]) == (60, 60)


def test_figures_of_several_draws_are_their_means():
    train, validation, test = clusters(300, 0), clusters(60, 1), clusters(60, 2)
    draws = balanced_draws(train[1], 4, 5)
    row = linear_probe(train, validation, test, c_grid=(1e-4, 1.0), draws=draws)

    def accuracies(c, judged):
        return [fit(train[0][r], train[1][r], c=c).accuracy(*judged) for r in draws]

    means = {c: np.mean(accuracies(c, validation)) for c in (1e-4, 1.0)}
    best = max(means, key=lambda c: means[c])
    assert row["probe/c"] == best and row["probe/validation_accuracy"] == means[best]
    found = accuracies(best, test)
    assert row["probe/accuracy"] == pytest.approx(np.mean(found))
    assert row["probe/deviation"] == pytest.approx(np.std(found)) and np.ptp(found) > 0
    assert row["probe/num_train"] == 12


def test_draws_hold_as_many_of_each_class_and_differ():
    labels = np.repeat([3, 5, 9], [7, 20, 11])
    draws = balanced_draws(labels, 6, 4)
    for rows in draws:
        np.testing.assert_array_equal(
            np.unique(labels[rows], return_counts=True), [[3, 5, 9], [6, 6, 6]]
        )
        assert len(set(rows)) == 18
    assert len({tuple(sorted(rows)) for rows in draws}) == 4
    with pytest.raises(UserError, match="draws 8 examples a class, class 3 has 7"):
        balanced_draws(labels, 8, 1)


def test_bad_input_is_named():
    with pytest.raises(UserError, match="two classes or more"):
        fit(POINTS, np.zeros(9, int), c=1.0)
    with pytest.raises(UserError, match="NaN or infinity"):
        fit(POINTS * np.nan, LABELS, c=1.0)
