"""SRGAN: its specification's acceptance checks.

Checks 7 and 9 are those of `tests/evaluation` (PSNR-Y, SSIM) and `tests/ops` (bicubic),
check 4's first half of `tests/ops/test_pixel_shuffle.py`, check 3 and the rest of 4 of
`tests/networks/test_srresnet.py`.
"""

import copy
import dataclasses
import functools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxgan
from benchmarks import steps
from jaxgan import core, losses, pretrained
from jaxgan.data import make_task
from jaxgan.evaluation.psnr import psnr_y
from jaxgan.systems.srgan import SRGAN
from jaxgan.training import configs, loop
from jaxgan.training.frozen import load_frozen
from tests import cases

TINY = cases.build("srgan", "tiny")
TINY_VGG = cases.build("srgan", "tiny_vgg22")
KEY = jax.random.key(0)


@functools.cache
def start(system, batch_size=4):
    """A state, a batch within the declared ranges, and the frozen networks."""
    batch = cases.random_batch(system.stages[0], batch_size)
    frozen = cases.random_frozen(system)
    return jax.jit(system.init)(KEY, batch, frozen), batch, frozen


@functools.cache
def step_of(system, name="srgan_step"):
    """A compiled step; equal systems share it."""
    return jax.jit(getattr(system, name))


def update(system, state, frozen, name, *args):
    """One update by itself; returns the state and the loss's `Out`."""
    loss = getattr(system, f"{name}_loss")
    network = "discriminator" if name == "discriminator" else "generator"

    @jax.jit
    def run(state, frozen, *args):
        return core.update(
            state,
            loss,
            (name,),
            *args,
            optimizers=system.optimizers(),
            frozen=frozen,
            commit=(network,),
        )

    return run(state, frozen, *args)


@functools.cache
def terms_of(system, name):
    @jax.jit
    def run(state, frozen, batch):
        loss = getattr(system, f"{name}_loss")
        fixed = core.Fixed(state.params, state.stats, frozen)
        trained = {"generator": state.params["generator"]}
        return loss(trained, fixed, batch["lr"], batch["hr"])[1].metrics

    return run


def terms(system, state, frozen, batch, name):
    """The terms of the generator's loss in either stage."""
    return terms_of(system, name)(state, frozen, batch)


def fake_of(system, state, lr):
    generator = system.networks()["generator"]
    variables = state.variables(ema=False)["generator"]
    run = jax.jit(partial(core.predict, generator, train=True))
    return run(variables, lr)


def assert_same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def differs(a, b) -> bool:
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return any(not np.array_equal(x, y) for x, y in pairs)


def test_check_01_the_vgg_is_the_published_trunk():
    need = SRGAN().pretrained()["vgg19"]
    assert need.network == "vgg19" and need.module.taps == ("relu5_4",)
    shapes = jax.eval_shape(need.module.init, KEY, jnp.zeros((1, 32, 32, 3)))
    assert sum(x.size for x in jax.tree.leaves(shapes)) == 20_024_384


def test_check_02_shapes_at_full_size():
    system = SRGAN()
    generator = system.networks()["generator"]
    for lr, hr in (((2, 24, 24, 3), (2, 96, 96, 3)), ((1, 17, 31, 3), (1, 68, 124, 3))):
        x = jnp.zeros(lr)
        init = partial(generator.init, KEY, train=False)
        run = partial(core.predict, generator, train=False)
        assert jax.eval_shape(lambda x: run(init(x), x), x).shape == hr
    network = pretrained.VGG(taps=("relu2_2", "relu5_4"))
    images = jnp.zeros((2, 96, 96, 3))
    features = jax.eval_shape(lambda x: network.apply(network.init(KEY, x), x), images)
    assert features["relu2_2"].shape == (2, 48, 48, 128)
    assert features["relu5_4"].shape == (2, 6, 6, 512)
    discriminator = system.networks()["discriminator"]
    init = partial(discriminator.init, KEY, train=False)
    run = partial(core.predict, discriminator, train=False)
    assert jax.eval_shape(lambda x: run(init(x), x), images).shape == (2, 1)


@pytest.mark.parametrize(("content", "channels"), [("vgg54", 512), ("vgg22", 128)])
def test_check_05_the_published_scale_of_the_content_loss(content, channels):
    features = jnp.ones((2, 6, 6, channels))
    value = SRGAN().vgg_rescale ** 2 * losses.feature_distance(features, 0 * features)
    expected = {"vgg54": 3.14956, "vgg22": 0.78739}[content]
    assert float(value) == pytest.approx(expected, abs=5e-6)


def test_check_05_identical_images_cost_nothing_and_the_vgg_is_not_trained():
    state, batch, frozen = start(TINY_VGG, 2)
    fixed = core.Fixed(state.params, state.stats, frozen)
    content = jax.jit(lambda f, x, y: TINY_VGG._content("vgg22", f, x, y)["vgg22"])
    assert float(content(fixed, batch["hr"], batch["hr"])) == 0.0
    assert float(content(fixed, batch["hr"], -batch["hr"])) > 0.0

    before = jax.device_get(frozen)
    # Without the adversarial term nothing but the content moves the generator.
    step = step_of(dataclasses.replace(TINY_VGG, lambda_adversarial=0.0))
    for i in range(3):
        after, metrics = step(state, frozen, batch, jax.random.key(i))
        assert float(metrics["gradient_norm/generator"]) > 0
        assert differs(after.params["generator"], state.params["generator"])
        state = after
    assert_same(before, jax.device_get(frozen))
    names = {
        name
        for path, _ in jax.tree.leaves_with_path(after)
        for name in jax.tree_util.keystr(path, simple=True, separator="/").split("/")
    }
    layers = set(frozen["vgg19"].variables["params"])
    assert {"stem", "mu"} <= names and {"conv1_1", "conv2_2"} <= layers
    assert not names & {"vgg19", *layers}


def test_the_vgg_terms_and_their_options():
    both = dataclasses.replace(TINY, pretrain_content="vgg22", content="vgg54")
    need = both.pretrained()["vgg19"]
    assert need.module.taps == ("relu2_2", "relu5_4")
    assert need.stages == ("srresnet", "srgan")
    later = dataclasses.replace(TINY, content="vgg54", tap_before_relu=True)
    need = later.pretrained()["vgg19"]
    assert need.module.taps == ("conv5_4",) and need.stages == ("srgan",)
    assert TINY.pretrained() == {}
    alone = dataclasses.replace(later, adversarial_steps=0)
    assert alone.pretrained() == {} and [s.name for s in alone.stages] == ["srresnet"]

    state, batch, frozen = start(TINY_VGG, 2)
    first = terms(TINY_VGG, state, frozen, batch, "srresnet")
    assert set(first) == {"vgg22", "tv"}
    tv = 2e-8 * losses.total_variation(fake_of(TINY_VGG, state, batch["lr"]))
    assert float(first["tv"]) == pytest.approx(float(tv), rel=1e-4)
    second = terms(TINY_VGG, state, frozen, batch, "generator")
    assert set(second) == {"vgg22", "adversarial"}
    assert float(second["vgg22"]) == pytest.approx(float(first["vgg22"]), rel=1e-5)
    # Caffe's values are 0 to 255, so the loss at equal weights is far larger.
    caffe = dataclasses.replace(
        TINY_VGG, weights_convention="caffe", lambda_pixel=2.0, lambda_adversarial=0.0
    )
    frozen = load_frozen(caffe, {"vgg19": "random"}, ("srgan",))
    other = terms(caffe, state, frozen, batch, "generator")
    assert set(other) == {"vgg22", "pixel"}
    assert float(other["vgg22"]) > 100 * float(first["vgg22"])
    mse = losses.mse(fake_of(TINY_VGG, state, batch["lr"]), batch["hr"])
    assert float(other["pixel"]) == pytest.approx(2 * float(mse), rel=1e-4)


def test_total_variation_belongs_to_srresnet_vgg22_alone():
    for content in ("vgg54", "mse"):
        system = dataclasses.replace(TINY, pretrain_content=content)
        state, frozen, batch, _ = steps.shapes(system, "srresnet", 2)
        found = jax.eval_shape(terms_of(system, "srresnet"), state, frozen, batch)
        assert set(found) == {content}


@pytest.mark.parametrize(
    ("convention", "rescale", "warns"),
    [
        ("caffe", 1 / 12.75, False),
        ("caffe_rgb", 1 / 12.75, False),
        ("torchvision", 1 / 12.75, True),
        ("torchvision", 4.6, False),
        ("torchvision", 1.0, False),
        ("caffe", 4.6, True),
    ],
)
def test_a_factor_for_weights_of_another_scale_is_warned_of(
    convention, rescale, warns, caplog
):
    system = dataclasses.replace(TINY_VGG, vgg_rescale=rescale)
    weights = pretrained.LoadedWeights({}, "vgg19", convention, "0" * 64, "file")
    batch = cases.random_batch(system.stages[0], 2)
    jax.eval_shape(lambda: system.init(KEY, batch, {"vgg19": weights}))
    assert ("vgg_rescale" in caplog.text) == warns
    caplog.clear()
    weights = dataclasses.replace(weights, source="random")  # those of tests
    jax.eval_shape(lambda: system.init(KEY, batch, {"vgg19": weights}))
    assert "vgg_rescale" not in caplog.text


@pytest.mark.parametrize(
    "convention", ["auto", "torchvision", "caffe", "caffe_rgb", "matconvnet"]
)
def test_the_vgg_s_input_is_what_its_file_or_the_config_says(convention):
    system = dataclasses.replace(TINY_VGG, weights_convention=convention)
    stated = system.pretrained()["vgg19"].convention
    assert stated == (None if convention == "auto" else convention)


@pytest.fixture(scope="module")
def moved():
    """One state; after each update by itself, and after the whole step."""
    state, batch, frozen = start(TINY)
    fake = fake_of(TINY, state, batch["lr"])
    d, _ = update(TINY, state, frozen, "discriminator", batch["hr"], fake)
    g, _ = update(TINY, state, frozen, "generator", batch["lr"], batch["hr"])
    whole, _ = step_of(TINY)(state, frozen, batch, KEY)
    return {"before": state, "discriminator": d, "generator": g, "whole": whole}


@pytest.mark.parametrize(
    ("player", "other"),
    [("discriminator", "generator"), ("generator", "discriminator")],
)
def test_check_06_an_update_leaves_the_other_network_alone(moved, player, other):
    before, after = moved["before"], moved[player]
    assert_same(after.params[other], before.params[other])
    assert_same(after.stats[other], before.stats[other])
    assert differs(after.params[player], before.params[player])
    assert differs(after.stats[player], before.stats[player])


@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_check_06_the_whole_step_commits_each_statistic_once(moved, player):
    jax.tree.map(
        partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6),
        moved["whole"].stats[player],
        moved[player].stats[player],
    )


def test_check_06_without_adversarial_weight_the_content_alone_moves_the_generator():
    system = dataclasses.replace(TINY, lambda_adversarial=0.0)
    state, batch, frozen = start(system)
    content, _ = step_of(system, "srresnet_step")(state, frozen, batch, KEY)
    whole, _ = step_of(system)(state, frozen, batch, KEY)
    assert_same(whole.params["discriminator"], state.params["discriminator"])
    jax.tree.map(
        partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6),
        whole.params["generator"],
        content.params["generator"],
    )
    weighted = dataclasses.replace(system, lambda_adversarial=1.0)
    other, _ = step_of(weighted)(state, frozen, batch, KEY)
    gap = jax.tree.map(
        lambda x, y: np.abs(x - y).max(),
        other.params["generator"],
        content.params["generator"],
    )
    assert max(jax.tree.leaves(gap)) > 1e-5


@pytest.mark.parametrize("order", ["d_first", "g_first"])
def test_the_order_decides_which_discriminator_judges_and_which_fake_is_judged(order):
    # Rates that move both networks far in one step.
    system = dataclasses.replace(TINY, update_order=order, learning_rate=0.02)
    system = dataclasses.replace(system, lambda_adversarial=1.0, decay_at=100)
    state, batch, frozen = start(system)
    after, metrics = step_of(system)(state, frozen, batch, KEY)

    def adversarial(discriminator):
        params = {**state.params, "discriminator": discriminator}
        found = terms(system, state.replace(params=params), frozen, batch, "generator")
        return float(found["adversarial"])

    old, new = (adversarial(s.params["discriminator"]) for s in (state, after))
    seen = float(metrics["loss/generator/adversarial"])
    right, wrong = (new, old) if order == "d_first" else (old, new)
    assert seen == pytest.approx(right, rel=1e-4)
    assert seen != pytest.approx(wrong, rel=1e-2)
    # The judged fake is the old generator's, whatever the order.
    fake = fake_of(system, state, batch["lr"])
    _, out = update(system, state, frozen, "discriminator", batch["hr"], fake)
    total = out.metrics["loss/discriminator"]
    assert float(metrics["loss/discriminator"]) == pytest.approx(float(total), rel=1e-4)


def test_check_08_an_image_s_result_is_independent_of_its_batch_mates():
    state, batch, _ = start(TINY)
    image = 2.0 * batch["lr"] - 1.0
    run = jax.jit(lambda v, x: TINY.upscale(v, {}, {"image": x}, KEY)["image"])
    together = run(state.variables(), image)
    np.testing.assert_allclose(
        run(state.variables(), image[:1]), together[:1], atol=1e-5
    )


def trained_variables(system, lr):
    """Statistics that differ from the fresh ones, so that padding matters."""
    generator = system.networks()["generator"]
    init = partial(generator.init, KEY, train=False)
    variables = jax.jit(init)(lr)
    params, stats = variables["params"], {"batch_stats": variables["batch_stats"]}
    forward = jax.jit(partial(core.forward, generator, train=True))
    for _ in range(3):
        _, stats = forward(params, stats, lr)
    return {"generator": {"params": params, **stats}}


@pytest.mark.parametrize(
    ("changes", "size", "tile"),
    [
        # 16 blocks: a halo of 40 pixels, inside of an image of 3 by 2 tiles.
        ({"num_blocks": 16}, (130, 97), 48),
        ({"scale": 2}, (37, 50), 11),
        ({"scale": 8}, (9, 40), 9),
        ({"upsample": "resize_conv"}, (40, 33), 8),
        ({}, (5, 6), 128),
    ],
)
def test_check_08_tiles_equal_the_whole(changes, size, tile):
    system = dataclasses.replace(TINY, **changes)
    image = jax.random.uniform(KEY, (1, *size, 3), minval=-1.0)
    variables = trained_variables(system, 0.5 * image + 0.5)
    # A gain that keeps the results inside the clip.
    head = variables["generator"]["params"]["head"]
    head["kernel"] = 0.01 * head["kernel"]
    whole = jax.jit(lambda v, x: system.upscale(v, {}, {"image": x}, KEY)["image"])
    tiled = jax.jit(
        lambda v, x: system.upscale_tiled(v, {}, {"image": x, "tile": tile}, KEY)
    )
    expected = whole(variables, image)
    assert expected.shape == (1, *(system.scale * n for n in size), 3)
    assert np.mean(np.abs(expected) < 1) > 0.95
    result = tiled(variables, image)["image"]
    np.testing.assert_allclose(result, expected, atol=1e-5)


def test_check_08_tiles_without_a_halo_differ(monkeypatch):
    image = jax.random.uniform(KEY, (1, 40, 40, 3), minval=-1.0)
    variables = trained_variables(TINY, 0.5 * image + 0.5)
    whole = TINY.upscale(variables, {}, {"image": image}, KEY)["image"]
    network = type(TINY.networks()["generator"])
    monkeypatch.setattr(network, "halo", property(lambda self: 2))
    inputs = {"image": image, "tile": 16}
    tiled = TINY.upscale_tiled(variables, {}, inputs, KEY)["image"]
    assert np.abs(tiled - whole).max() > 1e-3


def test_modes_map_library_images_to_the_generator_s_range_and_clip():
    state, batch, _ = start(TINY)
    generator, variables = TINY.networks()["generator"], state.variables()
    sr = core.predict(generator, variables["generator"], batch["lr"], train=False)
    assert np.abs(sr).max() > 1
    inputs = {"image": 2.0 * batch["lr"] - 1.0}
    result = TINY.upscale(variables, {}, inputs, KEY)["image"]
    np.testing.assert_allclose(result, np.clip(sr, -1, 1), atol=1e-5)
    assert TINY.inference["upscale"].output["image"].scale == 4


def test_check_10_learning_rates():
    system = SRGAN()
    players = system.optimizers()
    for name in ("generator", "discriminator"):
        rate = players[name].learning_rate
        assert float(rate(99_999)) == pytest.approx(1e-4)
        assert float(rate(100_000)) == pytest.approx(1e-5)
    assert players["srresnet"].learning_rate(999_999) == 1e-4
    cosine = dataclasses.replace(system, pretrain_schedule="cosine", pretrain_steps=100)
    rate = cosine.optimizers()["srresnet"].learning_rate
    assert float(rate(0)) == pytest.approx(1e-4)
    assert float(rate(50)) == pytest.approx(5e-5)
    assert float(rate(100)) == pytest.approx(0.0, abs=1e-10)
    assert [s.num_steps for s in system.stages] == [1_000_000, 200_000]


def test_check_10_the_adversarial_stage_starts_from_srresnet_with_fresh_optimisers():
    system = dataclasses.replace(TINY, ema_decay=0.5)
    state, batch, frozen = start(system)
    fresh = jax.device_get(state.opt_state)
    step = step_of(system, "srresnet_step")
    for _ in range(3):
        state, _ = step(state, frozen, batch, KEY)
    assert differs(state.ema["generator"], state.params["generator"])
    enter = system.stages[1].enter
    begun = jax.jit(enter)(state, frozen, batch, KEY)
    assert_same(begun.params, state.params)
    assert_same(begun.stats, state.stats)
    assert_same(begun.ema["generator"], state.params["generator"])
    for player in system.stages[1].players:
        assert_same(begun.opt_state[player], fresh[player])
    after, metrics = step_of(system)(begun, frozen, batch, KEY)
    assert metrics["learning_rate/generator"] == np.float32(1e-4)
    assert int(after.opt_state["generator"][-1].count) == 1
    assert int(after.opt_state["srresnet"][-1].count) == 3


def test_check_10_the_adversarial_stage_starts_from_another_run_s_srresnet(
    tmp_path, capsys
):
    def train(name, seed, init_from=None, **fields):
        config = cases.config_module("srgan").get_config("tiny").to_dict()
        config["system"] |= fields
        config["training"] |= {"num_steps": 1, "sample_every": 0}
        config |= {"seed": seed, "devices": {"data": 1}}
        config = configs.with_defaults(config)
        system = configs.build_system(config)
        loop.train(system, config, tmp_path / name, make_task, init_from=init_from)
        return jaxgan.load(tmp_path / name)[1]["generator"]["params"]

    first = train("srresnet", 0, adversarial_steps=0)
    # At a rate of 0 the step leaves parameters as it found them.
    still = {"pretrain_steps": 0, "learning_rate": 0.0}
    assert_same(train("srgan", 1, tmp_path / "srresnet", **still), first)
    warning = "'srgan' is meant to go on from networks of 'srresnet'"
    assert warning not in capsys.readouterr().out
    train("alone", 1, **still)
    assert warning in capsys.readouterr().out


def test_the_average_of_the_generator_is_what_modes_use():
    system = dataclasses.replace(TINY, ema_decay=0.5)
    state, batch, frozen = start(system)
    after, _ = step_of(system, "srresnet_step")(state, frozen, batch, KEY)
    expected = jax.tree.map(
        lambda old, new: 0.5 * old + 0.5 * new,
        state.params["generator"],
        after.params["generator"],
    )
    used = after.variables()["generator"]["params"]
    jax.tree.map(partial(np.testing.assert_allclose, atol=1e-6), used, expected)
    assert start(TINY)[0].ema == {}


def test_interpolated_weights_go_from_one_run_to_the_other():
    one = start(TINY)[0].variables()
    other = jax.tree.map(lambda x: x + 1.0, one)
    assert_same(core.interpolate_weights(one, other, 0.0), one)
    assert_same(core.interpolate_weights(one, other, 1.0), other)
    half = core.interpolate_weights(one, other, 0.25)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b + 0.25, atol=1e-6), half, one
    )


def test_microbatches_change_nothing_where_every_image_is_normalised_alone():
    # SGD: Adam would blow rounding noise up to full steps.
    def sgd(microbatches):
        system = dataclasses.replace(TINY, microbatches=microbatches, norm_groups=0)
        players = {
            n: core.player(p.networks, optax.identity(), 0.01)
            for n, p in system.optimizers().items()
        }
        twin = type("Twin", (SRGAN,), {"optimizers": lambda self: players})
        return twin(
            **{f.name: getattr(system, f.name) for f in dataclasses.fields(system)}
        )

    results = []
    for microbatches in (1, 2):
        system = sgd(microbatches)
        state, batch, frozen = start(system)
        after, _ = step_of(system)(state, frozen, batch, KEY)
        results.append(jax.device_get(after.params))
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, atol=1e-5, rtol=1e-4), *results
    )


def test_a_bfloat16_step_keeps_losses_and_parameters_in_float32():
    system = dataclasses.replace(TINY_VGG, dtype="bfloat16")
    state, batch, frozen = start(system, 2)
    step = system.srgan_step
    after, metrics = jax.eval_shape(step, state, frozen, batch, KEY)
    leaves = jax.tree.leaves((after.params, after.stats, metrics))
    assert {str(x.dtype) for x in leaves} == {"float32"}
    half = terms(system, state, frozen, batch, "generator")
    full = terms(TINY_VGG, state, frozen, batch, "generator")
    for name, value in half.items():
        assert float(value) == pytest.approx(float(full[name]), rel=5e-2)


def test_a_bfloat16_generator_near_its_truth_is_led_by_a_float32_vgg():
    """Between so near pictures the features' difference in bfloat16 is rounding too."""
    _, batch, frozen = start(TINY_VGG, 2)
    hr = batch["hr"]
    sr = hr + 0.01 * jax.random.normal(KEY, hr.shape)

    def loss_and_gradient(**changes):
        system = dataclasses.replace(TINY_VGG, **changes)

        @jax.jit
        @jax.value_and_grad
        def content(sr, hr, frozen):
            fixed = core.Fixed({}, {}, frozen)
            return system._content("vgg22", fixed, sr, hr)["vgg22"]

        value, gradient = content(sr, hr, frozen)
        return float(value), np.ravel(gradient) / np.linalg.norm(gradient)

    value, direction = loss_and_gradient()
    mixed, of_mixed = loss_and_gradient(dtype="bfloat16")
    half, of_half = loss_and_gradient(dtype="bfloat16", vgg_dtype="bfloat16")
    assert mixed == pytest.approx(value, rel=1e-4)
    assert direction @ of_mixed > 0.9999
    assert half != pytest.approx(value, rel=2e-2)
    assert direction @ of_half < 0.99


@pytest.mark.parametrize(
    "changes",
    [
        {"scale": 3},
        {"image_size": 30},
        {"content": "vgg33"},
        {"update_order": "both"},
        {"vgg_dtype": "float16"},
        {"weights_convention": "inception"},
        {"pretrain_steps": 0, "adversarial_steps": 0},
        {"beta1": 1.0},
        {"ema_decay": 1.0},
    ],
    ids=str,
)
def test_impossible_fields_are_refused(changes):
    with pytest.raises(core.UserError, match=".*".join(changes)):
        SRGAN(**changes)


def test_a_scale_that_is_no_number_is_refused_in_words():
    system = copy.copy(TINY)
    object.__setattr__(system, "scale", "4")  # tests check types before the system does
    with pytest.raises(core.UserError, match="system.scale = '4' .*one of 2, 4, 8"):
        system.__post_init__()


LEARNING = SRGAN(
    image_size=32,
    num_blocks=2,
    generator_channels=16,
    discriminator_channels=16,
    generator_init="torch_default",
    content="vgg22",
    pretrain_learning_rate=3e-3,
    pretrain_schedule="cosine",
    pretrain_steps=2000,
)
DATA = {"task": "low_high", "source": "synthetic:shapes", "fields": ("flat",)}
DATA |= {"image_size": 32, "scale": 4}


def scene_task(split, count):
    options = {"source_options": {"count": count}}
    return make_task(DATA | options, split=split, seed=0)


@pytest.fixture(scope="module")
def srresnet():
    """SRResNet, trained on 1100 scenes, and 100 held-out ones."""
    train, test = scene_task("train", 1100), scene_task("test", 100)
    held_out = jax.tree.map(
        jnp.asarray, test.preprocess(test.examples(range(100)), KEY)
    )
    batches, prepare = train.batches(0, 16), jax.jit(train.preprocess)
    state = jax.jit(LEARNING.init)(KEY, prepare(next(batches), KEY), {})
    step = jax.jit(LEARNING.srresnet_step, donate_argnums=0)
    for i in range(LEARNING.pretrain_steps):
        key = jax.random.fold_in(KEY, i)
        state, _ = step(state, {}, prepare(next(batches), key), key)
    return state, held_out


def quality(state, held_out) -> float:
    """PSNR-Y in dB."""
    image = 2.0 * held_out["lr"] - 1.0
    sr = LEARNING.upscale(state.variables(), {}, {"image": image}, KEY)["image"]
    return float(jnp.mean(psnr_y(sr, held_out["hr"])))


@pytest.mark.slow
@pytest.mark.picked
def test_check_11_srresnet_learns_more_than_its_input_shows(srresnet):
    state, held_out = srresnet
    image = 2.0 * held_out["lr"] - 1.0
    nearest = jnp.repeat(jnp.repeat(image, 4, axis=1), 4, axis=2)
    baseline = float(jnp.mean(psnr_y(nearest, held_out["hr"])))
    found = quality(state, held_out)
    assert found >= baseline + 1.0, (found, baseline)


@pytest.mark.slow
@pytest.mark.picked
def test_check_12_adversarial_steps_keep_the_picture(srresnet):
    state, held_out = srresnet
    before = quality(state, held_out)
    frozen = cases.random_frozen(LEARNING)
    train = scene_task("train", 1100)
    batches, prepare = train.batches(0, 16), jax.jit(train.preprocess)
    step = jax.jit(LEARNING.srgan_step)
    accuracies = []
    state = LEARNING.begin_adversarial(state, frozen, {}, KEY)
    for i in range(150):  # after 50, 0.56
        key = jax.random.fold_in(KEY, 10_000 + i)
        state, metrics = step(state, frozen, prepare(next(batches), key), key)
        assert all(np.isfinite(x) for x in metrics.values()), (i, metrics)
        accuracies.append(float(metrics["accuracy/discriminator"]))
    assert np.mean(accuracies[-25:]) > 0.7, accuracies
    assert quality(state, held_out) > before - 3.0
