"""Latents: priors, projections, paths."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import core
from jaxgan.core.latent import INTERVALS, PRIORS


@pytest.mark.parametrize("prior", PRIORS)
def test_draws_have_the_priors_moments_and_stay_where_they_are(prior, key):
    z = core.draw_latent(prior, key, (20_000, 2))
    low, high = INTERVALS.get(prior, (-np.inf, np.inf))
    assert low <= z.min() and z.max() <= high
    mean = (low + high) / 2 if prior != "normal" else 0.0
    spread = (high - low) / np.sqrt(12) if prior != "normal" else 1.0
    np.testing.assert_allclose(z.mean(), mean, atol=0.02)
    np.testing.assert_allclose(z.std(), spread, rtol=0.02)
    np.testing.assert_array_equal(core.project_latent(prior, z), z)


def test_projection_clips_to_an_interval_and_leaves_normal_latents():
    z = jnp.array([[-3.0, 0.25, 3.0]])
    np.testing.assert_array_equal(core.project_latent("uniform", z), [[-1, 0.25, 1]])
    np.testing.assert_array_equal(core.project_latent("uniform01", z), [[0, 0.25, 1]])
    np.testing.assert_array_equal(core.project_latent("normal", z), z)


def test_an_unknown_prior_is_named(key):
    with pytest.raises(core.UserError, match="'unifrom'.*'uniform'"):
        core.draw_latent("unifrom", key, (1, 1))


def test_a_linear_path_by_hand():
    chain = jnp.array([[[0.0, 0.0], [1.0, 2.0], [1.0, 0.0]]])
    path = core.interpolate_latent(chain, 2)
    expected = [[[0, 0], [0.5, 1], [1, 2], [1, 1], [1, 0]]]
    np.testing.assert_allclose(path, expected)


def test_slerp_keeps_to_the_circle():
    chain = jnp.array([[[3.0, 0.0], [0.0, 3.0]]])
    path = core.interpolate_latent(chain, 3, "slerp")[0]
    np.testing.assert_allclose(np.linalg.norm(path, axis=1), 3.0, rtol=1e-6)
    angles = np.degrees(np.arctan2(path[:, 1], path[:, 0]))
    np.testing.assert_allclose(angles, [0, 30, 60, 90], atol=1e-4)


def test_slerp_between_equal_points_and_from_zero_is_finite():
    same = jnp.ones((1, 2, 3))
    np.testing.assert_allclose(core.interpolate_latent(same, 4, "slerp"), 1.0)
    chain = jnp.stack([jnp.zeros((1, 3)), jnp.ones((1, 3))], axis=1)
    assert np.all(np.isfinite(core.interpolate_latent(chain, 4, "slerp")))


def test_a_path_needs_two_points():
    with pytest.raises(ValueError, match="two points"):
        core.interpolate_latent(jnp.zeros((1, 1, 3)), 4)


def test_the_key_alone_decides(key):
    again = core.draw_latent("normal", jax.random.key(0), (3, 4))
    np.testing.assert_array_equal(core.draw_latent("normal", key, (3, 4)), again)
