"""Occupancy grids inside the compiled step: padding, scaling, turning."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from jaxgan.core.types import Key


def fit(
    grids: Shaped[Array, "b d h w"], resolution: int
) -> Shaped[Array, "b {resolution} {resolution} {resolution}"]:
    """Centres cubes in a power-of-two multiple and repeats voxels up to `resolution`.

    Of all ways to reach `resolution` (pad, then repeat k times) the one with the
    largest k: 30 to 64 is padding to 32, then every voxel twice along each axis.

    Raises:
      ValueError: if the grids are no cubes or larger than `resolution`.
    """
    size = grids.shape[1]
    if grids.shape[2:] != (size, size) or size > resolution:
        raise ValueError(f"{grids.shape[1:]} voxels do not fit into {resolution}^3")
    times = max(k for k in range(1, resolution // size + 1) if resolution % k == 0)
    spare = resolution // times - size
    sides = (spare // 2, spare - spare // 2)
    grids = jnp.pad(grids, ((0, 0), sides, sides, sides))
    for axis in (1, 2, 3):
        grids = jnp.repeat(grids, times, axis=axis)
    return grids


def turn_about_up(
    grids: Shaped[Array, "b n n u"], key: Key, turns: int
) -> Shaped[Array, "b n n u"]:
    """Turns every grid about its last axis by a random multiple of 1/`turns` of a turn.

    Quarter turns are exact; others take the nearest voxel.
    """
    size, up = grids.shape[1], grids.shape[3]
    table = jnp.asarray(_turn_table(size, turns))  # [turns, n * n], n * n = outside
    choice = jax.random.randint(key, (grids.shape[0],), 0, turns)
    columns = grids.reshape(-1, size * size, up)
    columns = jnp.pad(columns, ((0, 0), (0, 1), (0, 0)))
    turned = jnp.take_along_axis(columns, table[choice][..., None], axis=1)
    return turned.reshape(grids.shape)


def _turn_table(size: int, turns: int) -> np.ndarray:
    """For each turn, the source column of every column."""
    middle = (size - 1) / 2
    x, y = np.meshgrid(
        np.arange(size) - middle, np.arange(size) - middle, indexing="ij"
    )
    tables = []
    for k in range(turns):
        angle = 2 * np.pi * k / turns
        # Rounding first: a quarter turn must not fall short of a voxel by 1e-16.
        from_x = np.round(np.cos(angle) * x + np.sin(angle) * y + middle, 6)
        from_y = np.round(-np.sin(angle) * x + np.cos(angle) * y + middle, 6)
        i, j = np.floor(from_x + 0.5).astype(int), np.floor(from_y + 0.5).astype(int)
        inside = (0 <= i) & (i < size) & (0 <= j) & (j < size)
        tables.append(np.where(inside, i * size + j, size * size).reshape(-1))
    return np.stack(tables).astype(np.int32)


def to_batch(
    grids: Shaped[Array, "b d h w"],
) -> Float[Array, "b d h w 1"]:
    """{0, 1} as float32, with a channel."""
    return (grids > 0).astype(jnp.float32)[..., None]
