"""DCGAN: convolutional generator and discriminator with batch norm throughout.

Radford, Metz, Chintala: "Unsupervised Representation Learning with Deep Convolutional
Generative Adversarial Networks", ICLR 2016. Maps noise to images; the discriminator
doubles as a feature extractor:

    z --> generator --> fake --> discriminator --> logit <-- discriminator <-- image

Batch: `image`, float32 [b, h, w, c] in [-1, 1], and `label` [b] for the conditional
network of the paper's MNIST appendix (`num_classes`); with `n_critic` above 1 both have
an axis of that size after the batch axis.

`lineage` chooses between the author's network, his ImageNet model, his co-author's
port and the TensorFlow port; `jaxgan.networks.dcgan` lists where they disagree. Real
and fake images pass the discriminator separately: each batch has its own statistics.
Running statistics are committed in a network's own update only, the discriminator's
from the real and then the fake pass.

`microbatches` keeps the activations of one part of the batch at a time, and changes
what is trained: batch norm sees that part alone, and running statistics move once a
part, several times a step.

Differences: a step is D, then G against the new D. The author's code moves G on even
and D on odd batches, so one step here is two of its updates. The Torch port hands G the
logits from before D's update; here D judges anew. The author's slow decay of beta1,
(1 - 1e-8)^t, is left out. His networks use batch statistics even for samples; running
ones are kept beside them, and `sample` offers both. Batch statistics are there those of
`COMPANIONS` latents under a fixed key, labels in turn, not of the batch at hand, where
a latent by itself, or a label that all share, would be normalised away. So no image
depends on its batch mates, and all modes draw a latent alike. `discriminate`,
`features` and `invert` judge by running statistics in his networks too: averages over
real and fake batches, where his code judges a batch of either kind by its own. LSUN's
near-duplicates, which the authors removed, are trained on.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgan import core, losses, ops
from jaxgan.core import ArraySpec, Fixed, Mode, Out, Player, Stage, TrainState, forward
from jaxgan.core.types import Batch, Image, Key, Latent, Metrics, Scalar
from jaxgan.networks import dcgan as dcgan_networks
from jaxgan.networks.norms import BatchNorm

GENERATOR_LOSSES = {
    "non_saturating": losses.non_saturating_generator,
    "minimax": losses.minimax_generator,
}
LAMBDA_PRIOR = 0.003  # of `invert`; Yeh et al., 2017
SMALL_BATCH = 16
COMPANIONS = 128  # the author's batch
Variables = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class DCGAN:
    """Hyper-parameters (defaults: the author's code for faces) and the procedure."""

    image_size: int = 64  # 4 * 2**n
    channels: int = 3
    num_classes: int = 0  # above 0: the conditional MNIST network, of any 4n pixels
    # Or "theano_3x3" (ImageNet), "torch", "tf". The conditional network has none; there
    # it only says by which statistics samples are drawn.
    lineage: str = "theano"
    generator_channels: int = 128  # ngf; 64 in the ports
    discriminator_channels: int = 128  # ndf
    max_channels: int = 0  # of any layer, 0: 8 times the above; 512 for bamos
    dense_units: int = 1024  # ngfc, ndfc of the conditional network
    z_dim: int = 100
    prior: str = "uniform"  # "normal" in the Torch port
    loss: str = "non_saturating"  # of the generator; or "minimax"
    n_critic: int = 1  # k: discriminator updates a step, on as many batches
    g_steps: int = 1  # generator updates a step; 2 in the TensorFlow port
    reuse_noise: bool = False  # G takes the z of the last D update, as in both ports
    learning_rate: float = 2e-4
    beta1: float = 0.5
    l2: float = 1e-5  # gradient += l2 * p, norms included; 0 in the paper and the ports
    constant_steps: int = 34_175  # 25 epochs of 350,000 faces, two batches a step
    decay_steps: int = 0
    epoch_steps: int = 1  # the rate changes once an epoch
    invert_iters: int = 1500  # default length of the search in `invert`
    dtype: str = "float32"
    microbatches: int = 1
    remat: str = "none"

    def __post_init__(self):
        core.one_of(self.lineage, dcgan_networks.LINEAGES, "lineage")
        core.one_of(self.loss, GENERATOR_LOSSES, "loss")
        core.one_of(self.prior, core.PRIORS, "prior")
        core.one_of(self.remat, core.REMAT, "remat")
        core.check_fields(
            self,
            positive=(
                "image_size",
                "channels",
                "generator_channels",
                "discriminator_channels",
                "dense_units",
                "z_dim",
                "n_critic",
                "g_steps",
                "epoch_steps",
                "invert_iters",
                "microbatches",
            ),
            below_one=("beta1",),
        )
        dcgan_networks.check_size(self.image_size, self.num_classes)
        if self.num_classes and self.max_channels:
            raise core.UserError(
                f"system.max_channels = {self.max_channels} has no use in the "
                "conditional network: set it to 0, or system.num_classes"
            )

    def networks(self) -> dict[str, nn.Module]:
        pair = dcgan_networks.dcgan_pair(
            self.image_size,
            self.channels,
            self.generator_channels,
            self.discriminator_channels,
            lineage=self.lineage,
            max_channels=self.max_channels,
            num_classes=self.num_classes,
            dense_units=self.dense_units,
            dtype=core.compute_dtype(self.dtype),
        )
        return core.named(**pair)

    def optimizers(self) -> dict[str, Player]:
        def rate(count: Any, updates: int) -> Array:
            """Of a player that makes so many updates a step; constant, then linear."""
            epoch = count // updates // self.epoch_steps
            late = jnp.maximum(epoch - self.constant_steps // self.epoch_steps, 0)
            left = 1.0 - late * self.epoch_steps / self.decay_steps
            return self.learning_rate * jnp.maximum(left, 0.0)

        def adam(name: str, updates: int) -> Player:
            scheduled = partial(rate, updates=updates)
            chosen = scheduled if self.decay_steps else self.learning_rate
            return core.adam((name,), chosen, b1=self.beta1, l2=self.l2)

        return {
            "generator": adam("generator", self.g_steps),
            "discriminator": adam("discriminator", self.n_critic),
        }

    def pretrained(self) -> dict[str, core.Pretrained]:
        return {}

    def init(self, key: Key, batch: Batch, frozen: core.Frozen) -> TrainState:
        image, *labels = self._draw(batch, 0)
        if image.shape[0] < SMALL_BATCH:
            logging.getLogger(__name__).warning(
                "batch norm over a batch of %d makes the discriminator win: "
                "set training.batch_size to %d or more",
                image.shape[0],
                SMALL_BATCH,
            )
        z = jnp.zeros((image.shape[0], self.z_dim))
        return core.initialize(
            key,
            self.networks(),
            {"generator": (z, *labels), "discriminator": (image, *labels)},
            self.optimizers(),
        )

    @property
    def stages(self) -> tuple[Stage, ...]:
        draws = (self.n_critic,) if self.n_critic > 1 else ()
        spec = {
            "image": ArraySpec(
                (*draws, self.image_size, self.image_size, self.channels)
            )
        }
        if self.num_classes:
            spec["label"] = ArraySpec(draws, "int32", 0.0, self.num_classes - 1.0)
        return (
            Stage(
                "dcgan",
                self.step,
                num_steps=self.constant_steps + self.decay_steps,
                batch_spec=spec,
                players=("discriminator", "generator"),
            ),
        )

    def _draw(self, batch: Batch, i: int) -> tuple[Array, ...]:
        """The i-th of the step's batches: images and, if conditional, labels."""
        fields = ("image", "label") if self.num_classes else ("image",)
        if self.n_critic == 1:
            return tuple(batch[f] for f in fields)
        return tuple(batch[f][:, i] for f in fields)

    def discriminator_loss(
        self, trained: dict, fixed: Fixed, real: Image, z: Latent, *labels: Array
    ) -> tuple[Scalar, Out]:
        """`-log D(x) - log(1 - D(G(z)))`, not halved."""
        module = self.networks()["discriminator"]
        params, stats = trained["discriminator"], fixed.stats["discriminator"]
        fake, _ = forward(
            self.networks()["generator"],
            fixed.params["generator"],
            fixed.stats["generator"],
            z,
            *labels,
            remat=self.remat,
            train=True,
        )
        # Two passes: each batch has its own statistics.
        judge = partial(forward, module, params, remat=self.remat, train=True)
        real_logits, stats = judge(stats, real, *labels)
        fake_logits, stats = judge(stats, fake, *labels)
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
        self, trained: dict, fixed: Fixed, z: Latent, *labels: Array
    ) -> tuple[Scalar, Out]:
        """`-log D(G(z))`, or `log(1 - D(G(z)))`."""
        fake, stats = forward(
            self.networks()["generator"],
            trained["generator"],
            fixed.stats["generator"],
            z,
            *labels,
            remat=self.remat,
            train=True,
        )
        logits, _ = forward(
            self.networks()["discriminator"],
            fixed.params["discriminator"],
            fixed.stats["discriminator"],
            fake,
            *labels,
            remat=self.remat,
            train=True,
        )
        return GENERATOR_LOSSES[self.loss](logits), Out({}, {"generator": stats})

    def step(
        self, state: TrainState, frozen: core.Frozen, batch: Batch, key: Key
    ) -> tuple[TrainState, Metrics]:
        """`n_critic` updates of D, each on a batch of its own, then `g_steps` of G."""
        update = partial(
            core.update,
            optimizers=self.optimizers(),
            frozen=frozen,
            microbatches=self.microbatches,
        )
        count = self.n_critic + self.g_steps
        shape = (count, batch["image"].shape[0], self.z_dim)
        noise = core.draw_latent(self.prior, key, shape)
        labels, metrics = [], {}
        for i in range(self.n_critic):
            real, *labels = self._draw(batch, i)
            state, d = update(
                state,
                self.discriminator_loss,
                ("discriminator",),
                real,
                noise[i],
                *labels,
                commit=("discriminator",),
            )
            metrics |= d.metrics
        for i in range(self.g_steps):
            state, g = update(
                state,
                self.generator_loss,
                ("generator",),
                noise[self.n_critic - 1 if self.reuse_noise else self.n_critic + i],
                *labels,
                commit=("generator",),
            )
            metrics |= g.metrics
        return state.advance(), metrics

    @property
    def inference(self) -> Mapping[str, Mode]:
        generator, discriminator = ("generator",), ("discriminator",)
        latent = core.Latent(self.z_dim, self.prior)
        image = core.Image(self.channels, (self.image_size, self.image_size))
        images = {"images": core.Set(image)}
        label = {"label": core.Labels(self.num_classes)} if self.num_classes else {}
        concept = core.Set(latent, minimum=3, help="latents that show it")
        concepts = dict.fromkeys(("plus", "minus", "base"), concept)
        side = core.Set(latent, minimum=4)
        steps = core.Int(8, low=2, help="intervals between neighbours")
        sides = core.Int(8, low=2, help="images to each side of z")
        around = {
            "noise": core.Float(0.25, low=0.0, help="a of U(-a, a)"),
            "count": core.Int(8, low=1, help="neighbours: the result plus noise"),
        }
        path = core.Choice(core.PATHS, "linear", "slerp suits a normal prior")
        statistics = core.Choice(
            ("running", "batch"),
            self._statistics,
            f"of batch norm; batch: of {COMPANIONS} other latents",
        )
        modes = {
            "sample": Mode(
                self.sample,
                {"z": latent, **label, "statistics": statistics},
                {"image": image, "z": latent},
                generator,
                help="draw images",
            ),
            "interpolate": Mode(
                self.interpolate,
                {"z": core.Set(latent, 2), **label, "steps": steps, "path": path},
                images,
                generator,
                help="images along a path through two or more latents (figure 4)",
            ),
            "arithmetic": Mode(
                self.arithmetic,
                {**concepts, **label, **around},
                {"image": image, "neighbours": core.Set(image), "z": latent},
                generator,
                help="mean(plus) - mean(minus) + mean(base) (figure 7)",
            ),
            "turn_vector": Mode(
                self.turn_vector,
                {"z": latent, "left": side, "right": side, **label, "steps": sides},
                images,
                generator,
                help="walk along mean(right) - mean(left) from any z (figure 8)",
            ),
            "discriminate": Mode(
                self.discriminate,
                {"image": image, **label},
                {"probability": core.Values(), "logit": core.Values()},
                discriminator,
                help="how real images look to the discriminator, in [0, 1]",
            ),
        }
        if self.num_classes:
            return modes
        maps = self.networks()["generator"].num_filter_maps
        iters = core.Int(self.invert_iters, low=1)
        restarts = core.Int(1, low=1, help="the best of so many searches")
        modes |= {
            "features": Mode(
                self.features,
                {"image": image},
                {"features": core.Values((-1,))},
                discriminator,
                help="every convolution max-pooled to 4x4, for a linear classifier",
            ),
            "invert": Mode(
                self.invert,
                {"image": image, "num_iters": iters, "restarts": restarts},
                {"image": image, "z": latent, "loss": core.Values()},
                (*generator, *discriminator),
                help="the latent whose image is nearest",
            ),
        }
        if maps:
            modes["drop_filter"] = Mode(
                self.drop_filter,
                {"z": latent, "maps": core.Values((maps,), help="1: set it to zero")},
                {
                    "image": image,
                    "original": image,
                    "activations": core.Values((-1, -1, maps)),
                },
                generator,
                help="draw without some maps of the second highest layer (figure 6)",
            )
        if dcgan_networks.LINEAGES[self.lineage].fully_convolutional:
            modes["canvas"] = Mode(
                self.canvas,
                {"z": core.Set(latent, 4, "row by row"), "columns": core.Int(2, low=1)},
                {"image": core.Image(self.channels)},
                generator,
                help="one larger image of a grid of latents",
            )
        return modes

    @property
    def _statistics(self) -> str:
        """By which statistics batch norm draws samples, as in the lineage."""
        return "batch" if self.lineage.startswith("theano") else "running"

    def _generator(self, variables: Variables, statistics: str = "") -> Variables:
        """The generator's variables, for `batch` with the companions' statistics."""
        own = variables["generator"]
        if (statistics or self._statistics) == "running":
            return own
        # Nothing here depends on what is asked for, so `vmap` leaves it a single batch.
        z = core.draw_latent(self.prior, jax.random.key(0), (COMPANIONS, self.z_dim))
        turns = jnp.arange(COMPANIONS) % max(self.num_classes, 1)
        labels = (turns,) if self.num_classes else ()
        still = {"batch_stats": jax.tree.map(jnp.zeros_like, own["batch_stats"])}
        generator = self.networks()["generator"]
        _, moved = forward(generator, own["params"], still, z, *labels, train=True)
        # From zero an update leads this far towards the batch's statistics.
        share = 1.0 - BatchNorm.momentum
        return {"params": own["params"], **jax.tree.map(lambda x: x / share, moved)}

    def _decode(
        self, own: Variables, z: Array, inputs: dict
    ) -> Float[Array, "b n h w c"]:
        """Images of latents `[b, n, z]` by the generator's variables."""
        b, n = z.shape[:2]
        labels = (jnp.repeat(inputs["label"], n),) if self.num_classes else ()
        generator, z = self.networks()["generator"], z.reshape(b * n, -1)
        image = core.predict(generator, own, z, *labels, train=False)
        return image.reshape(b, n, *image.shape[1:])

    def sample(
        self, variables: Variables, frozen: core.Frozen, inputs: dict, key: Key
    ) -> dict[str, Array]:
        """z -> G(z); z too, for those that other modes shall combine."""
        z, own = inputs["z"], self._generator(variables, inputs["statistics"])
        return {"image": self._decode(own, z[:, None], inputs)[:, 0], "z": z}

    def interpolate(
        self, variables: Variables, frozen: core.Frozen, inputs: dict, key: Key
    ) -> dict[str, Array]:
        """Images `[b, t, h, w, c]` along a path through latents `[b, n, z]`."""
        path = core.interpolate_latent(inputs["z"], inputs["steps"], inputs["path"])
        return {"images": self._decode(self._generator(variables), path, inputs)}

    def arithmetic(
        self, variables: Variables, frozen: core.Frozen, inputs: dict, key: Key
    ) -> dict[str, Array]:
        """Concepts are means of latents; neighbours are the result plus U(-a, a)."""
        plus, minus, base = (
            jnp.mean(inputs[name], axis=1) for name in ("plus", "minus", "base")
        )
        z = plus - minus + base
        shape = (z.shape[0], inputs["count"], z.shape[1])
        noise = inputs["noise"] * jax.random.uniform(key, shape, minval=-1, maxval=1)
        around = jnp.concatenate([z[:, None], z[:, None] + noise], axis=1)
        images = self._decode(self._generator(variables), around, inputs)
        return {"image": images[:, 0], "neighbours": images[:, 1:], "z": z}

    def turn_vector(
        self, variables: Variables, frozen: core.Frozen, inputs: dict, key: Key
    ) -> dict[str, Array]:
        """Images from `z - vector` to `z + vector`, `2 steps + 1` of them."""
        vector = jnp.mean(inputs["right"], axis=1) - jnp.mean(inputs["left"], axis=1)
        t = jnp.linspace(-1.0, 1.0, 2 * inputs["steps"] + 1)
        path = inputs["z"][:, None] + t[:, None] * vector[:, None]
        return {"images": self._decode(self._generator(variables), path, inputs)}

    def discriminate(
        self, variables: Variables, frozen: core.Frozen, inputs: dict, key: Key
    ) -> dict[str, Array]:
        """D(x): probabilities and logits `[b]`."""
        labels = (inputs["label"],) if self.num_classes else ()
        network, own = self.networks()["discriminator"], variables["discriminator"]
        logit = core.predict(network, own, inputs["image"], *labels, train=False)
        return {"probability": jax.nn.sigmoid(logit), "logit": logit}

    def features(
        self, variables: Variables, frozen: core.Frozen, inputs: dict, key: Key
    ) -> dict[str, Array]:
        """D's features `[b, f]` of the classification protocol (section 5.1)."""
        network, own = self.networks()["discriminator"], variables["discriminator"]
        maps = core.predict(network, own, inputs["image"], train=False, features=True)
        pooled = ops.max_pool_features(maps, [x.shape[1] // 4 for x in maps])
        return {"features": core.at_least_float32(pooled)}

    def invert(
        self, variables: Variables, frozen: core.Frozen, inputs: dict, key: Key
    ) -> dict[str, Array]:
        """Semantic inpainting's search with nothing missing: sum |G(z) - x| + prior."""
        target = jnp.repeat(inputs["image"], inputs["restarts"], axis=0)
        weights = jnp.ones_like(target[..., :1])
        own = self._generator(variables)

        def loss(z: Latent) -> Float[Array, " b"]:
            image = self._decode(own, z[:, None], inputs)[:, 0]
            logit = self.discriminate(variables, frozen, {"image": image}, key)["logit"]
            context = losses.context_loss(image, target, weights)
            return context + LAMBDA_PRIOR * losses.saturating_prior(logit)

        search = core.optimize_latent(
            loss,
            core.draw_latent(self.prior, key, (target.shape[0], self.z_dim)),
            num_iters=inputs["num_iters"],
            prior=self.prior,
            every=inputs["num_iters"],
        ).best_of(inputs["restarts"])
        image = self._decode(own, search.z[:, None], inputs)[:, 0]
        return {"image": image, "z": search.z, "loss": search.loss}

    def drop_filter(
        self, variables: Variables, frozen: core.Frozen, inputs: dict, key: Key
    ) -> dict[str, Array]:
        """Images without and with the maps, and all maps' activations `[b, h, w, m]`.

        The paper drops the maps with positive weights in a logistic regression from
        activations to whether they lie inside boxes drawn around windows (6.3.1).
        """
        generator, own = self.networks()["generator"], self._generator(variables)
        keep, drop = jnp.zeros_like(inputs["maps"]), inputs["maps"]
        decode = partial(core.predict, generator, own, inputs["z"], train=False)
        original, activations = decode(dropped_maps=keep)
        image, _ = decode(dropped_maps=drop)
        return {"image": image, "original": original, "activations": activations}

    def canvas(
        self, variables: Variables, frozen: core.Frozen, inputs: dict, key: Key
    ) -> dict[str, Array]:
        """One image a grid of latents: the generator is a convolution throughout."""
        z, columns = inputs["z"], inputs["columns"]
        if z.shape[1] % columns:
            raise core.UserError(f"{z.shape[1]} latents do not fill columns={columns}")
        grid = z.reshape(z.shape[0], -1, columns, self.z_dim)
        generator = self.networks()["generator"]
        return {
            "image": core.predict(generator, variables["generator"], grid, train=False)
        }

    def sample_grid(
        self, variables: Variables, frozen: core.Frozen, batch: Batch, key: Key
    ) -> dict[str, Image]:
        image, *labels = self._draw(batch, 0)
        z = core.draw_latent(self.prior, key, (image.shape[0], self.z_dim))
        inputs = {"z": z, "statistics": self._statistics}
        if labels:
            inputs["label"] = labels[0]
        sample = self.sample(variables, frozen, inputs, key)["image"]
        return {"sample": sample, "data": image}
