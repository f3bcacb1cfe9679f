"""CycleGAN: its specification's acceptance checks."""

import dataclasses
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import hlo
from jaxgan import core
from jaxgan.data import make_task
from jaxgan.networks.patchgan import PatchDiscriminator
from jaxgan.networks.resnet import ResNetGenerator
from jaxgan.systems.cyclegan import CycleGAN
from tests import cases
from tests.systems.test_pix2pix import count, start

TINY = cases.build("cyclegan", "tiny")
KEY = jax.random.key(0)


@pytest.mark.parametrize(
    ("network", "parameters"),
    [
        (ResNetGenerator(), 11_378_179),
        (ResNetGenerator(num_blocks=6), 7_837_699),
        (ResNetGenerator(norm="instance_affine"), 11_388_675),
        (ResNetGenerator(norm="instance_affine", num_blocks=6), 7_845_123),
        (PatchDiscriminator(norm="instance"), 2_764_737),
        (PatchDiscriminator(norm="instance", num_layers=1), 136_385),
        (PatchDiscriminator(norm="instance", num_layers=5), 11_154_369),
    ],
)
def test_check_01_parameter_counts(network, parameters):
    assert count(network, 256, 256, 3) == parameters


@pytest.mark.parametrize(("size", "patches"), [(256, 30), (128, 14)])
def test_check_01_shapes(size, patches):
    image = jnp.zeros((1, size, size, 3))
    key = jax.random.key(0)
    network = PatchDiscriminator(norm="instance")
    out = jax.eval_shape(lambda: network.init_with_output(key, image, train=True)[0])
    assert out.shape == (1, patches, patches, 1)
    out = jax.eval_shape(
        lambda: ResNetGenerator().init_with_output(key, image, train=True)[0]
    )
    assert out.shape == image.shape


def generators_gradient(system, state, batch, term):
    """The gradient of one term to both generators."""
    trained = {n: state.params[n] for n in ("generator_ab", "generator_ba")}
    fixed = core.Fixed(state.params, state.stats, {})

    def loss(trained):
        _, out = system.generators_loss(trained, fixed, batch["a"], batch["b"])
        return out.metrics[term]

    return {
        n: float(core.global_norm(g))
        for n, g in jax.jit(jax.grad(loss))(trained).items()
    }


def test_check_04_a_cycle_trains_both_generators_a_judgement_one():
    state, batch, _ = start(TINY)
    for term in ("cycle_a", "cycle_b"):
        norms = generators_gradient(TINY, state, batch, term)
        assert min(norms.values()) > 0, term
    for there in ("ab", "ba"):
        norms = generators_gradient(TINY, state, batch, f"adversarial_{there}")
        assert norms[f"generator_{there}"] > 0
        assert norms[f"generator_{there[::-1]}"] == 0


def test_check_05_each_judge_sees_its_own_domain_only():
    """Domain A is dark, B is bright, and generators that keep a brightness apart."""
    system = dataclasses.replace(TINY, pool_size=0, lambda_identity=0.0)
    dark, bright = jnp.full((4, 32, 32, 3), -0.9), jnp.full((4, 32, 32, 3), 0.9)
    seen = {}

    def tagged(module, params, stats, image, **options):
        """Discriminators note what they are shown; generators paint their target."""
        if isinstance(module, PatchDiscriminator):
            seen.setdefault(float(params["tag"]), []).append(float(jnp.mean(image)))
            return jnp.zeros((4, 6, 6, 1)), stats
        return jnp.full_like(image, float(params["tag"])), stats

    tags = {
        "generator_ab": 0.5,  # a fake of the bright domain
        "generator_ba": -0.5,
        "discriminator_a": -1.0,
        "discriminator_b": 1.0,
    }
    params = {n: {"tag": jnp.asarray(t)} for n, t in tags.items()}
    fixed = core.Fixed(params, {n: {} for n in tags}, {})
    with mock.patch.object(core, "forward", tagged):
        _, out = system.generators_loss(params, fixed, dark, bright)
        system.discriminators_loss(
            params, fixed, dark, bright, out.values["fake_a"], out.values["fake_b"]
        )
    assert sorted(seen) == [-1.0, 1.0]
    assert all(value < 0 for value in seen[-1.0]) and len(seen[-1.0]) == 3
    assert all(value > 0 for value in seen[1.0]) and len(seen[1.0]) == 3


def test_check_06_identity_weights_cross_and_zero_skips_the_forwards():
    system = dataclasses.replace(TINY, lambda_a=10.0, lambda_b=20.0)
    state, batch, _ = start(system)
    fixed = core.Fixed(state.params, state.stats, {})

    def terms(system):
        calls = []
        real = core.forward

        def counting(module, *args, **options):
            calls.append(module)
            return real(module, *args, **options)

        with mock.patch.object(core, "forward", counting):
            trained = {n: state.params[n] for n in ("generator_ab", "generator_ba")}
            _, out = system.generators_loss(trained, fixed, batch["a"], batch["b"])
        generators = [m for m in calls if isinstance(m, ResNetGenerator)]
        return out.metrics, len(generators)

    with_identity, calls = terms(system)
    assert calls == 6
    run = lambda name, x: core.predict(  # noqa: E731
        system.networks()[name], state.variables()[name], x, train=True
    )
    for name, real, weight in (
        ("generator_ab", batch["b"], 10.0),
        ("generator_ba", batch["a"], 5.0),
    ):
        plain = float(jnp.mean(jnp.abs(run(name, real) - real)))
        term = with_identity[f"identity_{name[-2:]}"]
        np.testing.assert_allclose(term, weight * plain, rtol=1e-4)
    without, calls = terms(dataclasses.replace(system, lambda_identity=0.0))
    assert calls == 4 and not any(k.startswith("identity") for k in without)


def test_pooled_fakes_come_from_the_generator_pass_of_the_same_step():
    """Not recomputed after the generators moved: the first query returns its inputs."""
    system = dataclasses.replace(TINY, learning_rate=0.05)
    state, batch, step = start(system)
    after, metrics = step(state, {}, batch, jax.random.key(0))
    run = lambda name, x: core.predict(  # noqa: E731
        system.networks()[name], state.variables()[name], x, train=True
    )
    fake_b = run("generator_ab", batch["a"])
    stored = after.memory["pool_b"].images[0, :4]
    np.testing.assert_allclose(stored, fake_b, atol=1e-4)


def test_modes_reconstruct_with_the_opposite_generator():
    state, batch, _ = start(TINY)
    variables = state.variables()
    modes = TINY.inference
    out = modes["reconstruct_a"].fn(variables, {}, {"image": batch["a"]}, KEY)
    there = modes["translate_ab"].fn(variables, {}, {"image": batch["a"]}, KEY)
    back = modes["translate_ba"].fn(variables, {}, {"image": there["image"]}, KEY)
    np.testing.assert_array_equal(out["translation"], there["image"])
    np.testing.assert_array_equal(out["reconstruction"], back["image"])
    assert modes["translate_ab"].networks == ("generator_ab",)


@pytest.mark.parametrize("identity", [0.5, 0.0])
def test_the_step_executes_the_minimum_of_flops(identity):
    system = CycleGAN(
        image_size=32, num_blocks=1, num_layers=2, lambda_identity=identity
    )
    image = jax.ShapeDtypeStruct((2, 32, 32, 3), jnp.float32)
    batch = {"a": image, "b": image}
    key = jax.random.key(0)
    state = jax.eval_shape(system.init, key, batch, {})
    step = jax.jit(system.step).lower(state, {}, batch, key).compile()
    piece = hlo.Pieces(system.networks(), state)
    generator = piece.to_params("generator_ab", image)
    minimum = 2 * (
        generator * (2 if identity else 1)
        + piece.to_both("generator_ab", image)
        + piece.to_inputs("discriminator_a", image)
        + 2 * piece.to_params("discriminator_a", image)
    )
    assert hlo.flops(step) <= 1.05 * minimum
    assert not hlo.reversed_map_sized_windows(step)


@pytest.mark.slow
def test_check_10_learning_to_recolour():
    """The hidden truth is a swap of red and green; without it, 0.13 and more."""
    system = cases.build("cyclegan", "demo")
    data = cases.config_module("cyclegan").get_config("demo").data.to_dict()
    train, test = (make_task(data, split=s, seed=0) for s in ("train", "test"))
    prepare = jax.jit(train.preprocess)
    key = jax.random.key(0)
    batches = train.batches(0, 4)
    state, _, _ = start(system, prepare(next(batches), key))
    step = jax.jit(system.step, donate_argnums=0)
    for i in range(400):
        step_key = jax.random.fold_in(key, i)
        state, _ = step(state, {}, prepare(next(batches), step_key), step_key)
    held_out = jax.jit(test.preprocess)(test.examples(range(64)), KEY)
    a = jnp.asarray(held_out["a"])
    fake = system.translate(state.variables(), {}, {"image": a}, key)["image"]
    truth = a[..., jnp.asarray([1, 0, 2])]
    error = float(jnp.mean(jnp.abs(fake - truth)))
    copied = float(jnp.mean(jnp.abs(a - truth)))
    assert error < 0.6 * copied, (error, copied)
