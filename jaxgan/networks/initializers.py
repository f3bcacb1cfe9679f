"""Initialisers of the papers, under the names that people use for them."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgan.core.types import Key

Initializer = Callable[..., Any]

normal_002 = nn.initializers.normal(0.02)
"""N(0, 0.02): DCGAN's weights, and those of most of its descendants."""

truncated_normal_002 = nn.initializers.truncated_normal(0.02)
"""N(0, 0.02) drawn anew beyond two deviations: TensorFlow's `truncated_normal`."""

he_normal = nn.initializers.variance_scaling(2.0, "fan_in", "normal")
"""N(0, 2 / fan_in), not truncated: torch's `kaiming_normal_` for ReLU."""


def scale_normal_002(
    key: Key, shape: Sequence[int], dtype: Any = jnp.float32
) -> Float[Array, "*shape"]:
    """N(1, 0.02): DCGAN's scales of batch norm."""
    return 1.0 + 0.02 * jax.random.normal(key, shape, dtype)


def uniform(limit: float) -> Initializer:
    """U(-limit, limit)."""

    def init(
        key: Key, shape: Sequence[int], dtype: Any = jnp.float32
    ) -> Float[Array, "*shape"]:
        return jax.random.uniform(key, shape, dtype, -limit, limit)

    return init


def torch_default(
    key: Key, shape: Sequence[int], dtype: Any = jnp.float32
) -> Float[Array, "*shape"]:
    """U(-1/sqrt(fan_in), 1/sqrt(fan_in)): torch's default for kernels `[..., in, out]`
    of convolutions and dense layers."""
    limit = 1.0 / math.sqrt(math.prod(shape[:-1]))
    return jax.random.uniform(key, shape, dtype, -limit, limit)
