import numpy as np
import pytest

from jaxgan.core.errors import UserError
from jaxgan.evaluation.pixel import close_pixels, l1, l2, mse
from tests.evaluation import vectors


def test_check_01_l1_and_mse_of_the_grey_pair():
    a, b = vectors.grey()
    np.testing.assert_allclose(l1(a, b, value_range="uint8"), 5.121527778, rtol=1e-6)
    np.testing.assert_allclose(mse(a, b, value_range="uint8"), 32.454861111, rtol=1e-6)


@pytest.mark.parametrize(
    "value_range, width", [("uint8", 255), ("signed", 2), ("unit", 1)]
)
def test_figures_scale_with_the_stated_range(value_range, width):
    a, b = (x.astype(float) * (width / 255) for x in vectors.grey())
    images = vectors.grey()
    args = {"value_range": value_range}
    np.testing.assert_allclose(l1(*images, **args), [abs(a - b).mean()], rtol=1e-5)
    np.testing.assert_allclose(mse(*images, **args), [((a - b) ** 2).mean()], rtol=1e-5)
    norm = np.sqrt(((a - b) ** 2).sum())
    np.testing.assert_allclose(l2(*images, **args), [norm], rtol=1e-5)


def test_the_default_range_is_signed():
    black, white = (
        np.zeros((1, 2, 2, 3), np.uint8),
        np.full((1, 2, 2, 3), 255, np.uint8),
    )
    assert float(l1(black, white)[0]) == pytest.approx(2.0)
    assert float(mse(black, white)[0]) == pytest.approx(4.0)


def test_values_are_one_an_image():
    a = vectors.noise(0, 3, 5, 4, 3)
    b = a.copy()
    b[1] = 255 - b[1]
    values = np.asarray(l1(a, b))
    assert values.shape == (3,) and values[0] == values[2] == 0 < values[1]


def test_close_pixels_need_every_channel_below_16_levels():
    a = np.zeros((1, 1, 4, 3), np.uint8)
    b = np.array([[[[15, 15, 15], [16, 0, 0], [0, 0, 0], [9, 9, 9]]]], np.uint8)
    assert float(close_pixels(b, a)[0]) == 0.75
    # The L2 norm of (15, 15, 15) is 26, of (9, 9, 9) 15.6.
    assert float(close_pixels(b, a, norm="l2")[0]) == 0.5
    with pytest.raises(UserError, match="norm 'l3'"):
        close_pixels(b, a, norm="l3")


def test_nan_images_score_nan():
    a = vectors.grey()[0]
    assert np.isnan(l1(np.full(a.shape, np.nan, np.float32), a)).all()
