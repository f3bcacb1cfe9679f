"""Discs and squares on a plain ground: what small learning checks learn from."""

import jax
import jax.numpy as jnp
import numpy as np


def discs_and_squares(seed: int, count: int, size: int = 32) -> np.ndarray:
    """Masks `[count, size, size]` of one disc or square each; a fifth of the area."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    centre = random.uniform(0.3 * size, 0.7 * size, (2, count, 1, 1))
    radius = random.uniform(0.15 * size, 0.3 * size, (count, 1, 1))
    down, right = y - centre[0], x - centre[1]
    disc = np.hypot(down, right) < radius
    square = np.maximum(abs(down), abs(right)) < radius
    return np.where(random.random((count, 1, 1)) < 0.5, disc, square)


def paint(mask: np.ndarray, inside, outside) -> jax.Array:
    """RGB in [-1, 1], `[count, size, size, 3]`; the colours broadcast against it."""
    picture = np.where(mask[..., None], np.asarray(inside), np.asarray(outside))
    return jnp.asarray(picture, jnp.float32)


def striped(mask: np.ndarray) -> jax.Array:
    """The masks' fixed rendering: rows of orange inside, columns of blue outside."""
    stripe = np.arange(mask.shape[-1]) % 4 < 2
    orange = np.where(stripe[:, None, None], (0.8, 0.2, -0.6), (0.4, -0.2, -0.8))
    blue = np.where(stripe[None, :, None], (-0.6, -0.2, 0.6), (-0.4, 0.1, 0.9))
    return paint(mask, orange, blue)
