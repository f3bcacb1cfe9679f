"""Occupancy grids inside the compiled step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.data import voxel_grids


@pytest.fixture
def grids():
    return np.random.default_rng(0).integers(0, 2, (3, 6, 6, 6), np.uint8)


@pytest.mark.parametrize(
    ("size", "resolution", "pad", "times"),
    [(30, 32, 1, 1), (30, 64, 1, 2), (32, 64, 0, 2), (32, 32, 0, 1), (6, 8, 1, 1),
     (5, 8, 1, 1)],
)  # fmt: skip
def test_grids_are_padded_then_repeated(size, resolution, pad, times):
    grid = np.random.default_rng(1).integers(0, 2, (1, size, size, size), np.uint8)
    out = np.asarray(voxel_grids.fit(jnp.asarray(grid), resolution))
    assert out.shape == (1, *(resolution,) * 3)
    inner = out[:, ::times, ::times, ::times]
    assert (
        inner[:, pad : pad + size, pad : pad + size, pad : pad + size] == grid
    ).all()
    assert out.sum() == grid.sum() * times**3


def test_grids_that_do_not_fit_are_refused(grids):
    with pytest.raises(ValueError, match="do not fit"):
        voxel_grids.fit(jnp.asarray(grids), 4)


def test_quarter_turns_are_exact_and_all_occur(grids, key):
    many = jnp.tile(jnp.asarray(grids[:1]), (64, 1, 1, 1))
    turn = jax.jit(voxel_grids.turn_about_up, static_argnums=2)
    out = np.asarray(turn(many, key, 4))
    seen = set()
    for shape in out:
        found = [k for k in range(4) if (shape == np.rot90(grids[0], k)).all()]
        assert len(found) == 1
        seen.add(found[0])
    assert seen == {0, 1, 2, 3}


def test_thirty_degree_turns_keep_the_upright_axis(key):
    bars = np.zeros((60, 9, 9, 5), np.uint8)
    bars[:, 4, 4, 1:3] = 1  # on the axis
    bars[:, 4, 4:8, 3] = 1  # from the axis outwards
    out = np.asarray(voxel_grids.turn_about_up(jnp.asarray(bars), key, 12))
    assert (out[:, 4, 4] == bars[:, 4, 4]).all()
    x, y = np.meshgrid(np.arange(9) - 4, np.arange(9) - 4, indexing="ij")
    angles = []
    for plane in out[..., 3]:
        assert 3 <= plane.sum() <= 6
        centre = (x * plane).sum() + 1j * (y * plane).sum()
        angles.append(np.degrees(np.angle(centre)) % 360)
    off = (np.array(angles) + 15) % 30 - 15
    assert np.abs(off).max() < 8 and len(np.unique(np.round(angles, 3))) == 12
