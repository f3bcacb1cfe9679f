"""Section 18's small helpers: KS distance, sharpness, bootstrap; optional libraries."""

import sys

import numpy as np
import pytest
from scipy.ndimage import convolve

from jaxgan.core.errors import UserError
from jaxgan.evaluation import linear_probe, voxels
from jaxgan.evaluation.bootstrap import bootstrap_interval, intervals
from jaxgan.evaluation.ks import ks_distance
from jaxgan.evaluation.optional import require
from jaxgan.evaluation.per_image import PerImage
from jaxgan.evaluation.sharpness import sharpness
from tests.evaluation import vectors


def test_check_01_ks_distance_of_five_codes():
    z = np.array([-0.9, -0.5, -0.1, 0.2, 0.6])
    np.testing.assert_allclose(ks_distance(z[:, None]), [0.2], rtol=1e-12)


def test_ks_distance_is_per_dimension():
    uniform = np.linspace(-1, 1, 101)
    z = np.stack([uniform, np.zeros(101), uniform / 2 + 0.5], axis=1)
    np.testing.assert_allclose(ks_distance(z), [0.01, 0.5, 0.5], atol=0.01)
    assert ks_distance(z, low=0.0)[2] < 0.01


def test_sharpness_is_the_variance_of_the_laplacian_of_luma():
    image = vectors.noise(0, 1, 9, 8, 3)
    y = 16 + image[0] @ np.array([65.481, 128.553, 24.966]) / 255
    kernel = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]])
    expected = convolve(y, kernel)[1:-1, 1:-1].var()
    np.testing.assert_allclose(sharpness(image), [expected], rtol=1e-5)


def test_blur_is_less_sharp_and_flat_is_not_sharp_at_all():
    image = vectors.noise(1, 1, 16, 16, 1)
    blurred = (image // 2 + np.roll(image, 1, axis=1) // 2).astype(np.uint8)
    assert sharpness(blurred) < sharpness(image)
    assert sharpness(np.full_like(image, 90)) == 0
    with pytest.raises(UserError, match="at least 3x3 pixels, got 2x16"):
        sharpness(image[:, :2])


def test_bootstrap_interval_covers_the_mean_and_shrinks():
    values = np.random.default_rng(0).normal(3.0, 1.0, size=400)
    low, high = bootstrap_interval(values)
    # Plus and minus 1.96 standard errors.
    error = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - error, abs=0.02)
    assert high == pytest.approx(values.mean() + error, abs=0.02)
    narrow = bootstrap_interval(values, confidence=0.5)
    assert low < narrow[0] < narrow[1] < high


def test_intervals_leave_infinities_out_as_means_do():
    values = {"psnr": np.array([20.0, 30.0, np.inf]), "same": np.full(3, np.inf)}
    row = intervals(PerImage(values), 100, seed=5)
    low, high = bootstrap_interval(values["psnr"][:2], num_resamples=100, seed=5)
    counts = {"bootstrap/num_resamples": 100, "bootstrap/seed": 5}
    assert row == {"psnr/low": low, "psnr/high": high, **counts}
    assert intervals(PerImage(values), 0) == {}


def test_bootstrap_is_reproducible_by_seed():
    values = np.arange(20.0)
    assert bootstrap_interval(values, seed=3) == bootstrap_interval(values, seed=3)
    assert bootstrap_interval(values, seed=3) != bootstrap_interval(values, seed=4)
    with pytest.raises(UserError, match="at least one image"):
        bootstrap_interval(np.zeros(0))


@pytest.mark.parametrize(
    "module, package, call",
    [
        (
            "sklearn.svm",
            "scikit-learn",
            lambda: linear_probe.fit(np.eye(2), np.arange(2), c=1.0),
        ),
        (
            "sklearn.metrics",
            "scikit-learn",
            lambda: voxels.average_precision(np.ones(2), np.ones(2)),
        ),
        ("scipy.stats", "scipy", lambda: ks_distance(np.zeros((2, 1)))),
        ("skimage.metrics", "scikit-image", lambda: require("skimage.metrics", "x")),
    ],
)
def test_a_missing_library_names_the_extra(monkeypatch, module, package, call):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=package) as error:
        call()
    assert "pip install 'jaxgan[evaluation]'" in str(error.value)
