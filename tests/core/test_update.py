"""`core.update`: gradients, gates, committed statistics, microbatches."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxgan import core
from jaxgan.networks.norms import BatchNorm


class Net(nn.Module):
    """A dense layer behind a batch norm."""

    @nn.compact
    def __call__(self, x, *, train: bool):
        return nn.Dense(1)(BatchNorm()(x, train=train))


NET = Net()
OPTIMIZERS = {
    "fast": core.player(("a",), optax.identity(), 0.1),
    "slow": core.player(("b",), optax.identity(), 0.01),
}
X = jax.random.normal(jax.random.key(1), (8, 3))


@pytest.fixture
def state(key):
    return core.initialize(
        key,
        {"a": NET, "b": NET},
        {"a": (X,), "b": (X,)},
        OPTIMIZERS,
        ema=("a",),
    )


def loss(trained, fixed, x, *, scale=1.0, train=True):
    """Both networks' outputs are pulled to 1; needs every trained sub-tree."""
    total, stats, metrics = 0.0, {}, {}
    for name in ("a", "b"):
        params = (trained if name in trained else fixed.params)[name]
        y, stats[name] = core.forward(NET, params, fixed.stats[name], x, train=train)
        metrics[name] = jnp.mean(jnp.square(y - 1.0))
        total += scale * metrics[name]
    return total, core.Out(metrics, stats, {"y": y})


def update(state, *args, players=("fast",), **options):
    step = jax.jit(
        lambda state, *args: core.update(
            state, loss, players, *args, optimizers=OPTIMIZERS, **options
        )
    )
    return step(state, *args)


def test_it_is_a_step_of_gradient_descent(state):
    new, out = update(state, X)
    value, grads = jax.value_and_grad(
        lambda p: loss({"a": p}, core.Fixed(state.params, state.stats, {}), X)[0]
    )(state.params["a"])
    expected = jax.tree.map(lambda p, g: p - 0.1 * g, state.params["a"], grads)
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-7),
        new.params["a"],
        expected,
    )
    np.testing.assert_allclose(out.metrics["loss/fast"], value, rtol=1e-6)
    np.testing.assert_allclose(
        out.metrics["gradient_norm/fast"], optax.tree.norm(grads), rtol=1e-5
    )


def test_several_players_move_at_their_own_rates(state):
    new, out = update(state, X, players=("fast", "slow"))
    assert {"loss/fast+slow", "learning_rate/fast", "learning_rate/slow"} <= set(
        out.metrics
    )
    moved = {
        n: float(
            core.global_norm(jax.tree.map(jnp.subtract, new.params[n], state.params[n]))
        )
        for n in ("a", "b")
    }
    norms = {
        n: float(out.metrics[f"gradient_norm/{p}"]) for n, p in zip("ab", OPTIMIZERS)
    }
    np.testing.assert_allclose(moved["a"], 0.1 * norms["a"], rtol=1e-5)
    np.testing.assert_allclose(moved["b"], 0.01 * norms["b"], rtol=1e-5)


def test_only_named_statistics_are_committed(state):
    new, _ = update(state, X, commit=("b",))
    same = lambda n: jax.tree.map(np.array_equal, new.stats[n], state.stats[n])  # noqa: E731
    assert all(jax.tree.leaves(same("a")))
    assert not any(jax.tree.leaves(same("b")))


@pytest.mark.parametrize("is_open", [True, False])
def test_a_gate_decides_about_everything(state, is_open):
    gated, out = update(state, X, gate=jnp.asarray(is_open), commit=("a",))
    free, reference = update(state, X, commit=("a",))
    expected = free if is_open else state
    jax.tree.map(np.testing.assert_array_equal, gated, expected)
    np.testing.assert_allclose(
        out.metrics["loss/fast"], reference.metrics["loss/fast"], rtol=1e-6
    )
    assert (out.metrics["gradient_norm/fast"] > 0) == is_open
    np.testing.assert_array_equal(out.values["y"], reference.values["y"])


@pytest.mark.parametrize("microbatches", [1, 2])
@pytest.mark.parametrize("is_open", [True, False])
def test_a_gate_may_depend_on_the_metrics_of_the_loss(state, is_open, microbatches):
    options = {"commit": ("a",), "microbatches": microbatches}
    free, reference = update(state, X, **options)
    edge = reference.metrics["loss/fast/a"] * (1.001 if is_open else 0.999)
    gated, out = update(state, X, gate=lambda seen: seen["a"] < edge, **options)
    close = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7)
    if is_open:
        jax.tree.map(close, gated, free)
        jax.tree.map(close, out.metrics, reference.metrics)
    else:
        jax.tree.map(np.testing.assert_array_equal, gated, state)
        close(out.metrics["loss/fast"], reference.metrics["loss/fast"])
        assert out.metrics["gradient_norm/fast"] == 0
    jax.tree.map(close, out.values, reference.values)


def test_a_closed_gate_skips_the_backward_pass(state):
    text = (
        jax.jit(
            lambda s, x, g: core.update(
                s, loss, ("fast",), x, optimizers=OPTIMIZERS, gate=g
            )
        )
        .lower(state, X, jnp.asarray(True))
        .as_text()
    )
    assert "case" in text or "stablehlo.if" in text


@pytest.mark.parametrize("parts", [2, 4])
def test_microbatches_equal_the_whole_batch_without_batch_statistics(state, parts):
    def still(trained, fixed, x):
        return loss(trained, fixed, x, train=False)

    def run(microbatches):
        return jax.jit(
            lambda s, x: core.update(
                s,
                still,
                ("fast",),
                x,
                optimizers=OPTIMIZERS,
                microbatches=microbatches,
            )
        )(state, X)

    (whole, one), (accumulated, many) = run(1), run(parts)
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6),
        (whole.params, one.metrics),
        (accumulated.params, many.metrics),
    )
    np.testing.assert_allclose(one.values["y"], many.values["y"], atol=1e-6)


def test_microbatches_thread_committed_statistics(state):
    new, _ = update(state, X, commit=("a",), microbatches=2)
    stats = state.stats["a"]
    for i in (0, 1):
        _, stats = core.forward(NET, state.params["a"], stats, X[i::2], train=True)
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5), new.stats["a"], stats
    )


def test_every_microbatch_draws_from_its_own_key(state):
    seen = []

    def drawing(trained, fixed, x, *, key):
        seen.append(key)
        return loss(trained, fixed, x)

    core.update(
        state,
        drawing,
        ("fast",),
        X,
        optimizers=OPTIMIZERS,
        key=jax.random.key(5),
        microbatches=2,
    )
    first, second = (jax.random.key_data(k) for k in seen)
    assert not np.array_equal(first, second)


def test_schedules_read_the_player_s_own_updates(state):
    players = {
        "fast": core.player(("a",), optax.identity(), lambda n: 1.0 / (1.0 + n)),
        "slow": OPTIMIZERS["slow"],
    }
    state = state.replace(
        opt_state={"fast": players["fast"].init({"a": state.params["a"]})}
    )
    rates = []
    for _ in range(3):
        state, out = core.update(state, loss, ("fast",), X, optimizers=players)
        rates.append(float(out.metrics["learning_rate/fast"]))
    np.testing.assert_allclose(rates, [1.0, 1 / 2, 1 / 3], rtol=1e-6)


def test_ema_follows_its_network(state):
    assert state.ema["a"] is not state.params["a"]
    moved, _ = update(state, X)
    averaged = core.ema_update(moved, 0.9)
    expected = jax.tree.map(
        lambda old, new: 0.9 * old + 0.1 * new, state.ema["a"], moved.params["a"]
    )
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-7),
        averaged.ema["a"],
        expected,
    )
    assert averaged.variables(ema=True)["a"]["params"] is averaged.ema["a"]
    assert averaged.variables(ema=False)["a"]["params"] is averaged.params["a"]


def test_coupled_l2_enters_before_adam_s_moments():
    params = {"a": {"w": jnp.asarray([3.0, -4.0])}}
    adam = core.adam(("a",), 0.1, b1=0.5, l2=0.01)
    zero = jax.tree.map(jnp.zeros_like, params)
    updates, _ = adam.update(zero, adam.init(params), params)
    # A gradient of 0.01 * p alone makes Adam's first step the sign of p.
    np.testing.assert_allclose(updates["a"]["w"], [-0.1, 0.1], rtol=1e-4)


def test_cyclegan_check_08_linear_decay():
    rate = core.linear_decay(2e-4, 100 * 7, 100 * 7, steps_per_epoch=7)
    epochs = (99, 100, 199, 200)  # counted from 1, seven steps each
    factors = [float(rate((epoch - 1) * 7 + 3)) / 2e-4 for epoch in epochs]
    np.testing.assert_allclose(factors, [1.0, 0.990099, 0.009901, 0.0], atol=1e-6)
    mended = core.linear_decay(2e-4, 700, 700, steps_per_epoch=7, floor_fix=True)
    assert float(mended(199 * 7 + 6)) > 0


def test_a_schedule_cut_short_within_its_epochs_decays_every_step():
    short = core.linear_decay(2e-4, 1000, 1000, steps_per_epoch=1334)
    smooth = core.linear_decay(2e-4, 1000, 1000)
    for count in (0, 998, 1500, 1998):
        assert float(short(count)) == float(smooth(count)) > 0
    assert float(short(998)) == pytest.approx(2e-4)
    assert float(short(1499)) == pytest.approx(1e-4, rel=2e-3)


def test_without_decay_the_last_epoch_trains_at_the_full_rate():
    rate = core.linear_decay(2e-4, 15 * 7, 0, steps_per_epoch=7)
    assert [float(rate(count)) for count in (0, 15 * 7 - 1)] == [2e-4, 2e-4]
