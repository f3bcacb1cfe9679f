"""Semantic inpainting (Yeh et al., CVPR 2017): fills holes by a DCGAN's latent space.

    jaxgan train --config=dcgan:demo --workdir=runs/dcgan_demo
    jaxgan train --config=semantic_inpainting:demo --workdir=runs/inpainting \
        --init_from=runs/dcgan_demo
    jaxgan generate --workdir=runs/inpainting --mode=inpaint --input=faces \
        --hole_mask=center --output=completed

Trains nothing: the run is assembled from that of a DCGAN, `dcgan:celeba` for `celeba`,
`cars` for `cars`, `svhn64` for `svhn`. The paper searches 1500 iterations an image; its
codes have settings of their own: the authors' (`released`) and that of
ChengBinJin/semantic-image-inpainting on the run of `celeba`, and that of
bamos/dcgan-completion.tensorflow (`bamos`) on the run of `celeba_bamos`.
"""

from ml_collections import ConfigDict

STRUCTURES = {  # structural variants, at the size that tests use
    "tiny_released": {
        "prior_loss": "non_saturating",
        "lambda_prior": 0.2,
        "optimizer": "nesterov",
        "z_lr": 3e-4,
        "start": "normal",
        "window_size": 15,
        "select": "last",
        "blend": "overlay",
    },
    "tiny_hmc": {"optimizer": "hmc", "weighting": "binary", "context_norm": "l2"},
    "tiny_torch": {"lineage": "torch", "prior": "normal", "blend": "none"},
}
VARIANTS = (
    "celeba",
    "svhn",
    "cars",
    "released",
    "bamos",
    "chengbinjin",
    "demo",
    "tiny",
    *STRUCTURES,
)


def get_config(variant: str = "celeba") -> ConfigDict:
    config = ConfigDict()
    config.name = "semantic_inpainting"
    config.seed = 0
    config.dtype = "auto"
    config.devices = ConfigDict({"data": -1, "model": 1})
    config.pretrained = ConfigDict()

    config.system = ConfigDict()
    config.system.image_size = 64  # this and the next seven: as in the DCGAN's run
    config.system.channels = 3
    config.system.lineage = "tf"
    config.system.generator_channels = 64
    config.system.discriminator_channels = 64
    config.system.max_channels = 0
    config.system.z_dim = 100
    config.system.prior = "uniform"
    config.system.weighting = "importance"
    config.system.window_size = 7
    config.system.context_norm = "l1"
    config.system.prior_loss = "saturating"
    config.system.lambda_prior = 0.003
    config.system.optimizer = "adam"
    config.system.z_lr = 0.01
    config.system.z_lr_decay = 1.0
    config.system.z_lr_decay_every = 100
    config.system.start = "prior"
    config.system.num_iters = 1500
    config.system.restarts = 1
    config.system.select = "best"
    config.system.curve_every = 100
    config.system.blend = "poisson"
    config.system.poisson_method = "auto"
    config.system.scale = 8
    config.system.microbatches = 1
    config.system.remat = "none"

    config.data = ConfigDict()
    config.data.task = "masked"
    config.data.mask = "center"  # or "pattern", "random", "half", ...
    config.data.source = "tfds:celeb_a"
    config.data.image_size = 64
    config.data.box = 108
    config.data.channels = 3

    config.training = ConfigDict()
    config.training.batch_size = 64
    config.training.num_steps = None
    config.training.log_every = 1
    config.training.checkpoint_every = 1
    config.training.sample_every = 1
    config.training.evaluate_every = 0
    config.training.keep_last = 2

    config.evaluation = ConfigDict()
    config.evaluation.num_examples = 2000
    config.evaluation.masks = ("center", "pattern", "random", "half")

    if variant == "celeba":
        pass
    elif variant == "svhn":  # digits, enlarged to 64 pixels
        config.data.source = "tfds:svhn_cropped"
        config.data.box = None
    elif variant == "cars":  # Stanford Cars, each cut out by its own box
        # --config.data.source=folder:data/cars --config.data.box=None reads a folder
        # of pictures that are cut already.
        config.data.source = "tfds:cars196"
        with config.data.ignore_type():  # a name, not a side
            config.data.box = "bbox"
    elif variant == "released":
        config.system.window_size = 15
        config.system.prior_loss = "non_saturating"
        config.system.lambda_prior = 0.2
        config.system.optimizer = "nesterov"
        config.system.z_lr = 3e-4
        config.system.start = "normal"
        config.system.num_iters = 3000
        config.system.select = "last"
    elif variant == "bamos":  # the method of the first preprint
        config.system.generator_channels = 128  # 512-512-256-128
        config.system.max_channels = 512
        config.system.weighting = "binary"
        config.system.prior_loss = "non_saturating"
        config.system.lambda_prior = 0.1
        config.system.num_iters = 1000
        config.system.select = "last"
        config.system.blend = "overlay"
    elif variant == "chengbinjin":
        config.system.prior_loss = "non_saturating"
        config.system.lambda_prior = 3.0
        config.system.optimizer = "nesterov"
        config.system.z_lr = 0.0095  # 0.01, which decays before the first update too
        config.system.z_lr_decay = 0.95
        config.system.start = "normal"
    elif variant == "demo":  # starts from dcgan:demo
        config.data.source = "synthetic:faces"
        config.data.box = None
        config.data.image_size = config.system.image_size = 32
        config.system.generator_channels = 24
        config.system.discriminator_channels = 24
        config.system.num_iters = 300
        config.system.restarts = 4
        config.training.batch_size = 8
        config.evaluation.num_examples = 16
    elif variant == "tiny" or variant in STRUCTURES:  # starts from dcgan:tiny_tf
        config.data.source = "synthetic:shapes"
        config.data.fields = ("style_a",)
        config.data.box = None
        config.data.image_size = config.system.image_size = 16
        config.system.generator_channels = 4
        config.system.discriminator_channels = 4
        config.system.z_dim = 8
        config.system.num_iters = 4
        config.system.curve_every = 2
        config.training.batch_size = 8
        config.evaluation.num_examples = 8
        config.evaluation.masks = ("center", "pattern")
        config.system.update(STRUCTURES.get(variant, {}))
    if variant not in VARIANTS:
        raise ValueError(f"unknown variant {variant!r}; known: {', '.join(VARIANTS)}")
    return config
