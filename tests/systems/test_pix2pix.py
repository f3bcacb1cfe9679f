"""pix2pix: its specification's acceptance checks.

Check 3 is in `tests/networks/test_layers.py`, 4 in `tests/losses/test_adversarial.py`,
7 in `tests/data/test_tasks.py`, 8 in `tests/evaluation/test_segmentation.py`.
"""

import dataclasses
import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import core, ops
from jaxgan.evaluation.options import Options
from jaxgan.networks.patchgan import PatchDiscriminator, PixelDiscriminator
from jaxgan.networks.resnet import ResNetGenerator
from jaxgan.networks.unet import UNet
from jaxgan.systems.pix2pix import Pix2Pix
from tests import cases, scenes

TINY = cases.build("pix2pix", "tiny")
KEY = jax.random.key(0)


def count(network, *shape) -> int:
    variables = jax.eval_shape(
        lambda: network.init(jax.random.key(0), jnp.zeros((1, *shape)), train=False)
    )
    return sum(math.prod(x.shape) for x in jax.tree.leaves(variables["params"]))


def start(system, batch=None, seed=0):
    batch = batch or cases.random_batch(system.stages[0], 4)
    state = jax.jit(system.init)(jax.random.key(seed), batch, {})
    return state, batch, jax.jit(system.step)


@pytest.mark.parametrize(
    ("network", "channels", "size", "parameters"),
    [
        (UNet(), 3, 256, 54_413_955),
        (UNet(norm="instance"), 3, 256, 54_409_603),
        (UNet(num_downs=7), 3, 128, 41_828_995),
        (UNet(num_downs=7, norm="instance"), 3, 128, 41_825_667),
        (UNet(out_channels=2), 1, 256, 54_409_858),
        (UNet(skips=False), 3, 256, 39_075_459),
        (ResNetGenerator(norm="batch"), 3, 256, 11_383_427),
        (ResNetGenerator(norm="batch", num_blocks=6), 3, 256, 7_841_411),
        (PatchDiscriminator(), 6, 256, 2_768_705),
        (PatchDiscriminator(), 3, 256, 2_765_633),
        (PatchDiscriminator(num_layers=1), 6, 256, 139_585),
        (PatchDiscriminator(num_layers=2), 6, 256, 666_433),
        (PatchDiscriminator(num_layers=4), 6, 256, 6_964_033),
        (PatchDiscriminator(num_layers=5), 6, 256, 11_159_361),
        (PixelDiscriminator(), 6, 256, 9_024),
        (PixelDiscriminator(norm="instance"), 6, 256, 8_897),
    ],
)
def test_check_01_parameter_counts(network, channels, size, parameters):
    assert count(network, size, size, channels) == parameters


def test_check_02_shapes_at_full_size():
    system = Pix2Pix()
    batch = {k: jax.ShapeDtypeStruct((2, 256, 256, 3), jnp.float32) for k in ("a", "b")}
    state = jax.eval_shape(system.init, jax.random.key(0), batch, {})
    fixed = core.Fixed(state.params, state.stats, {})

    def outputs(fixed, a, key):
        fake, _ = system._generate(
            fixed.params["generator"], fixed.stats["generator"], a, key
        )
        logits, _ = core.forward(
            system.networks()["discriminator"],
            fixed.params["discriminator"],
            fixed.stats["discriminator"],
            system._judged(a, fake),
            train=True,
        )
        return fake, logits

    fake, logits = jax.eval_shape(outputs, fixed, batch["a"], jax.random.key(0))
    assert fake.shape == (2, 256, 256, 3) and logits.shape == (2, 30, 30, 1)


def test_check_02_results_are_inside_the_range():
    network = UNet(base_channels=2)
    image = 1e3 * jax.random.normal(KEY, (1, 256, 256, 3))
    out, _ = jax.jit(lambda x: network.init_with_output(KEY, x, train=False))(image)
    assert out.shape == image.shape
    assert 0.9 < np.abs(out).max() <= 1


@pytest.mark.parametrize(
    ("player", "other"),
    [("discriminator", "generator"), ("generator", "discriminator")],
)
def test_check_05_an_update_leaves_the_other_network_alone(player, other):
    state, batch, _ = start(TINY)

    @jax.jit
    def update(state, batch):
        return core.update(
            state,
            getattr(TINY, f"{player}_loss"),
            (player,),
            batch["a"],
            batch["b"],
            optimizers=TINY.optimizers(),
            frozen={},
            key=KEY,
            commit=(player,),
        )[0]

    after = update(state, batch)
    for tree in ("params", "stats"):
        before, now = getattr(state, tree), getattr(after, tree)
        jax.tree.map(np.testing.assert_array_equal, now[other], before[other])
        moved = jax.tree.map(
            lambda x, y: np.abs(x - y).max(), now[player], before[player]
        )
        assert max(jax.tree.leaves(moved)) > 0


def test_check_05_the_discriminators_loss_does_not_reach_the_generator():
    state, batch, _ = start(TINY)

    def loss(params):
        trained = {"discriminator": params["discriminator"]}
        fixed = core.Fixed(params, state.stats, {})
        return TINY.discriminator_loss(trained, fixed, batch["a"], batch["b"], key=KEY)[
            0
        ]

    gradient = jax.jit(jax.grad(loss))(state.params)
    assert core.global_norm(gradient["generator"]) == 0
    assert core.global_norm(gradient["discriminator"]) > 0


def test_impossible_settings_are_refused():
    with pytest.raises(core.UserError, match="both 0"):
        dataclasses.replace(TINY, lambda_gan=0.0, lambda_l1=0.0)
    with pytest.raises(core.UserError, match="beta1 = 1.0 is impossible.*below 1"):
        dataclasses.replace(TINY, beta1=1.0)


@pytest.mark.parametrize("adversarial", ["bce", "lsgan", "wasserstein"])
def test_terms_of_the_discriminator_sum_to_its_loss(adversarial):
    system = dataclasses.replace(TINY, adversarial=adversarial)
    state, batch, _ = start(system)
    fixed = core.Fixed(state.params, state.stats, {})
    loss = jax.jit(functools.partial(system.discriminator_loss, key=KEY))
    total, out = loss(state.params, fixed, batch["a"], batch["b"])
    np.testing.assert_allclose(out.metrics["real"] + out.metrics["fake"], total)
    # Scores of a Wasserstein critic have no zero.
    assert ("accuracy/discriminator" in out.metrics) == (adversarial != "wasserstein")


def test_check_05_the_generator_meets_the_updated_discriminator():
    # A rate that moves the discriminator far in one step.
    system = dataclasses.replace(TINY, learning_rate=0.05, dropout_layers=(1, 2))
    state, batch, step = start(system)
    key = jax.random.key(1)
    after, metrics = step(state, {}, batch, key)
    own = jax.random.fold_in(key, 0)  # of the first and only microbatch

    def adversarial(discriminator, key):
        fixed = core.Fixed(
            {**state.params, "discriminator": discriminator}, state.stats, {}
        )
        _, out = system.generator_loss(
            {"generator": state.params["generator"]},
            fixed,
            batch["a"],
            batch["b"],
            key=key,
        )
        return float(out.metrics["adversarial"])

    seen = float(metrics["loss/generator/adversarial"])
    new, old = after.params["discriminator"], state.params["discriminator"]
    assert seen == pytest.approx(adversarial(new, own), rel=1e-4)
    assert seen != pytest.approx(adversarial(old, own), rel=1e-2)
    assert seen != pytest.approx(adversarial(new, key), rel=1e-3)


def test_check_05_both_players_see_the_picture_of_one_dropout():
    system = dataclasses.replace(TINY, dropout_layers=(1, 2))
    state, batch, step = start(system)
    key = jax.random.key(1)
    _, metrics = step(state, {}, batch, key)

    def logits(key):
        fixed = core.Fixed(state.params, state.stats, {})
        trained = {"discriminator": state.params["discriminator"]}
        _, out = system.discriminator_loss(
            trained, fixed, batch["a"], batch["b"], key=key
        )
        return float(out.metrics["logits/fake"])

    # The key that the generator's loss has in the test above.
    seen = float(metrics["logits/fake"])
    assert seen == pytest.approx(logits(jax.random.fold_in(key, 0)), rel=1e-4)
    assert seen != pytest.approx(logits(key), rel=1e-4)


@pytest.mark.parametrize(("generator", "kept"), [("unet", 0.5), ("resnet", 0.25)])
def test_dropout_drops_a_half(generator, kept):
    """Of ResNet's rectified values half are 0 before."""
    system = dataclasses.replace(
        TINY, generator=generator, generator_channels=16, dropout_layers=(1, 2)
    )
    state, batch, _ = start(system)
    is_dropout = lambda module, _: isinstance(module, nn.Dropout)  # noqa: E731
    _, found = system.networks()["generator"].apply(
        {"params": state.params["generator"], **state.stats["generator"]},
        batch["a"],
        train=True,
        rngs={"dropout": jax.random.key(0)},
        capture_intermediates=is_dropout,
        mutable=["intermediates", "batch_stats"],
    )
    dropped = [np.asarray(x) for x in jax.tree.leaves(found["intermediates"])]
    assert len(dropped) >= 2
    for x in dropped:
        assert np.mean(x != 0) == pytest.approx(kept, abs=0.1)


def test_check_06_only_the_paper_s_sampling_depends_on_the_key():
    system = dataclasses.replace(TINY, dropout_layers=(1, 2))
    state, batch, _ = start(system)

    def run(sampling, seed):
        inputs = {"image": batch["a"], "sampling": sampling}
        out = system.translate(state.variables(), {}, inputs, jax.random.key(seed))
        return np.asarray(out["image"])

    np.testing.assert_array_equal(run("paper", 0), run("paper", 0))
    assert np.abs(run("paper", 0) - run("paper", 1)).max() > 1e-6
    for sampling in ("eval", "deterministic"):
        np.testing.assert_array_equal(run(sampling, 0), run(sampling, 1))
    assert np.abs(run("eval", 0) - run("deterministic", 0)).max() > 1e-6


def test_the_official_dropout_drops_layers_two_to_four_at_256_px():
    assert Pix2Pix().networks()["generator"].dropout_layers == (2, 3, 4)
    assert Pix2Pix(image_size=128).networks()["generator"].dropout_layers == (2, 3)
    lua = Pix2Pix(dropout_layers=(1, 2, 3))
    assert lua.networks()["generator"].dropout_layers == (1, 2, 3)


@pytest.mark.parametrize("layers", [(0, 1), (5,)], ids=str)
def test_dropout_of_a_layer_that_is_not_there_is_refused(layers):
    with pytest.raises(core.UserError, match="dropout_layers .* are 1 to 4"):
        dataclasses.replace(TINY, dropout_layers=layers)


def test_the_resnet_drops_in_its_blocks_unless_no_layer_is_to_drop():
    system = cases.build("pix2pix", "tiny_resnet")
    assert system.networks()["generator"].dropout
    never = dataclasses.replace(system, dropout_layers=())
    assert not never.networks()["generator"].dropout


def test_published_schedules_end_as_the_reference_does():
    module = cases.config_module("pix2pix")
    for variant, run in module.PUBLISHED.items():
        system = cases.build("pix2pix", variant)
        epoch, decay = run.pairs // run.batch, run.decay
        assert system.stages[0].num_steps == (run.epochs + decay) * epoch
        # A batch of 4 is pooled by batch norm, as where it was trained.
        assert system.norm_groups == (run.batch > 1)
        rate = system.optimizers()["generator"].learning_rate
        # The PyTorch code's decay reaches 0 in its last epoch.
        last = [float(rate(system.stages[0].num_steps - n)) for n in (1, epoch + 1)]
        expected = [0.0, 2e-4 / 101] if decay else [2e-4, 2e-4]
        assert last == pytest.approx(expected, rel=1e-4), variant


def test_published_jitter_and_mirroring():
    def augmentation(variant):
        data = cases.config_module("pix2pix").get_config(variant).data
        return data.load_size - data.image_size, data.flip

    assert augmentation("facades") == augmentation("night2day") == (30, True)
    assert augmentation("edges2shoes") == (0, False)
    assert augmentation("colorization") == (0, True)


@pytest.mark.parametrize(("direction", "domain"), [("BtoA", "a"), ("AtoB", "b")])
def test_label_maps_of_cityscapes_are_where_the_direction_puts_them(direction, domain):
    config = cases.config_module("pix2pix").get_config("cityscapes")
    assert config.data.direction == "BtoA"
    options = Options.of(config.evaluation.to_dict())
    assert options.label_domain({"direction": direction}) == domain
    assert options.label_domain({"direction": direction}, stored=True) == "b"
    fixed = dataclasses.replace(options, labels_in="a")  # of the batch
    assert fixed.label_domain({"direction": direction}) == "a"
    stored = {"AtoB": "a", "BtoA": "b"}[direction]
    assert fixed.label_domain({"direction": direction}, stored=True) == stored


def test_colorizations_are_shown_in_colour():
    system = dataclasses.replace(TINY, in_channels=1, out_channels=2)
    rgb = jax.random.uniform(KEY, (2, 32, 32, 3))
    a, b = ops.normalize_lab(ops.rgb_to_lab(rgb))
    state = jax.jit(system.init)(KEY, {"a": a, "b": b}, {})
    grid = system.sample_grid(state.variables(), {}, {"a": a, "b": b}, KEY)
    assert grid["input"].shape == (2, 32, 32, 1)
    assert grid["prediction"].shape == (2, 32, 32, 3)
    np.testing.assert_allclose(grid["truth"], 2 * rgb - 1, atol=2e-3)


def test_an_image_s_translation_is_independent_of_its_batch_mates():
    system = dataclasses.replace(TINY, norm_groups=1)
    state, batch, _ = start(system)
    inputs = {"image": batch["a"], "sampling": "deterministic"}
    key = jax.random.key(0)
    together = system.translate(state.variables(), {}, inputs, key)["image"]
    alone = system.translate(
        state.variables(), {}, inputs | {"image": batch["a"][:1]}, key
    )["image"]
    np.testing.assert_allclose(together[:1], alone, atol=1e-5)


def test_microbatches_change_nothing_where_every_image_is_normalised_alone():
    # SGD: Adam would blow rounding noise up to full steps.
    import optax

    def sgd(microbatches):
        system = dataclasses.replace(
            TINY, microbatches=microbatches, norm="instance", dropout_layers=()
        )
        players = {
            n: core.player((n,), optax.identity(), 0.01) for n in system.optimizers()
        }
        twin = type("Twin", (Pix2Pix,), {"optimizers": lambda self: players})
        return twin(
            **{f.name: getattr(system, f.name) for f in dataclasses.fields(system)}
        )

    results = []
    for microbatches in (1, 2):
        state, batch, step = start(sgd(microbatches))
        results.append(jax.device_get(step(state, {}, batch, jax.random.key(1))))
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, atol=1e-4, rtol=1e-4), *results
    )


@pytest.mark.slow
@pytest.mark.picked
def test_check_09_learns_a_rendering_and_a_discriminator_that_reads_its_condition():
    """After 300 steps: L1 below 0.06 (the mean picture has 0.14 and more)."""
    system = Pix2Pix(
        image_size=32,
        num_downs=5,
        generator_channels=16,
        discriminator_channels=16,
        num_layers=2,
    )
    sizes = {
        n: count(net, 32, 32, 3 * (1 + (n != "generator")))
        for n, net in system.networks().items()
    }
    assert sizes == {"generator": 1_043_619, "discriminator": 43_729}
    mask = scenes.discs_and_squares(0, 1000)
    a, b = scenes.paint(mask, (1, 1, -1), (-1, -1, 1)), scenes.striped(mask)
    train, (held_a, held_b) = (a[:-64], b[:-64]), (a[-64:], b[-64:])
    state, _, _ = start(system, {"a": train[0][:8], "b": train[1][:8]})

    @functools.partial(jax.jit, donate_argnums=0)
    def step(state, key):
        index = jax.random.randint(key, (8,), 0, len(train[0]))
        batch = {"a": train[0][index], "b": train[1][index]}
        return system.step(state, {}, batch, key)[0]

    for i in range(300):
        state = step(state, jax.random.fold_in(KEY, i))
    inputs = {"image": held_a, "sampling": "paper"}
    prediction = system.translate(state.variables(), {}, inputs, KEY)["image"]
    assert jnp.mean(jnp.abs(train[1].mean(axis=0) - held_b)) > 0.14
    assert jnp.mean(jnp.abs(prediction - held_b)) < 0.06

    def logit(a, b):
        network = system.networks()["discriminator"]
        variables = state.variables()["discriminator"]
        judged = system._judged(a, b)
        return float(jnp.mean(core.predict(network, variables, judged, train=True)))

    right, wrong = logit(held_a, held_b), logit(held_a, jnp.roll(held_b, 1, axis=0))
    assert right - wrong > 0.2, (right, wrong)


def test_inpainting_sees_no_more_of_a_picture_than_in_training(key):
    system = Pix2Pix(
        image_size=32, generator_channels=4, discriminator_channels=4, hole=True
    )
    image = jax.random.uniform(key, (2, 32, 32, 3), minval=-1.0, maxval=1.0)
    state = system.init(key, {"a": image, "b": image}, {})
    mode = system.inference["translate"]
    assert mode.inputs["image"].size == (32, 32)

    def translated(image):
        inputs = {"image": image, "sampling": "eval"}
        return mode.fn(state.variables(), {}, inputs, key)["image"]

    hidden = image.at[:, 8:24, 8:24].set(-0.5)
    assert (translated(image) == translated(hidden)).all()
    assert (translated(image) != translated(image.at[:, 0, 0].set(-0.5))).any()
