"""Exponential moving averages of parameters."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgan.core.state import TrainState


def ema_update(state: TrainState, decay: float | Float[Array, ""]) -> TrainState:
    """`ema <- decay * ema + (1 - decay) * params`, for every network that keeps one."""
    blend = lambda old, new: old + (1.0 - jnp.asarray(decay, old.dtype)) * (new - old)  # noqa: E731
    return state.replace(
        ema={
            n: jax.tree.map(blend, old, state.params[n]) for n, old in state.ema.items()
        }
    )
