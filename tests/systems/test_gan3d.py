"""3D-GAN: its specification's acceptance checks (those of its meshes: tests/ops)."""

import dataclasses
import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import core, losses, ops
from jaxgan.core import UserError
from jaxgan.data import make_task
from jaxgan.inference import arguments
from jaxgan.inference.inputs import Example
from jaxgan.losses import adversarial
from jaxgan.networks import voxel
from jaxgan.planning import hlo
from jaxgan.systems.gan3d import GAN3D, write_mesh
from tests import cases

TINY = cases.build("gan3d", "tiny")
TRICKS = cases.build("gan3d", "tiny_tricks")
ORDERS = ((0, 0), (0, 1), (1, 0), (1, 1))  # of old and new networks
CUBES, CHANNELS = (4, 8, 16, 32, 64), (512, 256, 128, 64, 1)


def shapes_of(system, count=2):
    side = system.resolution
    voxels = jax.ShapeDtypeStruct((count, side, side, side, 1), jnp.float32)
    return jax.eval_shape(
        system.init, jax.random.key(0), {"voxels": voxels}, {}
    ), voxels


def start(system, size=8):
    batch = cases.random_batch(system.stages[0], size)
    batch["voxels"] = jnp.round(batch["voxels"])
    state = jax.jit(system.init)(jax.random.key(0), batch, {})
    return state, batch, jax.jit(system.step)


@pytest.mark.parametrize(
    ("changes", "generator", "discriminator"),
    [
        ({}, 17_569_664, 11_048_832),
        ({"norm_first": False}, 17_569_664, 11_048_704),
        ({"resolution": 32, "channels": (256, 128, 64, 32)}, 6_032_320, 2_771_904),
    ],
)
def test_check_01_parameter_counts(changes, generator, discriminator):
    state, _ = shapes_of(GAN3D(**changes))
    count = lambda n: sum(math.prod(x.shape) for x in jax.tree.leaves(state.params[n]))  # noqa: E731
    assert (count("generator"), count("discriminator")) == (generator, discriminator)


def test_check_02_shapes_at_full_size():
    system = GAN3D()
    state, voxels = shapes_of(system)
    z = jax.ShapeDtypeStruct((2, 200), jnp.float32)
    variables = {n: {"params": state.params[n], **state.stats[n]} for n in state.params}
    run = lambda name, x: jax.eval_shape(  # noqa: E731
        lambda v, x: core.predict(system.networks()[name], v, x, train=False),
        variables[name],
        x,
    )
    assert run("generator", z).shape == (2, 64, 64, 64, 1)
    _, seen = jax.eval_shape(
        lambda v, z: system.networks()["generator"].apply(
            v, z, train=False, capture_intermediates=True, mutable=["intermediates"]
        ),
        variables["generator"],
        z,
    )
    layers = ("up1_norm", "up2", "up3", "up4", "up5")
    grids = [seen["intermediates"][layer]["__call__"][0].shape for layer in layers]
    assert grids == [(2, s, s, s, c) for s, c in zip(CUBES, CHANNELS, strict=True)]
    logits, taps = run("discriminator", voxels)
    assert logits.shape == (2,)
    assert [t.shape[1] for t in taps] == [32, 16, 8, 4]
    features = jax.eval_shape(
        lambda v, x: system.features(v, {}, {"voxels": x}, jax.random.key(0)),
        variables,
        voxels,
    )
    assert features["features"].shape == (2, 7168)
    assert system.inference["features"].output["features"].shape == (7168,)


def test_check_02_occupancies_fill_the_unit_interval(variables):
    z = core.draw_latent(TINY.prior, jax.random.key(3), (2, TINY.z_dim))
    generator = {**variables["generator"]}
    generator["params"] = jax.tree.map(lambda x: 100 * x, generator["params"])
    made = TINY.sample({"generator": generator}, {}, {"z": z}, jax.random.key(0))
    assert np.min(made["voxels"]) == 0 and np.max(made["voxels"]) == 1


@pytest.mark.parametrize(
    ("accuracy", "is_open"), [(0.0, True), (0.8, True), (0.81, False)]
)
def test_check_03_the_gate(accuracy, is_open):
    state, batch, step = start(TINY)
    assert state.memory["accuracy"] == 0.0
    state = state.remember(accuracy=jnp.asarray(accuracy, jnp.float32))
    after, metrics = step(state, {}, batch, jax.random.key(1))

    def parts(state, name):
        (adam, rate), stats = state.opt_state[name], state.stats[name]["batch_stats"]
        return {
            "parameters": state.params[name],
            "moments": (adam.mu, adam.nu),
            "counts": (adam.count, rate.count),
            "means": [norm["mean"] for norm in stats.values()],
            "variances": [norm["var"] for norm in stats.values()],
        }

    for name in ("generator", "discriminator"):
        old, new = parts(state, name), parts(after, name)
        for part in old:
            same = jax.tree.leaves(jax.tree.map(np.array_equal, old[part], new[part]))
            moves = is_open or name == "generator"
            assert not any(same) if moves else all(same), (name, part)
    assert metrics["skipped/discriminator"] == (0.0 if is_open else 1.0)
    assert after.memory["accuracy"] == metrics["accuracy/discriminator"]
    assert after.memory["accuracy"] != np.float32(accuracy)


@pytest.fixture(scope="module")
def stepped():
    """One step of noise that is known: the states, metrics, and losses at will."""
    system = dataclasses.replace(TINY, discriminator_learning_rate=0.05)
    state, batch, step = start(system)
    noise = [jax.random.uniform(jax.random.key(i), (8, TINY.z_dim)) for i in (1, 2)]
    draws = iter(noise)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core, "draw_latent", lambda *_: next(draws))
        after, metrics = step(state, {}, batch, jax.random.key(0))

    @jax.jit
    def losses_of(generator, discriminator):
        """D's and G's of a generator and a discriminator, with what they hand out."""
        params = {"generator": generator, "discriminator": discriminator}
        fixed = core.Fixed(params, state.stats, {})
        d = system.discriminator_loss(params, fixed, batch["voxels"], noise[0])
        return d, system.generator_loss(params, fixed, noise[1])

    return state, after, metrics, losses_of


def test_d_moves_against_the_old_generator_and_then_g_against_the_new_discriminator(
    stepped,
):
    state, after, metrics, losses_of = stepped
    names = "generator", "discriminator"
    old, new = ([s.params[n] for n in names] for s in (state, after))
    seen = {(i, j): losses_of((old, new)[i][0], (old, new)[j][1]) for i, j in ORDERS}
    for player, number, at in (("discriminator", 0, (0, 0)), ("generator", 1, (0, 1))):
        found = metrics[f"loss/{player}"]
        for pair, made in seen.items():
            near = np.isclose(found, made[number][0], rtol=1e-3)
            assert near == (pair == at), (player, pair)


def test_statistics_are_those_of_each_networks_own_update(stepped):
    """G's of its own noise, D's of the shapes and then of the fakes of its update."""
    state, after, _, losses_of = stepped
    (_, d), (_, g) = losses_of(
        *(state.params[n] for n in ("generator", "discriminator"))
    )
    expected = d.stats | g.stats
    for a, b in zip(*map(jax.tree.leaves, (after.stats, expected)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("beta2", [0.999, 0.5])
def test_adam_has_the_published_betas(beta2):
    for player in GAN3D(beta2=beta2).optimizers().values():
        params = {name: {"w": jnp.zeros(1)} for name in player.networks}
        state = player.init(params)
        for slope in (1.0, 0.0):
            slopes = jax.tree.map(lambda x, slope=slope: x + slope, params)
            moved, state = player.update(slopes, state, params)
        # Corrected means of (1, 0): b / (1 + b), with b = 0.5 and of squares beta2.
        rate = player.current_learning_rate(state)
        expected = -rate * (0.5 / 1.5) / np.sqrt(beta2 / (1 + beta2))
        np.testing.assert_allclose(jax.tree.leaves(moved)[0], [expected], rtol=1e-4)


def test_weights_start_as_in_dcgan():
    """N(0, 0.02), scales N(1, 0.02), offsets 0."""
    system = GAN3D(resolution=16, channels=(64, 32), z_dim=16)
    state, _, _ = start(system, 2)
    seen = set()
    for path, x in jax.tree_util.tree_leaves_with_path(state.params):
        where = jax.tree_util.keystr(path, simple=True, separator="/")
        mean, std = 0.0, 0.0 if where.endswith("bias") else 0.02
        mean = 1.0 if where.endswith("scale") else mean
        n = x.size
        np.testing.assert_allclose(np.std(x), std, rtol=4 / np.sqrt(n), err_msg=where)
        tolerance = 4 * std / np.sqrt(n)
        np.testing.assert_allclose(np.mean(x), mean, atol=tolerance, err_msg=where)
        seen.add(where.split("/")[-1])
    assert seen == {"up1_kernel", "head_kernel", "kernel", "scale", "bias"}


def test_targets_fill_their_ranges():
    system = GAN3D(real_labels=(0.7, 1.2), fake_labels=(0.0, 0.3))
    real, fake = map(np.asarray, system._draw_targets(jax.random.key(0), 10_000))
    for drawn, (low, high) in ((real, (0.7, 1.2)), (fake, (0.0, 0.3))):
        assert low <= drawn.min() < low + 0.01 and high - 0.01 < drawn.max() < high
        assert abs(drawn.mean() - (low + high) / 2) < 0.01
    assert abs(np.corrcoef(real, fake)[0, 1]) < 0.05
    assert GAN3D()._draw_targets(jax.random.key(0), 4) == ()


def test_targets_are_drawn_anew_and_the_generator_s_are_those_of_real_shapes(
    monkeypatch,
):
    system = dataclasses.replace(TRICKS, gate="none", microbatches=2)
    state, batch, _ = start(system)
    seen, bce = [], losses.soft_non_saturating_generator

    def record(logits, targets):
        seen.append(np.asarray(targets))
        return bce(logits, targets)

    for module in (losses, adversarial):
        monkeypatch.setattr(module, "soft_non_saturating_generator", record)
    for i in range(2):
        system.step(state, {}, batch, jax.random.key(i))
    assert [len(t) for t in seen] == [4] * 12
    real, fake = (
        np.concatenate([t for n in range(0, 12, 6) for t in seen[n + part : n + 4 : 2]])
        for part in (0, 1)
    )
    assert 0.7 <= real.min() and 1.0 < real.max() < 1.2
    assert 0.0 <= fake.min() and fake.max() < 0.3
    assert len({*real}) == len({*fake}) == 16  # one each, others in the next step
    for n in (0, 6):
        np.testing.assert_array_equal(seen[n + 4 : n + 6], seen[n : n + 4 : 2])


@pytest.mark.parametrize("gate", ["none", "last"])
def test_the_discriminator_s_rate_falls_at_its_step_skipped_or_not(gate):
    # A gate that closes after the first step.
    changes = {"gate": gate, "accuracy_threshold": 0.0, "real_labels": (0.9, 0.9)}
    system = dataclasses.replace(TRICKS, decay_at=2, **changes)
    rate = system.discriminator_learning_rate
    state, batch, step = start(system)
    seen, skipped = [], []
    for i in range(3):
        before = state
        state, metrics = step(state, {}, batch, jax.random.key(i))
        seen.append(metrics["learning_rate/discriminator"])
        skipped.append(metrics["skipped/discriminator"])
        assert metrics["learning_rate/generator"] == np.float32(0.0025)
    np.testing.assert_allclose(seen, [rate, rate, 0.1 * rate], rtol=1e-6)
    assert skipped == [0, 0, 0] if gate == "none" else skipped == [0, 1, 1]
    if gate == "none":
        constant = dataclasses.replace(system, decay_at=0)
        other, _ = jax.jit(constant.step)(before, {}, batch, jax.random.key(2))
        moves = [
            jax.tree.map(np.subtract, s.params["discriminator"], old)
            for s in (state, other)
            for old in [before.params["discriminator"]]
        ]
        for a, b in zip(*map(jax.tree.leaves, moves), strict=True):
            np.testing.assert_allclose(a, 0.1 * b, rtol=1e-2, atol=1e-7)
        moments = (s.opt_state["discriminator"] for s in (state, other))
        for a, b in zip(*map(jax.tree.leaves, moments), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"real_labels": (1.2, 0.7)}, "real_labels = .* lower first"),
        ({"fake_labels": (-0.1, 0.3)}, "fake_labels = .* at least 0"),
        ({"loss": "minimax", "fake_labels": (0.0, 0.3)}, "minimax.*targets of 1 and 0"),
    ],
)
def test_impossible_targets_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        GAN3D(**changes)


@pytest.mark.parametrize("field", ["norm_momentum", "beta1", "beta2"])
def test_shares_that_would_keep_the_old_for_ever_are_refused(field):
    with pytest.raises(UserError, match=f"{field} = 1.0 is impossible.*below 1"):
        GAN3D(**{field: 1.0})


@pytest.mark.parametrize(
    ("step", "share", "advice"),
    [
        (500, 0.01, "raise system.discriminator_learning_rate"),
        (500, 0.99, "lower system.discriminator_learning_rate"),
        (500, 0.5, None),
        (1, 0.0, None),
    ],
)
def test_a_gate_that_is_stuck_is_warned_of(step, share, advice):
    watch = TINY.stages[0].watch
    said = watch(step, {"skip_share/discriminator": share})
    assert said is None if advice is None else advice in said
    free = dataclasses.replace(TINY, gate="none").stages[0]
    assert free.watch(500, {"skip_share/discriminator": 0.0}) is None


def test_pictures_show_what_the_authors_viewer_shows(monkeypatch, variables):
    """Cells above 0.1, in every picture of a shape."""
    assert TINY.inference["postprocess"].inputs["threshold"].default == 0.1
    declared, levels = inspect.signature(ops.render_voxels), []

    def render(*args, **options):
        call = declared.bind(*args, **options)
        call.apply_defaults()
        levels.append(call.arguments["level"])
        return jnp.zeros((len(args[0]), 128, 128, 3))

    monkeypatch.setattr(ops, "render_voxels", render)
    key, z = jax.random.key(0), jnp.zeros((1, 2, TINY.z_dim))
    TINY.sample(variables, {}, {"z": z[:, 0]}, key)
    TINY.interpolate(variables, {}, {"z": z, "steps": 2}, key)
    TINY.sample_grid(variables, {}, {"voxels": jnp.zeros((1, 16, 16, 16, 1))}, key)
    assert levels == [0.1] * 6


def test_the_accuracy_is_that_of_before_the_update():
    """Opened or closed, the step's predictions are the same."""
    state, batch, step = start(TINY)
    closed = state.remember(accuracy=jnp.asarray(1.0, jnp.float32))
    seen = [
        step(s, {}, batch, jax.random.key(1))[1]["accuracy/discriminator"]
        for s in (state, closed)
    ]
    assert seen[0] == seen[1]


@pytest.mark.parametrize("gate", ["current", "none"])
def test_other_gates(gate):
    system = dataclasses.replace(TINY, gate=gate, accuracy_threshold=0.0)
    state, batch, step = start(system)
    _, metrics = step(state, {}, batch, jax.random.key(1))
    assert metrics["skipped/discriminator"] == (1.0 if gate == "current" else 0.0)


def test_a_gate_by_the_batch_s_own_accuracy_costs_no_second_look_at_it():
    """Systems of equal flops, gates open; and equal moves where both are open."""
    state, batch, _ = start(TINY)
    arguments = state, {}, batch, jax.random.key(1)
    made = {}
    for gate in ("last", "current"):
        system = dataclasses.replace(TINY, gate=gate, accuracy_threshold=1.0)
        step = jax.jit(system.step).lower(*arguments).compile()
        made[gate] = hlo.flops(step), step(*arguments)
    assert made["current"][0] == made["last"][0] > 0
    for a, b in zip(*(jax.tree.leaves(x[1]) for x in made.values()), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_check_04_accuracy():
    real, fake = jnp.asarray([1.0, -1.0]), jnp.asarray([-1.0, -1.0])
    assert losses.binary_accuracy(real, fake) == 0.75


def test_check_07_the_prior_is_uniform_on_the_unit_interval():
    def draw(system):
        z = core.draw_latent(system.prior, jax.random.key(0), (1000, 100))
        return np.asarray(z)

    z = draw(GAN3D())
    assert z.min() >= 0 and z.max() < 1
    assert abs(z.mean() - 0.5) < 0.005 and abs(z.std() - 12**-0.5) < 0.005
    z = draw(GAN3D(prior="normal"))
    assert abs(z.mean()) < 0.01 and abs(z.std() - 1) < 0.01


def test_80_percent_over_microbatches_open_the_gate():
    """Of 200 shapes in four parts 160 are judged rightly, however they are dealt."""
    dealt = np.random.default_rng(0).multivariate_hypergeometric([50] * 4, 160, 200)
    means = [sum(np.float32(n / 50) for n in row) / np.float32(4) for row in dealt]
    above = max(means)
    assert above > np.float32(0.8)  # by an ulp
    state, batch, step = start(TINY)
    _, metrics = step(state.remember(accuracy=above), {}, batch, jax.random.key(1))
    assert metrics["skipped/discriminator"] == 0


def test_check_08_feature_pooling_of_one_voxel_s_activation_is_exact(monkeypatch):
    taps = [np.zeros((1, s, s, s, 2048 // s), np.float32) for s in (32, 16, 8, 4)]
    for number, tap in enumerate(taps, start=1):
        side = tap.shape[1]
        tap[0, side // 2 - 1, side // 2, side - 1, 10 + number] = number
    monkeypatch.setattr(
        GAN3D, "_judge", lambda *_: (None, list(map(jnp.asarray, taps)))
    )
    inputs = {"voxels": jnp.zeros((1, 64, 64, 64, 1))}
    found = GAN3D().features({}, {}, inputs, jax.random.key(0))["features"][0]
    # Layer 1 is unused; the others' cells are pooled to (0, 1, 1) of 2^3, number 3.
    expected, start = np.zeros(7168), 0
    for number, channels in ((2, 128), (3, 256), (4, 512)):
        expected[start + 3 * channels + 10 + number] = number
        start += 8 * channels
    np.testing.assert_array_equal(found, expected)


def test_one_layer_has_no_features_and_everything_else():
    modes = GAN3D(resolution=8, channels=(16,)).inference
    assert TINY.inference.keys() - modes.keys() == {"features"}
    assert voxel.pooling(8, 1) == () and voxel.features_of(8, (16,)) == 0


def test_generator_and_discriminator_draw_separate_noise(monkeypatch):
    """The generator's update does not see the discriminator's fakes."""
    state, batch, _ = start(TINY)
    drawn, real = [], core.draw_latent

    def draw(*args):
        drawn.append(real(*args))
        return drawn[-1]

    monkeypatch.setattr(core, "draw_latent", draw)
    TINY.step(state, {}, batch, jax.random.key(0))
    assert len(drawn) == 2 and not np.array_equal(*drawn)


def test_the_share_of_skipped_updates_is_that_of_the_whole_run():
    system = dataclasses.replace(TINY, accuracy_threshold=0.0)  # then it is shut
    state, batch, _ = start(system)
    step = jax.jit(system.step)
    shares = []
    for i in range(3):
        state, metrics = step(state, {}, batch, jax.random.key(i))
        shares.append(float(metrics["skip_share/discriminator"]))
    np.testing.assert_allclose(shares, [0, 1 / 2, 2 / 3], rtol=1e-6)


@pytest.fixture(scope="module")
def variables():
    return start(TINY)[0].variables()


def test_samples_come_with_their_latents_and_interpolations_pass_through_theirs(
    variables,
):
    z = core.draw_latent(TINY.prior, jax.random.key(3), (2, 3, TINY.z_dim))
    run = lambda mode, **inputs: getattr(TINY, mode)(  # noqa: E731
        variables, {}, inputs, jax.random.key(0)
    )
    path = run("interpolate", z=z, steps=2)
    assert path["voxels"].shape == (2, 5, 16, 16, 16, 1)
    for i, at in enumerate((0, 2, 4)):
        one = run("sample", z=z[:, i])
        np.testing.assert_array_equal(one["z"], z[:, i])
        np.testing.assert_allclose(path["voxels"][:, at], one["voxels"], atol=1e-6)


def test_arithmetic_adds_means_of_latents(variables):
    plus, minus, base = (
        core.draw_latent("uniform01", jax.random.key(i), (2, i + 1, TINY.z_dim))
        for i in range(3)
    )
    inputs = {"plus": plus, "minus": minus, "base": base}
    made = TINY.arithmetic(variables, {}, inputs, jax.random.key(0))
    expected = plus.mean(axis=1) - minus.mean(axis=1) + base.mean(axis=1)
    np.testing.assert_allclose(made["z"], expected, atol=1e-6)
    alone = TINY.sample(variables, {}, {"z": expected}, jax.random.key(0))
    np.testing.assert_allclose(made["voxels"], alone["voxels"], atol=1e-5)


def test_meshes_are_written_and_empty_shapes_too(tmp_path):
    solid = np.zeros((16, 16, 16, 1), np.float32)
    solid[4:12, 4:12, 4:12] = 1.0
    write_mesh(tmp_path / "box.obj", {"voxels": solid})
    assert "f " in (tmp_path / "box.obj").read_text()
    write_mesh(tmp_path / "nothing.ply", {"voxels": np.zeros_like(solid)})
    assert (tmp_path / "nothing.ply").exists()


def test_shapes_are_postprocessed_as_the_authors_viewer_does(tmp_path, monkeypatch):
    """Threshold, largest part, pooling, threshold: in this order."""
    monkeypatch.setattr(ops, "render_voxels", lambda solid: solid)  # slow
    grid = np.zeros((16, 16, 16), np.float32)
    grid[2:6, 2:6, 2:6] = 0.3
    grid[2, 2, 2] = 0.05  # below the threshold, but in a cell of 2^3 that is kept
    grid[6:8, 2:4, 2:4] = 0.05
    grid[8:10, 8:10, 8:10] = 0.9  # more than 5 apart

    def run(**changes):
        inputs = {
            name: spec.default
            for name, spec in TINY.inference["postprocess"].inputs.items()
            if name != "voxels"
        }
        inputs |= {"voxels": jnp.asarray(grid)[None, ..., None], **changes}
        out = TINY.postprocess({}, {}, inputs, jax.random.key(0))
        return np.asarray(out["voxels"])[0, ..., 0]

    solid = np.zeros_like(grid)
    solid[2:6, 2:6, 2:6] = 1
    solid[2, 2, 2] = 0
    np.testing.assert_array_equal(run(), solid)
    assert run(threshold=0.4).sum() == 8  # what is left is the other part
    assert run(component=0).sum() == 63 + 8
    assert run(component=6).sum() == 63 + 8
    small = np.zeros((8, 8, 8))
    small[1:3, 1:3, 1:3] = 1
    np.testing.assert_array_equal(run(factor="2"), small)
    mean = run(factor="2", pooling="mean", threshold=0.28)  # 7/8 of 0.3 is below
    small[1, 1, 1] = 0
    np.testing.assert_array_equal(mean, small)
    write = TINY.inference["postprocess"].host[".obj"]
    for name, component, parts in (("one", 3, 1), ("all", 0, 2)):
        path = tmp_path / f"{name}.obj"
        write(path, {"voxels": run(component=component)[..., None]})
        mesh = pytest.importorskip("trimesh").load(path)
        assert len(mesh.split(only_watertight=False)) == parts


def test_the_threshold_counts_for_files_of_samples(tmp_path, monkeypatch):
    monkeypatch.setattr(ops, "render_voxels", lambda solid: solid)  # slow
    grid = np.zeros((16, 16, 16), np.float32)
    grid[2:6, 2:6, 2:6], grid[2, 2, 2] = 0.3, 0.9
    np.savez(tmp_path / "a.npz", voxels=grid)
    mode = TINY.inference["postprocess"]
    for threshold, solid in ((0.1, 64), (0.5, 1), (0.95, 0)):
        given = {"input": str(tmp_path / "a.npz"), "threshold": threshold}
        found = arguments.read("postprocess", mode, given, arguments.Reader())
        voxels = found.sources["voxels"].read(
            Example("a", {"voxels": 0}), jax.random.key(0)
        )
        inputs = {**found.static, **found.scalars, "voxels": jnp.asarray(voxels)[None]}
        out = TINY.postprocess({}, {}, inputs, jax.random.key(0))
        assert out["voxels"].sum() == solid


def test_resolutions_that_do_not_fit_are_refused():
    with pytest.raises(UserError, match="choose 32 or 64"):
        GAN3D(resolution=48)


@pytest.mark.slow
@pytest.mark.picked
def test_check_10_learning_boxes():
    """Occupancy of the samples within a factor of two of the data's."""
    system = dataclasses.replace(
        cases.build("gan3d", "demo"),
        prior="uniform01",
        discriminator_learning_rate=5e-4,
        num_steps=1200,
    )
    data = cases.config_module("gan3d").get_config("demo").data.to_dict()
    task = make_task(data, split="train", seed=0)
    prepare = jax.jit(task.preprocess)
    key = jax.random.key(0)
    batches = task.batches(0, 32)
    batch = prepare(next(batches), key)
    state = jax.jit(system.init)(key, batch, {})
    step = jax.jit(system.step, donate_argnums=0)
    real, skipped = [], []
    for i in range(1200):
        batch = prepare(next(batches), key)
        real.append(jnp.mean(batch["voxels"]))
        state, metrics = step(state, {}, batch, jax.random.fold_in(key, i))
        skipped.append(metrics["skipped/discriminator"])
    z = core.draw_latent(system.prior, jax.random.key(9), (200, system.z_dim))
    made = system.sample(state.variables(), {}, {"z": z}, key)["voxels"]
    ratio = float(jnp.mean(made)) / float(np.mean(real))
    assert 0.5 < ratio < 2.0, ratio
    assert 0.02 < np.mean(skipped) < 0.98
