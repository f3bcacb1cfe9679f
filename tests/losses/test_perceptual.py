"""Feature distances."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import TypeCheckError

from jaxgan import losses


def test_channels_are_summed_and_positions_averaged():
    b = jnp.zeros((2, 3, 4, 5))
    a = b.at[0, 0, 0].set(2.0)  # one of 24 positions, five channels
    assert float(losses.feature_distance(a, b)) == pytest.approx(5 * 4.0 / 24)


def test_feature_distance_equals_numpy_s():
    a, b = np.random.RandomState(0).standard_normal((2, 2, 3, 4, 5)).astype("float32")
    expected = np.sum((a.astype(np.float64) - b) ** 2) / (2 * 3 * 4)
    value = jax.jit(losses.feature_distance)(a, b)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_half_precision_features_are_compared_in_float32():
    a = jnp.full((1, 1, 1, 512), 256.0)
    value = losses.feature_distance(
        a.astype(jnp.bfloat16), (a - 1).astype(jnp.bfloat16)
    )
    assert value.dtype == jnp.float32 and float(value) == 512.0


def test_shapes_must_agree():
    a = jnp.zeros((2, 3, 4, 5))
    with pytest.raises(TypeCheckError):
        losses.feature_distance(a, a[..., :1])
