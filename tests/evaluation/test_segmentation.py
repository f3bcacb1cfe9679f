import numpy as np
import pytest

from jaxgan.core.errors import UserError
from jaxgan.evaluation import segmentation
from jaxgan.evaluation.segmentation import (
    CITYSCAPES_PALETTE,
    IGNORED,
    confusion,
    empty,
    nearest_palette,
    result,
    update,
)

LABELS = np.array([[0, 0, 1, 1, 2, 2, 255, 0]])
PREDICTIONS = np.array([[0, 1, 1, 1, 2, 0, 2, 0]])


def test_check_01_confusion_and_scores():
    acc = update(empty(4), LABELS, PREDICTIONS)
    expected = [[2, 1, 0, 0], [0, 2, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(acc, np.c_[expected, np.zeros(4)])
    row = result(acc)
    assert row["pixel_accuracy"] == pytest.approx(0.714285714, rel=1e-8)
    assert row["class_accuracy"] == pytest.approx(0.541666667, rel=1e-8)
    assert row["iou"] == pytest.approx(0.416666667, rel=1e-8)
    assert row["out_of_range"] == 0 and row["num_pixels"] == 7


def test_check_01_absent_classes_may_be_skipped():
    row = result(update(empty(4), LABELS, PREDICTIONS), absent="skip")
    assert row["pixel_accuracy"] == pytest.approx(0.714285714, rel=1e-8)
    assert row["class_accuracy"] == pytest.approx(0.722222222, rel=1e-8)
    assert row["iou"] == pytest.approx(0.555555556, rel=1e-8)
    with pytest.raises(UserError, match="absent 'ignore'"):
        result(empty(4), absent="ignore")


def test_pix2pix_check_08_scores_of_the_two_class_vector():
    acc = update(empty(2), np.array([[0, 0, 1, 1, 255]]), np.array([[0, 1, 1, 1, 0]]))
    row = result(acc)
    assert row["pixel_accuracy"] == pytest.approx(0.75)
    assert row["class_accuracy"] == pytest.approx(0.75)
    assert row["iou"] == pytest.approx(0.583333, rel=1e-6)


def test_check_07_an_image_without_labels_adds_nothing():
    acc = update(empty(19), np.full((1, 3, 4), 255), np.zeros((1, 3, 4), int))
    assert acc.sum() == 0 and result(acc)["num_pixels"] == 0


def test_check_07_a_prediction_of_19_for_label_18_is_an_error_and_not_dropped():
    labels, predictions = np.array([[18, 18, 17]]), np.array([[19, 18, 17]])
    acc = update(empty(19), labels, predictions)
    assert acc.sum() == 3 and acc[18].tolist() == [0] * 18 + [1, 1]
    row = result(acc, absent="skip")
    assert row["pixel_accuracy"] == pytest.approx(2 / 3)
    assert row["class_accuracy"] == pytest.approx(0.75)
    assert row["iou"] == pytest.approx(0.75)
    assert row["out_of_range"] == pytest.approx(1 / 3)


def test_uint8_labels_and_negative_predictions():
    labels = np.array([[0, 255, 200]], np.uint8)
    counts = confusion(labels, np.array([[-1, -1, 0]]), num_classes=2)
    np.testing.assert_array_equal(counts, [[0, 0, 1], [0, 0, 0]])


def test_padding_images_do_not_count():
    labels, predictions = np.zeros((3, 2, 2), int), np.ones((3, 2, 2), int)
    acc = update(empty(2), labels, predictions, np.array([1.0, 0.0, 1.0]))
    assert acc[0, 1] == acc.sum() == 8


def test_scores_agree_with_scikit_learn():
    from sklearn.metrics import accuracy_score, jaccard_score, recall_score

    random = np.random.default_rng(0)
    labels, predictions = random.integers(0, 5, (2, 6, 100))
    acc = empty(5)
    for part in (slice(0, 2), slice(2, 6)):
        acc = update(acc, labels[part], predictions[part])
    pair = labels.ravel(), predictions.ravel()
    row = result(segmentation.merge(acc, empty(5)))
    assert row["pixel_accuracy"] == pytest.approx(accuracy_score(*pair))
    assert row["class_accuracy"] == pytest.approx(recall_score(*pair, average="macro"))
    assert row["iou"] == pytest.approx(jaccard_score(*pair, average="macro"))


def test_colours_become_the_nearest_class():
    classes = np.arange(19).reshape(1, 1, 19)
    picture = CITYSCAPES_PALETTE[classes]
    np.testing.assert_array_equal(nearest_palette(picture, CITYSCAPES_PALETTE), classes)
    assert len({tuple(colour) for colour in CITYSCAPES_PALETTE}) == 19
    noisy = np.clip(picture.astype(int) + [3, -3, 2], 0, 255).astype(np.uint8)
    np.testing.assert_array_equal(nearest_palette(noisy, CITYSCAPES_PALETTE), classes)
    floats = picture.astype(np.float32) / 127.5 - 1
    np.testing.assert_array_equal(nearest_palette(floats, CITYSCAPES_PALETTE), classes)


def test_colours_of_unlabelled_regions_become_255():
    picture = np.array([[[[0, 0, 0], [0, 0, 70], [5, 5, 20]]]], np.uint8)
    black = np.zeros((1, 3), np.uint8)
    labels = nearest_palette(picture, CITYSCAPES_PALETTE, black)
    assert labels.tolist() == [[[IGNORED, 14, IGNORED]]]
