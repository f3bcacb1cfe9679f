"""LPIPS and its two small trunks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from jaxgan.core.errors import UserError
from jaxgan.pretrained import (
    LPIPS,
    LoadedWeights,
    LPIPSWeights,
    import_file,
    load_weights,
    probe_image,
)
from jaxgan.pretrained.alexnet import AlexNet
from jaxgan.pretrained.loading import expected_variables
from jaxgan.pretrained.lpips import unit_length
from jaxgan.pretrained.lpips_heads import CHANNELS
from jaxgan.pretrained.registry import find
from jaxgan.pretrained.squeezenet import SqueezeNet
from tests.pretrained.support import (
    apply,
    matches,
    parameter_count,
    probe_file,
    probe_weights,
)

distances = jax.jit(lambda lpips, *args: lpips(*args), static_argnums=0)
TRUNKS = {"alex": "alexnet", "vgg": "vgg16", "squeeze": "squeezenet"}


@pytest.fixture(scope="module")
def trunks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trunks")
    return {
        trunk: probe_weights(name, folder, "torchvision")
        for trunk, name in TRUNKS.items()
    }


def heads(trunk, value=1.0):
    """Heads of one value everywhere; 1 is LPIPS without heads."""
    spec = find(f"lpips_{trunk}")
    variables = jax.tree.map(
        lambda leaf: jnp.full(leaf.shape, value),
        expected_variables(spec.network, *spec.inputs),
    )
    return LoadedWeights(variables, f"lpips_{trunk}", "torchvision", "", "test")


@pytest.fixture(scope="module")
def pair():
    x = probe_image(2, 64, 64)
    return jnp.asarray(x), jnp.asarray(0.8 * x[:, :, ::-1])


def test_check_01_parameter_counts():
    picture = (1, 64, 64, 3)
    alexnet = expected_variables(AlexNet(taps=("relu5",)), picture)
    assert parameter_count(alexnet) == 2_469_696
    alexnet = expected_variables(AlexNet(taps=("logits",)), picture)
    assert parameter_count(alexnet) == 61_100_840
    assert parameter_count(expected_variables(SqueezeNet(), picture)) == 722_496
    counts = {"alex": 1_152, "vgg": 1_472, "squeeze": 2_240}
    assert {k: parameter_count(heads(k).variables) for k in counts} == counts


def test_check_02_probe_rows_of_alexnet(trunks, pair):
    features = apply(AlexNet(), trunks["alex"], pair[0])
    shapes = [features[f"relu{i}"].shape[1:] for i in (1, 2, 5)]
    assert shapes == [(15, 15, 64), (7, 7, 192), (3, 3, 256)]
    first = (0.860635, 0.008913, 2.899238)
    assert matches(features["relu1"], 0.639934, 0.931401, first)
    assert matches(features["relu2"], 1.22043, 1.746, (1.984662, 3.825858, 0))
    first = (1.935958, 1.533604, 2.612540)
    assert matches(features["relu5"], 1.14606, 1.68005, first)


def test_check_02_probe_rows_of_squeezenet(trunks, pair):
    features = apply(SqueezeNet(), trunks["squeeze"], pair[0])
    shapes = [features[tap].shape[1:] for tap in ("relu1", "fire3", "fire9")]
    assert shapes == [(31, 31, 64), (15, 15, 128), (3, 3, 512)]
    first = (2.003105, 0.134365, 2.883523)
    assert matches(features["relu1"], 0.563247, 0.887374, first)
    assert matches(features["fire3"], 0.425993, 0.674573, (0, 1.249935, 0.011696))
    assert matches(features["fire9"], 0.389099, 0.586341, (0, 0, 0))


def test_check_04_squeezenet_rounds_its_sizes_up(trunks):
    """At an odd size, where a pool that rounds down gives fire9 a mean of 0.387782.

    From PyTorch 2.13's functions and the probe's weights.
    """
    features = apply(SqueezeNet(), trunks["squeeze"], probe_image(2, 70, 68))
    shapes = [features[tap].shape[1:3] for tap in ("relu1", "fire3", "fire5", "fire9")]
    assert shapes == [(34, 33), (17, 16), (8, 8), (4, 4)]
    assert matches(features["fire3"], 0.425426, 0.673570, (0, 1.249936, 0.011696))
    first, last = (0, 0.995536, 0), 0.454017
    assert matches(features["fire6"], 0.462371, 0.709751, first, last)
    assert matches(features["fire8"], 0.492703, 0.730254, (0, 0, 0.234482), 0.704856)
    assert matches(features["fire9"], 0.437345, 0.658894, (0, 0, 0), 0)


# Per tap and picture; the sums of alex are published. The others are from PyTorch
# 2.13's functions and the probe's weights, which give those of alex too.
WITHOUT_HEADS = {
    "alex": (
        *((1.1040416, 1.1161667), (0.2090548, 0.2153501), (0.0846449, 0.0904191)),
        *((0.0681675, 0.0743538), (0.0631650, 0.0726183)),
    ),
    "vgg": (
        *((0.7570126, 0.7890166), (0.5170579, 0.5373706), (0.2207786, 0.2239331)),
        *((0.0789890, 0.0787660), (0.0354588, 0.0356437)),
    ),
    "squeeze": (
        *((1.0618559, 1.0751292), (0.3267061, 0.3160632), (0.1547500, 0.1631548)),
        *((0.0790297, 0.0812421), (0.0614405, 0.0554038), (0.0612476, 0.0616569)),
        (0.0580574, 0.0668344),
    ),
}


@pytest.mark.parametrize("trunk", TRUNKS)
def test_metrics_check_01_distance_without_heads_has_the_probes_values(
    trunk, trunks, pair
):
    lpips = LPIPS(trunk)
    weights = LPIPSWeights(trunks[trunk], heads(trunk))
    extracted = jax.jit(lpips.features)
    parts = [
        jnp.square(a - b).sum(-1).mean((1, 2))
        for a, b in zip(*(extracted(weights, x) for x in pair), strict=True)
    ]
    expected = np.array(WITHOUT_HEADS[trunk])
    np.testing.assert_allclose(parts, expected, rtol=1e-4)
    found = distances(lpips, weights, *pair)
    np.testing.assert_allclose(found, expected.sum(0), rtol=1e-4)
    if trunk == "alex":
        np.testing.assert_allclose(found, (1.52907, 1.56891), rtol=1e-4)


def test_metrics_check_04_uint8_pictures_have_the_distance_of_their_levels(trunks):
    weights = LPIPSWeights(trunks["alex"], heads("alex"))
    x, y = np.random.default_rng(0).integers(0, 256, (2, 2, 64, 64, 3), np.uint8)
    floats = (jnp.asarray(i / np.float32(127.5) - 1) for i in (x, y))
    expected = distances(LPIPS(), weights, *floats)
    actual = distances(LPIPS(), weights, jnp.asarray(x), jnp.asarray(y))
    assert actual.dtype == jnp.float32 and actual.min() > 0.1
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


@pytest.mark.parametrize("trunk", TRUNKS)
def test_metrics_check_04_distance_is_symmetric_and_zero_on_equal_pictures(
    trunk, trunks, pair
):
    lpips, (x, y) = LPIPS(trunk), pair
    weights = LPIPSWeights(trunks[trunk], heads(trunk))
    np.testing.assert_array_equal(distances(lpips, weights, x, x), 0)
    there, back = distances(lpips, weights, x, y), distances(lpips, weights, y, x)
    np.testing.assert_allclose(there, back, rtol=1e-6)
    assert there.min() > 0.1


def test_distance_is_the_published_formula_with_weighted_channels(trunks, pair):
    generator = np.random.default_rng(0)
    weights = {
        f"lin{i}": generator.random(c).astype(np.float32)
        for i, c in enumerate(CHANNELS["alex"])
    }
    params = {
        k: {"kernel": jnp.asarray(w[None, None, :, None])} for k, w in weights.items()
    }
    loaded = LoadedWeights({"params": params}, "lpips_alex", "torchvision", "", "")
    taps = [apply(AlexNet(), trunks["alex"], image) for image in pair]
    expected = np.zeros(2)
    for i, w in enumerate(weights.values()):
        a, b = (np.asarray(t[f"relu{i + 1}"], np.float64) for t in taps)
        a, b = (f / (np.sqrt((f**2).sum(-1, keepdims=True)) + 1e-10) for f in (a, b))
        expected += (w * (a - b) ** 2).sum(-1).mean((1, 2))
    actual = distances(LPIPS(), LPIPSWeights(trunks["alex"], loaded), *pair)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_metrics_check_04_fast_mean_over_pairs_equals_explicit_pairs(trunks, pair):
    lpips = LPIPS()
    weights = LPIPSWeights(trunks["alex"], heads("alex", 0.3))
    images = jnp.concatenate([pair[0], pair[1][:1]])
    i, j = np.triu_indices(len(images), 1)
    explicit = distances(lpips, weights, images[i], images[j]).mean()
    mean = jax.jit(lpips.mean_pairwise)(weights, images)
    np.testing.assert_allclose(mean, explicit, rtol=1e-5)


def test_unit_length_and_its_gradient_are_finite_where_features_vanish():
    features = jnp.asarray([3.0, 4.0, 0.0, 0.0]).reshape(1, 1, 2, 2)
    np.testing.assert_allclose(
        unit_length(features).ravel(), (0.6, 0.8, 0, 0), rtol=1e-6
    )
    gradient = jax.grad(lambda x: unit_length(x).sum())(features)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize(
    "style", ["lin{}.model.1.weight", "lpips_weights.{}.main.1.weight"]
)
def test_heads_are_imported_under_both_published_names(style, tmp_path):
    arrays = {
        style.format(i): np.full((1, c, 1, 1), i + 1, np.float32)
        for i, c in enumerate(CHANNELS["alex"])
    }
    path = tmp_path / "alex.safetensors"
    safetensors.numpy.save_file(arrays, path)
    weights = load_weights("lpips_alex", path)
    kernel = weights.variables["params"]["lin3"]["kernel"]
    assert kernel.shape == (1, 1, 256, 1) and (kernel == 4).all()


def test_heads_with_a_negative_weight_are_the_wrong_file(tmp_path):
    arrays = {
        f"lin{i}.model.1.weight": np.ones((1, c, 1, 1), np.float32)
        for i, c in enumerate(CHANNELS["alex"])
    }
    arrays["lin2.model.1.weight"][0, 5] = -0.1
    path = tmp_path / "alex.safetensors"
    safetensors.numpy.save_file(arrays, path)
    with pytest.raises(UserError, match="lin2/kernel has a negative weight"):
        load_weights("lpips_alex", path)


def test_a_trunk_of_another_convention_is_refused(tmp_path):
    source = probe_file("vgg16", tmp_path)
    path = tmp_path / "vgg16.safetensors"
    import_file("vgg16", source, path, convention="caffe")
    with pytest.raises(UserError, match="expects the input of caffe; the heads were"):
        LPIPS("vgg").load(path, "random")


def test_both_files_are_loaded_together(tmp_path):
    weights = LPIPS().load(probe_file("alexnet", tmp_path), "random")
    assert weights.heads.is_random and not weights.trunk.is_random


def test_unknown_trunks_and_small_pictures_are_refused():
    with pytest.raises(UserError, match="LPIPS trunk 'alexnet'"):
        LPIPS("alexnet").network()
    with pytest.raises(UserError, match="at least 63x63, got 32x32"):
        expected_variables(AlexNet(), (1, 32, 32, 3))
