"""Latent vectors: drawing them, keeping them where the prior lives, paths between them.

The priors are those of `core.mode.Latent`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgan.core.errors import one_of
from jaxgan.core.types import Key

ROOT_3 = math.sqrt(3.0)
INTERVALS = {
    "uniform": (-1.0, 1.0),
    "uniform01": (0.0, 1.0),
    "uniform_unit_variance": (-ROOT_3, ROOT_3),
}
"""The uniform priors' supports; `normal` has none."""
PRIORS = ("normal", *INTERVALS)
PATHS = ("linear", "slerp")


def draw_latent(
    prior: str, key: Key, shape: tuple[Any, ...], dtype: Any = jnp.float32
) -> Float[Array, "*shape"]:
    """Draws latents of `shape`, whose sizes may be symbolic, from a prior.

    Raises:
      UserError: for an unknown prior.
    """
    one_of(prior, PRIORS, "prior")
    if prior == "normal":
        return jax.random.normal(key, shape, dtype)
    low, high = INTERVALS[prior]
    return jax.random.uniform(key, shape, dtype, low, high)


def project_latent(prior: str, z: Float[Array, "*b z"]) -> Float[Array, "*b z"]:
    """The nearest point of the prior's support: clips to an interval, or nothing.

    Raises:
      UserError: for an unknown prior.
    """
    one_of(prior, PRIORS, "prior")
    return z if prior == "normal" else jnp.clip(z, *INTERVALS[prior])


def interpolate_latent(
    chain: Float[Array, "b n z"], steps: int, path: str = "linear"
) -> Float[Array, "b t z"]:
    """A path through the points of a chain.

    Args:
      chain: two or more points for each example.
      steps: intervals between neighbours, so `t = (n - 1) * steps + 1`.
      path: `linear`, or `slerp` for a normal prior: along the great circle, so that
        norms stay typical of the prior.

    References: Radford et al., ICLR 2016, figure 4 (a chain of 9 points); White,
    "Sampling Generative Networks", 2016, section 2 (slerp).
    """
    between: Callable = {"linear": _linear, "slerp": _slerp}[path]
    if chain.shape[1] < 2:
        raise ValueError(f"a path needs two points or more, got {chain.shape[1]}")
    t = (jnp.arange(steps, dtype=chain.dtype) / steps)[None, None, :, None]
    inside = between(chain[:, :-1, None], chain[:, 1:, None], t)
    inside = inside.reshape(chain.shape[0], -1, chain.shape[-1])
    return jnp.concatenate([inside, chain[:, -1:]], axis=1)


def _linear(a: Array, b: Array, t: Array) -> Array:
    return (1 - t) * a + t * b


def _slerp(a: Array, b: Array, t: Array) -> Array:
    def unit(x: Array) -> Array:
        norm = jnp.linalg.norm(x, axis=-1, keepdims=True)
        return x / jnp.maximum(norm, jnp.finfo(x.dtype).tiny)

    cosine = jnp.sum(unit(a) * unit(b), axis=-1, keepdims=True)
    angle = jnp.arccos(jnp.clip(cosine, -1, 1))
    sine = jnp.sin(angle)
    # Parallel points have no great circle of their own, and a line serves them.
    straight = sine < 1e-4
    safe = jnp.where(straight, 1, sine)
    arc = (jnp.sin((1 - t) * angle) * a + jnp.sin(t * angle) * b) / safe
    return jnp.where(straight, _linear(a, b, t), arc)
