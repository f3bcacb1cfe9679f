"""pix2pix: paired image-to-image translation with a conditional GAN.

Isola, Zhu, Zhou, Efros: "Image-to-Image Translation with Conditional Adversarial
Networks", CVPR 2017. Learns y = G(x) from aligned pairs:

    a (x) --> generator --> fake --+--> l1 against b (y)
      |                            |
      +------- discriminator(x, fake or y) --> patch logits

Batch: `a`, `b`, float32 [b, h, w, c] in [-1, 1], aligned; a is the condition.

Noise enters by dropout in the decoder alone, in training and, as in the paper, in use.

Differences, where the two official codes disagree, follow the PyTorch one: logits
instead of a sigmoid, the generator is judged by the updated discriminator, dropout in
decoder layers 2 to 4, no bias before batch norm, a rate that decays in the second half
(the paper's is constant: `decay_steps` 0). The references train most sets with batch
1, where batch norm computes the statistics of one image: `norm_groups` 0 keeps that at
any batch size. The configs of the sets they train with batch 4 pool the batch, by 1.
Running statistics of the discriminator are committed in its own update only. Its logged
terms are halved as its loss is; the reference logs them whole. Image files
have 1 or 3 channels; arrays may have more, named by `data.channels_a` and
`data.channels_b`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any, TypeAlias

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgan import core, losses
from jaxgan.core import ArraySpec, Fixed, Mode, Out, Player, Stage, TrainState, forward
from jaxgan.core.types import Batch, Image, Key, Metrics, Params, Scalar
from jaxgan.networks.patchgan import translation_discriminator
from jaxgan.networks.resnet import ResNetGenerator
from jaxgan.networks.sizes import check_translation_size, sides
from jaxgan.networks.unet import UNet, depth_of
from jaxgan.ops import masks
from jaxgan.ops.color import picture_of_lab

Target: TypeAlias = Float[Array, "b h w f"]  # f may differ from the condition's c

GENERATORS = ("unet", "encoder_decoder", "resnet")
SAMPLING = {  # name: (statistics of the image itself, dropout)
    "paper": (True, True),
    "deterministic": (True, False),
    "eval": (False, False),
}


@dataclasses.dataclass(frozen=True)
class Pix2Pix:
    """Hyper-parameters (defaults: facades in the PyTorch code) and the procedure."""

    image_size: int | tuple[int, int] = 256  # a side, or height and width
    in_channels: int = 3
    out_channels: int = 3
    generator: str = "unet"  # one of GENERATORS
    num_downs: int = 0  # of the U-Net; 0: down to 1x1, so 8 at 256 px
    num_blocks: int = 9  # of the ResNet
    generator_channels: int = 64  # ngf
    # Decoder layers with dropout. None: 2..num_downs-4; Lua: 1, 2, 3; (): none anywhere
    dropout_layers: tuple[int, ...] | None = None
    discriminator: str = "patch"  # or "pixel" (PixelGAN)
    discriminator_channels: int = 64  # ndf
    num_layers: int = 3  # n_layers_D: 1 sees 16x16 patches, 3 sees 70x70, 5 286x286
    norm: str = "batch"  # or "instance"
    norm_groups: int = 0  # 0: every image its own statistics, as with batch 1
    adversarial: str = "bce"  # or "lsgan", "wasserstein" (without gradient penalty)
    hole: bool = False  # inpainting: x is y without its central square (data.hole)
    conditional: bool = True  # the discriminator sees x; False is the "GAN" ablation
    lambda_gan: float = 1.0  # 0 is the "L1" ablation; no discriminator is trained
    lambda_l1: float = 100.0  # lambda in eq. 4; 0 is the "cGAN" ablation
    learning_rate: float = 2e-4
    beta1: float = 0.5
    constant_steps: int = 40_000  # 100 epochs of 400 images, batch 1
    decay_steps: int = 40_000  # 100 epochs
    epoch_steps: int = 400  # the rate changes once an epoch
    lr_floor_fix: bool = False  # the reference's last epoch has rate 0; True: not so
    dtype: str = "float32"
    microbatches: int = 1
    remat: str = "none"

    def __post_init__(self):
        core.one_of(self.generator, GENERATORS, "generator")
        core.one_of(self.discriminator, ("patch", "pixel"), "discriminator")
        core.one_of(self.norm, ("batch", "instance"), "norm")
        core.one_of(self.adversarial, losses.GAN_LOSSES, "adversarial")
        core.one_of(self.remat, core.REMAT, "remat")
        core.check_fields(
            self,
            positive=(
                "image_size",
                "in_channels",
                "out_channels",
                "generator_channels",
                "discriminator_channels",
                "num_layers",
                "epoch_steps",
                "microbatches",
            ),
            below_one=("beta1",),
        )
        if not self.lambda_gan and not self.lambda_l1:
            raise core.UserError(
                "system.lambda_gan and system.lambda_l1 are both 0: nothing would be "
                "learned"
            )
        check_translation_size(
            self.image_size,
            unet=self.generator != "resnet",
            num_downs=self.num_downs,
            patch_layers=self.num_layers if self.discriminator == "patch" else 0,
        )
        if any(not 0 < layer < self.depth for layer in self.dropout_layers or ()):
            raise core.UserError(
                f"system.dropout_layers = {self.dropout_layers}: the decoder's layers "
                f"that can have dropout are 1 to {self.depth - 1}"
            )

    @property
    def depth(self) -> int:
        """How often the U-Net halves the image."""
        return depth_of(min(sides(self.image_size)), self.num_downs)

    def networks(self) -> dict[str, nn.Module]:
        dropout = self.dropout_layers
        if dropout is None:
            dropout = tuple(range(2, self.depth - 3))
        shared = {
            "norm": self.norm,
            "norm_groups": self.norm_groups,
            "dtype": core.compute_dtype(self.dtype),
        }
        sizes = {
            "out_channels": self.out_channels,
            "base_channels": self.generator_channels,
        }
        if self.generator == "resnet":
            generator = ResNetGenerator(
                num_blocks=self.num_blocks,
                dropout=self.dropout_layers != (),
                **sizes,
                **shared,
            )
        else:
            generator = UNet(
                num_downs=self.depth,
                dropout_layers=dropout,
                skips=self.generator == "unet",
                **sizes,
                **shared,
            )
        discriminator = translation_discriminator(
            self.discriminator, self.discriminator_channels, self.num_layers, **shared
        )
        return core.named(generator=generator, discriminator=discriminator)

    def optimizers(self) -> dict[str, Player]:
        rate = core.linear_decay(
            self.learning_rate,
            self.constant_steps,
            self.decay_steps,
            self.epoch_steps,
            self.lr_floor_fix,
        )
        adam = partial(core.adam, learning_rate=rate, b1=self.beta1)
        return {
            "generator": adam(("generator",)),
            "discriminator": adam(("discriminator",)),
        }

    def pretrained(self) -> dict[str, core.Pretrained]:
        return {}

    def init(self, key: Key, batch: Batch, frozen: core.Frozen) -> TrainState:
        a, b = batch["a"], batch["b"]
        return core.initialize(
            key,
            self.networks(),
            {"generator": (a,), "discriminator": (self._judged(a, b),)},
            self.optimizers(),
        )

    @property
    def stages(self) -> tuple[Stage, ...]:
        size = sides(self.image_size)
        players = ("discriminator", "generator") if self.lambda_gan else ("generator",)
        return (
            Stage(
                "pix2pix",
                self.step,
                num_steps=self.constant_steps + self.decay_steps,
                batch_spec={
                    "a": ArraySpec((*size, self.in_channels)),
                    "b": ArraySpec((*size, self.out_channels)),
                },
                players=players,
            ),
        )

    def _judged(self, condition: Image, image: Target) -> Float[Array, "b h w _"]:
        """What the discriminator sees."""
        if not self.conditional:
            return image
        return jnp.concatenate([condition, image], axis=-1)

    def _generate(
        self, params: Params, stats: Params, a: Image, key: Key
    ) -> tuple[Target, Params]:
        generator = self.networks()["generator"]
        return forward(
            generator, params, stats, a, key=key, remat=self.remat, train=True
        )

    def discriminator_loss(
        self, trained: dict, fixed: Fixed, a: Image, b: Target, *, key: Key
    ) -> tuple[Scalar, Out]:
        """Half the sum of both terms, as the paper slows the discriminator down."""
        discriminator = self.networks()["discriminator"]
        params, stats = trained["discriminator"], fixed.stats["discriminator"]
        fake, _ = self._generate(
            fixed.params["generator"], fixed.stats["generator"], a, key
        )
        fake = jax.lax.stop_gradient(fake)
        # Two passes: each batch has its own statistics.
        judge = partial(forward, discriminator, params, remat=self.remat, train=True)
        fake_logits, stats = judge(stats, self._judged(a, fake))
        real_logits, stats = judge(stats, self._judged(a, b))
        loss = losses.GAN_LOSSES[self.adversarial]
        terms = {
            "real": 0.5 * loss.real(real_logits),
            "fake": 0.5 * loss.fake(fake_logits),
        }
        metrics = {
            "logits/real": jnp.mean(real_logits),
            "logits/fake": jnp.mean(fake_logits),
        }
        if loss.threshold is not None:
            metrics["accuracy/discriminator"] = losses.binary_accuracy(
                real_logits, fake_logits, loss.threshold
            )
        total = terms["real"] + terms["fake"]
        return total, Out(terms | metrics, {"discriminator": stats})

    def generator_loss(
        self, trained: dict, fixed: Fixed, a: Image, b: Target, *, key: Key
    ) -> tuple[Scalar, Out]:
        """`lambda_gan * adversarial + lambda_l1 * mean |G(x) - y|` (eq. 4)."""
        fake, stats = self._generate(
            trained["generator"], fixed.stats["generator"], a, key
        )
        terms = {"l1": self.lambda_l1 * losses.l1(fake, b)}
        total = terms["l1"]
        if self.lambda_gan:
            logits, _ = forward(
                self.networks()["discriminator"],
                fixed.params["discriminator"],
                fixed.stats["discriminator"],
                self._judged(a, fake),
                remat=self.remat,
                train=True,
            )
            adversarial = losses.GAN_LOSSES[self.adversarial].real(logits)
            terms["adversarial"] = self.lambda_gan * adversarial
            total += terms["adversarial"]
        return total, Out(terms, {"generator": stats})

    def step(
        self, state: TrainState, frozen: core.Frozen, batch: Batch, key: Key
    ) -> tuple[TrainState, Metrics]:
        """One iteration of the paper: D, then G against the new D, on one batch.

        Both updates draw the same dropout masks, so both see the same fake, and the
        compiler runs the generator forward once.
        """
        update = partial(
            core.update,
            optimizers=self.optimizers(),
            frozen=frozen,
            microbatches=self.microbatches,
            key=key,
        )
        a, b = batch["a"], batch["b"]
        metrics = {}
        if self.lambda_gan:
            state, d = update(
                state,
                self.discriminator_loss,
                ("discriminator",),
                a,
                b,
                commit=("discriminator",),
            )
            metrics |= d.metrics
        state, g = update(
            state, self.generator_loss, ("generator",), a, b, commit=("generator",)
        )
        return state.advance(), metrics | g.metrics

    @property
    def inference(self) -> Mapping[str, Mode]:
        multiple = 4 if self.generator == "resnet" else 2**self.depth
        size = sides(self.image_size) if self.hole else None  # padding moves a centre
        return {
            "translate": Mode(
                self.translate,
                inputs={
                    "image": core.Image(
                        self.in_channels,
                        size=size,
                        multiple_of=multiple,
                        help="the condition x",
                    ),
                    "sampling": core.Choice(
                        tuple(SAMPLING),
                        "paper",
                        "paper: dropout on, the image's own statistics; deterministic: "
                        "no dropout; eval: running statistics, no dropout",
                    ),
                },
                output={"image": core.Image(self.out_channels)},
                networks=("generator",),
                help="translate images of any size, padded and cropped back",
            )
        }

    def translate(
        self, variables: Mapping[str, Any], frozen: core.Frozen, inputs: dict, key: Key
    ) -> dict[str, Target]:
        """x -> G(x), each image by itself whatever the batch."""
        own_statistics, dropout = SAMPLING[inputs["sampling"]]
        x = inputs["image"]
        image = core.predict(
            self.networks()["generator"].clone(norm_groups=0),
            variables["generator"],
            masks.without_center(x) if self.hole else x,
            key=key,
            train=own_statistics,
            dropout=dropout,
        )
        return {"image": image}

    def sample_grid(
        self,
        variables: Mapping[str, Any],
        frozen: core.Frozen,
        batch: Batch,
        key: Key,
    ) -> dict[str, Image]:
        a, b = batch["a"], batch["b"]
        inputs = {"image": a, "sampling": "paper"}
        prediction = self.translate(variables, frozen, inputs, key)["image"]
        if (self.in_channels, self.out_channels) == (1, 2):  # Lab, seen as a whole
            prediction, b = picture_of_lab(a, prediction), picture_of_lab(a, b)
        return {"input": a, "prediction": prediction, "truth": b}
