"""DCGAN: its specification's acceptance checks, shared with the first GAN."""

import dataclasses
import math
from functools import cache, partial

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxgan import core
from jaxgan.core.player import updates_done
from jaxgan.data import make_task
from jaxgan.inference import export
from jaxgan.networks.dcgan import LINEAGES, DCGANDiscriminator, layer_table
from jaxgan.networks.layers import Conv, ConvTranspose
from jaxgan.systems.dcgan import COMPANIONS, DCGAN
from tests import cases

TINY = cases.build("dcgan", "tiny")
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def tiny():
    """The tiny system after three steps, and its batch."""
    batch = cases.random_batch(TINY.stages[0], 16)
    state, step = jax.jit(TINY.init)(KEY, batch, {}), jax.jit(TINY.step)
    for i in range(3):
        state, _ = step(state, {}, batch, jax.random.fold_in(KEY, i))
    return state, batch


def shapes(system):
    spec = system.stages[0].batch_spec
    batch = {
        k: jax.ShapeDtypeStruct((2, *s.shape), jnp.dtype(s.dtype))
        for k, s in spec.items()
    }
    return jax.eval_shape(system.init, KEY, batch, {})


def counts(system):
    params = shapes(system).params
    return tuple(
        sum(math.prod(x.shape) for x in jax.tree.leaves(params[n]))
        for n in ("generator", "discriminator")
    )


def widths(lineage, w, **options):
    return DCGAN(
        lineage=lineage, generator_channels=w, discriminator_channels=w, **options
    )


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        (widths("theano", 128), (18_885_760, 17_232_768)),
        (widths("torch", 64), (3_576_704, 2_765_568)),
        (widths("tf", 64), (5_135_363, 4_316_545)),
        (widths("tf", 128), (18_872_323, 17_234_689)),
        (cases.build("dcgan", "celeba_bamos"), (11_490_307, 4_316_545)),
        (cases.build("dcgan", "mnist_conditional"), (6_820_538, 6_688_202)),
        # The shapes of the author's published ImageNet parameters, summed.
        (cases.build("dcgan", "imagenet32"), (6_690_688, 4_586_112)),
    ],
    ids=["theano", "torch", "tf", "tf_128", "bamos", "mnist_conditional", "imagenet32"],
)
def test_check_01_parameter_counts(system, expected):
    assert counts(system) == expected


@pytest.mark.parametrize("lineage", ["theano", "torch", "tf"])
def test_check_01_shapes(lineage):
    nets, state = widths(lineage, 64).networks(), shapes(widths(lineage, 64))

    def play(params, stats):
        z = jnp.zeros((2, 100))
        image, _ = core.forward(
            nets["generator"], params["generator"], stats["generator"], z, train=False
        )
        name = "discriminator"
        logits = core.forward(nets[name], params[name], stats[name], image, train=False)
        return image, logits[0]

    image, logits = jax.eval_shape(play, state.params, state.stats)
    assert image.shape == (2, 64, 64, 3) and logits.shape == (2,)


@pytest.mark.parametrize(
    ("size", "expected"),
    [(16, [4, 8]), (32, [4, 8, 16]), (128, [4, 8, 16, 32, 32])],
)
def test_other_sizes_are_built_and_capped_at_eight_times_the_width(size, expected):
    assert [x.fan_out for x in layer_table(size, 3, 4, "torch")] == expected
    nets = DCGAN(image_size=size, generator_channels=4, discriminator_channels=4)
    image, _ = jax.eval_shape(
        lambda: nets.networks()["generator"].init_with_output(
            KEY, jnp.zeros((2, 100)), train=False
        )
    )
    assert image.shape == (2, size, size, 3)


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (0, [4, 8, 16, 32]),
        (16, [4, 8, 16, 16]),
        (3, [3, 3, 3, 3]),
        (99, [4, 8, 16, 32]),
    ],
)
def test_widths_are_capped(most, expected):
    layers = layer_table(64, 3, 4, "theano_3x3", most)
    assert [x.fan_out for x in layers[::2]] == expected
    assert [x.fan_in for x in layers[1::2]] == expected  # twice a level


def test_the_conditional_network_has_no_cap():
    with pytest.raises(core.UserError, match="max_channels = 64 has no use"):
        DCGAN(image_size=28, num_classes=10, max_channels=64)


@pytest.mark.parametrize("size", [0, 4, 20, 48, 65])
def test_sizes_that_cannot_be_built_are_refused(size):
    with pytest.raises(core.UserError, match=f"image_size = {size}"):
        DCGAN(image_size=size)


@pytest.mark.parametrize(("field", "value"), [("invert_iters", 0), ("beta1", 1.0)])
def test_numbers_that_would_divide_by_zero_are_refused(field, value):
    with pytest.raises(core.UserError, match=f"{field} = {value}"):
        DCGAN(**{field: value})


@pytest.mark.parametrize("lineage", [*LINEAGES, "conditional"])
def test_weights_start_as_in_their_lineage(lineage):
    """N(0, 0.02), cut off at 0.04 in tf's discriminator; scales N(1, 0.02), 1 in tf."""
    classes = {"num_classes": 10, "lineage": "theano", "dense_units": 64}
    chosen = classes if lineage == "conditional" else {"lineage": lineage}
    system = DCGAN(
        image_size=32, generator_channels=16, discriminator_channels=16, **chosen
    )
    batch = {"image": jnp.zeros((16, 32, 32, 3)), "label": jnp.zeros(16, int)}
    params = jax.jit(system.init)(KEY, batch, {}).params
    for path, x in jax.tree_util.tree_leaves_with_path(params):
        player, layer, kind = (part.key for part in path)
        where, n, mean = "/".join((player, layer, kind)), x.size, 0.0
        std = 0.02
        if kind == "scale":
            mean, std = 1.0, 0.0 if lineage == "tf" else std
        if kind == "bias":
            std = 0.0
        cut = lineage == "tf" and player == "discriminator" and "conv" in layer
        if kind == "kernel":
            assert (np.abs(x).max() <= 0.04 + 1e-6) == cut, where
            std *= 0.8796 if cut else 1.0  # of a normal cut off at two deviations
        np.testing.assert_allclose(np.std(x), std, rtol=4 / np.sqrt(n), err_msg=where)
        tolerance = 4 * std / np.sqrt(n)
        np.testing.assert_allclose(np.mean(x), mean, atol=tolerance, err_msg=where)


def test_check_02_losses_at_zero_logits(tiny):
    state, batch = tiny
    params = {**state.params["discriminator"]}
    params["head"] = jax.tree.map(jnp.zeros_like, params["head"])
    params = {**state.params, "discriminator": params}
    z = core.draw_latent("uniform", KEY, (16, TINY.z_dim))
    minimax = dataclasses.replace(TINY, loss="minimax")

    @jax.jit
    def run(params):
        fixed = core.Fixed(params, state.stats, {})
        d, _ = TINY.discriminator_loss(params, fixed, batch["image"], z)
        return d, *(s.generator_loss(params, fixed, z)[0] for s in (TINY, minimax))

    np.testing.assert_allclose(run(params), [1.386294, 0.693147, -0.693147], rtol=1e-5)


def first_layer(lineage, image, kernel):
    chosen = LINEAGES[lineage]
    conv = Conv(1, chosen.kernel_size, 2, (chosen.padding,) * 2, use_bias=False)
    return np.asarray(conv.apply({"params": {"kernel": kernel}}, image))


@pytest.mark.parametrize("pixel", [(0, 0), (1, 6), (7, 7), (4, 3)], ids=str)
def test_check_03_padding(pixel):
    """Torch's kernel is even and its padding symmetric, so mirror images have mirror
    responses. An odd kernel at stride 2 and an even size cannot have them: Theano's
    padding reaches one pixel further before, `SAME` one further after, and each is the
    mirror of the other."""
    image = jnp.zeros((1, 8, 8, 1)).at[0, pixel[0], pixel[1], 0].set(1.0)
    flip = lambda x: x[:, ::-1, ::-1]  # noqa: E731

    def mirrored(lineage, other):
        size = LINEAGES[lineage].kernel_size
        kernel = jax.random.normal(KEY, (size, size, 1, 1))
        response = first_layer(lineage, image, kernel)
        assert response.shape == (1, 4, 4, 1)
        theirs = first_layer(other, flip(image), kernel[::-1, ::-1])
        return np.array_equal(flip(theirs), response)

    assert mirrored("torch", "torch")
    assert mirrored("theano", "tf") and mirrored("tf", "theano")
    assert not mirrored("tf", "tf") and not mirrored("theano", "theano")


@pytest.mark.parametrize("lineage", LINEAGES)
def test_check_03_the_generators_layers_are_transposes_of_the_discriminators(lineage):
    chosen = LINEAGES[lineage]
    kernel = jax.random.normal(KEY, (chosen.kernel_size,) * 2 + (3, 2))
    down = Conv(2, chosen.kernel_size, 2, (chosen.padding,) * 2, use_bias=False)
    up = ConvTranspose(
        3,
        chosen.kernel_size,
        2,
        (chosen.padding,) * 2,
        chosen.output_padding,
        use_bias=False,
    )
    x = jax.random.normal(KEY, (1, 8, 8, 3))
    y, pull = jax.vjp(lambda x: down.apply({"params": {"kernel": kernel}}, x), x)
    z = jax.random.normal(KEY, y.shape)
    doubled = up.apply({"params": {"kernel": kernel}}, z)
    assert doubled.shape == x.shape and y.shape[1:3] == (4, 4)
    np.testing.assert_allclose(doubled, pull(z)[0], atol=1e-5)


def without(system, name):
    """The system with one player who stands still."""
    players = system.optimizers()
    players[name] = core.player((name,), optax.identity(), 0.0)
    cls = type(system)
    twin = type(cls.__name__, (cls,), {"optimizers": lambda self: players})
    return twin(**{f.name: getattr(system, f.name) for f in dataclasses.fields(cls)})


def equal(a, b) -> bool:
    return all(jax.tree.leaves(jax.tree.map(np.array_equal, a, b)))


def test_check_05_the_generator_is_judged_by_the_updated_discriminator(tiny):
    _, batch = tiny
    moved = []
    for system in (TINY, without(TINY, "discriminator")):
        state = jax.jit(system.init)(KEY, batch, {})
        moved.append(jax.jit(system.step)(state, {}, batch, KEY)[0])
    assert not equal(moved[0].params["generator"], moved[1].params["generator"])
    assert equal(moved[1].params["discriminator"], state.params["discriminator"])


@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_check_06_an_update_moves_its_own_network_only(tiny, player):
    state, batch = tiny
    z = jnp.ones((16, TINY.z_dim)) * jnp.linspace(-1, 1, 16)[:, None]
    args = (batch["image"], z) if player == "discriminator" else (z,)
    loss = getattr(TINY, f"{player}_loss")
    update = partial(core.update, optimizers=TINY.optimizers(), commit=(player,))
    after = jax.jit(lambda state: update(state, loss, (player,), *args)[0])(state)
    for name in state.params:
        assert equal(state.params[name], after.params[name]) == (name != player)
        assert equal(state.stats[name], after.stats[name]) == (name != player)


def test_check_07_real_and_fake_batches_have_their_own_statistics(tiny):
    state, batch = tiny
    fixed = core.Fixed(state.params, state.stats, {})
    trained = {"discriminator": state.params["discriminator"]}
    reals, fakes = [], []
    for seed in (0, 1):
        z = core.draw_latent("uniform", jax.random.key(seed), (16, TINY.z_dim))
        _, out = TINY.discriminator_loss(trained, fixed, batch["image"], z)
        reals.append(out.metrics["logits/real"])
        fakes.append(out.metrics["logits/fake"])
    assert reals[0] == reals[1] and fakes[0] != fakes[1]


def test_critic_and_generator_steps_are_counted_and_see_batches_of_their_own():
    system = dataclasses.replace(TINY, n_critic=2, g_steps=3)
    batch = cases.random_batch(system.stages[0], 16)
    assert batch["image"].shape == (16, 2, 16, 16, 3)
    state, step = jax.jit(system.init)(KEY, batch, {}), jax.jit(system.step)
    after, _ = step(state, {}, batch, KEY)
    count = lambda name: int(updates_done(after.opt_state[name]))  # noqa: E731
    assert (count("discriminator"), count("generator")) == (2, 3)
    for i in range(2):
        other = {"image": batch["image"].at[:, i].multiply(0.5)}
        changed, _ = step(state, {}, other, KEY)
        assert not equal(changed.params, after.params), i


@pytest.mark.parametrize("g_steps", [1, 2])
@pytest.mark.parametrize("reuse", [False, True])
def test_reused_noise_is_that_of_the_discriminators_update(
    monkeypatch, tiny, reuse, g_steps
):
    """All of G's updates reuse it, as in the TensorFlow port; else each has its own."""
    system = dataclasses.replace(TINY, reuse_noise=reuse, g_steps=g_steps)
    state, batch = tiny
    noise = core.draw_latent("uniform", KEY, (1 + g_steps, 16, TINY.z_dim))

    @jax.jit
    def step(state, drawn):
        monkeypatch.setattr(core, "draw_latent", lambda *_: drawn)
        return system.step(state, {}, batch, KEY)[0].params["generator"]

    after = step(state, noise)
    for i in range(1, 1 + g_steps):
        other = step(state, noise.at[i].multiply(-0.5))
        assert equal(after, other) == reuse, i


def test_statistics_are_those_of_each_networks_own_update(monkeypatch, tiny):
    """G's of its own noise, D's of the real and then of the fake batch."""
    state, batch = tiny
    noise = core.draw_latent("uniform", KEY, (2, 16, TINY.z_dim))
    monkeypatch.setattr(core, "draw_latent", lambda *_: noise)

    @jax.jit
    def run(state):
        fixed = core.Fixed(state.params, state.stats, {})
        _, d = TINY.discriminator_loss(state.params, fixed, batch["image"], noise[0])
        _, g = TINY.generator_loss(state.params, fixed, noise[1])
        return TINY.step(state, {}, batch, KEY)[0].stats, d.stats | g.stats

    after, expected = run(state)
    for old, found, wanted in zip(
        *map(jax.tree.leaves, (state.stats, after, expected)), strict=True
    ):
        assert not np.array_equal(old, found)
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


def test_adam_has_the_published_beta1():
    for name, player in DCGAN().optimizers().items():
        params = {name: {"w": jnp.zeros(1)}}  # where weight decay has nothing to add
        state = player.init(params)
        for slope in (1.0, 0.0):
            slopes = {name: {"w": jnp.full(1, slope)}}
            moved, state = player.update(slopes, state, params)
        # Corrected means of (1, 0): b / (1 + b), with b = 0.5 and of squares 0.999.
        expected = -2e-4 * (0.5 / 1.5) / np.sqrt(0.999 / 1.999)
        np.testing.assert_allclose(moved[name]["w"], [expected], rtol=1e-4)


def test_the_paper_s_bedrooms_and_the_author_s_faces():
    bedrooms = cases.build("dcgan", "lsun_paper")
    assert counts(bedrooms) == (18_885_760, 17_232_768)  # 1024-512-256-128, figure 1
    assert bedrooms.prior == "uniform" and not bedrooms.l2
    assert cases.batch_size("dcgan", "lsun_paper") == 128
    get_config = cases.config_module("dcgan").get_config
    assert not get_config("lsun_paper").data.flip
    assert get_config("faces").data.box == 64  # of 128


def test_the_rate_falls_by_epoch_and_counts_the_players_own_updates():
    system = DCGAN(
        constant_steps=20, decay_steps=20, epoch_steps=10, n_critic=2, learning_rate=1.0
    )
    rates = {n: p.learning_rate for n, p in system.optimizers().items()}
    by_epoch = [1.0, 1.0, 1.0, 0.5, 0.0]  # the author's falls after his next epoch
    for epoch, rate in enumerate(by_epoch):
        for step in (10 * epoch, 10 * epoch + 9):
            assert rates["generator"](step) == pytest.approx(rate)
            assert rates["discriminator"](2 * step + 1) == pytest.approx(rate)


def test_weight_decay_is_coupled_and_reaches_the_norms():
    player = DCGAN(l2=1e-5).optimizers()["generator"]
    params = {"generator": {"norm": {"scale": jnp.array([2.0, -2.0])}}}
    still = jax.tree.map(jnp.zeros_like, params)
    update, _ = player.update(still, player.init(params), params)
    # Adam makes full steps even of a gradient of 1e-5 * p.
    np.testing.assert_allclose(
        update["generator"]["norm"]["scale"], [-2e-4, 2e-4], rtol=1e-2
    )


def test_small_batches_are_warned_of(caplog):
    batch = cases.random_batch(TINY.stages[0], 5)
    jax.eval_shape(TINY.init, KEY, batch, {})
    assert "batch norm over a batch of 5" in caplog.text
    caplog.clear()
    jax.eval_shape(TINY.init, KEY, cases.random_batch(TINY.stages[0], 16), {})
    assert not caplog.text


@cache
def compiled(system, mode, static):
    fn = system.inference[mode].fn
    return jax.jit(lambda v, arrays: fn(v, {}, {**arrays, **dict(static)}, KEY))


def call(system, mode, variables, **inputs):
    for name, spec in system.inference[mode].inputs.items():
        if isinstance(spec, core.Int | core.Choice | core.Float):
            inputs.setdefault(name, spec.default)
    arrays = {k: v for k, v in inputs.items() if isinstance(v, jax.Array)}
    static = tuple((k, v) for k, v in inputs.items() if k not in arrays)
    return compiled(system, mode, static)(variables, arrays)


@pytest.mark.parametrize("statistics", ["running", "batch"])
def test_samples_do_not_depend_on_batch_mates(tiny, statistics):
    variables = tiny[0].variables()
    z = core.draw_latent("uniform", KEY, (6, TINY.z_dim))
    whole = call(TINY, "sample", variables, z=z, statistics=statistics)["image"]
    alone = [
        call(TINY, "sample", variables, z=z[i : i + 1], statistics=statistics)["image"]
        for i in range(2)
    ]
    np.testing.assert_allclose(np.concatenate(alone), whole[:2], atol=1e-5)
    assert np.abs(alone[0] - alone[1]).mean() > 0.5 * np.std(whole)


def test_batch_statistics_are_about_those_of_a_large_batch(tiny):
    """Two steps of an average of ten have not brought running ones there."""
    variables = tiny[0].variables()
    z = core.draw_latent("uniform", jax.random.key(7), (1000, TINY.z_dim))
    network = TINY.networks()["generator"]
    decode = jax.jit(
        lambda z: core.predict(network, variables["generator"], z, train=True)
    )
    large, spread = decode(z)[:16], np.std(decode(z))
    error = {
        statistics: np.abs(
            call(TINY, "sample", variables, z=z[:16], statistics=statistics)["image"]
            - large
        ).mean()
        for statistics in ("batch", "running")
    }
    assert TINY.inference["sample"].inputs["statistics"].default == "batch"
    assert error["batch"] < 0.2 * spread < 0.5 * spread < error["running"]


def test_companions_are_decoded_once_whatever_is_asked_for(tiny):
    variables, mode = tiny[0].variables(), TINY.inference["sample"]
    z = core.draw_latent("uniform", KEY, (5, TINY.z_dim))

    def one(z):
        inputs = {"z": z[None], "statistics": "batch"}
        return mode.fn(variables, {}, inputs, KEY)["image"][0]

    program = str(jax.make_jaxpr(jax.vmap(one))(z))
    assert f"f32[{COMPANIONS},4,4," in program
    assert f"[5,{COMPANIONS}," not in program and f"[{COMPANIONS},5," not in program


def test_an_export_draws_one_sample_as_it_draws_many(tiny):
    mode, variables = TINY.inference["sample"], tiny[0].variables()
    z = core.draw_latent("uniform", KEY, (5, TINY.z_dim))
    whole = call(TINY, "sample", variables, z=z)["image"]
    made = export.build(
        mode, variables, {}, {"statistics": "batch"}, platforms=("cpu",)
    )
    assert not any("batch_stats" in name for name in made.parameters)
    program = jax.export.deserialize(bytearray(made.program))
    for n in (1, 5):
        found = program.call(made.parameters, {"z": z[:n]})["image"]
        np.testing.assert_allclose(found, whole[:n], atol=1e-5)


def test_interpolations_pass_through_their_latents(tiny):
    variables = tiny[0].variables()
    z = core.draw_latent("uniform", KEY, (2, 3, TINY.z_dim))
    images = call(TINY, "interpolate", variables, z=z, steps=4)["images"]
    assert images.shape == (2, 9, 16, 16, 3)
    for i, at in enumerate((0, 4, 8)):
        one = call(TINY, "sample", variables, z=z[:, i])["image"]
        np.testing.assert_allclose(images[:, at], one, atol=1e-5)


def test_arithmetic_adds_means_and_surrounds_the_result_with_neighbours(tiny):
    variables = tiny[0].variables()
    a, b, c = core.draw_latent("uniform", KEY, (3, 2, 4, TINY.z_dim))
    out = call(TINY, "arithmetic", variables, plus=a, minus=b, base=c)
    expected = a.mean(axis=1) - b.mean(axis=1) + c.mean(axis=1)
    np.testing.assert_allclose(out["z"], expected, atol=1e-6)
    assert out["neighbours"].shape == (2, 8, 16, 16, 3)
    alone = call(TINY, "sample", variables, z=expected)["image"]
    np.testing.assert_allclose(out["image"], alone, atol=1e-5)
    still = call(TINY, "arithmetic", variables, plus=a, minus=b, base=c, noise=0.0)
    np.testing.assert_allclose(
        still["neighbours"], np.repeat(alone[:, None], 8, axis=1), atol=1e-5
    )


def test_a_turn_walks_from_left_to_right_through_the_latent(tiny):
    variables = tiny[0].variables()
    left, right = core.draw_latent("uniform", KEY, (2, 1, 4, TINY.z_dim))
    z = jnp.zeros((1, TINY.z_dim))
    images = call(TINY, "turn_vector", variables, z=z, left=left, right=right, steps=2)[
        "images"
    ]
    assert images.shape == (1, 5, 16, 16, 3)
    vector = right.mean(axis=1) - left.mean(axis=1)
    for i, t in enumerate((-1, -0.5, 0, 0.5, 1)):
        one = call(TINY, "sample", variables, z=t * vector)
        np.testing.assert_allclose(images[:, i], one["image"], atol=1e-5)


@pytest.mark.parametrize(
    ("lineage", "size", "width", "expected"),
    [("theano_3x3", 32, 128, 28_672), ("theano", 32, 64, 7168)],
)
def test_features_are_every_convolution_pooled_to_four_by_four(
    lineage, size, width, expected
):
    system = widths(lineage, width, image_size=size)
    state = shapes(system)
    image = jax.ShapeDtypeStruct((2, size, size, 3), jnp.float32)
    out = jax.eval_shape(
        lambda v, x: system.features(v, {}, {"image": x}, KEY),
        state.variables(),
        image,
    )
    assert out["features"].shape == (2, expected)


def test_features_are_maxima_of_the_activations(tiny):
    state, batch = tiny
    variables, image = state.variables(), batch["image"][:2]
    network = DCGANDiscriminator(16, 3, TINY.discriminator_channels)
    first, last = network.apply(
        variables["discriminator"], image, train=False, features=True
    )
    features = call(TINY, "features", variables, image=image)["features"]
    assert first.shape == (2, 8, 8, 4) and last.shape == (2, 4, 4, 8)
    np.testing.assert_allclose(features[0, :4], first[0, :2, :2].max(axis=(0, 1)))
    np.testing.assert_array_equal(features[:, 64:], last.reshape(2, -1))


def test_dropped_filters_leave_their_maps_out(tiny):
    variables = tiny[0].variables()
    z = core.draw_latent("uniform", KEY, (2, TINY.z_dim))
    none, every = jnp.zeros((2, 4)), jnp.ones((2, 4))
    kept = call(TINY, "drop_filter", variables, z=z, maps=none)
    np.testing.assert_array_equal(kept["image"], kept["original"])
    assert kept["activations"].shape == (2, 8, 8, 4)
    assert np.all(kept["activations"] >= 0) and np.any(kept["activations"] > 0)
    sample = call(TINY, "sample", variables, z=z)["image"]
    np.testing.assert_allclose(kept["image"], sample, atol=1e-6)
    gone = call(TINY, "drop_filter", variables, z=z, maps=every)["image"]
    np.testing.assert_allclose(gone, 0.0, atol=1e-6)  # tanh(0), no bias


def test_the_dropped_maps_are_those_of_the_second_highest_layer():
    """256 maps at 64 px, of which the paper drops 200."""
    assert DCGAN().networks()["generator"].num_filter_maps == 256


def test_filters_can_be_dropped_where_a_layer_before_the_last_makes_any():
    def offered(**options):
        return "drop_filter" in DCGAN(**options).inference

    assert offered(image_size=16) and not offered(image_size=8)
    assert offered(image_size=8, lineage="theano_3x3")  # two convolutions a level


def test_inversion_finds_the_latent_of_a_generated_image(tiny):
    variables = tiny[0].variables()
    z = core.draw_latent("uniform", jax.random.key(5), (2, TINY.z_dim))
    target = call(TINY, "sample", variables, z=z)["image"]
    found = call(TINY, "invert", variables, image=target, num_iters=400, restarts=2)
    start = call(TINY, "invert", variables, image=target, num_iters=1, restarts=2)
    assert np.all(found["loss"] < 0.05 * start["loss"])
    np.testing.assert_allclose(found["image"], target, atol=0.05)


def test_a_canvas_is_one_convolution_over_a_grid_of_latents():
    system = cases.build("dcgan", "tiny_torch")
    batch = cases.random_batch(system.stages[0], 16)
    variables = jax.jit(system.init)(KEY, batch, {}).variables()
    z = core.draw_latent("normal", KEY, (1, 6, system.z_dim))
    image = call(system, "canvas", variables, z=z, columns=3)["image"]
    assert image.shape == (1, 4 * (2 + 3), 4 * (3 + 3), 3)
    one = call(system, "canvas", variables, z=z[:, :1], columns=1)["image"]
    alone = call(system, "sample", variables, z=z[:, 0])["image"]
    np.testing.assert_allclose(one, alone, atol=1e-6)
    with pytest.raises(core.UserError, match="columns=4"):
        call(system, "canvas", variables, z=z, columns=4)


@pytest.mark.parametrize("statistics", ["running", "batch"])
def test_labels_decide_what_the_conditional_network_draws_and_judges(statistics):
    system = cases.build("dcgan", "tiny_conditional")
    batch = cases.random_batch(system.stages[0], 16)
    variables = jax.jit(system.init)(KEY, batch, {}).variables()
    z = jnp.zeros((10, system.z_dim))
    draw = partial(call, system, "sample", variables, statistics=statistics)
    sample = draw(z=z, label=jnp.arange(10))["image"]
    assert len(np.unique(np.asarray(sample).reshape(10, -1), axis=0)) == 10
    # A batch of one class is drawn as it is among others.
    for label in (3, 4):
        equal = draw(z=z, label=jnp.full(10, label))["image"]
        np.testing.assert_allclose(equal[:1], sample[label : label + 1], atol=1e-6)
    image = jnp.zeros((10, 16, 16, 1))
    logit = call(system, "discriminate", variables, image=image, label=jnp.arange(10))
    assert len(np.unique(logit["logit"])) == 10


@pytest.mark.slow
@pytest.mark.picked
def test_check_11_learns_colours_without_collapse():
    task = make_task(
        {
            "task": "images",
            "source": "synthetic:shapes",
            "image_size": 32,
            "fields": ("style_a",),
        },
        split="train",
        seed=0,
    )
    system = widths("tf", 16, image_size=32, l2=0.0, g_steps=2, reuse_noise=True)
    held_out = task.preprocess(task.examples(np.arange(256)), KEY)["image"]

    def histogram(images):
        levels = np.clip((np.asarray(images) + 1) * 4, 0, 7).astype(int)
        return (
            np.stack(
                [np.bincount(levels[..., c].ravel(), minlength=8) for c in range(3)]
            )
            / levels[..., 0].size
        )

    def distance(images):
        flat = np.asarray(images).reshape(len(images), -1)
        return np.linalg.norm(flat[:128] - flat[128:256], axis=1).mean()

    def sample(state):
        z = core.draw_latent(system.prior, KEY, (256, system.z_dim))
        return call(system, "sample", state.variables(), z=z)["image"]

    def colour_error(state):
        return np.abs(histogram(sample(state)) - histogram(held_out)).sum()

    batches = task.batches(0, 32)
    raw = next(batches)
    state = jax.jit(system.init)(KEY, task.preprocess(raw, KEY), {})

    @jax.jit
    def step(state, raw, key):
        return system.step(state, {}, task.preprocess(raw, key), key)[0]

    untrained = colour_error(state)
    for i in range(600):
        state = step(state, next(batches), jax.random.fold_in(KEY, i))
    assert colour_error(state) < untrained / 2
    assert distance(sample(state)) > 0.3 * distance(held_out)
