"""pix2pix (Isola et al., CVPR 2017): paired image-to-image translation.

    jaxgan train --config=pix2pix:demo --workdir=runs/pix2pix_demo
    jaxgan train --config=pix2pix:facades --workdir=runs/facades \
        --config.data.source=folder:/data/facades

Cityscapes' labels become photographs, which FCN-8s reads for the published scores:

    jaxgan train --config=pix2pix:cityscapes --workdir=runs/cityscapes \
        --config.data.source=folder:/data/pairs
    jaxgan import-weights --network=fcn8s --source=fcn-8s-cityscapes.caffemodel \
        --output=fcn8s.safetensors
    jaxgan evaluate --workdir=runs/cityscapes --segmenter=fcn8s \
        --fcn8s=fcn8s.safetensors --label_maps=folder:/data/gtFine/val

The pictures are named as Cityscapes names them, which finds their label files; without
--label_maps the truth is what the small label pictures show. Photographs to labels
(--config.data.direction=AtoB) needs no segmenter.

The published runs use batch 1 or 4 and take hours to days on a GPU; `demo` takes
minutes on a CPU.
"""

from typing import NamedTuple

from ml_collections import ConfigDict


class Published(NamedTuple):
    """How a set was trained; epochs of the PyTorch code where it trains that set (the
    paper's rates are constant for all 200)."""

    pairs: int
    direction: str = "AtoB"
    epochs: int = 100  # at the constant rate
    decay: int = 100  # epochs of decay
    batch: int = 1
    load_size: int = 286
    flip: bool = True


PUBLISHED = {
    "facades": Published(400, "BtoA"),
    "cityscapes": Published(2975, "BtoA"),
    "maps": Published(1096),
    "edges2shoes": Published(
        49_825, epochs=15, decay=0, batch=4, load_size=256, flip=False
    ),
    "edges2handbags": Published(
        138_567, epochs=15, decay=0, batch=4, load_size=256, flip=False
    ),
    "night2day": Published(17_823, "BtoA", epochs=17, decay=0, batch=4),
    "colorization": Published(1_281_167, epochs=6, decay=0, batch=4, load_size=256),
    "inpainting": Published(14_900, epochs=25, decay=0, batch=4),
}
STRUCTURES = {  # structural variants, at the size that tests use
    "tiny_pixel": {"discriminator": "pixel"},
    "tiny_resnet": {"generator": "resnet", "num_blocks": 2},
    "tiny_instance": {"norm": "instance"},
    "tiny_unconditional": {"conditional": False},
    "tiny_l1": {"lambda_gan": 0.0},
    "tiny_lsgan": {"adversarial": "lsgan"},
    "tiny_encoder_decoder": {"generator": "encoder_decoder"},
}
VARIANTS = (*PUBLISHED, "demo", "tiny", *STRUCTURES)


def get_config(variant: str = "facades") -> ConfigDict:
    config = ConfigDict()
    config.name = "pix2pix"
    config.seed = 0
    config.dtype = "auto"
    config.devices = ConfigDict({"data": -1, "model": 1})
    config.pretrained = ConfigDict()

    config.system = ConfigDict()
    config.system.image_size = 256
    config.system.in_channels = 3
    config.system.out_channels = 3
    config.system.generator = "unet"
    config.system.num_downs = 0
    config.system.num_blocks = 9
    config.system.generator_channels = 64
    config.system.dropout_layers = None
    config.system.discriminator = "patch"
    config.system.discriminator_channels = 64
    config.system.num_layers = 3
    config.system.norm = "batch"
    config.system.norm_groups = 0
    config.system.adversarial = "bce"
    config.system.hole = False  # inpainting
    config.system.conditional = True
    config.system.lambda_gan = 1.0
    config.system.lambda_l1 = 100.0
    config.system.learning_rate = 2e-4
    config.system.beta1 = 0.5
    config.system.constant_steps = 40_000
    config.system.decay_steps = 40_000
    config.system.epoch_steps = 400
    config.system.lr_floor_fix = False
    config.system.microbatches = 1
    config.system.remat = "none"

    config.data = ConfigDict()
    config.data.task = "paired"
    config.data.source = "folder:data/facades"
    config.data.image_size = 256
    config.data.load_size = 286
    config.data.direction = "AtoB"
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
    config.evaluation.sampling = "paper"  # or "eval", "deterministic"
    config.evaluation.palette = None  # of label maps, for segmentation scores
    config.evaluation.labels_in = "b"  # the domain that shows them
    config.evaluation.segmenter = "none"  # or "fcn8s": labels to photographs

    if variant in PUBLISHED:
        run = PUBLISHED[variant]
        steps = run.pairs // run.batch
        config.data.source = f"tfds:pix2pix/{variant}"
        config.data.direction = run.direction
        config.data.load_size = run.load_size
        config.data.flip = run.flip
        config.training.batch_size = run.batch
        config.system.norm_groups = 0 if run.batch == 1 else 1
        config.system.constant_steps = run.epochs * steps
        config.system.decay_steps = run.decay * steps
        config.system.epoch_steps = steps
        if variant == "cityscapes":  # B, whichever way it is translated
            config.evaluation.palette = "cityscapes"
            config.evaluation.labels_in = "stored_b"
        elif variant == "colorization":  # pairs made of single pictures
            config.data.source = "tfds:imagenet2012"
            config.data.colorization = True
            config.system.in_channels = 1
            config.system.out_channels = 2
        elif variant == "inpainting":  # Paris StreetView, given to researchers only
            config.data.source = "folder:data/paris_streetview"
            config.data.hole = True  # the central square
            config.system.hole = True  # also of what `generate` is given
    elif variant == "demo":
        # 64 px, label maps to pictures; about three minutes on two CPU cores.
        config.data.source = "synthetic:shapes"
        config.data.fields = ("labels", "filled")
        config.data.image_size = config.data.load_size = 64
        config.data.flip = False  # the light comes from one side
        config.system.image_size = 64
        config.system.generator_channels = 24
        config.system.discriminator_channels = 24
        config.training.batch_size = 4
        config.system.constant_steps = 700
        config.system.decay_steps = 500
        config.system.epoch_steps = 1
        config.training.log_every = 100
        config.training.checkpoint_every = 400
        config.training.sample_every = 400
        config.training.evaluate_every = 600
        config.evaluation.num_examples = 64
    elif variant == "tiny" or variant in STRUCTURES:
        config.data.source = "synthetic:shapes"
        config.data.fields = ("edges", "filled")
        config.data.image_size = config.data.load_size = 32
        config.data.flip = False
        config.system.image_size = 32
        config.system.generator_channels = 4
        config.system.discriminator_channels = 4
        config.system.num_layers = 2
        config.training.batch_size = 8
        config.system.constant_steps = 2
        config.system.decay_steps = 2
        config.system.epoch_steps = 1
        config.training.log_every = 1
        config.training.checkpoint_every = 2
        config.training.sample_every = 4
        config.evaluation.num_examples = 8
        config.system.update(STRUCTURES.get(variant, {}))
    else:
        raise ValueError(f"unknown variant {variant!r}; known: {', '.join(VARIANTS)}")
    return config
