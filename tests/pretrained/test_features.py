"""Features for losses: gradients, precision, and weights that stay what they are."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxgan.pretrained import (
    CONVENTIONS,
    LPIPS,
    VGG,
    InceptionV3,
    LPIPSWeights,
    Tap,
    extract,
    load_weights,
    probe_image,
)

VGG19 = VGG(taps=("relu2_2",))
CASES = {
    "vgg19": (VGG19, 16),
    "vgg16": (VGG(depth=16, taps=("relu3_3", "conv1_2")), 16),
    "inception_fid": (InceptionV3(taps=("Mixed_5b",)), 75),
}


@pytest.mark.parametrize("name", CASES)
def test_check_06_gradients_reach_the_picture_and_no_parameter(name):
    network, size = CASES[name]
    weights = load_weights(name, "random", network=network)
    images = jnp.asarray(probe_image(1, size, size))

    def loss(images, weights):
        features = extract(network, weights, images)
        return sum(jnp.square(f).mean() for f in features.values())

    gradient, of_weights = jax.jit(jax.grad(loss, argnums=(0, 1)))(images, weights)
    assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0
    assert all(not leaf.any() for leaf in jax.tree.leaves(of_weights))


def test_check_06_gradients_of_lpips_are_finite_also_where_features_vanish():
    lpips = LPIPS("squeeze")
    weights = LPIPSWeights(
        load_weights("squeezenet", "random"), load_weights("lpips_squeeze", "random")
    )
    y = jnp.asarray(probe_image(1, 35, 35))
    # Without biases the mean colour gives features of length 0.
    colour = np.array(CONVENTIONS["torchvision"].mean) / 127.5 - 1
    x = y.at[:, 12:].set(colour.astype(np.float32))
    gradient = jax.jit(jax.grad(lambda x: lpips(weights, x, y)[0]))(x)
    assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0


def test_check_06_frozen_bytes_are_unchanged_after_three_steps():
    weights = load_weights("vgg19", "random", network=VGG19)
    before = [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(weights)]
    target = extract(VGG19, weights, jnp.asarray(probe_image(1, 16, 16)))["relu2_2"]
    optimizer = optax.sgd(0.1)

    @jax.jit
    def step(images, state, weights):
        def loss(images):
            features = extract(VGG19, weights, images)["relu2_2"]
            return jnp.square(features - target).mean()

        value, gradient = jax.value_and_grad(loss)(images)
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(images, updates), state, value

    images = jnp.zeros((1, 16, 16, 3))
    state = optimizer.init(images)
    losses = []
    for _ in range(3):
        images, state, value = step(images, state, weights)
        losses.append(float(value))
    assert losses[2] < losses[0]
    assert before == [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(weights)]


def test_weights_are_arguments_of_the_program_and_not_part_of_it():
    weights = load_weights("vgg19", "random", network=VGG19)
    images = jnp.asarray(probe_image(1, 16, 16))
    lowered = jax.jit(extract, static_argnums=0).lower(VGG19, weights, images)
    assert len(lowered.as_text()) < 50_000  # 260,160 numbers would take ten times that


def test_half_precision_computes_in_it_and_returns_float32():
    weights = load_weights("vgg19", "random", network=VGG19)
    images = jnp.asarray(probe_image(1, 16, 16))
    exact = extract(VGG19, weights, images)["relu2_2"]
    half = extract(VGG19.clone(dtype=jnp.bfloat16), weights, images)["relu2_2"]
    assert half.dtype == jnp.float32
    error = np.abs(half - exact).max() / np.abs(exact).max()
    assert 1e-4 < error < 2e-2


@pytest.mark.parametrize("name", ["vgg19", "inception_fid"])
def test_float64_survives_from_the_picture_to_the_features(name):
    network, size = CASES[name]
    if name == "inception_fid":
        network = network.clone(taps=("Conv2d_2a_3x3",))
    weights = load_weights(name, "random", network=network)
    single = extract(network, weights, jnp.asarray(probe_image(1, size, size)))
    with jax.enable_x64(True):
        images = jnp.asarray(probe_image(1, size, size), jnp.float64)
        double = extract(network, weights, images)
    for tap, features in double.items():
        assert features.dtype == jnp.float64
        exact = np.asarray(features)
        assert (exact != exact.astype(np.float32)).any()
        np.testing.assert_allclose(single[tap], exact, atol=1e-5 * exact.std())


def test_a_tap_is_a_hashable_function_of_weights_and_pictures():
    tap = Tap(VGG19, "relu2_2")
    assert hash(tap) == hash(Tap(VGG(taps=("relu2_2",)), "relu2_2"))
    weights = load_weights("vgg19", "random", network=VGG19)
    images = jnp.asarray(probe_image(1, 16, 16))
    np.testing.assert_array_equal(
        tap(weights, images), extract(VGG19, weights, images)["relu2_2"]
    )


def test_inception_computes_in_full_precision_by_default():
    weights = load_weights("inception_fid", "random", network=CASES["inception_fid"][0])
    network, size = CASES["inception_fid"]
    images = jnp.zeros((1, size, size, 3))
    text = str(jax.make_jaxpr(lambda w, x: extract(network, w, x))(weights, images))
    convolutions = text.count("conv_general_dilated[")
    assert convolutions == 12
    assert text.count("precision=(Precision.HIGHEST, Precision.HIGHEST)") == 12
