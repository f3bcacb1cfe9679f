"""Semantic inpainting: its specification's acceptance checks.

Checks 2 (weights), 4 and 5 (Poisson) are in tests/ops; the optimisers by the numbers
(the other half of 9) in tests/core/test_latent_search.py.
"""

import dataclasses
import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import core, losses, ops
from jaxgan.systems.dcgan import DCGAN
from jaxgan.systems.semantic_inpainting import GREY, SemanticInpainting
from tests import cases

TINY = cases.build("semantic_inpainting", "tiny")
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def trained():
    """Networks of a DCGAN's run, and images to fill."""
    dcgan = cases.build("dcgan", "tiny_tf")
    batch = cases.random_batch(dcgan.stages[0], 16)
    state, step = jax.jit(dcgan.init)(KEY, batch, {}), jax.jit(dcgan.step)
    for i in range(5):
        state, _ = step(state, {}, batch, jax.random.fold_in(KEY, i))
    variables = state.variables()
    # Five steps leave a generator pale; its images shall differ.
    last = variables["generator"]["params"]["up2"]
    last["kernel"] = 20 * last["kernel"]
    return variables, batch["image"][:3]


@functools.cache
def compiled(system, mode, static):
    fn = system.inference[mode].fn
    return jax.jit(lambda v, arrays, key: fn(v, {}, {**arrays, **dict(static)}, key))


def call(system, mode, variables, key=KEY, **inputs):
    for name, spec in system.inference[mode].inputs.items():
        if isinstance(spec, core.Int | core.Choice):
            inputs.setdefault(name, spec.default)
    arrays = {k: v for k, v in inputs.items() if isinstance(v, jax.Array)}
    static = tuple((k, v) for k, v in inputs.items() if k not in arrays)
    return compiled(system, mode, static)(variables, arrays, key)


def hole(kind, batch=3, size=16):
    return ops.draw_hole_mask(kind, KEY, batch, size, size)


def equal(a, b) -> bool:
    return all(jax.tree.leaves(jax.tree.map(np.array_equal, a, b)))


@pytest.mark.parametrize(
    ("system", "generator"),
    [
        (SemanticInpainting(), 5_135_363),
        (cases.build("semantic_inpainting", "bamos"), 11_490_307),
    ],
    ids=["default", "bamos"],
)
def test_check_01_parameter_counts(system, generator):
    image = jax.ShapeDtypeStruct((2, 64, 64, 3), jnp.float32)
    state = jax.eval_shape(system.init, KEY, {"image": image}, {})
    counts = {
        n: sum(math.prod(x.shape) for x in jax.tree.leaves(p))
        for n, p in state.params.items()
    }
    assert counts == {"generator": generator, "discriminator": 4_316_545}


def test_its_networks_are_those_of_a_dcgan_run():
    shared = {f.name for f in dataclasses.fields(SemanticInpainting)}
    shared &= {f.name for f in dataclasses.fields(DCGAN)}
    assert {"image_size", "lineage", "generator_channels", "z_dim", "prior"} <= shared
    runs = {"svhn": "svhn64", "released": "celeba", "bamos": "celeba_bamos"}
    runs |= {"chengbinjin": "celeba", "tiny": "tiny_tf"}
    for variant in cases.variants("semantic_inpainting"):
        if variant.startswith("tiny_"):
            continue
        ours = cases.build("semantic_inpainting", variant)
        theirs = cases.build("dcgan", runs.get(variant, variant))
        assert ours.networks() == theirs.networks()
        assert (ours.z_dim, ours.prior) == (theirs.z_dim, theirs.prior)


def test_rates_of_chengbinjin_decay_before_the_first_update_too():
    """`if mod(iter, 100) == 0: rate *= 0.95` stands before the update, from iter 0."""
    system = cases.build("semantic_inpainting", "chengbinjin")
    for i in (0, 99, 100, 1499):
        rate = system.z_lr * system.z_lr_decay ** (i // system.z_lr_decay_every)
        assert rate == pytest.approx(0.01 * 0.95 ** (i // 100 + 1))


def test_check_03_context_and_prior_by_the_numbers():
    target = jax.random.uniform(KEY, (2, 64, 64, 3), minval=-0.5, maxval=0.5)
    weights = SemanticInpainting().weights(hole("center", 2, 64))
    loss = losses.context_loss(target + 0.5, target, weights)
    np.testing.assert_allclose(loss, 160.1633, rtol=1e-5)
    squared = losses.context_loss(target + 0.5, target, weights, "l2")
    np.testing.assert_allclose(squared, 80.0816, rtol=1e-5)
    prior = SemanticInpainting().lambda_prior * losses.saturating_prior(jnp.zeros(2))
    np.testing.assert_allclose(prior, -0.00207944, rtol=1e-5)
    np.testing.assert_allclose(losses.non_saturating_prior(jnp.zeros(2)), math.log(2))


def test_check_03_the_objective_is_their_weighted_sum(trained):
    variables, image = trained
    system = dataclasses.replace(TINY, lambda_prior=0.5)
    weights = system.weights(hole("center"))
    z = core.draw_latent("uniform", KEY, (3, 8))

    def context(x):
        return losses.context_loss(x, image, weights)

    total = system.objective(variables, context, z)
    drawn = system.generate(variables, z)
    judge = cases.build("dcgan", "tiny_tf").inference["discriminate"].fn
    probability = judge(variables, {}, {"image": drawn}, KEY)["probability"]
    expected = context(drawn) + 0.5 * np.log(1 - np.asarray(probability, np.float64))
    np.testing.assert_allclose(total, expected, rtol=1e-5)


@pytest.mark.parametrize("kind", ["center", "pattern", "random", "half", "full"])
def test_weights_count_known_pixels_only(kind):
    mask = hole(kind)
    for weighting in ("importance", "binary"):
        weights = dataclasses.replace(TINY, weighting=weighting).weights(mask)
        assert np.all(weights[mask > 0.5] == 0) and np.any(weights > 0)
    if kind == "full":  # nothing is missing: every pixel counts
        assert np.all(TINY.weights(mask) == 1)


@pytest.mark.parametrize("blend", ["poisson", "overlay", "none"])
def test_check_06_what_the_hole_holds_has_no_influence(trained, blend):
    variables, image = trained
    mask = hole("center")
    noise = jax.random.normal(KEY, image.shape)
    out = call(TINY, "inpaint", variables, image=image, hole_mask=mask, blend=blend)
    for inside in (noise, jnp.full_like(noise, jnp.nan)):
        other = jnp.where(mask > 0.5, inside, image)
        again = call(
            TINY, "inpaint", variables, image=other, hole_mask=mask, blend=blend
        )
        assert equal(out, again) and np.all(np.isfinite(again["image"]))
    if blend != "none":
        known = np.broadcast_to(np.asarray(mask) < 0.5, image.shape)
        np.testing.assert_array_equal(np.asarray(out["image"])[known], image[known])


def test_rectangular_holes_are_blended_as_by_conjugate_gradients(trained):
    variables, image = trained
    other = dataclasses.replace(TINY, poisson_method="cg")
    kinds = jnp.concatenate([hole(k)[:1] for k in ("center", "left", "random")])
    for mask in (hole("half"), kinds):
        inputs = {"image": image, "hole_mask": mask}
        found = call(TINY, "inpaint", variables, **inputs)
        expected = call(other, "inpaint", variables, **inputs)
        np.testing.assert_array_equal(found["generated"], expected["generated"])
        np.testing.assert_allclose(found["image"], expected["image"], atol=1e-5)
    with pytest.raises(core.UserError, match="poisson_method"):
        dataclasses.replace(TINY, poisson_method="dst")


def test_what_is_known_has_influence(trained):
    variables, image = trained
    mask = hole("center")
    out = call(TINY, "inpaint", variables, image=image, hole_mask=mask)
    beside = image.at[:, 3, 8].set(-image[:, 3, 8])  # next to the hole
    other = call(TINY, "inpaint", variables, image=beside, hole_mask=mask)
    assert not np.any(np.isclose(out["loss"], other["loss"]))


@pytest.mark.parametrize(("start", "clipped"), [("prior", 0.0), ("normal", 0.317)])
def test_a_search_may_start_outside_of_the_cube_as_the_released_code_does(
    trained, start, clipped
):
    """Its normal draws are clipped after the first update, here one of no length."""
    variables, image = trained
    system = dataclasses.replace(TINY, start=start, select="last", z_lr=0.0)
    inputs = {"image": image, "hole_mask": hole("half"), "blend": "none"}
    out = call(system, "candidates", variables, **inputs, num_iters=1, restarts=20)
    assert np.mean(np.abs(out["z"]) == 1) == pytest.approx(clipped, abs=0.07)


@pytest.mark.parametrize("variant", ["tiny", "tiny_released"])
def test_check_07_latents_stay_in_the_cube_after_every_iteration(trained, variant):
    variables, image = trained
    system = cases.build("semantic_inpainting", variant, z_lr=3.0, select="last")
    inputs = {"image": image, "hole_mask": hole("half")}
    for iters in (1, 2, 3, 4):
        out = call(system, "inpaint", variables, **inputs, num_iters=iters)
        assert np.max(np.abs(out["z"])) == 1, iters


def test_a_normal_latent_is_not_clipped(trained):
    system = cases.build("semantic_inpainting", "tiny_torch")
    image = jnp.zeros((4, 16, 16, 3))
    variables = jax.jit(system.init)(KEY, {"image": image}, {}).variables()
    out = call(system, "inpaint", variables, image=image, hole_mask=hole("half", 4))
    assert np.max(np.abs(out["z"])) > 1


def test_check_07_results_are_those_of_the_networks_as_they_came(trained):
    """Nothing moves on the way: image and loss of the last latent are by hand the
    given networks', with their running statistics."""
    variables, image = trained
    mask = hole("center")
    out = call(TINY, "inpaint", variables, image=image, hole_mask=mask)
    networks = cases.build("dcgan", "tiny_tf").networks()
    drawn = networks["generator"].apply(variables["generator"], out["z"], train=False)
    np.testing.assert_allclose(out["generated"], drawn, atol=1e-5)
    discriminator = networks["discriminator"]
    logits = discriminator.apply(variables["discriminator"], drawn, train=False)
    loss = losses.context_loss(drawn, image, TINY.weights(mask))
    loss += TINY.lambda_prior * losses.saturating_prior(logits)
    np.testing.assert_allclose(out["loss"], loss, rtol=1e-5)


def test_check_07_an_image_does_not_depend_on_its_batch_mates(trained):
    variables, image = trained
    options = {"restarts": 2}
    whole = call(
        TINY, "inpaint", variables, image=image, hole_mask=hole("center"), **options
    )
    mates = image.at[1:].multiply(-0.7)
    masks = hole("center").at[1:].set(hole("half", 2))
    other = call(TINY, "inpaint", variables, image=mates, hole_mask=masks, **options)
    np.testing.assert_allclose(whole["image"][0], other["image"][0], atol=1e-5)
    np.testing.assert_allclose(whole["z"][0], other["z"][0], atol=1e-5)


def test_check_08_the_returned_loss_is_the_least_of_the_curve(trained):
    variables, image = trained
    # Rates that overshoot, so that the least loss is not the last.
    system = dataclasses.replace(TINY, curve_every=1, z_lr=0.8)
    inputs = {"image": image, "hole_mask": hole("center"), "num_iters": 30}
    out = call(system, "inpaint", variables, **inputs)
    assert out["curve"].shape == (3, 31)
    np.testing.assert_array_equal(out["loss"], out["curve"].min(axis=1))
    system = dataclasses.replace(system, select="last")
    last = call(system, "inpaint", variables, **inputs)
    np.testing.assert_array_equal(last["loss"], last["curve"][:, -1])
    assert np.any(last["loss"] > out["loss"])


def test_candidates_are_ranked_and_inpainting_returns_the_first(trained):
    variables, image = trained
    inputs = {"image": image, "hole_mask": hole("center"), "restarts": 4}
    several = call(TINY, "candidates", variables, **inputs)
    assert several["images"].shape == (3, 4, 16, 16, 3)
    assert np.all(np.diff(several["loss"], axis=1) >= 0)
    assert np.all(np.ptp(several["loss"], axis=1) > 0)
    one = call(TINY, "inpaint", variables, **inputs)
    np.testing.assert_array_equal(one["image"], several["images"][:, 0])
    np.testing.assert_array_equal(one["loss"], several["loss"][:, 0])
    np.testing.assert_array_equal(one["generated"], several["generated"][:, 0])


def test_the_search_is_one_loop_on_the_device(trained):
    """The program does not grow with the iterations."""
    variables, image = trained

    def text(num_iters):
        inputs = {"num_iters": num_iters, "restarts": 1, "blend": "poisson"}
        run = lambda v, x, m, k: TINY.inpaint(  # noqa: E731
            v, {}, {"image": x, "hole_mask": m, **inputs}, k
        )
        return jax.jit(run).lower(variables, image, hole("center"), KEY).as_text()

    assert len(text(100).splitlines()) == len(text(200).splitlines())


@pytest.mark.parametrize("mode", ["invert", "super_resolve", "colorize"])
def test_restoration_explains_what_was_observed(trained, mode):
    variables, _ = trained
    drawn = TINY.generate(variables, core.draw_latent("uniform", KEY, (2, 8)))
    observe = {
        "invert": lambda x: x,
        "super_resolve": lambda x: ops.average_pool(x, TINY.scale),
        "colorize": lambda x: x @ jnp.asarray(GREY)[:, None],
    }[mode]
    seen = observe(drawn)
    system = dataclasses.replace(TINY, lambda_prior=0.0, z_lr=0.05)
    key, length = jax.random.key(1), {"num_iters": 120, "restarts": 2}
    out = call(system, mode, variables, key=key, image=seen, **length)
    assert out["image"].shape == (2, 16, 16, 3)
    error = np.abs(observe(out["image"]) - seen).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(error, out["loss"], rtol=1e-3)
    assert np.all(out["loss"] < 0.3 * out["curve"][:, 0])


class Planted(nn.Module):
    """Twelve cosines a channel: an image for every latent, known exactly."""

    @nn.compact
    def __call__(self, z, *, train: bool):
        at = np.pi * (np.arange(32) + 0.5) / 32
        waves = jnp.asarray(np.cos(np.arange(4)[:, None] * at), jnp.float32)
        codes = z.reshape(-1, 3, 4, 4)
        return jnp.tanh(0.7 * jnp.einsum("ncab,ai,bj->nijc", codes, waves, waves))


class Undecided(nn.Module):
    @nn.compact
    def __call__(self, image, *, train: bool):
        return jnp.zeros(image.shape[0])


PlantedInpainting = type(
    "PlantedInpainting",
    (SemanticInpainting,),
    {"networks": lambda self: {"generator": Planted(), "discriminator": Undecided()}},
)


@pytest.mark.slow
@pytest.mark.picked
def test_check_09_finds_a_planted_code():
    system = PlantedInpainting(image_size=32, z_dim=48, blend="none")
    variables = {"generator": {"params": {}}, "discriminator": {"params": {}}}
    truth = core.draw_latent("uniform", jax.random.key(9), (8, 48))
    image, mask = system.generate(variables, truth), hole("center", 8, 32)
    out = call(system, "inpaint", variables, image=image, hole_mask=mask)
    inside = np.asarray(mask) > 0.5
    assert inside.sum() == 8 * 16 * 16

    def hole_psnr(found):
        square = np.where(inside, np.square(np.asarray(found - image) / 2), 0)
        return -10 * np.log10(square.sum(axis=(1, 2, 3)) / (16 * 16 * 3))

    assert out["curve"][:, 0].sum() > 500 and out["loss"].sum() < 10
    assert hole_psnr(out["image"]).min() >= 40
    known = np.where(inside, np.nan, image)
    mean = np.nanmean(known, axis=(1, 2), keepdims=True)
    assert hole_psnr(np.broadcast_to(mean, image.shape)).mean() < 15


@pytest.mark.slow
@pytest.mark.picked
def test_check_10_completes_discs_better_than_chance():
    def discs(seed, count):
        random = np.random.RandomState(seed)
        y, x = np.mgrid[:32, :32]
        centre = random.uniform(10, 22, (count, 2, 1, 1))
        radius = random.uniform(6, 12, (count, 1, 1))
        distance = np.hypot(y - centre[:, 0], x - centre[:, 1])
        cover = np.clip(radius - distance + 0.5, 0, 1)[..., None]
        ground, paint = random.uniform(-0.9, 0.9, (2, count, 1, 1, 3))
        return jnp.asarray(cover * paint + (1 - cover) * ground, jnp.float32)

    sizes = {"image_size": 32, "generator_channels": 16, "discriminator_channels": 16}
    dcgan = DCGAN(lineage="tf", l2=0.0, g_steps=2, reuse_noise=True, **sizes)
    data = discs(0, 2000)
    state = jax.jit(dcgan.init)(KEY, {"image": data[:32]}, {})

    @jax.jit
    def step(state, key):
        index_key, key = jax.random.split(key)
        batch = data[jax.random.randint(index_key, (32,), 0, len(data))]
        return dcgan.step(state, {}, {"image": batch}, key)[0]

    for i in range(600):
        state = step(state, jax.random.fold_in(KEY, i))
    system = SemanticInpainting(num_iters=300, restarts=4, **sizes)
    image, mask = discs(1, 16), hole("center", 16, 32)
    out = call(system, "inpaint", state.variables(), image=image, hole_mask=mask)
    z = core.draw_latent("uniform", KEY, (16, 100))
    chance = system.generate(state.variables(), z)

    def hole_psnr(found):
        square = np.square(np.asarray(found - image) / 2)[:, 8:24, 8:24]
        return -10 * np.log10(square.mean(axis=(1, 2, 3)))

    # Both as drawn: blending alone lifts a random sample by 7 dB.
    assert hole_psnr(out["generated"]).mean() >= hole_psnr(chance).mean() + 3
