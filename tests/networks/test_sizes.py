"""Sizes of pictures that are no squares."""

import jax
import pytest

from jaxgan import core
from jaxgan.systems.cyclegan import CycleGAN
from jaxgan.systems.pix2pix import Pix2Pix

NARROW = {"generator_channels": 2, "discriminator_channels": 2, "num_layers": 2}


def test_the_shorter_side_decides_the_depth_of_the_unet():
    assert Pix2Pix(image_size=(256, 512)).depth == 8
    assert Pix2Pix(image_size=(512, 128)).depth == 7


@pytest.mark.parametrize(
    "system",
    [
        Pix2Pix(image_size=(32, 64), **NARROW),
        CycleGAN(image_size=(36, 48), num_blocks=1, pool_size=4, **NARROW),
    ],
    ids=["pix2pix", "cyclegan"],
)
def test_pictures_may_be_wider_than_high(system):
    spec = system.stages[0].batch_spec
    assert spec["a"].shape == spec["b"].shape == (*system.image_size, 3)
    key = jax.random.key(0)
    batch = {
        name: jax.random.uniform(key, (2, *item.shape)) for name, item in spec.items()
    }

    def after_one(key, batch):
        state = system.init(key, batch, {})
        columns = system.sample_grid(state.variables(), {}, batch, key)
        return system.stages[0].step(state, {}, batch, key), columns

    (state, metrics), columns = jax.eval_shape(after_one, key, batch)
    assert {c.shape for c in columns.values()} == {(2, *system.image_size, 3)}
    assert metrics


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((256, 300), r"300 .*beside 256 multiples of 256\): choose 256 or 512"),
        ((300, 256), r"300 .*beside 256 multiples of 256\)"),
        ((96, 192), "96 does not fit .*powers of 2.*choose 64 or 128"),
    ],
    ids=str,
)
def test_a_side_that_does_not_fit_is_named(size, message):
    with pytest.raises(core.UserError, match=message):
        Pix2Pix(image_size=size)
    with pytest.raises(core.UserError, match="38 .*beside 36 multiples of 4"):
        CycleGAN(image_size=(36, 38))
