"""Inception-v3: counts, the probe, and that the probe sees its four differences."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.core.errors import UserError
from jaxgan.evaluation import feature_network
from jaxgan.evaluation.options import Options
from jaxgan.pretrained import InceptionV3, inception, probe_image
from jaxgan.pretrained.convert import to_variables, torch_shapes
from jaxgan.pretrained.loading import expected_variables
from jaxgan.pretrained.registry import find
from tests.pretrained.support import (
    apply,
    matches,
    parameter_count,
    probe_file,
    probe_weights,
)

POOL3 = (0.319320, 0.417884, (0, 0.779179, 0.027291), 0.801671)
LOGITS = (0.00837139, 0.742645, (0.472273, 1.297252, -0.527620), -0.342988)
UNBIASED = (0.00591252, 0.738565, (0.527838, 1.380296, -0.468821), -0.273869)
TORCHVISION_POOL3 = (0.295556, 0.380537, (0, 0.788480, 0.025799), 0.642505)
PARAMETERS = {
    "Conv2d_1a_3x3": 928,
    "Conv2d_2a_3x3": 9_280,
    "Conv2d_2b_3x3": 18_560,
    "Conv2d_3b_1x1": 5_280,
    "Conv2d_4a_3x3": 138_624,
    "Mixed_5b": 255_904,
    "Mixed_5c": 277_472,
    "Mixed_5d": 285_152,
    "Mixed_6a": 1_153_280,
    "Mixed_6b": 1_297_408,
    "Mixed_6c": 1_691_008,
    "Mixed_6d": 1_691_008,
    "Mixed_6e": 2_141_952,
    "Mixed_7a": 1_698_304,
    "Mixed_7b": 5_044_608,
    "Mixed_7c": 6_076_800,
    "fc": 2_065_392,
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return probe_weights("inception_fid", tmp_path_factory.mktemp("inception"))


@pytest.fixture(scope="module")
def images():
    return probe_image(2, 299, 299)


def test_check_01_parameter_counts():
    variables = expected_variables(InceptionV3(taps=("logits",)), (1, 75, 75, 3))
    assert {
        name: parameter_count({"params": layer})
        for name, layer in variables["params"].items()
    } == PARAMETERS
    assert parameter_count(variables) == 23_850_960
    assert parameter_count({"params": variables["batch_stats"]}) == 34_432
    assert len(find("inception_fid").naming.other) == 94 + 1
    trunk = expected_variables(InceptionV3(), (1, 75, 75, 3))
    assert parameter_count(trunk) == 21_785_568


def test_check_02_probe_rows_through_the_importer(weights, images):
    network = InceptionV3(taps=("pool3", "logits_unbiased", "logits"))
    features = apply(network, weights, images)
    assert features["pool3"].shape == (2, 2048)
    assert features["logits"].shape == (2, 1008)
    assert matches(features["pool3"], *POOL3)
    assert matches(features["logits"], *LOGITS)
    assert matches(features["logits_unbiased"], *UNBIASED)
    # The Inception score takes them from the features that FID has gathered.
    found = feature_network.load(
        Options(features="inception"), {"inception_fid": weights.source}
    )
    assert found is not None and found.classifier is not None
    assert matches(features["pool3"] @ found.classifier, *UNBIASED)


def test_check_02_probe_row_of_torchvisions_structure(tmp_path, images):
    weights = probe_weights("inception_torchvision", tmp_path, "inception")
    features = apply(inception.torchvision(), weights, images)["pool3"]
    assert matches(features, *TORCHVISION_POOL3)


def test_check_08_bfloat16_changes_the_features_by_the_recorded_amount(weights, images):
    """0.39 % of their length on a CPU; the FIDs of the two do not compare."""
    exact = apply(InceptionV3(), weights, images)["pool3"]
    rounded = apply(InceptionV3(dtype=jnp.bfloat16), weights, images)["pool3"]
    assert rounded.dtype == jnp.float32
    change = np.linalg.norm(exact - rounded) / np.linalg.norm(exact)
    assert change == pytest.approx(0.0039, rel=0.25)


@pytest.mark.parametrize(
    "changed",
    [{"count_padding": True}, {"last_pool": "average"}],
    ids=["counted_padding", "averaged_last_pool"],
)
def test_check_04_the_probe_fails_with_either_of_torchvisions_pools(
    changed, weights, images
):
    features = apply(InceptionV3(**changed), weights, images)["pool3"]
    assert not matches(features, *POOL3)


def test_a_file_without_the_classifier_serves_fid_alone(tmp_path):
    path = str(probe_file("inception_fid", tmp_path, InceptionV3()))
    options = Options(features="inception")
    found = feature_network.load(options, {"inception_fid": path})
    assert found is not None and found.classifier is None
    assert len(found.sha256) == 64 and not found.is_random


def test_the_size_of_jax_fid_ends_the_names_of_its_figures(tmp_path):
    given = {"inception_fid": str(probe_file("inception_fid", tmp_path, InceptionV3()))}
    for size, name, seen in ((0, "jax_fid", (80, 90)), (96, "jax_fid_96", (96, 96))):
        options = Options(features="inception", fid_variant="jax_fid", fid_size=size)
        found = feature_network.load(options, given)
        assert found is not None and found.variant == name
        pictures = np.zeros((1, 80, 90, 3), np.uint8)
        assert found.network.prepare(pictures).shape == (1, *seen, 3)


def test_taps_have_the_published_sizes(weights, images):
    taps = {
        "pool1": (73, 73, 64),
        "pool2": (35, 35, 192),
        "Mixed_5d": (35, 35, 288),
        "Mixed_6e": (17, 17, 768),
        "Mixed_7a": (8, 8, 1280),
        "Mixed_7c": (8, 8, 2048),
    }
    features = apply(InceptionV3(taps=tuple(taps)), weights, images)
    assert {tap: features[tap].shape[1:] for tap in taps} == taps


def test_impossible_uses_are_refused_in_one_line():
    with pytest.raises(UserError, match="at least 75x75 .*, got 64x64"):
        expected_variables(InceptionV3(), (1, 64, 64, 3))
    with pytest.raises(UserError, match="Inception-v3 tap 'pool4'"):
        expected_variables(InceptionV3(taps=("pool4",)), (1, 75, 75, 3))
    with pytest.raises(UserError, match="choose one of max, average"):
        expected_variables(InceptionV3(last_pool="mean"), (1, 75, 75, 3))


def test_tensorflow_names_reach_every_module_once():
    table = find("inception_fid").naming.other
    modules = set(expected_modules())
    assert set(table.values()) == modules
    assert len(table) == len(modules)
    stated = {
        "conv": "Conv2d_1a_3x3",
        "conv_4": "Conv2d_4a_3x3",
        "mixed/tower/conv_1": "Mixed_5b/branch5x5_2",
        "mixed_3/tower/conv_2": "Mixed_6a/branch3x3dbl_3",
        "mixed_7/tower_1/conv_4": "Mixed_6e/branch7x7dbl_5",
        "mixed_8/tower_1/conv_3": "Mixed_7a/branch7x7x3_4",
        "mixed_10/tower/mixed/conv_1": "Mixed_7c/branch3x3_2b",
        "mixed_10/tower_1/mixed/conv": "Mixed_7c/branch3x3dbl_3a",
        "mixed_10/tower_2/conv": "Mixed_7c/branch_pool",
        "softmax": "fc",
    }
    assert {key: table[key] for key in stated} == stated


def expected_modules():
    """Yields the modules that hold a convolution and its norm, and the classifier."""
    params = expected_variables(InceptionV3(taps=("logits",)), (1, 75, 75, 3))["params"]
    for name, layer in params.items():
        if "conv" in layer or name == "fc":
            yield name
        else:
            yield from (f"{name}/{part}" for part in layer)


def test_torchvisions_auxiliary_head_is_left_in_the_file():
    spec = find("inception_torchvision")
    expected = expected_variables(spec.network, *spec.inputs)
    arrays = {
        key: np.broadcast_to(np.float32(0), shape)
        for key, shape in torch_shapes(expected, spec.naming).items()
    }
    arrays["AuxLogits.conv0.conv.weight"] = np.zeros((128, 768, 1, 1), np.float32)
    arrays["Conv2d_1a_3x3.bn.num_batches_tracked"] = np.array(1)
    variables = to_variables(arrays, expected, spec.naming)
    assert variables["params"].keys() == expected["params"].keys()
    with pytest.raises(UserError, match="unexpected AuxLogits.conv0.conv.weight"):
        to_variables(arrays, expected, find("inception_fid").naming)
