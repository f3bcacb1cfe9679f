"""Numerical policy: what is computed in which precision.

Parameters, optimiser state, losses and normalisation statistics are float32;
convolutions and matrix products of trained networks run in the system's `dtype`.
"""

import jax
import jax.numpy as jnp

from jaxgan.core.errors import UserError

CHOICES = ("auto", "float32", "bfloat16", "float64")


def resolve(dtype: str) -> str:
    """Turns `auto` into `bfloat16` on accelerators and `float32` on CPUs.

    Raises:
      UserError: for a name that is not one of `CHOICES`.
    """
    if dtype not in CHOICES:
        raise UserError(f"dtype {dtype!r}: choose one of {', '.join(CHOICES)}")
    if dtype == "auto":
        return "float32" if jax.default_backend() == "cpu" else "bfloat16"
    return dtype


def compute_dtype(dtype: str) -> jnp.dtype:
    """The dtype of a system's `dtype` field, for a network's `dtype`."""
    return jnp.dtype(resolve(dtype))
