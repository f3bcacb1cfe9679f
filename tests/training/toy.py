"""A system of two stages and its data, small enough to train in a second.

Unpaired in name only: it learns to map noise to vectors. It has everything a state can
hold: two players, batch statistics, an average, a pool, a calibrated scale.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxgan import core
from jaxgan.core import ArraySpec, Out, Stage, TrainState, forward, pool
from jaxgan.core.errors import UserError
from jaxgan.pretrained import registry as pretrained_registry

SIDE = 4


class Net(nn.Module):
    """Dense, batch norm, dense."""

    width: int
    out: int
    norm: bool = True

    @nn.compact
    def __call__(self, x, *, train: bool):
        x = nn.Dense(self.width)(x.reshape(x.shape[0], -1))
        if self.norm:
            x = nn.BatchNorm(use_running_average=not train, momentum=0.5)(x)
        return nn.Dense(self.out)(nn.relu(x))


@dataclasses.dataclass(frozen=True)
class Toy:
    """Fields, as a real system has them."""

    width: int = 8
    warmup_steps: int = 6
    adversarial_steps: int = 6
    learning_rate: float = 0.05
    decay_steps: int = 0  # of a player's own updates, to a rate of 0
    pool_groups: int = 8
    layers: tuple[int, ...] = (1, 2)
    explode_at: int = -1  # the adversarial loss is infinite from this update on
    waste: int = 0  # elements of an array that the step allocates
    pretrained_network: str = ""
    dtype: str = "float32"
    microbatches: int = 1
    remat: str = "none"

    def networks(self):
        return {
            "generator": Net(self.width, SIDE * SIDE),
            "discriminator": Net(self.width, 1, norm=False),
        }

    def optimizers(self):
        # Plain descent: sharded and whole runs agree to rounding.
        rate = core.linear_decay(self.learning_rate, 0, self.decay_steps)
        sgd = lambda name: core.player((name,), optax.identity(), rate)  # noqa: E731
        return {"generator": sgd("generator"), "discriminator": sgd("discriminator")}

    def pretrained(self):
        if not self.pretrained_network:
            return {}
        name = self.pretrained_network
        module = pretrained_registry.find(name).network
        return {"features": core.Pretrained(name, module, ("warmup",))}

    def init(self, key, batch, frozen) -> TrainState:
        image = batch["image"]
        return core.initialize(
            key,
            self.networks(),
            {"generator": (image,), "discriminator": (image,)},
            self.optimizers(),
            ema=("generator",),
            memory={
                "scale": jnp.ones(()),
                "pool": pool.create(8, (SIDE, SIDE, 1), groups=self.pool_groups),
            },
        )

    @property
    def stages(self):
        spec = {"image": ArraySpec((SIDE, SIDE, 1))}
        return (
            Stage("warmup", self.warm_up, self.warmup_steps, spec, ("generator",)),
            Stage(
                "adversarial",
                self.step,
                self.adversarial_steps,
                spec,
                ("generator", "discriminator"),
                enter=self.begin,
            ),
        )

    def begin(self, state, frozen, calibration, key):
        """A fresh optimiser, a scale from the data, one tree more than before."""
        scale = jnp.mean(jnp.abs(calibration["image"])) + jax.random.uniform(key)
        params = {"generator": state.params["generator"]}
        opt = self.optimizers()["generator"].init(params)
        return state.replace(opt_state={**state.opt_state, "generator": opt}).remember(
            scale=scale, entered=state.step
        )

    def fake(self, params, stats, key, count):
        z = jax.random.normal(key, (count, SIDE, SIDE, 1))
        x, stats = forward(self.networks()["generator"], params, stats, z, train=True)
        return x.reshape(-1, SIDE, SIDE, 1), stats

    def warm_up(self, state, frozen, batch, key):
        def loss(trained, fixed, image, *, key):
            x, stats = self.fake(
                trained["generator"], fixed.stats["generator"], key, len(image)
            )
            value = jnp.mean(jnp.square(x - image))
            if self.waste:
                value += 1e-9 * jnp.sum(jax.random.normal(key, (self.waste,)) ** 3)
            return value, Out({"l2": value}, {"generator": stats})

        state, out = core.update(
            state,
            loss,
            ("generator",),
            batch["image"],
            optimizers=self.optimizers(),
            commit=("generator",),
            key=key,
        )
        return core.ema_update(state, 0.9).advance(), out.metrics

    def step(self, state, frozen, batch, key):
        image = batch["image"]
        fake_key, pool_key = jax.random.split(key)
        fakes, _ = self.fake(
            state.params["generator"], state.stats["generator"], fake_key, len(image)
        )
        memory, old = pool.query(state.memory["pool"], fakes, pool_key)
        state = state.remember(pool=memory)
        judge = self.networks()["discriminator"]

        def d_loss(trained, fixed, image, fake):
            real, _ = forward(judge, trained["discriminator"], {}, image, train=True)
            made, _ = forward(judge, trained["discriminator"], {}, fake, train=True)
            value = jnp.mean(jnp.square(real - 1)) + jnp.mean(jnp.square(made))
            return value, Out({"adversarial": value})

        def g_loss(trained, fixed, image, *, key):
            x, stats = self.fake(
                trained["generator"], fixed.stats["generator"], key, len(image)
            )
            made, _ = forward(judge, fixed.params["discriminator"], {}, x, train=True)
            value = jnp.mean(jnp.square(made - 1)) * state.memory["scale"]
            blow = (state.stage_step + 1) == self.explode_at
            value = value / jnp.where(blow, 0.0, 1.0)
            return value, Out({"adversarial": value}, {"generator": stats})

        update = lambda *a, **k: core.update(*a, optimizers=self.optimizers(), **k)  # noqa: E731
        state, d = update(state, d_loss, ("discriminator",), image, old)
        state, g = update(
            state, g_loss, ("generator",), image, commit=("generator",), key=fake_key
        )
        return core.ema_update(state, 0.9).advance(), {**d.metrics, **g.metrics}

    @property
    def inference(self):
        return {}

    def sample_grid(self, variables, frozen, batch, key):
        z = jax.random.normal(key, batch["image"].shape)
        made = self.networks()["generator"].apply(
            variables["generator"], z, train=False
        )
        return {"image": batch["image"], "made": made.reshape(z.shape)}


@dataclasses.dataclass(frozen=True)
class Borrower:
    """Trains nothing; uses a generator that another run trained."""

    width: int = 8
    dtype: str = "float32"
    microbatches: int = 1
    remat: str = "none"

    def networks(self):
        return {"generator": Net(self.width, SIDE * SIDE)}

    def optimizers(self):
        return {}

    def pretrained(self):
        return {}

    def init(self, key, batch, frozen):
        return core.initialize(
            key, self.networks(), {"generator": (batch["image"],)}, {}
        )

    @property
    def stages(self):
        return ()

    @property
    def inference(self):
        return {}

    def sample_grid(self, variables, frozen, batch, key):
        return {"image": batch["image"]}


@dataclasses.dataclass(frozen=True)
class ToyTask:
    """Blobs drawn from (seed, step); noise is added in `preprocess`."""

    split: str
    seed: int
    side: int = SIDE
    num_examples: int = 100

    def preprocess(self, raw: Mapping[str, Any], key) -> dict[str, Any]:
        image = raw["image"].astype(jnp.float32) / 127.5 - 1.0
        if self.split == "train":
            image += 0.01 * jax.random.normal(key, image.shape)
        return {"image": image}

    def examples(self, indices) -> dict[str, np.ndarray]:
        return {"image": np.concatenate([self._draw(i, 1) for i in indices])}

    def _draw(self, number: int, count: int) -> np.ndarray:
        rng = np.random.default_rng((self.seed, int(number)))
        return rng.integers(0, 256, (count, self.side, self.side, 1), np.uint8)

    def batches(
        self, start_step, batch_size, process_index=0, process_count=1
    ) -> Iterator[dict[str, np.ndarray]]:
        share = batch_size // process_count
        step = start_step
        while True:
            on_batch(step)
            image = self._draw(1000 + step, batch_size)
            yield {"image": image[process_index * share :][:share]}
            step += 1


def on_batch(step: int) -> None:
    """Called before batch `step` is drawn; tests replace it."""


def make_task(data: Mapping[str, Any], *, split: str, seed: int) -> ToyTask:
    if data.get("source") == "missing":
        raise UserError("no folder /missing: check data.source")
    return ToyTask(split, seed, data.get("image_size", SIDE))


def config(**overrides: Any) -> dict[str, Any]:
    """A resolved config of `Toy`; keys with two underscores for the dot."""
    from jaxgan.training import configs

    found: dict[str, Any] = {
        "name": "toy",
        "dtype": "float32",
        "devices": {"data": 1},
        "system": {},
        "data": {"task": "toy", "image_size": SIDE},
        "training": {
            "batch_size": 8,
            "log_every": 1,
            "checkpoint_every": 4,
            "sample_every": 6,
            "sample_count": 2,
        },
    }
    for key, value in overrides.items():
        section, _, name = key.rpartition("__")
        (found[section] if section else found)[name] = value
    return configs.with_defaults(found)


def train(workdir: Any, evaluate_fn: Any = None, **overrides: Any) -> Any:
    """Trains `Toy` in this process."""
    from jaxgan.training import configs, loop

    settings = config(**overrides)
    system = configs.build_system(settings, Toy)
    return loop.train(system, settings, workdir, make_task, evaluate_fn=evaluate_fn)
