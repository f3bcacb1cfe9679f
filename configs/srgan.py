"""SRGAN and SRResNet (Ledig et al., CVPR 2017): pictures of 4 times the side.

    jaxgan train --config=srgan:demo --workdir=runs/srgan_demo
    jaxgan train --config=srgan:srresnet_mse --workdir=runs/srresnet \
        --config.data.source=folder:/data/div2k
    jaxgan import-weights --network=vgg19 --source=VGG_ILSVRC_19_layers.caffemodel \
        --convention=caffe --output=vgg19.safetensors
    jaxgan train --config=srgan:srgan_vgg54 --workdir=runs/srgan \
        --config.data.source=folder:/data/div2k \
        --config.pretrained.vgg19=vgg19.safetensors

The published runs take 1.2 million steps, days on a GPU. The second command is the
first stage of the last; `--config.system.pretrain_steps=0 --init_from=runs/srresnet`
goes on from its result (without --init_from the generator would start afresh). The
VGG's file is Caffe's, as in the paper, converted once; Keras'
vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5 holds the same weights. Features under
torchvision's vgg19-dcbb9e9d.pth are about 59 times smaller: with that file set
--config.system.vgg_rescale=4.6. `demo` takes minutes on a CPU.
"""

from ml_collections import ConfigDict

STRUCTURES = {  # structural variants, at the size that tests use
    "tiny_gap_head": {"discriminator_head": "gap", "conv_bias": True},
    "tiny_g_first": {"update_order": "g_first", "ema_decay": 0.9},
    "tiny_x2": {"scale": 2, "prelu_shared": False, "shuffle_order": "torch"},
    "tiny_x8": {"scale": 8, "icnr": True, "out_act": "tanh"},
    "tiny_resize_conv": {"upsample": "resize_conv", "pretrain_schedule": "cosine"},
    "tiny_vgg22": {"pretrain_content": "vgg22", "content": "vgg22"},
    "tiny_vgg54": {"content": "vgg54", "lambda_pixel": 1.0, "tap_before_relu": True},
    "tiny_srresnet": {"adversarial_steps": 0},
    "tiny_content": {"lambda_adversarial": 0.0},
}
VARIANTS = (
    "srresnet_mse",
    "srresnet_vgg22",
    "srgan_mse",
    "srgan_vgg22",
    "srgan_vgg54",
    "x2",
    "x8",
    "div2k",
    "demo",
    "tiny",
    *STRUCTURES,
)


def get_config(variant: str = "srgan_vgg54") -> ConfigDict:
    config = ConfigDict()
    config.name = "srgan"
    config.seed = 0
    config.dtype = "auto"
    config.devices = ConfigDict({"data": -1, "model": 1})
    config.pretrained = ConfigDict()  # vgg19: an imported file, for the VGG losses

    config.system = ConfigDict()
    config.system.scale = 4
    config.system.image_size = 96
    config.system.num_blocks = 16
    config.system.generator_channels = 64
    config.system.prelu_shared = True
    config.system.upsample = "pixel_shuffle"
    config.system.shuffle_order = "depth_to_space"
    config.system.icnr = False
    config.system.generator_init = "he_normal"
    config.system.out_act = "none"
    config.system.discriminator_channels = 64
    config.system.discriminator_head = "flatten"
    config.system.dense_units = 1024
    config.system.conv_bias = False
    config.system.norm_groups = 1
    config.system.pretrain_content = "mse"
    config.system.content = "vgg54"
    config.system.tap_before_relu = False
    config.system.weights_convention = "auto"
    config.system.vgg_rescale = 1 / 12.75
    config.system.vgg_dtype = "float32"
    config.system.lambda_adversarial = 1e-3
    config.system.lambda_pixel = 0.0
    config.system.lambda_tv = 2e-8
    config.system.update_order = "d_first"
    config.system.pretrain_learning_rate = 1e-4
    config.system.pretrain_schedule = "constant"
    config.system.learning_rate = 1e-4
    config.system.learning_rate_decay = 0.1
    config.system.decay_at = 100_000
    config.system.beta1 = 0.9
    config.system.pretrain_steps = 1_000_000
    config.system.adversarial_steps = 200_000
    config.system.ema_decay = 0.0
    config.system.microbatches = 1
    config.system.remat = "none"

    config.data = ConfigDict()
    config.data.task = "low_high"
    config.data.source = "tfds:imagenet2012"  # the paper: 350,000 of its images
    config.data.fields = None
    config.data.image_size = 96
    config.data.scale = 4
    config.data.degradation = "bicubic"
    config.data.boundary = "symmetric"  # as MATLAB, on which published figures rest
    config.data.quantize_lr = True
    config.data.flip_rot = False  # True for small sets such as DIV2K

    config.training = ConfigDict()
    config.training.batch_size = 16
    config.training.num_steps = None
    config.training.log_every = 100
    config.training.checkpoint_every = 10_000
    config.training.sample_every = 5000
    config.training.evaluate_every = 0
    config.training.keep_last = 2

    config.evaluation = ConfigDict()
    config.evaluation.num_examples = 100
    config.evaluation.crops = False  # whole images

    if variant == "srgan_vgg54":
        pass
    elif variant in ("srgan_vgg22", "srgan_mse"):  # all start from SRResNet-MSE
        config.system.content = variant.removeprefix("srgan_")
    elif variant in ("srresnet_mse", "srresnet_vgg22"):
        config.system.pretrain_content = variant.removeprefix("srresnet_")
        config.system.adversarial_steps = 0
    elif variant in ("x2", "x8"):
        config.system.scale = config.data.scale = int(variant[1])
    elif variant == "div2k":  # 800 photographs in place of ImageNet's 350,000
        config.data.source = "tfds:div2k/bicubic_x4"  # brings its own low resolution
        config.data.flip_rot = True
    elif variant == "demo":
        # 8 to 32 px, flat shapes and thin lines; about three minutes on two CPU cores.
        config.data.source = "synthetic:shapes"
        config.data.fields = ("flat",)
        config.data.image_size = config.system.image_size = 32
        config.data.flip_rot = True
        config.system.num_blocks = 2
        config.system.generator_channels = 24
        config.system.generator_init = "torch_default"
        config.system.discriminator_channels = 16
        config.system.dense_units = 128
        config.system.content = "mse"  # needs no weights
        config.system.lambda_adversarial = 2e-3
        config.system.pretrain_learning_rate = 3e-3
        config.system.pretrain_schedule = "cosine"
        config.system.pretrain_steps = 2000
        config.system.learning_rate = 1e-4
        config.system.decay_at = 300
        config.system.adversarial_steps = 500
        config.training.log_every = 50
        config.training.checkpoint_every = 500
        config.training.sample_every = 250
        config.training.evaluate_every = 500
        config.evaluation.num_examples = 64
    elif variant == "tiny" or variant in STRUCTURES:
        config.data.source = "synthetic:shapes"
        config.data.fields = ("flat",)
        config.data.image_size = config.system.image_size = 32
        config.system.num_blocks = 1
        config.system.generator_channels = 4
        config.system.discriminator_channels = 4
        config.system.dense_units = 8
        config.system.content = "mse"
        config.system.pretrain_steps = 2
        config.system.decay_at = 1
        config.system.adversarial_steps = 2
        config.training.batch_size = 8
        config.training.log_every = 1
        config.training.checkpoint_every = 2
        config.training.sample_every = 4
        config.evaluation.num_examples = 8
        config.system.update(STRUCTURES.get(variant, {}))
        config.data.scale = config.system.scale
        if "vgg" in variant:
            config.pretrained.vgg19 = "random"
    else:
        raise ValueError(f"unknown variant {variant!r}; known: {', '.join(VARIANTS)}")
    return config
