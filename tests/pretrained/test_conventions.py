"""Input conventions of published weights."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.core.errors import UserError
from jaxgan.pretrained import CONVENTIONS, normalize, probe_image


@pytest.mark.parametrize(
    "convention, colour",
    [
        ("torchvision", (0.485 * 255, 0.456 * 255, 0.406 * 255)),
        ("caffe", (123.68, 116.779, 103.939)),
        ("matconvnet", (123.68, 116.779, 103.939)),
        ("caffe_rgb", (0.48235 * 255, 0.45882 * 255, 0.40784 * 255)),
        ("cityscapes", (73.45286, 83.21195, 72.78044)),
        ("inception", (127.5, 127.5, 127.5)),
    ],
)
def test_check_03_each_network_maps_its_own_mean_colour_to_exactly_zero(
    convention, colour
):
    x = jnp.asarray(np.tile(np.array(colour) / 127.5 - 1, (1, 2, 2, 1)), jnp.float32)
    np.testing.assert_array_equal(normalize(x, convention), 0.0)
    # A flipped order passes shapes but not this.
    if convention != "inception":
        assert np.abs(normalize(x[..., ::-1], convention)).max() > 0.1


def test_conventions_agree_with_their_formulas():
    x = jnp.asarray(probe_image(2, 5, 7))
    half = (np.asarray(x, np.float64) + 1) / 2
    expected = {
        "torchvision": (half - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225),
        "caffe": (255 * half)[..., ::-1] - (103.939, 116.779, 123.68),
        "matconvnet": 255 * half - (123.68, 116.779, 103.939),
        "caffe_rgb": 255 * (half - (0.48235, 0.45882, 0.40784)),
        "cityscapes": (255 * half)[..., ::-1] - (72.78044, 83.21195, 73.45286),
        "inception": x,
    }
    assert expected.keys() == CONVENTIONS.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(normalize(x, name), values, atol=2e-5, err_msg=name)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_uint8_pictures_are_those_of_their_levels(convention):
    levels = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), np.uint8)
    floats = jnp.asarray(levels / np.float32(127.5) - 1)
    np.testing.assert_allclose(
        normalize(jnp.asarray(levels), convention),
        normalize(floats, convention),
        atol=5e-5,
    )


def test_unknown_convention_suggests_the_nearest():
    with pytest.raises(UserError, match="did you mean 'torchvision'"):
        normalize(jnp.zeros((1, 2, 2, 3)), "torch_vision")
