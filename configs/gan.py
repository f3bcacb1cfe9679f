"""The first GAN (Goodfellow et al., NeurIPS 2014): noise to samples.

    jaxgan train --config=gan:demo --workdir=runs/gan_demo
    jaxgan train --config=gan:mnist --workdir=runs/gan_mnist

The authors trained MNIST for about 250 epochs and stopped by hand; expect 225 nats by
the Parzen estimate. `demo` draws digits after minutes on a CPU. The paper's third set,
the Toronto Faces (2057 nats), was never public and has no variant.
"""

from ml_collections import ConfigDict

STRUCTURES = {  # structural variants, at the size that tests use
    "tiny_minimax": {"loss": "minimax"},
    "tiny_blend": {"loss": "blend"},
    "tiny_adam": {"optimizer": "adam", "learning_rate": 2e-4},
    "tiny_cifar": {
        "image_size": 17,
        "channels": 3,
        "pixels": "contrast",
        "prior": "normal",
        "hidden_units": (32, 50),
        "hidden_activations": ("relu", "sigmoid"),
        "output": "linear",
        "convolutional": True,
        "discriminator_units": (8,),
        "discriminator_conv_units": (4, 4, 8),
    },
}
VARIANTS = (
    "mnist",
    "cifar10_fully_connected",
    "cifar10_convolutional",
    "demo",
    "tiny",
    *STRUCTURES,
)


def get_config(variant: str = "mnist") -> ConfigDict:
    config = ConfigDict()
    config.name = "gan"
    config.seed = 0
    config.dtype = "auto"
    config.devices = ConfigDict({"data": -1, "model": 1})
    config.pretrained = ConfigDict()

    config.system = ConfigDict()
    config.system.image_size = 28
    config.system.channels = 1
    config.system.pixels = "unit"
    config.system.z_dim = 100
    config.system.prior = "uniform_unit_variance"
    config.system.hidden_units = (1200, 1200)
    config.system.hidden_activations = ("relu", "relu")
    config.system.output = "sigmoid"
    config.system.convolutional = False
    config.system.weight_range = 0.05
    config.system.output_weight_range = 0.05
    config.system.discriminator_units = (240, 240)
    config.system.discriminator_conv_units = ()
    config.system.num_pieces = 5
    config.system.discriminator_weight_range = 0.005
    config.system.keep_input = 0.8
    config.system.keep_hidden = 0.5
    config.system.loss = "non_saturating"
    config.system.blend_non_saturating = 1.0
    config.system.blend_minimax = 1.0
    config.system.optimizer = "sgd"
    config.system.learning_rate = 0.1
    config.system.learning_rate_decay = 1.000004
    config.system.minimum_learning_rate = 1e-6
    config.system.momentum = 0.5
    config.system.final_momentum = 0.7
    config.system.momentum_epochs = 250
    config.system.epoch_steps = 500
    config.system.num_steps = 125_000
    config.system.microbatches = 1
    config.system.remat = "none"

    config.data = ConfigDict()
    config.data.task = "images"
    config.data.source = "tfds:mnist"
    config.data.image_size = 28
    config.data.channels = 1
    config.data.fields = None
    # 10,000 of 60,000, drawn by the seed, choose the Parzen window.
    config.data.holdout = 1 / 6

    config.training = ConfigDict()
    config.training.batch_size = 100
    config.training.num_steps = None
    config.training.log_every = 100
    config.training.checkpoint_every = 5000
    config.training.sample_every = 2500
    config.training.evaluate_every = 0
    config.training.keep_last = 2

    config.evaluation = ConfigDict()
    config.evaluation.num_examples = 10_000
    config.evaluation.num_samples = 10_000
    config.evaluation.num_training = 10_000

    if variant == "mnist":
        pass
    elif variant.startswith("cifar10"):
        config.data.source = "tfds:cifar10"
        config.data.image_size = config.system.image_size = 32
        config.data.channels = config.system.channels = 3
        config.data.holdout = 0.2
        config.system.pixels = "contrast"
        config.system.prior = "normal"
        config.system.hidden_units = (8000, 8000)
        config.system.hidden_activations = ("relu", "sigmoid")
        config.system.output = "linear"
        if variant == "cifar10_fully_connected":
            config.system.output_weight_range = 0.5
            config.system.discriminator_units = (1600, 1600)
            config.system.learning_rate = 0.025
            config.system.epoch_steps = 400
            config.system.num_steps = 100_000
        elif variant == "cifar10_convolutional":
            config.system.convolutional = True
            config.system.discriminator_units = (500,)
            config.system.discriminator_conv_units = (32, 32, 192)
            config.system.learning_rate = 0.004
            config.training.batch_size = 128
            config.system.epoch_steps = 312
            config.system.num_steps = 78_000
    elif variant == "demo":
        # Drawn digits, and Adam, which needs a hundredth of the steps.
        config.data.source = "synthetic:digits"
        config.data.fields = ("grey",)
        config.data.holdout = None
        config.data.in_memory = True  # 40 epochs, and a step is faster than the pen
        config.system.hidden_units = (256, 256)
        config.system.discriminator_units = (128, 128)
        config.system.optimizer = "adam"
        config.system.learning_rate = 1e-3
        config.system.num_steps = 4000
        config.training.checkpoint_every = 1000
        config.training.sample_every = 500
        config.training.evaluate_every = 2000
        config.evaluation.num_examples = 1000
        config.evaluation.num_samples = 1000
        config.evaluation.num_training = 1000
    elif variant == "tiny" or variant in STRUCTURES:
        config.data.source = "synthetic:digits"
        config.data.fields = ("grey",)
        config.data.holdout = None
        config.data.image_size = config.system.image_size = 16
        config.system.z_dim = 8
        config.system.hidden_units = (32, 32)
        config.system.discriminator_units = (16, 16)
        config.system.num_pieces = 3
        config.system.discriminator_weight_range = 0.05
        config.system.epoch_steps = 1
        config.system.num_steps = 4
        config.training.batch_size = 16
        config.training.log_every = 1
        config.training.checkpoint_every = 2
        config.training.sample_every = 4
        config.evaluation.num_examples = 16
        config.evaluation.num_samples = 16
        config.evaluation.num_training = 32
        config.system.update(STRUCTURES.get(variant, {}))
        config.data.image_size = config.system.image_size
        config.data.channels = config.system.channels
        if config.system.channels == 3:
            config.data.fields = ("colour",)
    if variant not in VARIANTS:
        raise ValueError(f"unknown variant {variant!r}; known: {', '.join(VARIANTS)}")
    return config
