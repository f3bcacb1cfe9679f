"""FCN-8s: its count, its sizes, and the probe through importer and loader."""

import jax
import numpy as np
import pytest

from jaxgan.core.errors import UserError
from jaxgan.pretrained import FCN8s, load_weights, probe_image, require
from jaxgan.pretrained.loading import expected_variables
from tests.pretrained.support import apply, matches, parameter_count, probe_weights

# Of the argmax over all pixels of the probe picture, a class each.
COUNTS = (
    *(277, 222, 464, 585, 633, 314, 641, 471, 545, 361),
    *(588, 567, 229, 368, 461, 312, 292, 355, 278, 229),
)


def test_check_01_parameter_count_and_layers():
    variables = expected_variables(FCN8s(), (1, 32, 32, 3))
    assert parameter_count(variables) == 134_473_084
    params = variables["params"]
    assert params["fc6_cs"]["kernel"].shape == (7, 7, 512, 4096)
    for name, side in (("upscore2", 4), ("upscore_pool4", 4), ("upscore8", 16)):
        assert params[name].keys() == {"kernel"}  # no bias
        assert params[name]["kernel"].shape == (side, side, 20, 20)


@pytest.mark.parametrize("size", [(64, 128), (33, 47), (1, 1)], ids=str)
def test_every_pixel_of_a_picture_of_any_size_has_scores(size):
    network = FCN8s(num_outputs=3)
    x = jax.ShapeDtypeStruct((2, *size, 3), np.float32)
    variables = expected_variables(network, (1, 32, 32, 3))
    assert jax.eval_shape(network.apply, variables, x)["scores"].shape == (2, *size, 3)


@pytest.mark.slow
@pytest.mark.picked
def test_check_02_probe_row_through_the_importer(tmp_path):
    weights = probe_weights("fcn8s", tmp_path)
    assert weights.convention == "cityscapes"
    row = (-0.361961, 52.3053, (-26.397406, -34.056244, -30.387703), -46.1457)
    image = probe_image(1, 64, 128)
    scores = np.asarray(apply(FCN8s(), weights, image)["scores"])
    assert scores.shape == (1, 64, 128, 20) and scores.dtype == np.float32
    assert matches(scores, *row)
    found = np.bincount(scores.argmax(-1).ravel(), minlength=20)
    np.testing.assert_array_equal(found, COUNTS)
    flipped = image[..., ::-1].copy()
    assert not matches(apply(FCN8s(), weights, flipped)["scores"], *row)


def test_missing_weights_name_file_origin_and_layout(monkeypatch, tmp_path):
    monkeypatch.delenv("JAXGAN_WEIGHTS", raising=False)
    for call in (require, load_weights):
        with pytest.raises(UserError) as caught:
            call("fcn8s", tmp_path / "none.safetensors")
        message = str(caught.value)
        assert "FCN-8s (Cityscapes) weights not found" in message
        assert "accepted: fcn-8s-cityscapes.caffemodel" in message
        assert "published by the pix2pix authors" in message
        assert "39 tensors such as conv1_1/kernel (3, 3, 3, 64)" in message
        assert "--network=fcn8s" in message
