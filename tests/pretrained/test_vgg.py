"""VGG-16 and VGG-19: counts, and the probe through importer and loader."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.core.errors import UserError
from jaxgan.pretrained import VGG, load_weights, probe_image
from jaxgan.pretrained.loading import expected_variables
from jaxgan.pretrained.vgg import layer_names, source_modules
from tests.pretrained.support import apply, matches, parameter_count, probe_weights

# Probe rows of torchvision's networks: mean, std, first three values, last value.
ROWS = {
    (16, "torchvision"): {
        "relu1_2": (0.607729, 0.92742, (0, 0.270140, 0), 0),
        "relu3_3": (0.834484, 1.27008, (1.829832, 0, 0), 0),
        "conv5_3": (0.0112484, 2.45594, (1.345727, -0.330040, -2.851526), 0.909182),
        "relu5_3": (0.976374, 1.4514, (1.345727, 0, 0), 0.909182),
        "pool5": (1.75719, 1.85152, (3.837458, 0, 0), 2.13618),
    },
    (19, "torchvision"): {
        "relu2_2": (0.659797, 0.97491, (0.468635, 0, 0.083022), 0),
        "conv5_4": (0.0316749, 1.68688, (0.865040, -0.476001, 0.982422), 0.177476),
        "relu5_4": (0.684338, 1.02309, (0.865040, 0, 0.982422), 0.177476),
    },
    (19, "caffe"): {
        "relu2_2": (38.8959, 57.8235, (25.409893, 0, 21.242338), 0),
        "conv5_4": (2.28637, 99.6617, (66.973259, -37.842903, 77.255157), 25.6934),
    },
}
SHAPES = {
    "relu1_2": (64, 64, 64),
    "relu2_2": (32, 32, 128),
    "relu3_3": (16, 16, 256),
    "conv5_3": (4, 4, 512),
    "conv5_4": (4, 4, 512),
    "relu5_3": (4, 4, 512),
    "relu5_4": (4, 4, 512),
    "pool5": (2, 2, 512),
}


@pytest.mark.parametrize(
    "depth, tap, count",
    [
        (16, "pool5", 14_714_688),
        (19, "pool5", 20_024_384),
        (19, "relu5_4", 20_024_384),
        (19, "relu2_2", 260_160),
        (16, "logits", 138_357_544),
        (19, "logits", 143_667_240),
        (16, "relu7", 134_260_544),
    ],
)
def test_check_01_parameter_counts(depth, tap, count):
    network = VGG(depth=depth, taps=(tap,))
    assert parameter_count(expected_variables(network, (1, 32, 32, 3))) == count


@pytest.mark.parametrize("depth, convention", ROWS, ids=lambda value: str(value))
def test_check_02_probe_rows_through_the_importer(depth, convention, tmp_path):
    rows = ROWS[depth, convention]
    weights = probe_weights(f"vgg{depth}", tmp_path, convention)
    network = VGG(depth=depth, taps=tuple(rows))
    features = apply(network, weights, probe_image(2, 64, 64))
    assert features.keys() == rows.keys()
    for tap, row in rows.items():
        assert features[tap].shape == (2, *SHAPES[tap])
        assert features[tap].dtype == np.float32
        assert matches(features[tap], *row), tap


def test_check_02_probe_row_of_munit_which_leaves_out_two_pools(tmp_path):
    weights = probe_weights("vgg16", tmp_path, "caffe")
    network = VGG(depth=16, taps=("relu5_3",), num_pools=3)
    features = apply(network, weights, probe_image(2, 64, 64))["relu5_3"]
    assert features.shape == (2, 8, 8, 512)
    assert matches(features, 59.1381, 90.0244, (0, 0, 0), 0)


@pytest.mark.slow
@pytest.mark.picked
def test_check_02_probe_row_of_the_classifier(tmp_path):
    weights = probe_weights("vgg16", tmp_path, "torchvision", heads=True)
    network = VGG(depth=16, taps=("pool5", "logits"))
    logits = apply(network, weights, probe_image(2, 64, 64))["logits"]
    assert logits.shape == (2, 1000)
    first = (-3.115803, -7.243149, -3.432266)
    assert matches(logits, 0.103693, 3.6598, first, -7.60184)


def test_conventions_and_a_forgotten_flip_do_not_pass_the_probe(tmp_path):
    weights = probe_weights("vgg19", tmp_path, "caffe")
    network = VGG(depth=19, taps=("relu2_2",))
    flipped = probe_image(2, 64, 64)[..., ::-1].copy()
    row = ROWS[19, "caffe"]["relu2_2"]
    assert not matches(apply(network, weights, flipped)["relu2_2"], *row)


def test_source_modules_follow_the_published_indices():
    def indices(depth):
        table = source_modules(depth)
        return [int(k[9:]) for k in table if k.startswith("features.")]

    assert indices(16) == [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
    assert indices(19) == [
        *(0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34),
    ]
    assert source_modules(19)["features.34"] == "conv5_4"
    assert source_modules(19)["block5_conv4"] == "conv5_4"
    assert layer_names(19)[35] == "relu5_4" and layer_names(19)[8] == "relu2_2"
    pools = {16: (4, 9, 16, 23, 30), 19: (4, 9, 18, 27, 36)}
    for depth, where in pools.items():
        assert [layer_names(depth)[i] for i in where] == [
            f"pool{b}" for b in range(1, 6)
        ]


def test_layers_beyond_the_last_tap_are_not_built():
    variables = expected_variables(VGG(taps=("relu2_2", "conv1_1")), (1, 8, 8, 3))
    assert list(variables["params"]) == ["conv1_1", "conv1_2", "conv2_1", "conv2_2"]


def test_impossible_uses_are_refused_in_one_line():
    x = jnp.zeros((1, 8, 8, 3))
    with pytest.raises(UserError, match="did you mean 'relu5_4'"):
        jax.eval_shape(VGG(taps=("relu5-4",)).init, jax.random.key(0), x)
    with pytest.raises(UserError, match="at least 16x16, got 8x8"):
        jax.eval_shape(VGG(taps=("relu5_4",)).init, jax.random.key(0), x)
    with pytest.raises(UserError, match="must be 16 or 19"):
        jax.eval_shape(VGG(depth=11).init, jax.random.key(0), x)


def test_random_weights_feed_every_tap_with_a_sane_scale():
    weights = load_weights("vgg19", "random", network=VGG(taps=("relu5_4",)))
    features = apply(VGG(taps=("relu5_4",)), weights, probe_image(1, 32, 32))
    assert 0.05 < features["relu5_4"].std() < 20
