import numpy as np
import pytest

from jaxgan.evaluation import classifier, per_image
from jaxgan.evaluation.classifier import correct, empty, error_percent, result, update


def test_accuracy_is_the_share_of_right_answers():
    logits = np.float32([[2, 1], [0, 3], [5, 4], [1, 1]])
    values = correct(logits, np.array([0, 0, 0, 0]))
    assert values.tolist() == [1, 0, 1, 1]  # a tie goes to the lower class
    acc = per_image.update(per_image.PerImage(), {"accuracy": values})
    accuracy = per_image.result(acc)["accuracy"]
    assert accuracy == 0.75 and error_percent(accuracy) == 25.0


def test_nan_logits_are_never_right():
    logits = np.float32([[np.nan, 0.0], [np.nan, np.nan]])
    assert correct(logits, np.array([0, 0])).tolist() == [0, 0]


def test_attributes_agree_with_scikit_learn():
    from sklearn.metrics import accuracy_score, balanced_accuracy_score

    random = np.random.default_rng(0)
    found, wanted = random.uniform(size=(2, 40, 3)) < [0.3, 0.5, 0.9]
    acc = classifier.merge(
        update(empty(3), found[:7], wanted[:7]), update(empty(3), found[7:], wanted[7:])
    )
    row = result(acc, ("glasses", "smile", "beard"))
    for i, name in enumerate(("glasses", "smile", "beard")):
        pair = wanted[:, i], found[:, i]
        assert row[f"accuracy/{name}"] == pytest.approx(accuracy_score(*pair))
        balanced = balanced_accuracy_score(*pair)
        assert row[f"balanced_accuracy/{name}"] == pytest.approx(balanced)
    assert row["accuracy"] == pytest.approx((found == wanted).mean())


def test_only_counted_answers_count():
    found = np.array([[True, False], [True, True]])
    wanted = np.array([[True, True], [False, True]])
    counted = np.array([[True, False], [False, False]])
    row = result(update(empty(2), found, wanted, counted))
    assert row["accuracy/0"] == row["accuracy"] == 1.0
    assert np.isnan(row["accuracy/1"])


def test_balanced_accuracy_takes_values_that_occur():
    wanted = np.ones((4, 1), bool)
    row = result(update(empty(1), np.array([[True], [True], [True], [False]]), wanted))
    assert row["balanced_accuracy"] == row["accuracy"] == 0.75


def test_names_must_fit():
    with pytest.raises(ValueError, match="1 names for 2 attributes"):
        result(empty(2), ("a",))
