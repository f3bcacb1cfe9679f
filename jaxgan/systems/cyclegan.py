"""CycleGAN: translation between two domains from unpaired images.

Zhu, Park, Isola, Efros: "Unpaired Image-to-Image Translation using Cycle-Consistent
Adversarial Networks", ICCV 2017. Two generators, two discriminators:

    a --> generator_ab --> fake_b --> generator_ba --> reconstructed_a   (l1 against a)
                             |
                             +--> discriminator_b --> patch scores

and the same from b. `generator_ab` is the paper's G and the code's G_A; `generator_ba`
F and G_B. `discriminator_b` judges domain B: the paper's D_Y, but the code's `D_A`.

Batch: `a`, `b`, float32 [b, h, w, c] in [-1, 1], unpaired.

Differences: follows the PyTorch code where it differs from the Lua code (one joint
update of both generators, one of both discriminators; no affine in instance norm). Its
default `lambda_identity` 0.5 is kept; the paper uses the identity loss only for
paintings to photographs and flowers, and the configs of its other tasks set 0. The
image pool is split into `pool_groups` logical groups of the batch. With batch norm a
discriminator's running statistics are those of its own update only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgan import core, losses
from jaxgan.core import ArraySpec, Fixed, Mode, Out, Player, Stage, TrainState, pool
from jaxgan.core.types import Batch, Image, Key, Metrics, Scalar
from jaxgan.networks.patchgan import translation_discriminator
from jaxgan.networks.resnet import ResNetGenerator
from jaxgan.networks.sizes import check_translation_size, sides
from jaxgan.networks.unet import UNet, depth_of


@dataclasses.dataclass(frozen=True)
class CycleGAN:
    """Hyper-parameters (defaults: the PyTorch code at 256 px) and the procedure."""

    image_size: int | tuple[int, int] = 256  # a side, or height and width
    channels: int = 3
    generator: str = "resnet"  # or "unet"
    num_blocks: int = 9  # residual blocks: 9 from 256 px on, 6 at 128 px
    num_downs: int = 0  # of the U-Net; 0: down to 1x1
    generator_channels: int = 64  # ngf
    upsample: str = "conv_transpose"  # or "resize_conv", against checkerboards
    discriminator: str = "patch"  # or "pixel"
    discriminator_channels: int = 64  # ndf
    num_layers: int = 3  # n_layers_D: 3 sees 70x70 patches
    norm: str = "instance"  # "instance_affine" (Lua), "batch"
    norm_groups: int = 0  # 0: every image its own batch statistics, as with batch 1
    adversarial: str = "lsgan"  # or "bce", "wasserstein" (without gradient penalty)
    lambda_a: float = 10.0  # lambda of a -> b -> a in eq. 3
    lambda_b: float = 10.0  # lambda of b -> a -> b in eq. 3
    lambda_identity: float = 0.5  # times the other domain's lambda; section 5.2
    pool_size: int = 50  # images a domain, over all groups
    pool_groups: int = 1
    learning_rate: float = 2e-4
    beta1: float = 0.5
    constant_steps: int = 133_400  # 100 epochs of horse2zebra's 1334 images, batch 1
    decay_steps: int = 133_400  # 100 epochs
    epoch_steps: int = 1334  # the rate changes once an epoch
    lr_floor_fix: bool = False  # the reference's last epoch has rate 0; True: not so
    dtype: str = "float32"
    microbatches: int = 1
    remat: str = "none"

    def __post_init__(self):
        core.one_of(self.generator, ("resnet", "unet"), "generator")
        core.one_of(self.discriminator, ("patch", "pixel"), "discriminator")
        core.one_of(self.norm, ("instance", "instance_affine", "batch"), "norm")
        core.one_of(self.adversarial, losses.GAN_LOSSES, "adversarial")
        core.one_of(self.upsample, ("conv_transpose", "resize_conv"), "upsample")
        core.one_of(self.remat, core.REMAT, "remat")
        core.check_fields(
            self,
            positive=(
                "image_size",
                "channels",
                "generator_channels",
                "discriminator_channels",
                "num_layers",
                "pool_groups",
                "epoch_steps",
                "microbatches",
            ),
            below_one=("beta1",),
        )
        if self.pool_size % self.pool_groups:
            raise core.UserError(
                f"system.pool_size = {self.pool_size} is not a multiple of "
                f"system.pool_groups = {self.pool_groups}"
            )
        check_translation_size(
            self.image_size,
            unet=self.generator == "unet",
            num_downs=self.num_downs,
            patch_layers=self.num_layers if self.discriminator == "patch" else 0,
        )

    @property
    def depth(self) -> int:
        """How often the U-Net halves the image."""
        return depth_of(min(sides(self.image_size)), self.num_downs)

    def networks(self) -> dict[str, nn.Module]:
        shared = {
            "norm": self.norm,
            "norm_groups": self.norm_groups,
            "dtype": core.compute_dtype(self.dtype),
        }
        if self.generator == "resnet":
            generator = ResNetGenerator(
                self.channels,
                self.num_blocks,
                self.generator_channels,
                upsample=self.upsample,
                **shared,
            )
        else:
            generator = UNet(
                self.channels,
                self.depth,
                self.generator_channels,
                dropout_layers=(),
                **shared,
            )
        discriminator = translation_discriminator(
            self.discriminator, self.discriminator_channels, self.num_layers, **shared
        )
        return core.named(
            generator_ab=generator,
            generator_ba=generator,
            discriminator_a=discriminator,
            discriminator_b=discriminator,
        )

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
            "generators": adam(("generator_ab", "generator_ba")),
            "discriminators": adam(("discriminator_a", "discriminator_b")),
        }

    def pretrained(self) -> dict[str, core.Pretrained]:
        return {}

    def init(self, key: Key, batch: Batch, frozen: core.Frozen) -> TrainState:
        networks = self.networks()
        empty = partial(
            pool.create, self.pool_size, batch["a"].shape[1:], self.pool_groups
        )
        return core.initialize(
            key,
            networks,
            {name: (batch["a"],) for name in networks},
            self.optimizers(),
            memory={"pool_a": empty(), "pool_b": empty()},
        )

    @property
    def stages(self) -> tuple[Stage, ...]:
        image = ArraySpec((*sides(self.image_size), self.channels))
        return (
            Stage(
                "cyclegan",
                self.step,
                num_steps=self.constant_steps + self.decay_steps,
                batch_spec={"a": image, "b": image},
                players=("generators", "discriminators"),
            ),
        )

    def generators_loss(
        self, trained: dict, fixed: Fixed, real_a: Image, real_b: Image
    ) -> tuple[Scalar, Out]:
        """Both generators' adversarial, cycle (eq. 2) and identity terms, weighted.

        Nothing is stopped inside a cycle: it trains both generators.
        """
        networks, stats = self.networks(), dict(fixed.stats)

        def run(name: str, image: Image) -> Float[Array, "b _ _ _"]:
            params = (trained if name in trained else fixed.params)[name]
            result, stats[name] = core.forward(
                networks[name],
                params,
                stats[name],
                image,
                remat=self.remat,
                train=True,
            )
            return result

        adversarial = losses.GAN_LOSSES[self.adversarial].real
        fake_b = run("generator_ab", real_a)
        reconstructed_a = run("generator_ba", fake_b)
        fake_a = run("generator_ba", real_b)
        reconstructed_b = run("generator_ab", fake_a)
        terms = {
            "adversarial_ab": adversarial(run("discriminator_b", fake_b)),
            "adversarial_ba": adversarial(run("discriminator_a", fake_a)),
            "cycle_a": self.lambda_a * losses.l1(reconstructed_a, real_a),
            "cycle_b": self.lambda_b * losses.l1(reconstructed_b, real_b),
        }
        if self.lambda_identity:  # a generator leaves its target domain alone
            weight_ab = self.lambda_b * self.lambda_identity
            weight_ba = self.lambda_a * self.lambda_identity
            same_b, same_a = run("generator_ab", real_b), run("generator_ba", real_a)
            terms["identity_ab"] = weight_ab * losses.l1(same_b, real_b)
            terms["identity_ba"] = weight_ba * losses.l1(same_a, real_a)
        fakes = {"fake_a": fake_a, "fake_b": fake_b}
        total = sum(terms.values(), start=jnp.zeros(()))
        return total, Out(terms, stats, fakes)

    def discriminators_loss(
        self,
        trained: dict,
        fixed: Fixed,
        real_a: Image,
        real_b: Image,
        fake_a: Image,
        fake_b: Image,
    ) -> tuple[Scalar, Out]:
        """Each judges its own domain: half the sum of the real and the fake term."""
        loss = losses.GAN_LOSSES[self.adversarial]
        networks, stats, terms = self.networks(), {}, {}
        for domain, real, fake in (("a", real_a, fake_a), ("b", real_b, fake_b)):
            name = f"discriminator_{domain}"
            judge = partial(
                core.forward,
                networks[name],
                trained[name],
                remat=self.remat,
                train=True,
            )
            real_scores, new = judge(fixed.stats[name], real)
            fake_scores, stats[name] = judge(new, fake)
            terms[domain] = 0.5 * (loss.real(real_scores) + loss.fake(fake_scores))
        return sum(terms.values(), start=jnp.zeros(())), Out(terms, stats)

    def step(
        self, state: TrainState, frozen: core.Frozen, batch: Batch, key: Key
    ) -> tuple[TrainState, Metrics]:
        """One iteration: both generators against the old discriminators, then both
        discriminators on real images and on pooled fakes of *that* generator pass."""
        update = partial(
            core.update,
            optimizers=self.optimizers(),
            frozen=frozen,
            microbatches=self.microbatches,
        )
        key_a, key_b = jax.random.split(key)
        a, b = batch["a"], batch["b"]
        state, g = update(
            state,
            self.generators_loss,
            ("generators",),
            a,
            b,
            commit=("generator_ab", "generator_ba"),
        )
        pool_a, old_a = pool.query(state.memory["pool_a"], g.values["fake_a"], key_a)
        pool_b, old_b = pool.query(state.memory["pool_b"], g.values["fake_b"], key_b)
        state, d = update(
            state.remember(pool_a=pool_a, pool_b=pool_b),
            self.discriminators_loss,
            ("discriminators",),
            a,
            b,
            old_a,
            old_b,
            commit=("discriminator_a", "discriminator_b"),
        )
        return state.advance(), g.metrics | d.metrics

    @property
    def inference(self) -> Mapping[str, Mode]:
        multiple = 4 if self.generator == "resnet" else 2**self.depth
        image = core.Image(self.channels, multiple_of=multiple)
        modes = {}
        for there, back in (("ab", "ba"), ("ba", "ab")):
            start, end = there
            modes[f"translate_{there}"] = Mode(
                partial(self.translate, direction=there),
                inputs={"image": image},
                output={"image": core.Image(self.channels)},
                networks=(f"generator_{there}",),
                help=f"translate images of domain {start.upper()} to {end.upper()}",
            )
            modes[f"reconstruct_{start}"] = Mode(
                partial(self.reconstruct, direction=there),
                inputs={"image": image},
                output={
                    "translation": core.Image(self.channels),
                    "reconstruction": core.Image(self.channels),
                },
                networks=(f"generator_{there}", f"generator_{back}"),
                help=f"translate images of domain {start.upper()} there and back",
            )
        return modes

    def _run(self, variables: Mapping[str, Any], direction: str, image: Image) -> Image:
        name = f"generator_{direction}"
        generator = self.networks()[name].clone(norm_groups=0)
        own_statistics = self.norm == "batch"  # the reference tests as it trains
        return core.predict(generator, variables[name], image, train=own_statistics)

    def translate(
        self,
        variables: Mapping[str, Any],
        frozen: core.Frozen,
        inputs: dict,
        key: Key,
        *,
        direction: str = "ab",
    ) -> dict[str, Image]:
        """a -> fake_b, or b -> fake_a with direction `ba`. Deterministic."""
        return {"image": self._run(variables, direction, inputs["image"])}

    def reconstruct(
        self,
        variables: Mapping[str, Any],
        frozen: core.Frozen,
        inputs: dict,
        key: Key,
        *,
        direction: str = "ab",
    ) -> dict[str, Image]:
        """There and back: the translation and the reconstruction."""
        translation = self._run(variables, direction, inputs["image"])
        back = self._run(variables, direction[::-1], translation)
        return {"translation": translation, "reconstruction": back}

    def sample_grid(
        self, variables: Mapping[str, Any], frozen: core.Frozen, batch: Batch, key: Key
    ) -> dict[str, Image]:
        a, b = batch["a"], batch["b"]
        fake_b, fake_a = self._run(variables, "ab", a), self._run(variables, "ba", b)
        return {
            "a": a,
            "a to b": fake_b,
            "back to a": self._run(variables, "ba", fake_b),
            "b": b,
            "b to a": fake_a,
            "back to b": self._run(variables, "ab", fake_a),
        }
