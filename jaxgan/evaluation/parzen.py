"""Parzen window log-likelihood of a test set under a generator's samples.

    ll(x) = log mean_i exp(-|x - s_i|^2 / (2 sigma^2)) - d log(sigma sqrt(2 pi))

Sigma maximises the mean over the first 1,000 validation images, on a grid. The figure
moves by tens of nats with the grid and the number of samples, so the row states both.
Images are in [0, 1], flattened.

References:
    Breuleux, Bengio, Vincent, "Quickly Generating Representative Samples from an
    RBM-Derived Process", 2011.
    Goodfellow et al., "Generative Adversarial Nets", 2014, section 5 and table 1.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxgan.core.errors import UserError
from jaxgan.evaluation.distances import blocks, squared_distances
from jaxgan.evaluation.images import AnyArray

SIGMAS = tuple(float(sigma) for sigma in np.logspace(-1, 0, 10))
NUM_VALIDATION = 1000
NUM_SAMPLES = 10_000  # that the papers take


@jax.jit
def _log_sum_exp(
    samples: Float[Array, "k n d"],
    weight: Float[Array, "k n"],
    points: Float[Array, "m d"],
    sigmas: Float[Array, " s"],
) -> Float[Array, "s m"]:
    """log sum_i exp(-|x - s_i|^2 / (2 sigma^2)) over all blocks of samples."""

    def add(
        total: Float[Array, "s m"], block: tuple[Array, Array]
    ) -> tuple[Float[Array, "s m"], None]:
        distances = squared_distances(points, block[0])
        exponents = -distances[None] / (2.0 * jnp.square(sigmas)[:, None, None])
        exponents = jnp.where(block[1][None, None] > 0, exponents, -jnp.inf)
        return jnp.logaddexp(total, jax.nn.logsumexp(exponents, axis=-1)), None

    start = jnp.full((len(sigmas), len(points)), -jnp.inf)
    return jax.lax.scan(add, start, (samples, weight))[0]


def log_likelihoods(
    samples: Float[AnyArray, "n d"],
    points: Float[AnyArray, "m d"],
    sigmas: tuple[float, ...],
    *,
    block_size: int = 1000,
) -> Float[np.ndarray, "s m"]:
    """Log-likelihood of each point under each width, in nats.

    Args:
        samples: the generator's samples, flattened, in [0, 1].
        points: images to judge, flattened, in [0, 1].
        sigmas: widths; distances are computed once for all of them.
        block_size: samples, and points, held on the device at a time.

    Raises:
        UserError: without samples or points, or if they are not finite.
    """
    if not len(samples) or not len(points):
        raise UserError("Parzen log-likelihood needs at least one sample and one image")
    samples = np.asarray(samples, np.float64)
    centre = samples.mean(axis=0)
    # Distances are divided by 2 sigma^2: centring keeps their float32 error small.
    sample_blocks = jax.device_put(blocks(samples - centre, block_size))
    point_blocks, _ = blocks(np.asarray(points, np.float64) - centre, block_size)
    widths = jnp.asarray(sigmas, jnp.float32)
    sums = [
        np.asarray(_log_sum_exp(*sample_blocks, block, widths), np.float64)
        for block in point_blocks
    ]
    dimension = samples.shape[1]
    normaliser = dimension * np.log(np.array(sigmas) * np.sqrt(2.0 * np.pi))
    values = np.concatenate(sums, axis=1)[:, : len(points)]
    values = values - np.log(len(samples)) - normaliser[:, None]
    if np.isnan(values).any():
        raise UserError(
            "samples or images of the Parzen log-likelihood hold NaN or infinity: the "
            "generator has diverged; evaluate an earlier checkpoint"
        )
    return values


def parzen(
    samples: Float[AnyArray, "n d"],
    validation: Float[AnyArray, "v d"],
    test: Float[AnyArray, "m d"],
    **options: Any,
) -> dict[str, float]:
    """The figures of `scored` alone; arguments as there."""
    return scored(samples, validation, test, **options)[0]


def scored(
    samples: Float[AnyArray, "n d"],
    validation: Float[AnyArray, "v d"],
    test: Float[AnyArray, "m d"],
    *,
    sigmas: tuple[float, ...] = SIGMAS,
    num_validation: int = NUM_VALIDATION,
    block_size: int = 1000,
) -> tuple[dict[str, float], Float[np.ndarray, " m"]]:
    """The published protocol: sigma on validation images, the mean over the test set.

    Args:
        samples: the generator's, flattened, in [0, 1]; papers take `NUM_SAMPLES`.
        validation: images to choose sigma on; the first `num_validation` are used.
        test: images to report on.
        sigmas: the grid.
        num_validation: see `validation`.
        block_size: as in `log_likelihoods`.

    Returns:
        `{parzen: mean in nats, parzen/standard_error: std / sqrt(m), parzen/sigma,
        parzen/num_samples, parzen/num_test, parzen/num_validation}`, and the
        log-likelihood of each image of the test set, `[m]`.
    """
    chosen = np.asarray(validation)[:num_validation]
    likelihoods = partial(log_likelihoods, samples, block_size=block_size)
    means = likelihoods(chosen, sigmas).mean(axis=1)
    sigma = sigmas[int(np.argmax(means))]
    values = likelihoods(test, (sigma,))[0]
    row = {
        "parzen": float(values.mean()),
        "parzen/standard_error": float(values.std() / np.sqrt(len(values))),
        "parzen/sigma": sigma,
        "parzen/num_samples": len(samples),
        "parzen/num_test": len(values),
        "parzen/num_validation": len(chosen),
    }
    return row, values
