"""Label maps: what counts, and as which class."""

import numpy as np
import pytest

from jaxgan.evaluation.options import Options
from jaxgan.evaluation.protocols import label_maps

ROAD, CAR, BLACK = (128, 64, 128), (0, 0, 142), (0, 0, 0)
PARKING, TRAILER = (250, 170, 160), (0, 0, 110)


def row_of(*colours):
    """One picture `[1, 1, w, 3]`, a colour a pixel."""
    return np.array([[colours]], np.uint8)


def judged(truth, result):
    palette, ignored = label_maps.colours(Options(palette="cityscapes"), {})
    acc = label_maps.LabelMaps(palette, ignored)
    found = label_maps.update(acc, {"": result}, truth, truth, np.ones(1, np.float32))
    return label_maps.result(found)


def test_what_cityscapes_does_not_evaluate_counts_nowhere():
    row = judged(
        row_of(ROAD, CAR, PARKING, TRAILER, BLACK), row_of(ROAD, ROAD, CAR, CAR, CAR)
    )
    assert row["num_pixels"] == 2
    assert row["pixel_accuracy"] == pytest.approx(0.5)


def test_a_result_has_the_class_with_the_nearest_colour_everywhere():
    # The colour of a trailer, which is no class, is nearest to a car's.
    row = judged(row_of(ROAD, CAR, CAR), row_of(BLACK, TRAILER, CAR))
    assert row["pixel_accuracy"] == pytest.approx(2 / 3)
    assert row["out_of_range"] == 0
