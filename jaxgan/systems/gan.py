"""The first GAN: fully connected generator, maxout discriminator, played at once.

Goodfellow, Pouget-Abadie, Mirza, Xu, Warde-Farley, Ozair, Courville, Bengio:
"Generative Adversarial Nets", NeurIPS 2014. Maps noise to samples of a data set:

    z --> generator --> fake --> discriminator --> logit <-- discriminator <-- image

Batch: `image`, float32 [b, h, w, c] in [-1, 1]. The networks work on other scales,
which `pixels` names and the system converts to and from: `unit`, [0, 1], for MNIST; or
`contrast` for CIFAR, every image less its mean and scaled to the norm 55 (global
contrast normalisation). That cannot be undone: outputs are divided by their greatest
absolute value, as the authors' viewer does. Outputs of the modes are in [-1, 1].

Differences: algorithm 1 of the paper alternates and minimises log(1 - D(G(z))); as in
the authors' code both networks move at once from one forward pass, and the generator
minimises -log D(G(z)). The output bias starts as the logit of the mean image of the
first batch, where the code takes the training set; half a grey image is added to the
batch, so that a pixel that it never lights can still be lit. The examples kept back for
validation are drawn by the seed, where the authors take the last ones. The code of the
Toronto Faces, which starts from layers trained elsewhere, is left out.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from jaxgan import core, losses
from jaxgan.core import ArraySpec, Fixed, Mode, Out, Player, Stage, TrainState, forward
from jaxgan.core.player import Schedule
from jaxgan.core.types import Batch, Image, Key, Latent, Metrics, Params, Scalar
from jaxgan.networks.maxout import (
    ACTIVATIONS,
    CONV_WINDOWS,
    LEAST_CONV_SIZE,
    MaxoutDiscriminator,
    MLPGenerator,
)

LOSSES = ("non_saturating", "minimax", "blend")
CONTRAST_NORM = 55.0


@dataclasses.dataclass(frozen=True)
class GAN:
    """Hyper-parameters (defaults: MNIST in the authors' code) and the procedure."""

    image_size: int = 28
    channels: int = 1
    pixels: str = "unit"  # or "contrast"
    z_dim: int = 100
    prior: str = "uniform_unit_variance"  # "normal" for CIFAR
    hidden_units: tuple[int, ...] = (1200, 1200)
    hidden_activations: tuple[str, ...] = ("relu", "relu")
    output: str = "sigmoid"  # or "linear"
    convolutional: bool = False  # the last layer is a transposed convolution
    weight_range: float = 0.05  # U(-r, r)
    output_weight_range: float = 0.05
    discriminator_units: tuple[int, ...] = (240, 240)
    discriminator_conv_units: tuple[int, ...] = ()  # or of three maxout convolutions
    num_pieces: int = 5
    discriminator_weight_range: float = 0.005
    keep_input: float = 0.8  # dropout in the discriminator keeps this share
    keep_hidden: float = 0.5
    loss: str = "non_saturating"  # of the generator; "minimax" (algorithm 1), "blend"
    blend_non_saturating: float = 1.0  # c1 of "blend", the code's zurich_coeff
    blend_minimax: float = 1.0  # c2, its minimax_coeff
    optimizer: str = "sgd"  # or "adam", which reads the next and `momentum` alone
    learning_rate: float = 0.1
    learning_rate_decay: float = 1.000004  # of "sgd": divides the rate after every step
    minimum_learning_rate: float = 1e-6  # of "sgd"
    momentum: float = 0.5  # beta1 of "adam"
    final_momentum: float = 0.7  # of "sgd"
    momentum_epochs: int = 250  # of "sgd": reached linearly in the course of these
    epoch_steps: int = 500  # of "sgd": 50,000 images, batch 100
    num_steps: int = 125_000  # 250 epochs; the authors stopped by hand
    dtype: str = "float32"
    microbatches: int = 1
    remat: str = "none"

    def __post_init__(self):
        core.one_of(self.pixels, ("unit", "contrast"), "pixels")
        core.one_of(self.loss, LOSSES, "loss")
        core.one_of(self.optimizer, ("sgd", "adam"), "optimizer")
        core.one_of(self.output, ("sigmoid", "linear"), "output")
        core.one_of(self.prior, core.PRIORS, "prior")
        core.one_of(self.remat, core.REMAT, "remat")
        core.check_fields(
            self,
            positive=(
                "image_size",
                "channels",
                "z_dim",
                "hidden_units",
                "discriminator_units",
                "discriminator_conv_units",
                "num_pieces",
                "keep_input",
                "keep_hidden",
                "learning_rate_decay",
                "epoch_steps",
                "microbatches",
            ),
            shares=("keep_input", "keep_hidden"),
            below_one=("momentum", "final_momentum"),
        )
        for activation in self.hidden_activations:
            core.one_of(activation, ACTIVATIONS, "hidden_activations")
        if len(self.hidden_units) != len(self.hidden_activations):
            raise core.UserError(
                f"system.hidden_units {self.hidden_units} and system.hidden_activations"
                f" {self.hidden_activations} need one entry a layer, both"
            )
        if self.pixels == "contrast" and self.output == "sigmoid":
            raise core.UserError(
                "system.output = 'sigmoid' cannot draw system.pixels = 'contrast', "
                "which are below 0 too: set system.output to 'linear'"
            )
        if self.loss == "blend" and not self.blend_non_saturating + self.blend_minimax:
            raise core.UserError(
                "system.blend_non_saturating and system.blend_minimax are both 0: "
                "loss = 'blend' needs one above 0"
            )
        if self.discriminator_conv_units:
            if len(self.discriminator_conv_units) != len(CONV_WINDOWS):
                raise core.UserError(
                    f"system.discriminator_conv_units {self.discriminator_conv_units} "
                    f"needs {len(CONV_WINDOWS)} entries, or none"
                )
            core.check_size(
                self.image_size,
                lambda size: size >= LEAST_CONV_SIZE,
                f"three maxout convolutions take {LEAST_CONV_SIZE} pixels or more",
            )
        if self.convolutional:
            core.check_size(
                self.image_size, self._unfolds, "5x5 windows of stride 3 make 3 n + 2"
            )

    def _unfolds(self, size: int) -> bool:
        """Whether the last hidden layer can be the map that a transposed convolution
        makes images of this size of."""
        units = self.hidden_units[-1] if self.hidden_units else self.z_dim
        return size >= 5 and size % 3 == 2 and units % ((size - 2) // 3) ** 2 == 0

    def networks(self) -> dict[str, nn.Module]:
        dtype = core.compute_dtype(self.dtype)
        return core.named(
            generator=MLPGenerator(
                image_shape=(self.image_size, self.image_size, self.channels),
                hidden_units=self.hidden_units,
                hidden_activations=self.hidden_activations,
                output=self.output,
                convolutional=self.convolutional,
                weight_range=self.weight_range,
                output_weight_range=self.output_weight_range,
                dtype=dtype,
            ),
            discriminator=MaxoutDiscriminator(
                units=self.discriminator_units,
                num_pieces=self.num_pieces,
                conv_units=self.discriminator_conv_units,
                keep_input=self.keep_input,
                keep_hidden=self.keep_hidden,
                weight_range=self.discriminator_weight_range,
                dtype=dtype,
            ),
        )

    def optimizers(self) -> dict[str, Player]:
        def rate(count: Any) -> Scalar:
            # In float32 the power of a number so near 1 would lose the decay.
            decay = jnp.exp(-count * math.log(self.learning_rate_decay))
            decayed = self.learning_rate * decay
            return jnp.maximum(decayed, self.minimum_learning_rate)

        def momentum(count: Any) -> Scalar:
            epoch = count // self.epoch_steps
            share = jnp.minimum(epoch / max(self.momentum_epochs - 1, 1), 1.0)
            return self.momentum + share * (self.final_momentum - self.momentum)

        if self.optimizer == "adam":
            make = partial(
                core.adam, learning_rate=self.learning_rate, b1=self.momentum
            )
        else:
            make = partial(_momentum_sgd, learning_rate=rate, momentum=momentum)
        return {n: make((n,)) for n in ("generator", "discriminator")}

    def pretrained(self) -> dict[str, core.Pretrained]:
        return {}

    def init(self, key: Key, batch: Batch, frozen: core.Frozen) -> TrainState:
        image = self._to_network(batch["image"])
        z = jnp.zeros((image.shape[0], self.z_dim))
        state = core.initialize(
            key,
            self.networks(),
            {"generator": (z,), "discriminator": (image,)},
            self.optimizers(),
        )
        if self.output != "sigmoid" or self.convolutional:
            return state
        count = image.shape[0]
        mean = (count * jnp.mean(image, axis=0) + 0.5 * 0.5) / (count + 0.5)
        generator = state.params["generator"]
        output = {**generator["output"], "bias": jax.scipy.special.logit(mean).ravel()}
        generator = {**generator, "output": output}
        return state.replace(params={**state.params, "generator": generator})

    @property
    def stages(self) -> tuple[Stage, ...]:
        shape = (self.image_size, self.image_size, self.channels)
        return (
            Stage(
                "gan",
                self.step,
                num_steps=self.num_steps,
                batch_spec={"image": ArraySpec(shape)},
                players=("discriminator", "generator"),
            ),
        )

    def _to_network(self, image: Image) -> Image:
        if self.pixels == "unit":
            return (image + 1.0) / 2.0
        image = image - jnp.mean(image, axis=(1, 2, 3), keepdims=True)
        norm = jnp.sqrt(jnp.sum(jnp.square(image), axis=(1, 2, 3), keepdims=True))
        return CONTRAST_NORM * image / jnp.maximum(norm, 1e-8)

    def _from_network(self, image: Image) -> Image:
        if self.pixels == "unit":
            return 2.0 * image - 1.0
        greatest = jnp.max(jnp.abs(image), axis=(1, 2, 3), keepdims=True)
        return image / jnp.maximum(greatest, 1e-8)

    def _logits(
        self, generator: Any, discriminator: Any, real: Image, z: Latent, key: Key
    ) -> tuple[Any, Any]:
        """D of the images and of the fakes, each under a dropout mask of its own.

        Both updates of a step draw the same masks and see the same parameters, so the
        compiler runs each forward pass once.
        """
        networks = self.networks()
        real_key, fake_key = jax.random.split(key)
        run = partial(forward, remat=self.remat, train=True)
        judge = partial(run, networks["discriminator"], discriminator, {})
        fake, _ = run(networks["generator"], generator, {}, z)
        real_logits, _ = judge(real, key=real_key)
        fake_logits, _ = judge(fake, key=fake_key)
        return real_logits, fake_logits

    def discriminator_loss(
        self, trained: dict, fixed: Fixed, real: Image, z: Latent, *, key: Key
    ) -> tuple[Scalar, Out]:
        """Half of `-log D(x) - log(1 - D(G(z)))`."""
        real_logits, fake_logits = self._logits(
            fixed.params["generator"], trained["discriminator"], real, z, key
        )
        bce = losses.GAN_LOSSES["bce"]
        terms = {
            "real": 0.5 * bce.real(real_logits),
            "fake": 0.5 * bce.fake(fake_logits),
        }
        metrics = {
            "logits/real": jnp.mean(real_logits),
            "logits/fake": jnp.mean(fake_logits),
            "accuracy/discriminator": losses.binary_accuracy(real_logits, fake_logits),
        }
        return terms["real"] + terms["fake"], Out(terms | metrics)

    def generator_loss(
        self, trained: dict, fixed: Fixed, real: Image, z: Latent, *, key: Key
    ) -> tuple[Scalar, Out]:
        """`-log D(G(z))`, `log(1 - D(G(z)))`, or a blend with minus D's loss."""
        real_logits, fake_logits = self._logits(
            trained["generator"], fixed.params["discriminator"], real, z, key
        )
        if self.loss == "minimax":
            return losses.minimax_generator(fake_logits), Out()
        total = losses.non_saturating_generator(fake_logits)
        if self.loss == "blend":
            c1, c2 = self.blend_non_saturating, self.blend_minimax
            d_loss = 0.5 * losses.bce_discriminator(real_logits, fake_logits)
            total = (c1 * total - c2 * d_loss) / (c1 + c2)
        return total, Out()

    def step(
        self, state: TrainState, frozen: core.Frozen, batch: Batch, key: Key
    ) -> tuple[TrainState, Metrics]:
        """One update of both networks, each against the other's old parameters."""
        z_key, dropout_key = jax.random.split(key)
        update = partial(
            core.update,
            state,
            optimizers=self.optimizers(),
            frozen=frozen,
            microbatches=self.microbatches,
            key=dropout_key,
        )
        real = self._to_network(batch["image"])
        z = core.draw_latent(self.prior, z_key, (real.shape[0], self.z_dim))
        moved_d, d = update(self.discriminator_loss, ("discriminator",), real, z)
        moved_g, g = update(self.generator_loss, ("generator",), real, z)
        state = state.replace(
            params={
                "generator": moved_g.params["generator"],
                "discriminator": moved_d.params["discriminator"],
            },
            opt_state={
                "generator": moved_g.opt_state["generator"],
                "discriminator": moved_d.opt_state["discriminator"],
            },
        )
        return state.advance(), {**d.metrics, **g.metrics}

    @property
    def inference(self) -> Mapping[str, Mode]:
        latent = core.Latent(self.z_dim, self.prior)
        image = core.Image(self.channels, (self.image_size, self.image_size))
        return {
            "sample": Mode(
                self.sample,
                inputs={"z": latent},
                output={"image": image, "z": latent},
                networks=("generator",),
                help="draw images",
            ),
            "interpolate": Mode(
                self.interpolate,
                inputs={
                    "z": core.Set(latent, minimum=2),
                    "steps": core.Int(8, low=1, help="intervals between neighbours"),
                    "path": core.Choice(
                        core.PATHS, "linear", "slerp for normal priors"
                    ),
                },
                output={"images": core.Set(image)},
                networks=("generator",),
                help="images along a path through two or more latents (figure 3)",
            ),
            "discriminate": Mode(
                self.discriminate,
                inputs={"image": image},
                output={"probability": core.Values(), "logit": core.Values()},
                networks=("discriminator",),
                help="how real images look to the discriminator, in [0, 1]",
            ),
        }

    def sample(
        self, variables: Mapping[str, Any], frozen: core.Frozen, inputs: dict, key: Key
    ) -> dict[str, Image]:
        """z -> G(z) in [-1, 1]; z too, for those that `interpolate` shall join."""
        image = core.predict(
            self.networks()["generator"],
            variables["generator"],
            inputs["z"],
            train=False,
        )
        return {"image": self._from_network(image), "z": inputs["z"]}

    def interpolate(
        self, variables: Mapping[str, Any], frozen: core.Frozen, inputs: dict, key: Key
    ) -> dict[str, Any]:
        """Images `[b, t, h, w, c]` along a path through latents `[b, n, z]`."""
        path = core.interpolate_latent(inputs["z"], inputs["steps"], inputs["path"])
        flat = {"z": path.reshape(-1, self.z_dim)}
        images = self.sample(variables, frozen, flat, key)["image"]
        return {"images": images.reshape(*path.shape[:2], *images.shape[1:])}

    def discriminate(
        self, variables: Mapping[str, Any], frozen: core.Frozen, inputs: dict, key: Key
    ) -> dict[str, Any]:
        """D(x), nothing dropped: probabilities and logits `[b]`."""
        logit = core.predict(
            self.networks()["discriminator"],
            variables["discriminator"],
            self._to_network(inputs["image"]),
            train=False,
        )
        return {"probability": jax.nn.sigmoid(logit), "logit": logit}

    def sample_grid(
        self,
        variables: Mapping[str, Any],
        frozen: core.Frozen,
        batch: Batch,
        key: Key,
    ) -> dict[str, Image]:
        z = core.draw_latent(self.prior, key, (batch["image"].shape[0], self.z_dim))
        sample = self.sample(variables, frozen, {"z": z}, key)["image"]
        return {"sample": sample, "data": batch["image"]}


class _MomentumState(NamedTuple):
    velocity: Any
    count: Any


def _momentum_sgd(
    networks: tuple[str, ...], learning_rate: Schedule, momentum: Schedule
) -> Player:
    """`v <- momentum * v - rate * gradient; p <- p + v`, both on schedules.

    The velocity holds the rates of its own time (Pylearn2's `Momentum`), unlike
    `optax.trace`, whose old gradients take the rate of today.
    """

    def init(params: Params) -> tuple[_MomentumState]:
        zeros = jax.tree.map(jnp.zeros_like, params)
        return (_MomentumState(zeros, jnp.zeros((), jnp.int32)),)

    def update(
        gradients: Params, state: tuple[_MomentumState], params: Params = None
    ) -> tuple[Params, tuple[_MomentumState]]:
        velocity, count = state[0]
        keep, rate = momentum(count), learning_rate(count)
        velocity = jax.tree.map(lambda v, g: keep * v - rate * g, velocity, gradients)
        return velocity, (_MomentumState(velocity, optax.safe_increment(count)),)

    return Player(init, update, networks, learning_rate)
