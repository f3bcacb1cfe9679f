"""Kernel inception distance: unbiased MMD^2 with the kernel (x.y / d + 1)^3.

Mean over 100 subsets of at most 1,000 images a side, drawn without replacement; values
slightly below zero are legal. Subsets are those of torch-fidelity for the same seed.
Kernels are float32 on the device, so the order of images moves a figure by some 1e-8 of
it, where FID, in float64 on the host, stays within 1e-9.

References:
    Binkowski, Sutherland, Arbel, Gretton, "Demystifying MMD GANs", 2018, section 4.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int

from jaxgan.core.errors import UserError
from jaxgan.evaluation.images import AnyArray

# Features gathered on a device at a time, in numbers: 2**25 float32 are 134 MB.
_GATHERED = 2**25


def _kernel(x: Float[Array, "m d"], y: Float[Array, "n d"]) -> Float[Array, "m n"]:
    """(x.y / d + 1)^3 - 1.

    MMD^2 does not feel a constant added to the kernel, and without the 1 its three
    means cancel less.
    """
    similarity = jnp.matmul(x, y.T, precision=jax.lax.Precision.HIGHEST) / x.shape[1]
    return similarity * (similarity * (similarity + 3.0) + 3.0)


def _row_sums(x: Float[Array, "m d"], y: Float[Array, "n d"]) -> tuple[Array, ...]:
    """Row sums of k(x, x) and k(y, y) off the diagonal, their diagonals, k(x, y)'s."""

    def within(
        values: Float[Array, "n d"],
    ) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
        kernel = _kernel(values, values)
        diagonal = jnp.diagonal(kernel)
        off = jnp.where(jnp.eye(len(kernel), dtype=bool), 0.0, kernel)
        return jnp.sum(off, axis=1), diagonal

    x_off, x_diagonal = within(x)
    y_off, y_diagonal = within(y)
    return x_off, x_diagonal, y_off, y_diagonal, jnp.sum(_kernel(x, y), axis=1)


def _mmd2(sums: tuple[np.ndarray, ...], unbiased: bool) -> np.ndarray:
    """MMD^2 from row sums `[..., m]`, summed in float64."""
    m, n = sums[0].shape[-1], sums[2].shape[-1]
    x_off, x_diagonal, y_off, y_diagonal, cross = (
        np.sum(np.asarray(value, np.float64), axis=-1) for value in sums
    )
    if unbiased:
        within = x_off / (m * (m - 1)) + y_off / (n * (n - 1))
    else:
        within = (x_off + x_diagonal) / m**2 + (y_off + y_diagonal) / n**2
    return np.asarray(within - 2.0 * cross / (m * n))


def polynomial_mmd2(
    x: Float[AnyArray, "m d"], y: Float[AnyArray, "n d"], *, unbiased: bool = True
) -> float:
    """MMD^2 of two whole sets; with `unbiased` not 0 even for equal sets.

    Raises:
        UserError: with fewer than two vectors a side.
    """
    _check_sizes(len(x), len(y))
    x, y = (jnp.asarray(values, jnp.float32) for values in (x, y))
    return float(_mmd2(jax.device_get(jax.jit(_row_sums)(x, y)), unbiased))


@jax.jit
def _subset_sums(
    x: Float[Array, "n d"],
    y: Float[Array, "m d"],
    x_index: Int[Array, "s k"],
    y_index: Int[Array, "s k"],
) -> tuple[Array, ...]:
    return jax.vmap(lambda i, j: _row_sums(x[i], y[j]))(x_index, y_index)


def _check_sizes(m: int, n: int) -> None:
    if min(m, n) < 2:
        raise UserError(f"KID needs 2 images or more a side, got {m} and {n}")


def kid(
    features: Float[AnyArray, "n d"],
    reference: Float[AnyArray, "m d"],
    *,
    num_subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 2020,
    mesh: Mesh | None = None,
) -> dict[str, float]:
    """KID between two sets of features.

    Args:
        features: of the images to judge.
        reference: of the reference images.
        num_subsets: how many subsets are averaged.
        subset_size: images a side and subset, less where a set has fewer.
        seed: of the draws.
        mesh: splits the subsets over its devices.

    Returns:
        `{kid: mean, kid/std: population std over subsets, kid/num_samples,
        kid/num_reference, kid/num_subsets, kid/subset_size, kid/seed}`, not times 1000.

    Raises:
        UserError: with fewer than two images a side, or if features are not finite.
    """
    _check_sizes(len(features), len(reference))
    size = min(subset_size, len(features), len(reference))
    random = np.random.RandomState(seed)
    draws = [
        (
            random.choice(len(features), size, replace=False),
            random.choice(len(reference), size, replace=False),
        )
        for _ in range(num_subsets)
    ]
    index = np.array(draws, np.int32)  # [subsets, side, size]

    devices = 1 if mesh is None else mesh.size
    dimension = features.shape[1]
    at_once = devices * max(1, _GATHERED // (2 * size * dimension))
    at_once = min(at_once, -(-num_subsets // devices) * devices)
    x, y = (np.asarray(side, np.float32) for side in (features, reference))
    if mesh is None:
        split = None
        x, y = jax.device_put((x, y))
    else:
        split = NamedSharding(mesh, PartitionSpec(mesh.axis_names))
        x, y = jax.device_put((x, y), NamedSharding(mesh, PartitionSpec()))

    values = []
    for start in range(0, num_subsets, at_once):
        # The last group repeats a subset until it is full; `take` drops the surplus.
        take = np.minimum(np.arange(start, start + at_once), num_subsets - 1)
        part = jax.device_put((index[take, 0], index[take, 1]), split)
        values.append(_mmd2(jax.device_get(_subset_sums(x, y, *part)), True))
    scores = np.concatenate(values)[:num_subsets]
    if not np.isfinite(scores).all():
        raise UserError(
            "features of KID hold NaN or infinity: the network that made the images "
            "has diverged, or the weights of the feature network are broken"
        )
    return {
        "kid": float(scores.mean()),
        "kid/std": float(scores.std()),
        "kid/num_samples": len(features),
        "kid/num_reference": len(reference),
        "kid/num_subsets": num_subsets,
        "kid/subset_size": size,
        "kid/seed": seed,
    }
