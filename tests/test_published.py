"""The values of published variants, written out from the specifications' tables."""

import pytest

from tests import cases

PAIRED = {  # pairs, direction, constant epochs, decay epochs, batch, load size, mirror
    "facades": (400, "BtoA", 100, 100, 1, 286, True),
    "cityscapes": (2975, "BtoA", 100, 100, 1, 286, True),
    "maps": (1096, "AtoB", 100, 100, 1, 286, True),
    "edges2shoes": (49_825, "AtoB", 15, 0, 4, 256, False),
    "edges2handbags": (138_567, "AtoB", 15, 0, 4, 256, False),
    "night2day": (17_823, "BtoA", 17, 0, 4, 286, True),
    "colorization": (1_281_167, "AtoB", 6, 0, 4, 256, True),
    "inpainting": (14_900, "AtoB", 25, 0, 4, 286, True),
}
UNPAIRED = {  # steps of 100 epochs, identity weight, image size, load size, blocks
    "horse2zebra": (133_400, 0.0, 256, 286, 9),
    "apple2orange": (101_900, 0.0, 256, 286, 9),
    "summer2winter_yosemite": (123_100, 0.0, 256, 286, 9),
    "monet2photo": (628_700, 0.5, 256, 286, 9),
    "cezanne2photo": (628_700, 0.5, 256, 286, 9),
    "ukiyoe2photo": (628_700, 0.5, 256, 286, 9),
    "vangogh2photo": (628_700, 0.5, 256, 286, 9),
    "maps": (109_600, 0.0, 256, 286, 9),
    "facades": (40_000, 0.0, 256, 286, 9),
    "iphone2dslr_flower": (332_500, 0.5, 256, 286, 9),
    "cityscapes": (297_500, 0.0, 128, 143, 6),
}
ENLARGED = {  # scale, contents of the two stages, adversarial steps, turns and mirrors
    "srresnet_mse": (4, "mse", None, 0, False),
    "srresnet_vgg22": (4, "vgg22", None, 0, False),
    "srgan_mse": (4, "mse", "mse", 200_000, False),
    "srgan_vgg22": (4, "mse", "vgg22", 200_000, False),
    "srgan_vgg54": (4, "mse", "vgg54", 200_000, False),
    "x2": (2, "mse", "vgg54", 200_000, False),
    "x8": (8, "mse", "vgg54", 200_000, False),
    "div2k": (4, "mse", "vgg54", 200_000, True),
}


def config_of(name, variant):
    return cases.config_module(name).get_config(variant)


@pytest.mark.parametrize(
    ("name", "table"), [("pix2pix", PAIRED), ("cyclegan", UNPAIRED)], ids=str
)
def test_no_published_variant_is_left_out(name, table):
    assert set(cases.config_module(name).PUBLISHED) == set(table)


@pytest.mark.parametrize("variant", PAIRED)
def test_pix2pix(variant):
    pairs, direction, constant, decay, batch, load, flip = PAIRED[variant]
    config = config_of("pix2pix", variant)
    system, data = config.system, config.data
    epoch = pairs // batch
    assert (data.direction, data.load_size, data.flip) == (direction, load, flip)
    assert (data.image_size, system.image_size) == (256, 256)
    assert config.training.batch_size == batch
    assert system.epoch_steps == epoch
    assert system.constant_steps == constant * epoch
    assert system.decay_steps == decay * epoch
    assert (system.lambda_gan, system.lambda_l1) == (1.0, 100.0)
    assert (system.learning_rate, system.beta1) == (2e-4, 0.5)
    assert (system.generator, system.num_layers, system.adversarial) == (
        "unet",
        3,
        "bce",
    )


@pytest.mark.parametrize("variant", UNPAIRED)
def test_cyclegan(variant):
    steps, identity, size, load, blocks = UNPAIRED[variant]
    config = config_of("cyclegan", variant)
    system, data = config.system, config.data
    assert system.constant_steps == system.decay_steps == steps
    assert system.epoch_steps == steps // 100
    assert system.lambda_identity == identity
    assert (data.image_size, system.image_size, data.load_size) == (size, size, load)
    assert (system.num_blocks, data.flip) == (blocks, True)
    assert (config.training.batch_size, system.pool_size) == (1, 50)
    assert (system.lambda_a, system.lambda_b) == (10.0, 10.0)
    assert (system.learning_rate, system.beta1) == (2e-4, 0.5)
    assert (system.adversarial, system.norm) == ("lsgan", "instance")


@pytest.mark.parametrize("variant", ENLARGED)
def test_srgan(variant):
    scale, first, second, adversarial, augmented = ENLARGED[variant]
    config = config_of("srgan", variant)
    system, data = config.system, config.data
    assert (system.scale, data.scale) == (scale, scale)
    assert system.pretrain_content == first
    assert second is None or system.content == second
    assert system.adversarial_steps == adversarial
    assert data.flip_rot == augmented
    assert (data.image_size, system.image_size, config.training.batch_size) == (
        96,
        96,
        16,
    )
    assert (system.num_blocks, system.generator_channels) == (16, 64)
    assert system.pretrain_steps == 1_000_000
    assert (system.pretrain_learning_rate, system.learning_rate) == (1e-4, 1e-4)
    assert (system.learning_rate_decay, system.decay_at) == (0.1, 100_000)
    assert system.lambda_adversarial == 1e-3
    assert system.lambda_tv == 2e-8  # of VGG22 in the first stage alone
    assert system.vgg_rescale == pytest.approx(1 / 12.75)
    assert system.beta1 == 0.9
