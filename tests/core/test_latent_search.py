"""Latent search: the optimisers by the numbers, bookkeeping, independence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import core

CENTRE = np.array([[0.5, -0.2, 1.6], [-0.9, 0.1, 0.0]], np.float32)


def bowl(z):
    """One number an example; its minimum lies at CENTRE, once outside the cube."""
    return jnp.sum(jnp.square(z - CENTRE[: len(z)]), axis=1)


def by_hand(z, optimizer, steps, rate, decay=1.0):
    m, v = np.zeros_like(z), np.zeros_like(z)
    for i in range(steps):
        g = 2 * (z - CENTRE)
        now = rate * decay ** (i // 10)
        if optimizer == "adam":
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            step = m / (1 - 0.9 ** (i + 1))
            step = step / (np.sqrt(v / (1 - 0.999 ** (i + 1))) + 1e-8)
            step *= -now
        else:  # the authors' form of Nesterov's momentum
            before, m = m, 0.9 * m - now * g
            step = -0.9 * before + 1.9 * m
        z = np.clip(z + step, -1, 1)
    return z


@pytest.mark.parametrize("optimizer", ["adam", "nesterov"])
@pytest.mark.parametrize("decay", [1.0, 0.5])
def test_semantic_inpainting_check_09_twenty_steps_by_hand(optimizer, decay):
    start = np.array([[-0.5, 0.9, 0.95], [0.2, -0.3, 0.4]], np.float64)
    found = core.optimize_latent(
        bowl,
        jnp.asarray(start, jnp.float32),
        num_iters=20,
        learning_rate=0.03,
        optimizer=optimizer,
        decay=decay,
        decay_every=10,
        select="last",
    )
    expected = by_hand(start, optimizer, 20, 0.03, decay)
    assert expected[0, 2] == 1.0  # it was clipped
    # float32 rounds 1 - 0.999 to five digits.
    np.testing.assert_allclose(found.z, expected, atol=1e-5)


def test_best_keeps_the_lowest_loss_that_was_met_and_last_the_last():
    options = {"num_iters": 30, "learning_rate": 0.6, "every": 1}  # it overshoots
    z = jnp.zeros((2, 3))
    best = core.optimize_latent(bowl, z, **options)
    last = core.optimize_latent(bowl, z, **options, select="last")
    assert best.curve.shape == (2, 31)
    np.testing.assert_array_equal(best.loss, best.curve.min(axis=1))
    np.testing.assert_allclose(bowl(best.z), best.loss, rtol=1e-6)
    np.testing.assert_array_equal(last.loss, last.curve[:, -1])
    assert np.all(best.loss < last.loss)


def test_a_sparse_curve_holds_every_kth_loss_of_the_full_one():
    z = jnp.zeros((2, 3))
    full = core.optimize_latent(bowl, z, num_iters=12)
    sparse = core.optimize_latent(bowl, z, num_iters=12, every=4)
    np.testing.assert_array_equal(sparse.curve, full.curve[:, ::4])
    np.testing.assert_array_equal(sparse.z, full.z)
    with pytest.raises(ValueError, match="does not divide"):
        core.optimize_latent(bowl, z, num_iters=10, every=4)


def test_examples_do_not_meet():
    z = jnp.array([[0.1, 0.2, 0.3], [0.9, -0.9, 0.9]])
    both = core.optimize_latent(bowl, z, num_iters=25)
    alone = core.optimize_latent(bowl, z[:1], num_iters=25)
    np.testing.assert_allclose(both.z[:1], alone.z, atol=1e-7)


@pytest.mark.parametrize("optimizer", ["adam", "nesterov", "hmc"])
def test_latents_stay_in_the_priors_support_all_the_way(optimizer, key):
    far = lambda z: jnp.sum(jnp.square(z - 5.0), axis=1) * 1e4  # noqa: E731
    z = jnp.array([[0.99, -0.99], [0.0, 1.0]])
    for steps in (1, 2, 3):
        found = core.optimize_latent(
            far,
            z,
            num_iters=steps,
            learning_rate=10.0,
            optimizer=optimizer,
            select="last",
            key=key,
        )
        assert np.all(np.abs(found.z) <= 1)


def test_hmc_samples_the_tempered_posterior(key):
    """exp(-0.2 * loss) with loss = k z^2 is a normal distribution."""
    stiff = 617.0  # a trajectory of length 0.1 is a quarter of an oscillation
    spread = 1 / np.sqrt(2 * 0.2 * stiff)
    loss = lambda z: stiff * jnp.sum(jnp.square(z), axis=1)  # noqa: E731
    found = core.optimize_latent(
        loss, jnp.zeros((2000, 1)), num_iters=8, optimizer="hmc", key=key, select="last"
    )
    np.testing.assert_allclose(np.std(found.z), spread, rtol=0.06)
    np.testing.assert_allclose(np.mean(found.z), 0.0, atol=0.1 * spread)
    with pytest.raises(ValueError, match="key"):
        core.optimize_latent(loss, jnp.zeros((1, 1)), optimizer="hmc")


def test_restarts_are_ranked_per_example():
    search = core.LatentSearch(
        z=jnp.arange(8.0).reshape(4, 2),
        loss=jnp.array([3.0, 1.0, 2.0, 5.0]),
        curve=jnp.arange(4.0)[:, None],
    )
    ranked = search.ranked(2)
    np.testing.assert_array_equal(ranked.loss, [[1, 3], [2, 5]])
    np.testing.assert_array_equal(ranked.z[0], [[2, 3], [0, 1]])
    np.testing.assert_array_equal(ranked.curve[..., 0], [[1, 0], [2, 3]])
    best = search.best_of(2)
    np.testing.assert_array_equal(best.z, [[2, 3], [4, 5]])


def test_the_search_compiles_once_and_runs_under_jit():
    search = jax.jit(lambda z, rate: core.optimize_latent(bowl, z, learning_rate=rate))
    found = search(jnp.zeros((2, 3)), 0.01)
    np.testing.assert_allclose(found.z, np.clip(CENTRE, -1, 1), atol=1e-3)


@pytest.mark.parametrize(
    ("options", "word"),
    [({"optimizer": "adma"}, "optimizer"), ({"select": "bset"}, "select")],
)
def test_unknown_words_are_named(options, word):
    with pytest.raises(core.UserError, match=word):
        core.optimize_latent(bowl, jnp.zeros((2, 3)), num_iters=1, **options)
