import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.evaluation import norm_statistics
from jaxgan.networks.norms import BatchNorm

KEY = jax.random.key(0)


class Two(nn.Module):
    """Two norms, the second after a nonlinearity, with momenta of their own."""

    @nn.compact
    def __call__(self, x, *, train: bool):
        x = jax.nn.relu(BatchNorm(momentum=0.9, name="first")(x, train=train))
        return BatchNorm(momentum=0.7, name="second")(x, train=train)


@pytest.fixture(scope="module")
def variables():
    return Two().init(KEY, jnp.ones((4, 3, 3, 2)), train=False)


def test_statistics_are_the_means_of_those_of_whole_batches(variables):
    examples = np.random.default_rng(0).normal(2.0, 3.0, (11, 3, 3, 2))
    examples = examples.astype(np.float32)
    found = norm_statistics.estimate(Two(), variables, examples, 4)
    batches = examples[:8].reshape(2, 4 * 9, 2)
    first = found["batch_stats"]["first"]
    np.testing.assert_allclose(first["mean"], batches.mean(axis=(0, 1)), rtol=1e-4)
    var = batches.var(axis=1, ddof=1).mean(axis=0)
    np.testing.assert_allclose(first["var"], var, rtol=1e-4)
    scale = variables["params"]["first"]["scale"]
    mean, dev = batches.mean(axis=1, keepdims=True), batches.std(axis=1, keepdims=True)
    after = np.maximum((batches - mean) / dev * scale, 0)
    second = found["batch_stats"]["second"]
    np.testing.assert_allclose(second["mean"], after.mean(axis=(0, 1)), rtol=1e-4)
    assert found["params"] is variables["params"]


def test_few_examples_make_one_batch_and_networks_without_norms_stay(variables):
    few = np.random.default_rng(1).normal(size=(3, 3, 3, 2)).astype(np.float32)
    found = norm_statistics.estimate(Two(), variables, few, 64)
    np.testing.assert_allclose(
        found["batch_stats"]["first"]["mean"], few.mean(axis=(0, 1, 2)), atol=1e-5
    )
    plain = {"params": {"w": jnp.ones(2)}}
    assert norm_statistics.estimate(nn.Dense(2), plain, few, 2) == plain
