"""Digits: legible, in two renderings of the same strokes."""

import numpy as np
import pytest

from jaxgan.core.errors import UserError
from jaxgan.data.synthetic import Digits
from jaxgan.data.synthetic.glyphs import GLYPHS


def test_grey_digits_are_light_on_black():
    grey = Digits().examples(np.arange(200), ["grey"])["grey"][..., 0]
    assert (grey.max((1, 2)) > 200).all()
    assert np.median(grey) == 0
    border = np.concatenate([grey[:, [0, -1]].ravel(), grey[:, :, [0, -1]].ravel()])
    assert (border > 64).mean() < 0.01  # the digit stays inside
    assert 0.06 < (grey > 128).mean() < 0.25


def test_both_renderings_show_the_same_strokes():
    examples = Digits(size=32).examples(np.arange(100), ["grey", "colour"])
    grey, colour = examples["grey"][..., 0], examples["colour"].astype(float)
    for ink, picture in zip(grey, colour, strict=True):
        inside, outside = picture[ink > 215], picture[ink == 0]
        contrast = np.abs(inside.mean(0) - outside.mean(0)).max()
        assert contrast > 40
        assert inside.std(0).mean() < contrast  # one paint within the strokes


def test_labels_can_be_read_from_both_renderings():
    """A nearest neighbour reads held-out digits; a shuffled label would not be read."""
    train = Digits(count=1500).examples(np.arange(1500), ["grey", "label"])
    test = Digits(split="test").examples(np.arange(200), ["grey", "label"])
    known = train["grey"].reshape(1500, -1).astype(np.float32) / 255
    asked = test["grey"].reshape(200, -1).astype(np.float32) / 255
    far = (known**2).sum(1) - 2 * asked @ known.T
    read = train["label"][far.argmin(1)]
    assert (read == test["label"]).mean() > 0.9


def test_all_digits_appear_equally_often():
    label = Digits().factors(np.arange(5000))["label"]
    assert np.bincount(label, minlength=10).min() > 420


def test_thickness_and_slant_are_what_one_sees():
    examples = Digits(digits=(1, 4, 7)).examples(np.arange(300))
    grey = examples["grey"][..., 0].astype(float)
    for digit in (1, 4, 7):
        rows = examples["label"] == digit
        ink = grey[rows].sum((1, 2))
        assert np.corrcoef(ink, examples["thickness"][rows])[0, 1] > 0.6
        # Leaning right: ink higher up (smaller row) lies further right.
        r, c = np.mgrid[:28, :28]
        weight = grey[rows] / ink[:, None, None]
        mean_r, mean_c = (weight * r).sum((1, 2)), (weight * c).sum((1, 2))
        shear = (weight * r * c).sum((1, 2)) - mean_r * mean_c
        assert np.corrcoef(-shear, examples["slant"][rows])[0, 1] > 0.5


def test_splines_pass_through_their_points():
    for way, (points, starts, ends) in enumerate(
        zip(GLYPHS.points, GLYPHS.starts, GLYPHS.ends, strict=True)
    ):
        used = np.abs(starts).sum(0) + np.abs(ends).sum(0) > 0
        places = np.concatenate([starts, ends]) @ points
        for point in points[used]:
            assert np.hypot(*(places - point).T).min() < 0.06, way
        np.testing.assert_allclose(starts.sum(1), 1, atol=1e-5)


def test_digits_can_be_chosen():
    factors = Digits(digits=(3, 8)).factors(np.arange(60))
    assert set(factors["label"]) == {3, 8}
    for wrong in ((), (10,), (-1, 2)):
        with pytest.raises(UserError, match="digits is"):
            Digits(digits=wrong)
