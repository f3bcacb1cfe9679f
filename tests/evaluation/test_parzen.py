import numpy as np
import pytest

from jaxgan.core.errors import UserError
from jaxgan.evaluation.parzen import SIGMAS, log_likelihoods, parzen

SAMPLES = np.array([[0.0, 0.0], [1.0, 1.0]])
POINTS = np.array([[0.0, 0.0], [0.5, 0.5], [2.0, 0.0]])


def exact(samples, points, sigma):
    squares = np.square(points[:, None] - samples[None]).sum(-1)
    exponents = -squares / (2 * sigma**2)
    means = np.logaddexp.reduce(exponents, axis=1) - np.log(len(samples))
    return means - points.shape[1] * np.log(sigma * np.sqrt(2 * np.pi))


@pytest.mark.parametrize("block_size", [1, 2, 1000])
def test_check_01_log_likelihoods_of_three_points(block_size):
    values = log_likelihoods(SAMPLES, POINTS, (0.5,), block_size=block_size)
    np.testing.assert_allclose(
        values[0], [-1.126579957932, -1.451582705289, -5.126579957932], rtol=1e-6
    )


def test_check_01_mean_and_standard_error():
    row = parzen(SAMPLES, POINTS, POINTS, sigmas=(0.5,))
    assert row["parzen"] == pytest.approx(-2.568247540384, rel=1e-6)
    assert row["parzen/standard_error"] == pytest.approx(1.047240316838, rel=1e-6)
    assert row["parzen/sigma"] == 0.5
    assert (row["parzen/num_samples"], row["parzen/num_test"]) == (2, 3)


def test_check_01_one_sample_at_itself_is_the_upper_bound():
    point = np.random.default_rng(0).uniform(size=(1, 784))
    value = log_likelihoods(point, point, (0.2,))[0, 0]
    assert value == pytest.approx(541.351513316, rel=1e-6)


def test_gan_dcgan_check_09_one_centre_equal_to_the_test_point():
    point = np.full((1, 4), 0.3)
    value = log_likelihoods(point, point, (0.2,))[0, 0]
    assert value == pytest.approx(2.761998, rel=1e-6)


def test_check_01_the_grid_of_widths():
    expected = (
        *(0.1, 0.129155, 0.166810, 0.215443, 0.278256),
        *(0.359381, 0.464159, 0.599484, 0.774264, 1),
    )
    np.testing.assert_allclose(SIGMAS, expected, atol=5e-7)


def test_images_of_784_pixels_agree_with_float64():
    random = np.random.default_rng(1)
    samples, points = random.uniform(size=(70, 784)), random.uniform(size=(23, 784))
    values = log_likelihoods(samples, points, (0.1, 1.0), block_size=16)
    for value, sigma in zip(values, (0.1, 1.0), strict=True):
        np.testing.assert_allclose(value, exact(samples, points, sigma), rtol=1e-6)


def test_sigma_is_the_best_on_the_first_validation_images():
    random = np.random.default_rng(2)
    samples = random.uniform(size=(50, 3))
    near, far = samples[:20] + 0.01, random.uniform(-4, 4, size=(20, 3))
    validation = np.concatenate([near, far])
    row = parzen(samples, validation, near, num_validation=20)
    means = [exact(samples, near, sigma).mean() for sigma in SIGMAS]
    assert row["parzen/sigma"] == SIGMAS[int(np.argmax(means))]
    assert row["parzen"] == pytest.approx(max(means), rel=1e-5)
    both = parzen(samples, validation, near)
    assert both["parzen/sigma"] > row["parzen/sigma"]


def test_bad_input_is_named():
    with pytest.raises(UserError, match="at least one sample"):
        log_likelihoods(SAMPLES[:0], POINTS, (0.5,))
    with pytest.raises(UserError, match="NaN or infinity"):
        log_likelihoods(SAMPLES * np.nan, POINTS, (0.5,))
