"""SRGAN: photo-realistic single-image super-resolution, and SRResNet before it.

Ledig et al.: "Photo-Realistic Single Image Super-Resolution Using a Generative
Adversarial Network", CVPR 2017. Two stages:

    srresnet   lr --> generator --> sr      content loss against hr (mse; or vgg22 + tv)
    srgan      the same generator; content loss + 1e-3 adversarial
               sr or hr --> discriminator --> logit

Batch: `lr` float32 [b, h, w, 3] in [0, 1]; `hr` float32 [b, s h, s w, 3] in [-1, 1].
The generator's output is linear in the range of `hr`; modes clip it.

What the paper leaves open: the mean squared error averages channels too; the
discriminator is updated before the generator, both on one batch, and the generator is
judged by the updated discriminator (`update_order`); the generator's Adam starts afresh
with the adversarial stage; one PReLU slope a layer. The VGG sees what its weights were
trained on: the file says so, or else `weights_convention`; the paper's factor 1 / 12.75
was chosen for Caffe's values of 0 to 255, and `init` warns where weights and factor
disagree. It runs in float32 whatever `dtype` is: between a fake and its truth so near
that noise of 0.01 parts them, bfloat16's features differ by rounding as well, and under
random weights VGG54's loss was 37 to 65 % off, its gradient at cosines of 0.87 to 0.77
to float32's. `vgg_dtype=bfloat16` is for speed. With `microbatches` the fake that the
discriminator sees is normalised with the statistics of the whole batch.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxgan import core, losses, pretrained
from jaxgan.core import ArraySpec, Fixed, Mode, Out, Player, Stage, TrainState, forward
from jaxgan.core.types import Batch, Image, Key, Metrics, Scalar
from jaxgan.networks import srresnet
from jaxgan.networks.initializers import he_normal, torch_default
from jaxgan.ops.bicubic import bicubic_resize
from jaxgan.ops.tiling import map_tiles

LowResolution: TypeAlias = Float[Array, "b h w 3"]  # [0, 1]
HighResolution: TypeAlias = Float[Array, "b H W 3"]  # [-1, 1]

CONTENTS = ("mse", "vgg22", "vgg54")
LAYERS = {"vgg22": "2_2", "vgg54": "5_4"}  # of VGG-19, before pools 2 and 5
INITS = {"he_normal": he_normal, "torch_default": torch_default}
ACTIVATIONS = ("none", "tanh")
CONVENTIONS = ("auto", *pretrained.NETWORKS["vgg19"].conventions)
ORDERS = ("d_first", "g_first")
MIDDLE_RESCALE = 0.6  # between 1 / 12.75 and 59 / 12.75, as factors go


@dataclasses.dataclass(frozen=True)
class SRGAN:
    """Hyper-parameters (defaults: the paper's SRGAN-VGG54, x4) and the procedure."""

    scale: int = 4  # 2, 4 or 8
    image_size: int = 96  # side of the hr crops
    num_blocks: int = 16  # B
    generator_channels: int = 64  # n
    prelu_shared: bool = True  # one slope a layer; False: one a channel
    upsample: str = "pixel_shuffle"  # or "resize_conv", against checkerboards
    shuffle_order: str = "depth_to_space"  # or "torch"; equally good from scratch
    icnr: bool = False  # start the sub-pixels equal, against checkerboards
    generator_init: str = "he_normal"  # or "torch_default", quicker at first
    out_act: str = "none"  # or "tanh", which saturates on black and white
    discriminator_channels: int = 64
    discriminator_head: str = "flatten"  # or "gap": takes any image size
    dense_units: int = 1024
    conv_bias: bool = False  # of convolutions before batch norm
    norm_groups: int = 1  # parts of a batch with statistics of their own
    pretrain_content: str = "mse"  # of SRResNet; "vgg22" adds total variation
    content: str = "vgg54"  # or "vgg22", "mse"
    tap_before_relu: bool = False  # features before the activation (ESRGAN)
    weights_convention: str = "auto"  # what the VGG file says; or one of CONVENTIONS
    vgg_rescale: float = 1 / 12.75  # of the features
    vgg_dtype: str = "float32"  # of the VGG; or "bfloat16", see above
    lambda_adversarial: float = 1e-3  # 0: no discriminator is trained
    lambda_pixel: float = 0.0  # mse beside a VGG loss, not published; no use for "mse"
    lambda_tv: float = 2e-8  # of SRResNet-VGG22 alone
    update_order: str = "d_first"  # or "g_first"
    pretrain_learning_rate: float = 1e-4
    pretrain_schedule: str = "constant"  # or "cosine", to 0
    learning_rate: float = 1e-4
    learning_rate_decay: float = 0.1  # factor after decay_at updates
    decay_at: int = 100_000
    beta1: float = 0.9
    pretrain_steps: int = 1_000_000  # 0: --init_from gives another run's SRResNet
    adversarial_steps: int = 200_000  # 0: SRResNet alone
    ema_decay: float = 0.0  # of the generator that modes use; 0: none, as in the paper
    dtype: str = "float32"
    microbatches: int = 1
    remat: str = "none"

    def __post_init__(self):
        core.one_of(self.upsample, srresnet.UPSAMPLES, "upsample")
        core.one_of(self.shuffle_order, ("depth_to_space", "torch"), "shuffle_order")
        core.one_of(self.generator_init, INITS, "generator_init")
        core.one_of(self.out_act, ACTIVATIONS, "out_act")
        core.one_of(self.discriminator_head, srresnet.HEADS, "discriminator_head")
        core.one_of(self.pretrain_content, CONTENTS, "pretrain_content")
        core.one_of(self.content, CONTENTS, "content")
        core.one_of(self.weights_convention, CONVENTIONS, "weights_convention")
        core.one_of(self.vgg_dtype, core.DTYPES, "vgg_dtype")
        core.one_of(self.update_order, ORDERS, "update_order")
        core.one_of(self.pretrain_schedule, ("constant", "cosine"), "pretrain_schedule")
        if not isinstance(self.scale, int) or self.scale not in srresnet.SCALES:
            scales = ", ".join(map(str, srresnet.SCALES))
            raise core.UserError(
                f"system.scale = {self.scale!r} is impossible: choose one of {scales}"
            )
        core.one_of(self.remat, core.REMAT, "remat")
        core.check_fields(
            self,
            positive=(
                "image_size",
                "generator_channels",
                "discriminator_channels",
                "dense_units",
                "microbatches",
            ),
            below_one=("beta1", "ema_decay"),
        )
        if not self.pretrain_steps and not self.adversarial_steps:
            raise core.UserError(
                "system.pretrain_steps = 0 and system.adversarial_steps = 0 leave "
                "nothing to train: raise one"
            )
        vgg54 = "vgg54" in (
            self.pretrain_content if self.pretrain_steps else "",
            self.content if self.adversarial_steps else "",
        )
        smallest = 16 if vgg54 else 1
        core.check_size(
            self.image_size,
            lambda side: side % self.scale == 0 and side >= smallest,
            f"multiples of scale={self.scale}" + "; vgg54 needs 16 px or more" * vgg54,
        )

    def networks(self) -> dict[str, nn.Module]:
        shared: dict[str, Any] = {
            "conv_bias": self.conv_bias,
            "norm_groups": self.norm_groups,
            "dtype": core.compute_dtype(self.dtype),
        }
        generator = srresnet.SRResNet(
            scale=self.scale,
            num_blocks=self.num_blocks,
            base_channels=self.generator_channels,
            prelu_shared=self.prelu_shared,
            upsample=self.upsample,
            shuffle_order=cast(srresnet.Order, self.shuffle_order),
            icnr=self.icnr,
            out_act=self.out_act,
            kernel_init=INITS[self.generator_init],
            **shared,
        )
        discriminator = srresnet.SRDiscriminator(
            self.discriminator_channels,
            self.dense_units,
            self.discriminator_head,
            **shared,
        )
        return core.named(generator=generator, discriminator=discriminator)

    def optimizers(self) -> dict[str, Player]:
        """The generator has a player, and so an optimiser, for each stage."""
        rate = self.pretrain_learning_rate
        if self.pretrain_schedule == "cosine":
            rate = optax.cosine_decay_schedule(rate, max(self.pretrain_steps, 1))

        def stepwise(count: Any) -> Array:
            later = self.learning_rate * self.learning_rate_decay
            return jnp.where(count < self.decay_at, self.learning_rate, later)

        adam = partial(core.adam, b1=self.beta1)
        return {
            "srresnet": adam(("generator",), rate),
            "generator": adam(("generator",), stepwise),
            "discriminator": adam(("discriminator",), stepwise),
        }

    def pretrained(self) -> dict[str, core.Pretrained]:
        content = {"srresnet": self.pretrain_content, "srgan": self.content}
        stages = {s.name: content[s.name] for s in self.stages}
        stages = {name: loss for name, loss in stages.items() if loss in LAYERS}
        if not stages:
            return {}
        module = pretrained.VGG(
            depth=19,
            taps=tuple(sorted({self._tap(loss) for loss in stages.values()})),
            dtype=core.compute_dtype(self.vgg_dtype),
            # By default TPUs would round float32 to bfloat16; GPUs take TF32 in both.
            precision=jax.lax.Precision.HIGH,
            name="vgg19",
        )
        stated = self.weights_convention
        convention = None if stated == "auto" else stated
        return {"vgg19": core.Pretrained("vgg19", module, tuple(stages), convention)}

    def _tap(self, content: str) -> str:
        return ("conv" if self.tap_before_relu else "relu") + LAYERS[content]

    def init(self, key: Key, batch: Batch, frozen: core.Frozen) -> TrainState:
        self._check_scale(frozen)
        return core.initialize(
            key,
            self.networks(),
            {"generator": (batch["lr"],), "discriminator": (batch["hr"],)},
            self.optimizers(),
            ema=("generator",) if self.ema_decay else (),
        )

    def _check_scale(self, frozen: core.Frozen) -> None:
        """Warns of a content loss thousands of times smaller or greater than meant."""
        weights = frozen.get("vgg19")
        if not isinstance(weights, pretrained.LoadedWeights) or weights.is_random:
            return
        is_small = weights.convention == "torchvision"
        if is_small != (self.vgg_rescale < MIDDLE_RESCALE):
            return
        logging.getLogger(__name__).warning(
            "system.vgg_rescale = %.3g does not go with VGG weights of the convention "
            "%s: features of values of 0 to 255 (Caffe, Keras) take 1/12.75 = 0.0784, "
            "torchvision's, about 59 times smaller, take 4.6",
            self.vgg_rescale,
            weights.convention,
        )

    @property
    def stages(self) -> tuple[Stage, ...]:
        small, large = self.image_size // self.scale, self.image_size
        spec = {
            "lr": ArraySpec((small, small, 3), low=0.0),
            "hr": ArraySpec((large, large, 3)),
        }
        adversarial = ("discriminator",) if self.lambda_adversarial else ()
        stages = (
            Stage(
                "srresnet",
                self.srresnet_step,
                num_steps=self.pretrain_steps,
                batch_spec=spec,
                players=("srresnet",),
            ),
            Stage(
                "srgan",
                self.srgan_step,
                num_steps=self.adversarial_steps,
                batch_spec=spec,
                players=(*adversarial, "generator"),
                enter=self.begin_adversarial,
                continues="srresnet",
            ),
        )
        return tuple(stage for stage in stages if stage.num_steps)

    def begin_adversarial(
        self, state: TrainState, frozen: core.Frozen, calibration: Batch, key: Key
    ) -> TrainState:
        """Keeps the generator; its average starts again from it.

        The stage's players have not moved yet: their optimisers are fresh.
        """
        params = {name: state.params[name] for name in state.ema}
        return state.replace(ema=jax.tree.map(jnp.copy, params))

    def _features(self, fixed: Fixed, image: Image) -> Mapping[str, Any]:
        module = self.pretrained()["vgg19"].module
        return pretrained.extract(
            module, fixed.frozen["vgg19"], image, remat=self.remat
        )

    def _content(
        self, content: str, fixed: Fixed, sr: HighResolution, hr: HighResolution
    ) -> dict[str, Scalar]:
        """The content loss (eq. 4 or 5) under its name, and the optional pixel term."""
        if content == "mse":
            return {"mse": losses.mse(sr, hr)}
        tap = self._tap(content)
        real, fake = self._features(fixed, hr)[tap], self._features(fixed, sr)[tap]
        distance = losses.feature_distance(fake, jax.lax.stop_gradient(real))
        terms = {content: self.vgg_rescale**2 * distance}
        if self.lambda_pixel:
            terms["pixel"] = self.lambda_pixel * losses.mse(sr, hr)
        return terms

    def srresnet_loss(
        self, trained: dict, fixed: Fixed, lr: LowResolution, hr: HighResolution
    ) -> tuple[Scalar, Out]:
        """The content loss alone; SRResNet-VGG22 adds total variation."""
        sr, stats = forward(
            self.networks()["generator"],
            trained["generator"],
            fixed.stats["generator"],
            lr,
            remat=self.remat,
            train=True,
        )
        terms = self._content(self.pretrain_content, fixed, sr, hr)
        if self.pretrain_content == "vgg22":
            terms["tv"] = self.lambda_tv * losses.total_variation(sr)
        return sum(terms.values(), jnp.zeros(())), Out(terms, {"generator": stats})

    def discriminator_loss(
        self, trained: dict, fixed: Fixed, hr: HighResolution, sr: HighResolution
    ) -> tuple[Scalar, Out]:
        """`-log D(hr) - log(1 - D(sr))` (eq. 2), the sum of two means."""
        judge = partial(
            forward,
            self.networks()["discriminator"],
            trained["discriminator"],
            remat=self.remat,
            train=True,
        )
        # Two passes: each batch has its own statistics.
        real_logits, stats = judge(fixed.stats["discriminator"], hr)
        fake_logits, stats = judge(stats, sr)
        bce = losses.GAN_LOSSES["bce"]
        terms = {"real": bce.real(real_logits), "fake": bce.fake(fake_logits)}
        metrics = {
            "logits/real": jnp.mean(real_logits),
            "logits/fake": jnp.mean(fake_logits),
            "accuracy/discriminator": losses.binary_accuracy(real_logits, fake_logits),
        }
        total = terms["real"] + terms["fake"]
        return total, Out(terms | metrics, {"discriminator": stats})

    def generator_loss(
        self, trained: dict, fixed: Fixed, lr: LowResolution, hr: HighResolution
    ) -> tuple[Scalar, Out]:
        """`content - lambda_adversarial * log D(G(lr))` (eq. 3 and 6)."""
        sr, stats = forward(
            self.networks()["generator"],
            trained["generator"],
            fixed.stats["generator"],
            lr,
            remat=self.remat,
            train=True,
        )
        terms = self._content(self.content, fixed, sr, hr)
        if self.lambda_adversarial:
            logits, _ = forward(
                self.networks()["discriminator"],
                fixed.params["discriminator"],
                fixed.stats["discriminator"],
                sr,
                remat=self.remat,
                train=True,
            )
            adversarial = losses.non_saturating_generator(logits)
            terms["adversarial"] = self.lambda_adversarial * adversarial
        return sum(terms.values(), jnp.zeros(())), Out(
            terms, {"generator": stats}, {"sr": sr}
        )

    def _update(self, frozen: core.Frozen) -> Callable[..., tuple[TrainState, Out]]:
        return partial(
            core.update,
            optimizers=self.optimizers(),
            frozen=frozen,
            microbatches=self.microbatches,
        )

    def _averaged(self, state: TrainState) -> TrainState:
        return core.ema_update(state, self.ema_decay) if self.ema_decay else state

    def srresnet_step(
        self, state: TrainState, frozen: core.Frozen, batch: Batch, key: Key
    ) -> tuple[TrainState, Metrics]:
        """One iteration of stage 1. Nothing is drawn: `key` is not used."""
        state, g = self._update(frozen)(
            state,
            self.srresnet_loss,
            ("srresnet",),
            batch["lr"],
            batch["hr"],
            commit=("generator",),
        )
        return self._averaged(state.advance()), g.metrics

    def srgan_step(
        self, state: TrainState, frozen: core.Frozen, batch: Batch, key: Key
    ) -> tuple[TrainState, Metrics]:
        """One iteration of stage 2: both networks once, on one batch and one fake.

        `d_first`: D, then G against the new D; the compiler merges this step's two
        forwards of G. `g_first`: G against the old D, then D on the fake of *that* G.
        """
        update = self._update(frozen)
        lr, hr = batch["lr"], batch["hr"]

        def discriminate(
            state: TrainState, sr: HighResolution
        ) -> tuple[TrainState, Metrics]:
            if not self.lambda_adversarial:
                return state, {}
            state, d = update(
                state,
                self.discriminator_loss,
                ("discriminator",),
                hr,
                sr,
                commit=("discriminator",),
            )
            return state, d.metrics

        def generate(state: TrainState) -> tuple[TrainState, Out]:
            return update(
                state,
                self.generator_loss,
                ("generator",),
                lr,
                hr,
                commit=("generator",),
            )

        if self.update_order == "d_first":
            sr, _ = forward(
                self.networks()["generator"],
                state.params["generator"],
                state.stats["generator"],
                lr,
                train=True,
            )
            state, d_metrics = discriminate(state, sr)
            state, g = generate(state)
        else:
            state, g = generate(state)
            state, d_metrics = discriminate(state, g.values["sr"])
        return self._averaged(state.advance()), d_metrics | g.metrics

    @property
    def inference(self) -> Mapping[str, Mode]:
        image = core.Image(help="a picture of low resolution")
        output = {"image": core.Image(scale=self.scale)}
        return {
            "upscale": Mode(
                self.upscale,
                inputs={"image": image},
                output=output,
                networks=("generator",),
                help="enlarge pictures of any size, animations or a folder of frames, "
                f"{self.scale} times",
            ),
            "upscale_tiled": Mode(
                self.upscale_tiled,
                inputs={
                    "image": image,
                    "tile": core.Int(
                        128, low=8, help="side of a tile, pixels of the input"
                    ),
                },
                output=output,
                networks=("generator",),
                help="the same result, tile by tile, for large pictures",
            ),
        }

    def upscale(
        self, variables: Mapping[str, Any], frozen: core.Frozen, inputs: dict, key: Key
    ) -> dict[str, HighResolution]:
        """`[b, h, w, 3]` to `[b, scale * h, scale * w, 3]`, both in [-1, 1]."""
        return {"image": self._enlarge(variables, inputs["image"])}

    def _enlarge(self, variables: Mapping[str, Any], image: Image) -> HighResolution:
        generator = self.networks()["generator"]
        lr = 0.5 * (image + 1.0)
        sr = core.predict(generator, variables["generator"], lr, train=False)
        return jnp.clip(sr, -1.0, 1.0)

    def upscale_tiled(
        self, variables: Mapping[str, Any], frozen: core.Frozen, inputs: dict, key: Key
    ) -> dict[str, HighResolution]:
        """As `upscale`, with the memory of one tile: exact in evaluation mode, since a
        tile is computed with all the pixels around it that the network sees."""
        image = map_tiles(
            partial(self._enlarge, variables),
            inputs["image"],
            tile=inputs["tile"],
            halo=self.networks()["generator"].halo,
            scale=self.scale,
        )
        return {"image": image}

    def sample_grid(
        self, variables: Mapping[str, Any], frozen: core.Frozen, batch: Batch, key: Key
    ) -> dict[str, Image]:
        lr, hr = 2.0 * batch["lr"] - 1.0, batch["hr"]
        nearest = jnp.repeat(jnp.repeat(lr, self.scale, axis=1), self.scale, axis=2)
        bicubic = bicubic_resize(lr, hr.shape[1], hr.shape[2])
        return {
            "input": nearest,
            "bicubic": jnp.clip(bicubic, -1.0, 1.0),
            "prediction": self._enlarge(variables, lr),
            "truth": hr,
        }
