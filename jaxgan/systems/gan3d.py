"""3D-GAN: shapes from noise, as voxels.

Wu, Zhang, Xue, Freeman, Tenenbaum: "Learning a Probabilistic Latent Space of Object
Shapes via 3D Generative-Adversarial Modeling", NeurIPS 2016.

    z ~ U[0, 1] --> generator --> voxels --+
                                           +--> discriminator --> logit
                        real voxels -------+

Batch: `voxels`, float32 [b, r, r, r, 1] in {0, 1}, the last spatial axis up.

The discriminator learns faster, so it is updated on a batch only if its accuracy on
the last batch was at most 0.8 (section 3.1). A skipped update leaves everything of it
alone: parameters, moments, their count, statistics. `skip_share/discriminator` in the
log is the share of skipped updates: below 0.02 the gate does nothing, above 0.98 the
discriminator hardly learns. Training warns of both; change its learning rate.

Memory: `dtype=bfloat16` halves the activations. `microbatches` keeps those of one part
of the batch at a time, and changes what is trained: batch norm, in both networks, sees
that part alone. `remat=full` computes activations again; `convs` saved nothing here (a
program for an H200 at batch 16: 13 % more memory than without).

Differences: the official repository holds sampling code only, so the training follows
the paper. The generator's loss is the non-saturating -log D(G(z)) that every
implementation uses; `minimax` is the paper's. The discriminator has batch norm in its
first layer too (`norm_first`). Defaults are the paper's 64^3; at 32^3 the published
variant halves the channels.

Tricks of a re-implementation that makes chairs (rimchang/3DGAN-Pytorch), off by
default: targets drawn from ranges in place of 1 and 0 (`real_labels`, which are the
generator's too, and `fake_labels`), a rate of D that falls (`decay_at`), `beta2` 0.5.
Its targets of real shapes may be above 1, where no logit is high enough: the gate holds
D back.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxgan import core, losses, ops
from jaxgan.core import ArraySpec, Fixed, Mode, Out, Player, Stage, TrainState, forward
from jaxgan.core.types import Batch, Image, Key, Latent, Metrics, Scalar, Voxels
from jaxgan.networks import voxel

GENERATOR_LOSSES = {
    "non_saturating": losses.non_saturating_generator,
    "minimax": losses.minimax_generator,
}
GATES = ("last", "current", "none")
SKIP_SHARES = (0.02, 0.98)  # beyond them the gate is as good as stuck
JUDGED_FROM = 500  # the step: before it the share says little
# 0.8 as a mean over microbatches may come out an ulp above 0.8; the next accuracy that
# a batch can have is 1 / (2 b) away.
_ROUNDING = 1e-6


@dataclasses.dataclass(frozen=True)
class GAN3D:
    """Hyper-parameters (defaults: the paper at 64^3) and the procedure."""

    resolution: int = 64
    z_dim: int = 200
    prior: str = "uniform01"  # or "normal"
    channels: tuple[int, ...] = (512, 256, 128, 64)  # G's; D mirrors them
    norm_first: bool = True  # batch norm in D's first layer
    norm_momentum: float = 0.9  # of batch norm's running statistics
    loss: str = "non_saturating"  # of the generator; or "minimax"
    real_labels: tuple[float, float] = (1.0, 1.0)  # range of a shape's target
    fake_labels: tuple[float, float] = (0.0, 0.0)
    gate: str = "last"  # whose accuracy decides: the last batch's, "current", "none"
    accuracy_threshold: float = 0.8
    generator_learning_rate: float = 0.0025
    discriminator_learning_rate: float = 1e-5
    learning_rate_decay: float = 0.1  # of D, factor after decay_at steps
    decay_at: int = 0  # steps, those that skip D too; 0: never
    beta1: float = 0.5
    beta2: float = 0.999
    num_steps: int = 100_000  # not given in the paper
    dtype: str = "float32"
    microbatches: int = 1
    remat: str = "none"

    def __post_init__(self):
        core.one_of(self.prior, core.PRIORS, "prior")
        core.one_of(self.loss, GENERATOR_LOSSES, "loss")
        core.one_of(self.gate, GATES, "gate")
        core.one_of(self.remat, core.REMAT, "remat")
        core.check_fields(
            self,
            positive=("resolution", "z_dim", "channels", "microbatches"),
            shares=("accuracy_threshold",),
            below_one=("norm_momentum", "beta1", "beta2"),
        )
        for name in ("real_labels", "fake_labels"):
            low, high = getattr(self, name)
            if low > high:
                raise core.UserError(
                    f"system.{name} = {(low, high)} is no range: give the lower first"
                )
        if self.loss == "minimax" and self._is_soft:
            raise core.UserError(
                "system.loss = 'minimax' has targets of 1 and 0: set "
                "system.loss=non_saturating, or leave real_labels and fake_labels"
            )
        layers = len(self.channels)
        core.check_size(
            self.resolution,
            lambda side: voxel.stem_of(side, layers) > 0,
            f"{layers} entries of system.channels halve it {layers} times, to 2 or 4",
            field="resolution",
        )

    @property
    def _is_soft(self) -> bool:
        """Whether targets are drawn."""
        return (self.real_labels, self.fake_labels) != ((1, 1), (0, 0))

    def networks(self) -> dict[str, nn.Module]:
        dtype = core.compute_dtype(self.dtype)
        return core.named(
            generator=voxel.VoxelGenerator(
                self.channels,
                voxel.stem_of(self.resolution, len(self.channels)),
                self.norm_momentum,
                dtype,
            ),
            discriminator=voxel.VoxelDiscriminator(
                self.channels[::-1], self.norm_first, self.norm_momentum, dtype
            ),
        )

    def optimizers(self) -> dict[str, Player]:
        adam = partial(core.adam, b1=self.beta1, b2=self.beta2)
        return {
            "discriminator": adam(("discriminator",), self.discriminator_learning_rate),
            "generator": adam(("generator",), self.generator_learning_rate),
        }

    def pretrained(self) -> dict[str, core.Pretrained]:
        return {}

    def init(self, key: Key, batch: Batch, frozen: core.Frozen) -> TrainState:
        z = jnp.zeros((batch["voxels"].shape[0], self.z_dim))
        return core.initialize(
            key,
            self.networks(),
            {"generator": (z,), "discriminator": (batch["voxels"],)},
            self.optimizers(),
            # An accuracy of 0, so that the first step moves D; skipped updates so far.
            memory={"accuracy": jnp.zeros(()), "skipped": jnp.zeros(())},
        )

    @property
    def stages(self) -> tuple[Stage, ...]:
        side = self.resolution
        return (
            Stage(
                "gan3d",
                self.step,
                num_steps=self.num_steps,
                batch_spec={
                    "voxels": ArraySpec((side, side, side, 1), low=0.0, high=1.0)
                },
                players=("discriminator", "generator"),
                watch=self.watch_gate,
            ),
        )

    def watch_gate(self, step: int, metrics: Mapping[str, float]) -> str | None:
        """Advice where D's updates were hardly ever, or nearly always, skipped."""
        least, most = SKIP_SHARES
        share = metrics["skip_share/discriminator"]
        if self.gate == "none" or step < JUDGED_FROM or least <= share <= most:
            return None
        said, advice = (
            ("never closes", "raise") if share < least else ("stays shut", "lower")
        )
        return (
            f"warning: the discriminator's gate {said} (skip_share/discriminator is "
            f"outside of {least} to {most}): {advice} "
            "system.discriminator_learning_rate"
        )

    def discriminator_loss(
        self,
        trained: dict,
        fixed: Fixed,
        voxels: Voxels,
        z: Latent,
        *targets: Float[Array, " b"],
    ) -> tuple[Scalar, Out]:
        """`-log D(x) - log(1 - D(G(z)))`, each batch with its own statistics; with
        targets of the real and the fake ones, if they are drawn."""
        networks = self.networks()
        fake, _ = forward(
            networks["generator"],
            fixed.params["generator"],
            fixed.stats["generator"],
            z,
            remat=self.remat,
            train=True,
        )
        judge = partial(
            forward,
            networks["discriminator"],
            trained["discriminator"],
            remat=self.remat,
            train=True,
        )
        (real_logits, _), stats = judge(fixed.stats["discriminator"], voxels)
        (fake_logits, _), stats = judge(stats, fake)
        accuracy = losses.binary_accuracy(real_logits, fake_logits)
        bce = losses.soft_bce_discriminator if targets else losses.bce_discriminator
        return bce(real_logits, fake_logits, *targets), Out(
            {"accuracy/discriminator": accuracy}, {"discriminator": stats}
        )

    def generator_loss(
        self, trained: dict, fixed: Fixed, z: Latent, *targets: Float[Array, " b"]
    ) -> tuple[Scalar, Out]:
        """The generator against the discriminator as it is now; with the real ones'
        targets, if they are drawn."""
        networks = self.networks()
        fake, stats = forward(
            networks["generator"],
            trained["generator"],
            fixed.stats["generator"],
            z,
            remat=self.remat,
            train=True,
        )
        (logits, _), _ = forward(
            networks["discriminator"],
            fixed.params["discriminator"],
            fixed.stats["discriminator"],
            fake,
            remat=self.remat,
            train=True,
        )
        metrics = {"occupancy/fake": jnp.mean(fake)}
        hard, soft = GENERATOR_LOSSES[self.loss], losses.soft_non_saturating_generator
        loss = soft(logits, *targets) if targets else hard(logits)
        return loss, Out(metrics, {"generator": stats})

    def step(
        self, state: TrainState, frozen: core.Frozen, batch: Batch, key: Key
    ) -> tuple[TrainState, Metrics]:
        """D if its gate is open, then G on fresh noise against the current D."""
        players = {**self.optimizers()}
        if self.decay_at:  # D's own updates are fewer than steps
            factor = jnp.where(
                state.step < self.decay_at, 1.0, self.learning_rate_decay
            )
            players["discriminator"] = core.scaled(players["discriminator"], factor)
        update = partial(
            core.update,
            optimizers=players,
            frozen=frozen,
            microbatches=self.microbatches,
        )
        voxels = batch["voxels"]
        discriminator_key, generator_key = jax.random.split(key)
        shape = (voxels.shape[0], self.z_dim)
        z = core.draw_latent(self.prior, discriminator_key, shape)
        fresh_z = core.draw_latent(self.prior, generator_key, shape)
        targets = self._draw_targets(jax.random.fold_in(key, 2), len(voxels))

        def is_open(accuracy: Scalar) -> Bool[Array, ""]:
            return accuracy <= self.accuracy_threshold + _ROUNDING

        gates: dict[str, Any] = {
            "last": is_open(state.memory["accuracy"]),
            "current": lambda seen: is_open(seen["accuracy/discriminator"]),
            "none": None,
        }
        gate = gates[self.gate]
        state, d = update(
            state,
            self.discriminator_loss,
            ("discriminator",),
            voxels,
            z,
            *targets,
            gate=gate,
            commit=("discriminator",),
        )
        opened = gate(d.metrics) if self.gate == "current" else gate
        skipped = jnp.float32(0.0 if opened is None else ~opened)
        state = state.remember(
            accuracy=d.metrics["accuracy/discriminator"],
            skipped=state.memory["skipped"] + skipped,
        )
        state, g = update(
            state,
            self.generator_loss,
            ("generator",),
            fresh_z,
            *targets[:1],
            commit=("generator",),
        )
        state = state.advance()
        gating = {
            "skipped/discriminator": skipped,
            "skip_share/discriminator": state.memory["skipped"] / state.step,
        }
        return state, d.metrics | g.metrics | gating

    def _draw_targets(self, key: Key, count: int) -> tuple[Float[Array, " b"], ...]:
        """Targets of real and of fake shapes, one each; none where they are 1 and 0."""
        if not self._is_soft:
            return ()
        ranges = self.real_labels, self.fake_labels
        return tuple(
            jax.random.uniform(own, (count,), minval=low, maxval=high)
            for own, (low, high) in zip(jax.random.split(key), ranges, strict=True)
        )

    @property
    def inference(self) -> Mapping[str, Mode]:
        latent, shape = (
            core.Latent(self.z_dim, self.prior),
            core.Voxels(self.resolution),
        )
        concept = core.Set(latent, minimum=1, help="latents that show it")
        picture = core.Image(3, (128, 128))
        made = {"voxels": shape, "picture": picture, "z": latent}
        meshes = {".obj": write_mesh, ".ply": write_mesh, ".stl": write_mesh}
        make = partial(Mode, networks=("generator",), host=meshes)
        modes = {
            "sample": make(
                self.sample, inputs={"z": latent}, output=made, help="shapes from noise"
            ),
            "interpolate": make(
                self.interpolate,
                inputs={
                    "z": core.Set(latent, minimum=2),
                    "steps": core.Int(8, low=2, help="intervals between neighbours"),
                },
                output={"pictures": core.Set(picture), "voxels": core.Set(shape)},
                help="shapes along a line through two or more latents",
            ),
            "arithmetic": make(
                self.arithmetic,
                inputs=dict.fromkeys(("plus", "minus", "base"), concept),
                output=made,
                help="mean(plus) - mean(minus) + mean(base)",
            ),
            "postprocess": Mode(
                self.postprocess,
                inputs={
                    "voxels": shape,
                    "threshold": core.Float(
                        ops.DISPLAY_LEVEL,
                        low=0.0,
                        high=1.0,
                        help="cells above it are solid",
                    ),
                    "component": core.Int(
                        3, high=8, help="cells so near make a part; 0 keeps all"
                    ),
                    "factor": core.Choice(("1", "2", "4"), "1", "cells made one"),
                    "pooling": core.Choice(("max", "mean"), "max"),
                },
                output={"voxels": shape, "picture": picture},
                networks=(),
                host=dict.fromkeys(meshes, partial(write_mesh, component=0)),
                help="largest part of a shape above a threshold, perhaps smaller",
            ),
            "discriminate": Mode(
                self.discriminate,
                inputs={"voxels": shape},
                output={"probability": core.Values(())},
                networks=("discriminator",),
                help="the probability that a shape is real",
            ),
        }
        features = voxel.features_of(self.resolution, self.channels[::-1])
        if features:
            modes["features"] = Mode(
                self.features,
                inputs={"voxels": shape},
                output={"features": core.Values((features,))},
                networks=("discriminator",),
                help="pooled activations for a linear classifier (section 4.2)",
            )
        return modes

    def _generate(self, variables: Mapping[str, Any], z: Latent) -> Voxels:
        generator = self.networks()["generator"]
        return core.predict(generator, variables["generator"], z, train=False)

    def sample(
        self, variables: Mapping[str, Any], frozen: core.Frozen, inputs: dict, key: Key
    ) -> dict[str, Any]:
        """z -> occupancy in [0, 1] and a picture of it, by running statistics."""
        voxels = self._generate(variables, inputs["z"])
        picture = ops.render_voxels(voxels)
        return {"voxels": voxels, "picture": picture, "z": inputs["z"]}

    def interpolate(
        self, variables: Mapping[str, Any], frozen: core.Frozen, inputs: dict, key: Key
    ) -> dict[str, Any]:
        """Shapes `[b, t, ...]` along a line through latents `[b, n, z]`."""
        path = core.interpolate_latent(inputs["z"], inputs["steps"])
        voxels = self._generate(variables, path.reshape(-1, self.z_dim))
        pictures = ops.render_voxels(voxels)
        lead = path.shape[:2]
        return {
            "pictures": pictures.reshape(*lead, *pictures.shape[1:]),
            "voxels": voxels.reshape(*lead, *voxels.shape[1:]),
        }

    def arithmetic(
        self, variables: Mapping[str, Any], frozen: core.Frozen, inputs: dict, key: Key
    ) -> dict[str, Any]:
        """Shapes of `mean(plus) - mean(minus) + mean(base)`; each input [b, n, z]."""
        plus, minus, base = (
            jnp.mean(inputs[name], axis=1) for name in ("plus", "minus", "base")
        )
        return self.sample(variables, frozen, {"z": plus - minus + base}, key)

    def postprocess(
        self, variables: Mapping[str, Any], frozen: core.Frozen, inputs: dict, key: Key
    ) -> dict[str, Any]:
        """Shapes as the authors' viewer shows them: cells {0, 1} and a picture."""
        threshold, factor = inputs["threshold"], int(inputs["factor"])
        voxels = ops.largest_component(inputs["voxels"], inputs["component"], threshold)
        voxels = ops.downsample_voxels(voxels, factor, inputs["pooling"])
        solid = (voxels > threshold).astype(jnp.float32)
        return {"voxels": solid, "picture": ops.render_voxels(solid)}

    def _judge(self, variables: Mapping[str, Any], voxels: Voxels) -> tuple:
        discriminator = self.networks()["discriminator"]
        return core.predict(
            discriminator, variables["discriminator"], voxels, train=False
        )

    def features(
        self, variables: Mapping[str, Any], frozen: core.Frozen, inputs: dict, key: Key
    ) -> dict[str, Any]:
        """Layers 2 to 4 max-pooled by 8, 4, 2 and concatenated: 7168-d at 64^3."""
        _, taps = self._judge(variables, inputs["voxels"])
        windows = voxel.pooling(self.resolution, len(self.channels))
        pooled = ops.max_pool_features(taps[1:4], windows)
        return {"features": core.at_least_float32(pooled)}

    def discriminate(
        self, variables: Mapping[str, Any], frozen: core.Frozen, inputs: dict, key: Key
    ) -> dict[str, Any]:
        """D(x) `[b]`, the probability that a shape is real."""
        logits, _ = self._judge(variables, inputs["voxels"])
        return {"probability": jax.nn.sigmoid(logits)}

    def sample_grid(
        self, variables: Mapping[str, Any], frozen: core.Frozen, batch: Batch, key: Key
    ) -> dict[str, Image]:
        count = batch["voxels"].shape[0]
        columns = {"real": ops.render_voxels(batch["voxels"])}
        for i in (1, 2, 3):
            own_key = jax.random.fold_in(key, i)
            z = core.draw_latent(self.prior, own_key, (count, self.z_dim))
            sample = self._generate(variables, z)
            columns[f"sample {i}"] = ops.render_voxels(sample)
        return columns


def write_mesh(
    path: str | pathlib.Path, outputs: Mapping[str, np.ndarray], component: int = 3
) -> None:
    """Writes one shape as a mesh, by marching cubes at 0.5.

    Args:
      path: its suffix decides the format: .obj, .ply or .stl.
      outputs: of one example; `voxels` is `[r, r, r, 1]`, or `[n, r, r, r, 1]`, of
        which the last is written.
      component: cells so near make a part, and only the largest part is written; 0
        writes all.
    """
    voxels = np.asarray(outputs["voxels"], np.float32)
    voxels = voxels[-1] if voxels.ndim == 5 else voxels
    solid = np.asarray(ops.largest_component(jnp.asarray(voxels)[None], component))
    ops.save_mesh(path, *ops.voxels_to_mesh(solid[0, ..., 0]))
