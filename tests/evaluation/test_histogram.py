import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.core.errors import UserError
from jaxgan.evaluation import histogram
from tests.evaluation.vectors import noise


@pytest.mark.parametrize("channels", [1, 3])
def test_counts_are_those_of_numpy(channels):
    images = noise(0, 5, 6, 7, channels)
    bins = histogram.BINS[channels]
    expected, _ = np.histogramdd(
        images.reshape(-1, channels), bins=[np.arange(0, 257, 256 // bins)] * channels
    )
    found = histogram.update(histogram.empty(channels), images)
    np.testing.assert_array_equal(found, expected.ravel())
    floats = images.astype(np.float32) / 127.5 - 1
    np.testing.assert_array_equal(
        histogram.update(histogram.empty(channels), floats), found
    )


def test_padding_and_broken_pixels_are_not_counted_and_batches_join():
    images = noise(1, 6, 4, 4, 3)
    whole = histogram.update(histogram.empty(3), images)
    parts = histogram.update(histogram.empty(3), images[:2])
    rest = jnp.asarray(images[[2, 3, 4, 5, 5]])
    parts = histogram.update(parts, rest, np.array([1, 1, 1, 1, 0]))
    np.testing.assert_array_equal(parts, whole)
    broken = np.full((1, 4, 4, 3), np.nan, np.float32)
    assert histogram.update(histogram.empty(3), broken).sum() == 0


def test_distance_goes_from_0_to_2():
    black, white = (
        np.zeros((2, 4, 4, 1), np.uint8),
        np.full((3, 4, 4, 1), 255, np.uint8),
    )
    a, b = (histogram.update(histogram.empty(1), x) for x in (black, white))
    assert histogram.distance(a, a) == 0 and histogram.distance(a, b) == 2
    # 2 of 5 images are black: |1 - 2/5| + |0 - 3/5|.
    assert histogram.distance(a, histogram.merge(a, b)) == pytest.approx(1.2)


def test_what_cannot_be_counted_is_refused():
    with pytest.raises(UserError, match="1 or 3 channels, got 2"):
        histogram.empty(2)
    with pytest.raises(UserError, match="at least one finite image"):
        histogram.distance(histogram.empty(1), histogram.empty(1))
