"""CycleGAN (Zhu et al., ICCV 2017): unpaired translation between two domains.

    jaxgan train --config=cyclegan:demo --workdir=runs/cyclegan_demo
    jaxgan train --config=cyclegan:horse2zebra --workdir=runs/horse2zebra

The published runs are 200 epochs with batch 1. `demo` recolours shapes on a CPU in
minutes; there the true translation is known.
"""

from ml_collections import ConfigDict

# name: (longer domain's images, lambda_identity, image size). TFDS has all of these
# but cityscapes. The paper uses the identity loss for paintings and flowers only.
PUBLISHED = {
    "horse2zebra": (1334, 0.0, 256),
    "apple2orange": (1019, 0.0, 256),
    "summer2winter_yosemite": (1231, 0.0, 256),
    "monet2photo": (6287, 0.5, 256),
    "cezanne2photo": (6287, 0.5, 256),
    "ukiyoe2photo": (6287, 0.5, 256),
    "vangogh2photo": (6287, 0.5, 256),
    "maps": (1096, 0.0, 256),
    "facades": (400, 0.0, 256),
    "iphone2dslr_flower": (3325, 0.5, 256),
    "cityscapes": (2975, 0.0, 128),
}
STRUCTURES = {  # structural variants, at the size that tests use
    "tiny_unet": {"generator": "unet"},
    "tiny_no_identity": {"lambda_identity": 0.0},
    "tiny_resize_conv": {"upsample": "resize_conv"},
    "tiny_lua": {"norm": "instance_affine"},
    "tiny_batch_norm": {"norm": "batch"},
    "tiny_pixel": {"discriminator": "pixel"},
    "tiny_pool_groups": {"pool_groups": 4},
}
VARIANTS = (*PUBLISHED, "demo", "tiny", *STRUCTURES)


def get_config(variant: str = "horse2zebra") -> ConfigDict:
    config = ConfigDict()
    config.name = "cyclegan"
    config.seed = 0
    config.dtype = "auto"
    config.devices = ConfigDict({"data": -1, "model": 1})
    config.pretrained = ConfigDict()

    config.system = ConfigDict()
    config.system.image_size = 256
    config.system.channels = 3
    config.system.generator = "resnet"
    config.system.num_blocks = 9
    config.system.num_downs = 0
    config.system.generator_channels = 64
    config.system.upsample = "conv_transpose"
    config.system.discriminator = "patch"
    config.system.discriminator_channels = 64
    config.system.num_layers = 3
    config.system.norm = "instance"
    config.system.norm_groups = 0
    config.system.adversarial = "lsgan"
    config.system.lambda_a = 10.0
    config.system.lambda_b = 10.0
    config.system.lambda_identity = 0.5
    config.system.pool_size = 50
    config.system.pool_groups = 1
    config.system.learning_rate = 2e-4
    config.system.beta1 = 0.5
    config.system.constant_steps = 133_400
    config.system.decay_steps = 133_400
    config.system.epoch_steps = 1334
    config.system.lr_floor_fix = False
    config.system.microbatches = 1
    config.system.remat = "none"

    config.data = ConfigDict()
    config.data.task = "unpaired"
    config.data.source = "tfds:cycle_gan/horse2zebra"
    config.data.image_size = 256
    config.data.load_size = 286
    config.data.flip = True

    config.training = ConfigDict()
    config.training.batch_size = 1
    config.training.num_steps = None
    config.training.log_every = 100
    config.training.checkpoint_every = 5000
    config.training.sample_every = 2000
    config.training.evaluate_every = 0
    config.training.keep_last = 2

    config.evaluation = ConfigDict()
    config.evaluation.num_examples = 500
    config.evaluation.paired = False  # whether example i is one scene in both domains
    config.evaluation.palette = None  # of label maps, for segmentation scores
    config.evaluation.labels_in = "b"  # the domain that shows them

    if variant in PUBLISHED:
        images, identity, size = PUBLISHED[variant]
        config.data.source = f"tfds:cycle_gan/{variant}"
        if variant == "cityscapes":  # not in TFDS: trainA, trainB, testA, testB
            config.data.source = "folder:data/cityscapes"
            config.evaluation.paired = True
            config.evaluation.palette = "cityscapes"
        config.data.image_size = config.system.image_size = size
        config.data.load_size = size * 143 // 128
        config.system.num_blocks = 9 if size >= 256 else 6
        config.system.lambda_identity = identity
        config.system.constant_steps = config.system.decay_steps = 100 * images
        config.system.epoch_steps = images
    elif variant == "demo":
        # Red scenes and green ones, 32 px; a few minutes on two CPU cores.
        config.data.source = "synthetic:shapes"
        config.data.fields = ("style_a", "style_b")
        config.data.image_size = config.data.load_size = 32
        config.system.image_size = 32
        config.system.num_blocks = 2
        config.system.generator_channels = 16
        config.system.discriminator_channels = 16
        config.system.num_layers = 2
        config.training.batch_size = 4
        config.system.constant_steps = 400
        config.system.decay_steps = 200
        config.system.epoch_steps = 1
        config.training.log_every = 20
        config.training.checkpoint_every = 200
        config.training.sample_every = 100
        config.training.evaluate_every = 300
        config.evaluation.num_examples = 64
        config.evaluation.paired = True
    elif variant == "tiny" or variant in STRUCTURES:
        config.data.source = "synthetic:shapes"
        config.data.fields = ("style_a", "style_b")
        config.data.image_size = config.data.load_size = 32
        config.system.image_size = 32
        config.system.num_blocks = 1
        config.system.generator_channels = 4
        config.system.discriminator_channels = 4
        config.system.num_layers = 2
        config.system.pool_size = 8
        config.training.batch_size = 8
        config.system.constant_steps = 2
        config.system.decay_steps = 2
        config.system.epoch_steps = 1
        config.training.log_every = 1
        config.training.checkpoint_every = 2
        config.training.sample_every = 4
        config.evaluation.num_examples = 8
        config.evaluation.paired = True
        config.system.update(STRUCTURES.get(variant, {}))
    else:
        raise ValueError(f"unknown variant {variant!r}; known: {', '.join(VARIANTS)}")
    return config
