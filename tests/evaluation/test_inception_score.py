import numpy as np
import pytest

from jaxgan.core.errors import UserError
from jaxgan.evaluation.inception_score import (
    conditional_inception_score,
    inception_score,
)

LOGITS = np.array([[2, 0, 0], [0, 2, 0], [0, 0, 2], [1, 1, 0]], float)


def test_check_01_inception_score_of_one_split():
    row = inception_score(LOGITS, splits=1)
    assert row["is"] == pytest.approx(1.40569188642767, rel=1e-12)
    assert np.log(row["is"]) == pytest.approx(0.340529627430035, rel=1e-12)
    assert row["is/std"] == 0 and row["is/num_samples"] == 4


def test_check_01_inception_score_of_two_splits():
    row = inception_score(LOGITS, splits=2, shuffle=False)
    assert row["is"] == pytest.approx(1.291060866, rel=1e-9)
    assert row["is/std"] == pytest.approx(0.049246437, rel=1e-7)


def test_check_01_conditional_score_of_two_inputs():
    row = conditional_inception_score(LOGITS.reshape(2, 2, 3))
    assert row["cis/kl"] == pytest.approx(0.254736239072824, rel=1e-12)
    assert row["cis/exp"] == pytest.approx(1.290121292, rel=1e-9)


def test_splits_cover_every_image_once():
    random = np.random.default_rng(0)
    logits = random.normal(size=(23, 5))
    order = np.random.RandomState(7).permutation(23)
    scores = [
        inception_score(logits[order[i * 23 // 4 : (i + 1) * 23 // 4]], splits=1)["is"]
        for i in range(4)
    ]
    row = inception_score(logits, splits=4, seed=7)
    assert row["is"] == pytest.approx(np.mean(scores), rel=1e-12)
    assert row["is/std"] == pytest.approx(np.std(scores), rel=1e-9)


@pytest.mark.parametrize("classes", [2, 10])
def test_check_03_one_hot_balanced_classes_score_their_number(classes):
    logits = np.tile(1e4 * np.eye(classes, dtype=np.float32), (3, 1))
    assert inception_score(logits, splits=1)["is"] == pytest.approx(classes, rel=1e-12)


def test_check_03_constant_predictions_score_one():
    logits = np.tile(np.float32([[3.0, -1.0, 0.5]]), (40, 1))
    assert inception_score(logits)["is"] == pytest.approx(1.0, abs=1e-6)


def test_check_03_conditional_score_is_zero_if_styles_change_nothing():
    logits = np.repeat(np.random.default_rng(0).normal(size=(5, 1, 7)), 4, axis=1)
    row = conditional_inception_score(logits)
    assert row["cis/kl"] == pytest.approx(0.0, abs=1e-12)
    # The unconditional score of the same pictures is not 1.
    assert inception_score(logits.reshape(20, 7), splits=1)["is"] > 1.1


def test_bad_input_is_named():
    with pytest.raises(UserError, match="10 splits of 4 images: use 1 to 4"):
        inception_score(LOGITS)
    with pytest.raises(UserError, match="NaN or infinity"):
        inception_score(LOGITS * np.nan, splits=1)
