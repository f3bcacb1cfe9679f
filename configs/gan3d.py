"""3D-GAN (Wu et al., NeurIPS 2016): voxel shapes from noise.

    jaxgan train --config=gan3d:demo --workdir=runs/gan3d_demo
    jaxgan train --config=gan3d:chairs32 --workdir=runs/chairs \
        --config.data.source=npz:data/chairs.npz

The paper trains one network a category at 64^3 with batch 100; 32^3 is the practical
start. `chairs32_tricks` adds soft targets, a rate of D that falls and a beta2 of 0.5,
as one re-implementation has them. `demo` makes solid boxes in 16^3 on a CPU in a few
minutes.

Its classifier (table 1) takes the features of a run on seven categories of ShapeNet to
the labelled shapes of ModelNet:

    jaxgan evaluate --workdir=runs/shapenet --config.data.source=npz:data/modelnet10.npz

It is fitted on 4000 training shapes at most and judged on 200 test shapes, spread over
all of them. With --config.evaluation.num_probe=100000 and
--config.evaluation.num_examples=0 it takes every shape, as the paper does.
`jaxgan prepare` keeps the folders `train` and `test` of ModelNet as splits.
"""

from ml_collections import ConfigDict

TRICKS = {  # of rimchang/3DGAN-Pytorch
    "real_labels": (0.7, 1.2),
    "fake_labels": (0.0, 0.3),
    "gate": "current",
    "beta2": 0.5,
}
STRUCTURES = {  # structural variants, at the size that tests use
    "tiny_stem2": {"resolution": 16, "channels": (16, 8, 8)},
    "tiny_gate_current": {"gate": "current"},
    "tiny_no_gate": {"gate": "none"},
    "tiny_dcgan_norm": {"norm_first": False},
    "tiny_minimax_normal": {"loss": "minimax", "prior": "normal"},
    "tiny_tricks": {**TRICKS, "decay_at": 2},
}
VARIANTS = ("shapenet64", "chairs32", "chairs32_tricks", "demo", "tiny", *STRUCTURES)


def get_config(variant: str = "shapenet64") -> ConfigDict:
    config = ConfigDict()
    config.name = "gan3d"
    config.seed = 0
    config.dtype = "auto"
    config.devices = ConfigDict({"data": -1, "model": 1})
    config.pretrained = ConfigDict()

    config.system = ConfigDict()
    config.system.resolution = 64
    config.system.z_dim = 200
    config.system.prior = "uniform01"
    config.system.channels = (512, 256, 128, 64)
    config.system.norm_first = True
    config.system.norm_momentum = 0.9
    config.system.loss = "non_saturating"
    config.system.real_labels = (1.0, 1.0)
    config.system.fake_labels = (0.0, 0.0)
    config.system.gate = "last"
    config.system.accuracy_threshold = 0.8
    config.system.generator_learning_rate = 0.0025
    config.system.discriminator_learning_rate = 1e-5
    config.system.learning_rate_decay = 0.1
    config.system.decay_at = 0
    config.system.beta1 = 0.5
    config.system.beta2 = 0.999
    config.system.num_steps = 100_000
    config.system.microbatches = 1
    config.system.remat = "none"

    config.data = ConfigDict()
    config.data.task = "voxels"
    config.data.source = "npz:data/shapes.npz"
    config.data.image_size = 64

    config.training = ConfigDict()
    config.training.batch_size = 100
    config.training.num_steps = None
    config.training.log_every = 100
    config.training.checkpoint_every = 2000
    config.training.sample_every = 1000
    config.training.evaluate_every = 0
    config.training.keep_last = 2

    config.evaluation = ConfigDict()
    config.evaluation.num_examples = 200  # test shapes; 0 is all
    config.evaluation.num_training = 2000
    config.evaluation.num_probe = 4000  # labelled training shapes at most, if any

    if variant == "shapenet64":
        pass
    elif variant in ("chairs32", "chairs32_tricks"):
        # The published 32^3 variant: half the channels, 30^3 grids padded by one.
        config.data.image_size = config.system.resolution = 32
        config.data.min_voxels = 200
        config.system.channels = (256, 128, 64, 32)
        # At 1e-5 the narrow D stays behind, and the gate never closes; at 1e-4 samples
        # fade away. These are the settings of the re-implementations that make chairs.
        config.system.discriminator_learning_rate = 1e-3
        config.system.prior = "normal"
        if variant == "chairs32_tricks":
            config.system.update(TRICKS)
            config.training.batch_size = 32
            # 333 steps an epoch of 889 chairs in 12 turns; it falls after 500 of 1000.
            config.system.decay_at = 500 * 333
            config.system.num_steps = 1000 * 333
    elif variant == "demo":
        config.data.source = "synthetic:boxes"
        config.data.image_size = config.system.resolution = 16
        config.system.channels = (32, 16)
        config.system.z_dim = 16
        config.system.prior = "normal"  # with a uniform one all samples were alike
        config.system.discriminator_learning_rate = 1e-3
        config.system.num_steps = 2000
        config.training.batch_size = 32
        config.training.log_every = 100
        config.training.checkpoint_every = 500
        config.training.sample_every = 500
        config.training.evaluate_every = 1000
    elif variant == "tiny" or variant in STRUCTURES:
        config.data.source = "synthetic:boxes"
        config.data.image_size = config.system.resolution = 16
        config.system.channels = (16, 8)
        config.system.z_dim = 8
        config.system.discriminator_learning_rate = 1e-3
        config.system.num_steps = 4
        config.training.batch_size = 8
        config.training.log_every = 1
        config.training.checkpoint_every = 2
        config.training.sample_every = 4
        config.evaluation.num_examples = 8
        config.evaluation.num_training = 16
        config.system.update(STRUCTURES.get(variant, {}))
    else:
        raise ValueError(f"unknown variant {variant!r}; known: {', '.join(VARIANTS)}")
    return config
