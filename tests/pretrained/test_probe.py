"""The probe's own published numbers."""

import zlib

import numpy as np
import pytest

from jaxgan.pretrained import probe_image, probe_state_dict, probe_tensor


def test_probe_weights_start_with_the_stated_numbers():
    assert zlib.crc32(b"features.0.weight") == 3808725773
    weight = probe_tensor("features.0.weight", (64, 3, 3, 3))
    normal = np.array([-1.3907281, -1.4776949])
    np.testing.assert_allclose(weight.ravel()[0], -0.3785082, atol=5e-8)
    np.testing.assert_allclose(weight.ravel()[:2], normal * np.sqrt(2 / 27), atol=5e-8)
    assert weight.dtype == np.float32


def test_probe_vectors_are_spread_around_their_neutral_values():
    state = probe_state_dict(
        {f"bn.{leaf}": (4000,) for leaf in ("weight", "bias", "running_mean")}
        | {"bn.running_var": (4000,)}
    )
    for key, centre in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0)):
        assert abs(state[f"bn.{key}"].mean() - centre) < 0.01
        assert abs(state[f"bn.{key}"].std() - 0.1) < 0.01
    assert state["bn.running_var"].min() >= 1.0
    assert not np.array_equal(state["bn.bias"], state["bn.running_mean"])


def test_probe_refuses_names_it_has_no_rule_for():
    with pytest.raises(ValueError, match="alpha"):
        probe_tensor("prelu.alpha", (3,))


def test_probe_image_has_the_stated_values():
    x = probe_image(2, 64, 64)
    np.testing.assert_allclose(x[0, 1, 2], (0.5102503, 0.6940438, 0.4703913), atol=1e-7)
    np.testing.assert_allclose(
        x[1, 5, 7], (-0.3122174, -0.9168910, -0.7026948), atol=1e-7
    )
    np.testing.assert_allclose(x.mean(), 0.00170242, atol=1e-7)
    np.testing.assert_allclose(x.std(), 0.5005765, atol=1e-7)


def test_probe_image_maps_linearly_to_other_ranges():
    x = probe_image(1, 8, 8)
    np.testing.assert_allclose(
        probe_image(1, 8, 8, low=0.0, high=255.0), (x + 1) * 127.5, atol=1e-4
    )
