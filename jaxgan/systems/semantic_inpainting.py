"""Semantic inpainting: search of a generator's latent space, then blending.

Yeh, Chen, Lim, Schwing, Hasegawa-Johnson, Do: "Semantic Image Inpainting with Deep
Generative Models", CVPR 2017. Trains nothing: the networks are those of a DCGAN run
(`--init_from`), whose fields of the same names must agree. For each image:

    z --> generator --> G(z) --+--> sum W |G(z) - y| over the known pixels near the hole
    ^                          +--> discriminator --> lambda log(1 - D(G(z)))
    |_____ Adam, 1500 times, clipped to the prior's support ____|

    G(z*) --> Poisson blending into the known pixels --> completed image

Inputs: `image` y, float32 [b, h, w, 3] in [-1, 1], and `hole_mask` [b, h, w, 1], 1 =
missing (the paper's M is 1 - hole_mask). What lies inside a hole is never read.

Sums over pixels, not means: lambda belongs to them. Batch norm runs on running
statistics, so that an image's result does not depend on its batch mates; the authors'
released graph used the batch's, which users with a single image noticed.

Differences: the paper does not say which steps Adam takes, here 0.01. z starts from the
prior; the released code draws it from a normal and clips it after the first step
(`start`). The lowest loss that was met over iterations and restarts is returned
(`select`). The released code (its rewrite of 2018) minimises -log D (`prior_loss`),
with a weight of 0.2 and a window of 15; it returns the image of the last z but one, and
its random holes miss 20 % of the pixels, the paper's and ours 80 %. Blending is solved
exactly, also for holes that touch the border, without iterations where they are centres
or halves. Where nothing is missing, importance weights would vanish and all pixels
count. The method takes any pretrained GAN, this code those of `dcgan` without classes.
The task `lowres` of bamos/dcgan-completion.tensorflow is the mode `super_resolve`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgan import core, losses, ops
from jaxgan.core import LatentSearch, Mode, Player, Stage, TrainState
from jaxgan.core.latent_search import OPTIMIZERS, SELECT
from jaxgan.core.types import Batch, HoleMask, Image, Key, Latent
from jaxgan.networks import dcgan as dcgan_networks

PRIOR_LOSSES = {
    "saturating": losses.saturating_prior,
    "non_saturating": losses.non_saturating_prior,
}
STARTS = ("prior", "normal")
BLENDS = ("poisson", "overlay", "none")
POISSON_METHODS = ("auto", "cg")
GREY = (0.2989, 0.587, 0.114)  # weights of the authors' colourisation
Variables = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class SemanticInpainting:
    """The DCGAN's fields, and hyper-parameters of the search (defaults: the paper)."""

    image_size: int = 64
    channels: int = 3
    lineage: str = "tf"
    generator_channels: int = 64
    discriminator_channels: int = 64
    max_channels: int = 0
    z_dim: int = 100
    prior: str = "uniform"
    weighting: str = "importance"  # or "binary": every known pixel counts the same
    window_size: int = 7  # of the importance weights, eq. 3
    context_norm: str = "l1"  # or "l2"
    prior_loss: str = "saturating"  # eq. 5; or "non_saturating", the released code's
    lambda_prior: float = 0.003  # lambda in eq. 5
    optimizer: str = "adam"  # or "nesterov", "hmc"
    z_lr: float = 0.01
    z_lr_decay: float = 1.0  # factor of the rate every `z_lr_decay_every` iterations
    z_lr_decay_every: int = 100
    start: str = "prior"  # of z; or "normal", whatever the prior, as released
    num_iters: int = 1500
    restarts: int = 1  # searches an image
    select: str = "best"  # or "last"
    # Iterations between the losses that are kept; where it does not divide the number
    # of iterations, their greatest common divisor.
    curve_every: int = 100
    blend: str = "poisson"  # or "overlay", "none": G(z) as it is
    # Of "poisson": conjugate gradients, but direct solutions of centres and halves,
    # the same within the tolerance of the former; or "cg" for all.
    poisson_method: str = "auto"
    scale: int = 8  # of `super_resolve`
    dtype: str = "float32"
    microbatches: int = 1
    remat: str = "none"

    def __post_init__(self):
        core.one_of(self.lineage, dcgan_networks.LINEAGES, "lineage")
        core.one_of(self.weighting, ("importance", "binary"), "weighting")
        core.one_of(self.context_norm, ("l1", "l2"), "context_norm")
        core.one_of(self.prior_loss, PRIOR_LOSSES, "prior_loss")
        core.one_of(self.optimizer, OPTIMIZERS, "optimizer")
        core.one_of(self.start, STARTS, "start")
        core.one_of(self.select, SELECT, "select")
        core.one_of(self.blend, BLENDS, "blend")
        core.one_of(self.poisson_method, POISSON_METHODS, "poisson_method")
        core.one_of(self.prior, core.PRIORS, "prior")
        core.one_of(self.remat, core.REMAT, "remat")
        core.check_fields(
            self,
            positive=(
                "image_size",
                "channels",
                "generator_channels",
                "discriminator_channels",
                "z_dim",
                "window_size",
                "z_lr_decay_every",
                "num_iters",
                "restarts",
                "curve_every",
                "scale",
                "microbatches",
            ),
            shares=("z_lr_decay",),
        )
        if self.window_size % 2 == 0:
            raise core.UserError(f"system.window_size = {self.window_size} must be odd")
        if self.image_size % self.scale:
            raise core.UserError(
                f"system.scale = {self.scale} does not divide image_size = "
                f"{self.image_size}"
            )
        dcgan_networks.check_size(self.image_size)

    def networks(self) -> dict[str, nn.Module]:
        pair = dcgan_networks.dcgan_pair(
            self.image_size,
            self.channels,
            self.generator_channels,
            self.discriminator_channels,
            lineage=self.lineage,
            max_channels=self.max_channels,
            dtype=core.compute_dtype(self.dtype),
        )
        return core.named(**pair)

    def optimizers(self) -> dict[str, Player]:
        return {}

    def pretrained(self) -> dict[str, core.Pretrained]:
        return {}

    def init(self, key: Key, batch: Batch, frozen: core.Frozen) -> TrainState:
        image = batch["image"]
        z = jnp.zeros((image.shape[0], self.z_dim))
        examples = {"generator": (z,), "discriminator": (image,)}
        return core.initialize(key, self.networks(), examples, {})

    @property
    def stages(self) -> tuple[Stage, ...]:
        return ()

    def weights(self, hole_mask: HoleMask) -> HoleMask:
        """W of eq. 3, or 1 at known pixels; where nothing is missing, 1 everywhere.

        A mask that covers the whole image leaves 0 everywhere: only the discriminator
        then decides what is found.
        """
        known = 1.0 - hole_mask
        if self.weighting == "binary":
            return known
        near = ops.importance_weights(hole_mask, self.window_size)
        missing = jnp.any(hole_mask > 0.5, axis=(1, 2, 3), keepdims=True)
        return jnp.where(missing, near, known)

    def generate(self, variables: Variables, z: Latent) -> Image:
        """G(z) in [-1, 1], by running statistics."""
        generator = self.networks()["generator"]
        return core.predict(
            generator, variables["generator"], z, remat=self.remat, train=False
        )

    def objective(
        self,
        variables: Variables,
        context: Callable[[Image], Float[Array, " b"]],
        z: Latent,
    ) -> Float[Array, " b"]:
        """`context(G(z)) + lambda * prior(D(G(z)))`, a number an example (eq. 2)."""
        image = self.generate(variables, z)
        discriminator = self.networks()["discriminator"]
        logits = core.predict(
            discriminator,
            variables["discriminator"],
            image,
            remat=self.remat,
            train=False,
        )
        prior = PRIOR_LOSSES[self.prior_loss](logits)
        return context(image) + self.lambda_prior * prior

    def search(
        self,
        variables: Variables,
        target: Image,
        weights: HoleMask,
        inputs: dict,
        key: Key,
        observe: Callable[[Image], Image] = lambda image: image,
    ) -> LatentSearch:
        """Every example's `restarts` searches, the best first: `[b, restarts, ...]`.

        Args:
          variables: of both networks.
          target: what is known of the images, as `observe` sees them.
          weights: of its pixels.
          inputs: `num_iters` and `restarts` of the mode.
          key: draws the starts.
          observe: what is known of an image: its grey values, its low resolution.
        """
        start_key, move_key = jax.random.split(key)
        iters, restarts = inputs["num_iters"], inputs["restarts"]
        # Neighbours in the batch, so that a sharded batch stays where it is.
        target, weights = (jnp.repeat(x, restarts, axis=0) for x in (target, weights))

        def context(image: Image) -> Float[Array, " b"]:
            return losses.context_loss(
                observe(image), target, weights, self.context_norm
            )

        start = self.prior if self.start == "prior" else self.start
        return core.optimize_latent(
            lambda z: self.objective(variables, context, z),
            core.draw_latent(start, start_key, (target.shape[0], self.z_dim)),
            num_iters=iters,
            learning_rate=self.z_lr,
            optimizer=self.optimizer,
            decay=self.z_lr_decay,
            decay_every=self.z_lr_decay_every,
            prior=self.prior,
            select=self.select,
            every=math.gcd(iters, self.curve_every),
            key=move_key,
        ).ranked(restarts)

    @property
    def inference(self) -> Mapping[str, Mode]:
        size = (self.image_size, self.image_size)
        pooled = self.image_size // self.scale
        image = core.Image(self.channels, size)
        grey = core.Image(1, size)
        small = core.Image(self.channels, (pooled, pooled))
        latent = core.Latent(self.z_dim, self.prior)
        number, curve = core.Values(), core.Values((-1,), help="losses on the way")
        both = ("generator", "discriminator")
        iters = core.Int(self.num_iters, low=1, help="of the search")
        restarts = core.Int(self.restarts, low=1, help="searches an image")
        length = {"num_iters": iters, "restarts": restarts}
        holes = {
            "image": image,
            "hole_mask": core.Mask(size, "1 = missing"),
            **length,
            "blend": core.Choice(BLENDS, self.blend, "G(z) into the known pixels"),
        }
        found = {"image": image, "z": latent, "loss": number, "curve": curve}
        return {
            "inpaint": Mode(
                self.inpaint,
                holes,
                {"image": image, "generated": image, **found},
                both,
                help="fill holes of any shape",
            ),
            "candidates": Mode(
                self.candidates,
                {**holes, "restarts": core.Int(8, low=1, help="completions")},
                {
                    "images": core.Set(image),
                    "generated": core.Set(image),
                    "z": core.Set(latent),
                    "loss": core.Values((-1,)),
                    "curve": core.Values((-1, -1)),
                },
                both,
                help="several completions of each image, by falling merit",
            ),
            "invert": Mode(
                self.invert,
                {"image": image, **length},
                found,
                both,
                help="the nearest image that the generator can draw: finds a latent, "
                "takes away noise and quantisation",
            ),
            "super_resolve": Mode(
                self.super_resolve,
                {"image": small, **length},
                found,
                both,
                help=f"an image whose average over {self.scale}x{self.scale} blocks is "
                "given",
            ),
            "colorize": Mode(
                self.colorize,
                {"image": grey, **length},
                found,
                both,
                help="an image whose grey values are given",
            ),
        }

    def _complete(
        self, known: Image, generated: Image, hole_mask: HoleMask, blend: str
    ) -> Image:
        if blend == "none":
            return generated
        if blend == "overlay":
            return ops.composite(known, generated, hole_mask)
        method = cast(Any, self.poisson_method)
        return ops.poisson_blend(known, generated, hole_mask, method)

    def candidates(
        self, variables: Variables, frozen: core.Frozen, inputs: dict, key: Key
    ) -> dict[str, Array]:
        """All restarts' completions `[b, restarts, h, w, c]`, the lowest loss first."""
        hole_mask = (inputs["hole_mask"] > 0.5).astype(jnp.float32)
        # From here on nothing knows what the hole held.
        image = inputs["image"]
        known = ops.composite(image, jnp.zeros_like(image), hole_mask)
        found = self.search(variables, known, self.weights(hole_mask), inputs, key)
        b, restarts = found.loss.shape
        generated = self.generate(variables, found.z.reshape(b * restarts, -1))
        completed = self._complete(
            jnp.repeat(known, restarts, axis=0),
            generated,
            jnp.repeat(hole_mask, restarts, axis=0),
            inputs["blend"],
        )
        shape = (b, restarts, *generated.shape[1:])
        return {
            "images": completed.reshape(shape),
            "generated": generated.reshape(shape),
            "z": found.z,
            "loss": found.loss,
            "curve": found.curve,
        }

    def inpaint(
        self, variables: Variables, frozen: core.Frozen, inputs: dict, key: Key
    ) -> dict[str, Array]:
        """The best restart's completion, what was generated, z, loss and its curve."""
        found = self.candidates(variables, frozen, inputs, key)
        best = {name: value[:, 0] for name, value in found.items()}
        return {"image": best.pop("images"), **best}

    def _restore(
        self,
        variables: Variables,
        inputs: dict,
        key: Key,
        observe: Callable[[Image], Image],
    ) -> dict[str, Array]:
        """The same search with another context loss; all that is given counts."""
        target = inputs["image"]
        weights = jnp.ones_like(target[..., :1])
        found = self.search(variables, target, weights, inputs, key, observe)
        z, loss, curve = jax.tree.map(lambda x: x[:, 0], tuple(found))
        image = self.generate(variables, z)
        return {"image": image, "z": z, "loss": loss, "curve": curve}

    def invert(
        self, variables: Variables, frozen: core.Frozen, inputs: dict, key: Key
    ) -> dict[str, Array]:
        """The latent whose image is nearest to a given one."""
        return self._restore(variables, inputs, key, lambda image: image)

    def super_resolve(
        self, variables: Variables, frozen: core.Frozen, inputs: dict, key: Key
    ) -> dict[str, Array]:
        """An image whose average-pooled version is the given one."""
        pool = lambda image: ops.average_pool(image, self.scale)  # noqa: E731
        return self._restore(variables, inputs, key, pool)

    def colorize(
        self, variables: Variables, frozen: core.Frozen, inputs: dict, key: Key
    ) -> dict[str, Array]:
        """An image whose grey values are the given ones."""
        weights = jnp.asarray(GREY)[:, None] if self.channels == 3 else jnp.ones((1, 1))
        return self._restore(variables, inputs, key, lambda image: image @ weights)

    def sample_grid(
        self, variables: Variables, frozen: core.Frozen, batch: Batch, key: Key
    ) -> dict[str, Image]:
        image = batch["image"]
        hole = batch.get("hole_mask")
        if hole is None:
            hole = ops.center_hole(key, *image.shape[:3])
        length = {"num_iters": self.num_iters, "restarts": self.restarts}
        inputs = {"image": image, "hole_mask": hole, "blend": self.blend, **length}
        out = self.inpaint(variables, frozen, inputs, key)
        given = ops.composite(image, jnp.zeros_like(image), hole)
        return {
            "input": given,
            "generated": out["generated"],
            "completed": out["image"],
            "truth": image,
        }
