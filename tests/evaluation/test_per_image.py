import numpy as np
import pytest

from jaxgan.evaluation import per_image
from jaxgan.evaluation.per_image import PerImage, merge, result, update


def test_the_mean_is_over_images_not_batches():
    acc = update(PerImage(), {"l1": np.array([1.0, 2.0, 3.0])})
    acc = update(acc, {"l1": np.array([10.0])})
    assert result(acc) == {"l1": 4.0, "l1/num_samples": 4}


def test_padding_does_not_count_even_if_nan():
    values = {"psnr": np.array([20.0, np.nan, 30.0])}
    acc = update(PerImage(), values, np.array([1.0, 0.0, 1.0]))
    assert result(acc) == {"psnr": 25.0, "psnr/num_samples": 2}


def test_identical_images_are_left_out_and_counted():
    acc = update(PerImage(), {"psnr": np.array([np.inf, 30.0, 20.0])})
    assert result(acc) == {
        "psnr": 25.0,
        "psnr/num_samples": 3,
        "psnr/num_infinite": 1,
    }
    only = result(update(PerImage(), {"psnr": np.array([np.inf])}))
    assert only["psnr"] == np.inf


def test_a_broken_image_breaks_the_mean():
    acc = update(PerImage(), {"psnr": np.array([30.0, np.nan])})
    assert np.isnan(result(acc)["psnr"])


def test_merge_keeps_the_order_of_images():
    a = update(PerImage(), {"l1": np.array([1.0])})
    b = update(PerImage(), {"l1": np.array([2.0]), "mse": np.array([3.0])})
    merged = merge(a, b)
    np.testing.assert_array_equal(merged.values["l1"], [1.0, 2.0])
    assert result(merged)["mse"] == 3.0


@pytest.mark.parametrize("seed", [0, 1])
def test_the_order_of_batches_changes_no_bit(seed):
    random = np.random.default_rng(seed)
    batches = [random.lognormal(0, 9, size=n) for n in (7, 64, 1, 30)]
    rows = []
    for order in (range(4), (2, 0, 3, 1)):
        acc = per_image.PerImage()
        for i in order:
            acc = update(acc, {"x": batches[i]})
        rows.append(result(acc))
    assert rows[0] == rows[1]
