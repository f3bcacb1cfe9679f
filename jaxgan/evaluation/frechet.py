"""Frechet distance between Gaussians fitted to two sets of features, and its moments.

    |mu1 - mu2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2)

Moments are gathered in chunks: mean and centred Gram matrix on the device in float32,
merged on the host in float64. Covariances divide by n - 1, as every reference does.

References:
    Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local
    Nash Equilibrium", 2017, eq. 6.
    Chan, Golub, LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing
    Sample Variances", 1979.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from jaxgan.core.errors import UserError
from jaxgan.evaluation.images import AnyArray


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of centred outer products (M2) of some feature vectors."""

    count: int
    mean: Float[np.ndarray, " d"]  # float64
    m2: Float[np.ndarray, "d d"]  # float64

    @property
    def covariance(self) -> Float[np.ndarray, "d d"]:
        """M2 / (n - 1).

        Raises:
            UserError: with fewer than two vectors.
        """
        if self.count < 2:
            raise UserError(
                f"a Frechet distance needs 2 images or more a side, got {self.count}"
            )
        return self.m2 / (self.count - 1)


def empty(dimension: int) -> Moments:
    """The accumulator before the first batch."""
    return Moments(0, np.zeros(dimension), np.zeros((dimension, dimension)))


@jax.jit
def chunk_moments(
    features: Float[AnyArray, "b d"], weight: Shaped[AnyArray, " b"]
) -> tuple[
    Float[Array, ""], Float[Array, " d"], Float[Array, " d"], Float[Array, "d d"]
]:
    """Count, mean, remainder and centred Gram matrix of the rows with weight 1.

    The batch may be split over a mesh; sums then run over all of it.

    Returns:
        The sum of the weights; a float32 mean; the sum of what is left after that mean
        was subtracted, which holds the mean's rounding error; the Gram matrix of the
        same differences.
    """
    features = jnp.asarray(features, jnp.float32)
    weight = jnp.asarray(weight, jnp.float32)
    # Padding may be anything, also NaN, which 0 * NaN would let through.
    features = jnp.where(weight[:, None] > 0, features, 0.0)
    count = jnp.sum(weight)
    mean = jnp.sum(features, axis=0) / jnp.maximum(count, 1.0)
    centred = (features - mean[None]) * weight[:, None]
    gram = jnp.matmul(centred.T, centred, precision=jax.lax.Precision.HIGHEST)
    return count, mean, jnp.sum(centred, axis=0), gram


def update(
    acc: Moments,
    features: Float[AnyArray, "b d"],
    weight: Shaped[AnyArray, " b"] | None = None,
) -> Moments:
    """Adds a chunk of features; float32 on the device, merged in float64.

    Args:
        acc: what was accumulated so far; `empty(d)` at the start.
        features: network outputs, on the host or (possibly split) on devices.
        weight: 1 for rows that count, 0 for padding; None counts all.
    """
    if weight is None:
        weight = np.ones(features.shape[0], np.float32)
    count, mean, remainder, gram = jax.device_get(chunk_moments(features, weight))
    if count == 0:
        return acc
    # The Gram matrix may stay about the rounded mean: that is an error of second order.
    mean = mean.astype(np.float64) + remainder.astype(np.float64) / count
    return merge(acc, Moments(int(count), mean, gram.astype(np.float64)))


def from_features(features: Float[np.ndarray, "n d"]) -> Moments:
    """Moments of features in memory, float64 throughout.

    Needed where there are fewer images than dimensions: against a covariance of full
    rank, float32 noise in the null space takes 1e-4 and more off the distance.
    """
    features = np.asarray(features, np.float64)
    mean = features.mean(axis=0)
    centred = features - mean
    return Moments(len(features), mean, centred.T @ centred)


def merge(a: Moments, b: Moments) -> Moments:
    """Moments of the union (Chan's update).

    Rounding depends on the order; merge chunks by index.
    """
    count = a.count + b.count
    if count == 0:
        return a
    delta = b.mean - a.mean
    return Moments(
        count,
        a.mean + delta * (b.count / count),
        a.m2 + b.m2 + np.outer(delta, delta) * (a.count * b.count / count),
    )


def _one_blas_thread() -> AbstractContextManager[Any]:
    """Keeps eigen-solvers to one thread where threadpoolctl (of scikit-learn) is there.

    A second thread gains them little, but OpenBLAS threads wait by spinning: with input
    threads beside them on two cores, 2,048 dimensions took 40 s instead of 3.
    """
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return nullcontext()
    return threadpool_limits(1)


def _root(covariance: Float[np.ndarray, "d d"]) -> Float[np.ndarray, "d rank"]:
    """`R` with `R R^T` the covariance: Cholesky's, or by eigenvectors if singular."""
    noise = len(covariance) * np.finfo(np.float64).eps
    try:
        lower = np.linalg.cholesky(covariance)
        pivots = np.square(lower.diagonal())
        if pivots.min() > 100 * noise * pivots.max():
            return lower
    except np.linalg.LinAlgError:  # not positive definite
        pass
    values, vectors = np.linalg.eigh(covariance)
    kept = values > noise * values[-1]
    return vectors[:, kept] * np.sqrt(values[kept])


def frechet_distance(
    mean_1: Float[np.ndarray, " d"],
    covariance_1: Float[np.ndarray, "d d"],
    mean_2: Float[np.ndarray, " d"],
    covariance_2: Float[np.ndarray, "d d"],
) -> float:
    """The Frechet distance of two Gaussians, float64.

    `tr (S1 S2)^(1/2)` is the sum of the square roots of the eigenvalues of the
    symmetric `R^T S2 R` for any `S1 = R R^T`: a Cholesky factor and one symmetric
    eigenproblem, where a matrix square root costs more and may turn out complex. If
    `S1` is singular, with fewer images than dimensions, `R` spans its range alone:
    square roots would enlarge the rounding noise of its null space.

    Raises:
        UserError: if a covariance or mean is not finite.
    """
    arrays = (mean_1, covariance_1, mean_2, covariance_2)
    if not all(np.isfinite(array).all() for array in arrays):
        raise UserError(
            "features of the Frechet distance hold NaN or infinity: the network that "
            "made the images has diverged, or the weights of the feature network are "
            "broken"
        )
    mean_1, covariance_1, mean_2, covariance_2 = (
        np.asarray(array, np.float64) for array in arrays
    )
    with _one_blas_thread():
        root = _root(covariance_1)
        product = root.T @ covariance_2 @ root
        eigenvalues = np.linalg.eigvalsh((product + product.T) / 2.0)
    trace = np.sum(np.sqrt(np.maximum(eigenvalues, 0.0)))
    difference = mean_1 - mean_2
    return float(
        difference @ difference
        + np.trace(covariance_1)
        + np.trace(covariance_2)
        - 2.0 * trace
    )


def distance(acc: Moments, reference: Moments) -> float:
    """The Frechet distance between two accumulated sets."""
    return frechet_distance(
        acc.mean, acc.covariance, reference.mean, reference.covariance
    )
