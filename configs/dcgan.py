"""DCGAN (Radford et al., ICLR 2016): noise to images, and features of images.

    jaxgan train --config=dcgan:demo --workdir=runs/dcgan_demo
    jaxgan train --config=dcgan:celeba --workdir=runs/dcgan_celeba

The published runs take hours on a GPU; `demo` draws faces after minutes on a CPU.
`semantic_inpainting` starts from runs of `celeba`, `celeba_bamos`, `svhn64`, `cars` or
`demo`.

The paper's classifiers: the evaluation of `svhn` is that of table 2, an SVM on 1000
labels; table 1 judges the features of `imagenet32` on CIFAR-10 (some 20 GB of memory;
`--config.evaluation.probe_per_class=400` for its last column):

    jaxgan evaluate --workdir=runs/imagenet32 --config.data.source=tfds:cifar10 \
        --config.evaluation.num_probe=50000
"""

from ml_collections import ConfigDict

PORTS = {  # how the two ports depart from the paper's own code
    "tf": {
        "lineage": "tf",
        "generator_channels": 64,
        "discriminator_channels": 64,
        "g_steps": 2,
        "reuse_noise": True,
        "l2": 0.0,
    },
    "torch": {
        "lineage": "torch",
        "generator_channels": 64,
        "discriminator_channels": 64,
        "prior": "normal",
        "reuse_noise": True,
        "l2": 0.0,
    },
}
STRUCTURES = {  # structural variants, at the size that tests use
    "tiny_torch": {"lineage": "torch", "prior": "normal", "reuse_noise": True},
    "tiny_tf": {"lineage": "tf", "g_steps": 2, "reuse_noise": True, "l2": 0.0},
    "tiny_3x3": {"lineage": "theano_3x3"},
    "tiny_capped": {"lineage": "tf", "max_channels": 4},
    "tiny_critic": {"n_critic": 2, "loss": "minimax"},
    "tiny_conditional": {"num_classes": 10, "channels": 1, "dense_units": 16},
}
VARIANTS = (
    "faces",
    "lsun",
    "lsun_paper",
    "celeba",
    "celeba_torch",
    "celeba_bamos",
    "svhn64",
    "cars",
    "svhn",
    "imagenet32",
    "mnist_conditional",
    "demo",
    "tiny",
    *STRUCTURES,
)


def get_config(variant: str = "faces") -> ConfigDict:
    config = ConfigDict()
    config.name = "dcgan"
    config.seed = 0
    config.dtype = "auto"
    config.devices = ConfigDict({"data": -1, "model": 1})
    config.pretrained = ConfigDict()

    config.system = ConfigDict()
    config.system.image_size = 64
    config.system.channels = 3
    config.system.num_classes = 0
    config.system.lineage = "theano"
    config.system.generator_channels = 128
    config.system.discriminator_channels = 128
    config.system.max_channels = 0
    config.system.dense_units = 1024
    config.system.z_dim = 100
    config.system.prior = "uniform"
    config.system.loss = "non_saturating"
    config.system.n_critic = 1
    config.system.g_steps = 1
    config.system.reuse_noise = False
    config.system.learning_rate = 2e-4
    config.system.beta1 = 0.5
    config.system.l2 = 1e-5
    config.system.constant_steps = 34_175
    config.system.decay_steps = 0
    config.system.epoch_steps = 1
    config.system.invert_iters = 1500
    config.system.microbatches = 1
    config.system.remat = "none"

    config.data = ConfigDict()
    config.data.task = "images"
    config.data.source = "folder:data/faces"
    config.data.image_size = 64
    config.data.load_size = None
    config.data.resize = "stretch"
    config.data.box = None
    config.data.channels = 3
    config.data.fields = None
    config.data.flip = False
    config.data.draws = 1

    config.training = ConfigDict()
    config.training.batch_size = 128  # batch norm wants 16 or more
    config.training.num_steps = None
    config.training.log_every = 100
    config.training.checkpoint_every = 5000
    config.training.sample_every = 1000
    config.training.evaluate_every = 0
    config.training.keep_last = 2

    config.evaluation = ConfigDict()
    config.evaluation.num_examples = 10_000
    config.evaluation.num_samples = 10_000
    config.evaluation.num_training = 10_000
    config.evaluation.num_probe = 1000  # of the training set's labels, if it has any

    if variant == "faces":
        config.data.box = 64  # the author's files have 128 px; None takes all of others
    elif variant == "lsun":  # the co-author's port; 5 epochs, as in figure 3
        config.data.source = "tfds:lsun/bedroom"
        config.data.resize = "cover"  # the short side to 96, a random window
        config.data.load_size = 96
        config.data.flip = True
        config.system.update(PORTS["torch"])
        config.system.constant_steps = 236_955
        config.training.batch_size = 64
    elif variant == "lsun_paper":  # the paper's own, of figures 1 to 3; 5 epochs
        # It does not say how pictures became 64 px, and flips none.
        config.data.source = "tfds:lsun/bedroom"
        config.data.resize = "cover"
        config.system.l2 = 0.0
        config.system.constant_steps = 59_237  # two batches a step, as `faces`
    elif variant in ("celeba", "celeba_bamos"):
        # The TensorFlow port, for semantic inpainting.
        config.data.source = "tfds:celeb_a"
        config.data.box = 108
        config.data.flip = True
        config.system.update(PORTS["tf"])
        if variant == "celeba_bamos":
            # bamos/dcgan-completion.tensorflow: G has 512-512-256-128, D is as above.
            config.system.generator_channels = 128
            config.system.max_channels = 512
        config.system.constant_steps = 63_575
        config.training.batch_size = 64
    elif variant == "celeba_torch":  # the co-author's port, his box and his loader
        config.data.source = "tfds:celeb_a"
        config.data.box = (40, 30, 138, 138)
        config.data.load_size = 96
        config.data.flip = True
        config.system.update(PORTS["torch"])
        config.system.constant_steps = 63_575
        config.training.batch_size = 64
    elif variant in ("svhn64", "cars"):  # as `celeba`, for semantic inpainting
        digits = variant == "svhn64"
        # Each car is cut out by its own box. A folder of pictures that are cut already:
        # --config.data.source=folder:data/cars --config.data.box=None
        config.data.source = "tfds:svhn_cropped" if digits else "tfds:cars196"
        config.data.box = None if digits else "bbox"
        config.data.flip = not digits  # mirrored digits are none; the paper flips all
        config.system.update(PORTS["tf"])
        config.system.constant_steps = 28_600 if digits else 3_175  # 25 epochs
        config.training.batch_size = 64
    elif variant == "svhn":
        config.data.source = "tfds:svhn_cropped"
        config.data.image_size = config.system.image_size = 32
        config.system.generator_channels = 64
        config.system.discriminator_channels = 64
        config.system.prior = "normal"
        config.system.learning_rate = 5e-4
        config.system.constant_steps = 114_450
        config.training.batch_size = 64
        config.evaluation.num_examples = 0  # all of the test set
        config.evaluation.num_probe = 20_000  # 4,000 choose C
        config.evaluation.probe_per_class = 100
    elif variant == "imagenet32":
        config.data.source = "tfds:imagenet_resized/32x32"
        config.data.image_size = config.system.image_size = 32
        config.system.lineage = "theano_3x3"
        config.system.z_dim = 256
        config.system.constant_steps = 150_135
    elif variant == "mnist_conditional":
        config.data.task = "labelled"
        config.data.source = "tfds:mnist"
        config.data.image_size = config.system.image_size = 28
        config.data.channels = config.system.channels = 1
        config.data.holdout = 1 / 6
        config.system.num_classes = 10
        config.system.generator_channels = 64
        config.system.discriminator_channels = 64
        config.system.l2 = 2.5e-5
        config.system.constant_steps = 19_500
        config.system.decay_steps = 19_500
        config.system.epoch_steps = 195
    elif variant == "demo":
        # Drawn faces, 32 px; a few minutes on two CPU cores.
        config.data.source = "synthetic:faces"
        config.data.image_size = config.system.image_size = 32
        config.system.lineage = "tf"
        config.system.generator_channels = 24
        config.system.discriminator_channels = 24
        config.system.g_steps = 2
        config.system.reuse_noise = True
        config.system.l2 = 0.0
        config.system.constant_steps = 1500
        config.system.invert_iters = 300
        config.training.batch_size = 32
        config.training.log_every = 20
        config.training.checkpoint_every = 300
        config.training.sample_every = 100
        config.training.evaluate_every = 750
        config.evaluation.num_examples = 256
        config.evaluation.num_samples = 256
        config.evaluation.num_training = 512
    elif variant == "tiny" or variant in STRUCTURES:
        config.data.source = "synthetic:shapes"
        config.data.fields = ("style_a",)
        config.data.image_size = config.system.image_size = 16
        config.system.generator_channels = 4
        config.system.discriminator_channels = 4
        config.system.z_dim = 8
        config.system.constant_steps = 2
        config.system.decay_steps = 2
        config.system.invert_iters = 4
        config.training.batch_size = 16
        config.training.log_every = 1
        config.training.checkpoint_every = 2
        config.training.sample_every = 4
        config.evaluation.num_examples = 16
        config.evaluation.num_samples = 16
        config.evaluation.num_training = 32
        config.evaluation.num_probe = 40
        config.system.update(STRUCTURES.get(variant, {}))
        config.data.draws = config.system.n_critic
        if config.system.num_classes:
            config.data.task = "labelled"
            config.data.source = "synthetic:digits"
            config.data.fields = ("grey",)
            config.data.channels = 1
    if variant not in VARIANTS:
        raise ValueError(f"unknown variant {variant!r}; known: {', '.join(VARIANTS)}")
    return config
