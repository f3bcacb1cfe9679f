"""What happens to a batch inside the compiled step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxgan.data import augment


@pytest.fixture
def ramp():
    """Images whose pixels tell their place, `[64, 6, 5, 1]`."""
    return jnp.broadcast_to(jnp.arange(30).reshape(1, 6, 5, 1), (64, 6, 5, 1))


def test_crops_are_windows_at_every_offset_both_ends_included(ramp, key):
    windows = np.asarray(jax.jit(augment.random_crop, static_argnums=(1, 2))(
        ramp, 4, 3, key))  # fmt: skip
    corners = set()
    for window in windows:
        top, left = divmod(int(window[0, 0, 0]), 5)
        assert (window == np.asarray(ramp[0, top : top + 4, left : left + 3])).all()
        corners.add((top, left))
    assert corners == {(t, s) for t in range(3) for s in range(3)}


def test_crop_of_the_whole_image_is_the_image(ramp, key):
    assert augment.random_crop(ramp, 6, 5, key) is ramp


def test_centre_crop_is_the_middle(ramp):
    assert augment.center_crop(ramp, 4, 3)[0, 0, 0, 0] == 5 + 1


def test_half_of_the_images_are_mirrored(key):
    images = jnp.tile(jnp.arange(4).reshape(1, 1, 4, 1), (400, 2, 1, 1))
    out = np.asarray(augment.random_flip(images, key))
    mirrored = out[:, 0, 0, 0] == 3
    assert (out[mirrored] == np.asarray(images)[mirrored][:, :, ::-1]).all()
    assert (out[~mirrored] == np.asarray(images)[~mirrored]).all()
    assert 160 < mirrored.sum() < 240


def test_eight_symmetries_are_equally_likely(key):
    square = jnp.arange(4).reshape(1, 2, 2, 1)
    out = np.asarray(augment.random_flip_rotate(jnp.tile(square, (1600, 1, 1, 1)), key))
    seen, counts = np.unique(out.reshape(1600, 4), axis=0, return_counts=True)
    expected = set()
    for k in range(4):
        turned = np.rot90(np.arange(4).reshape(2, 2), k)
        expected |= {tuple(turned.reshape(-1)), tuple(turned[:, ::-1].reshape(-1))}
    assert {tuple(s) for s in seen} == expected and len(expected) == 8
    assert counts.min() > 150 and counts.max() < 250


@pytest.mark.parametrize("ends", [(-1.0, 1.0), (0.0, 1.0), (-0.5, 2.0)])
def test_normalisation_reaches_both_ends_exactly(ends):
    levels = jnp.arange(256, dtype=jnp.uint8)
    out = np.asarray(jax.jit(augment.normalize, static_argnums=(1, 2))(levels, *ends))
    exact = ends[0] + np.arange(256) * (ends[1] - ends[0]) / 255
    np.testing.assert_allclose(out, exact, rtol=0, atol=2e-7)
    if ends != (-0.5, 2.0):
        assert out[0] == ends[0] and out[-1] == ends[1] and out.dtype == np.float32


def test_palette_colours_are_far_apart():
    colours = augment.palette(21).astype(int)
    distance = np.abs(colours[:, None] - colours[None]).sum(-1)
    assert distance[~np.eye(21, dtype=bool)].min() >= 40
    maps = jnp.asarray([[[[0], [3]], [[20], [255]]]], jnp.uint8)
    painted = np.asarray(augment.colour(maps, 21))[0]
    assert (painted[0, 1] == colours[3]).all() and (painted[1, 1] == 0).all()


def test_crops_of_a_sharded_batch_stay_on_their_device(key):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    sharding = NamedSharding(mesh, P("data"))
    images = jax.ShapeDtypeStruct((16, 12, 12, 3), jnp.uint8, sharding=sharding)

    def step(images, key):
        out = augment.random_crop(images, 8, 8, key)
        return augment.normalize(augment.random_flip(out, key))

    text = jax.jit(step, out_shardings=sharding).lower(images, key).compile().as_text()
    assert "all-gather" not in text and "all-to-all" not in text
