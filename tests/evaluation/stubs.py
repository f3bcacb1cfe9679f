"""Systems whose answers are known, and configs for them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxgan import core
from jaxgan.data import from_arrays
from jaxgan.evaluation import protocols
from jaxgan.evaluation.feature_network import FeatureNetwork


@dataclasses.dataclass(frozen=True)
class Stub:
    """A system of modes `(name, fn(inputs, key), inputs, outputs, per_example)`."""

    modes: tuple = ()
    scale: int = 4
    pixels: str = "unit"
    dtype: str = "float32"
    microbatches: int = 1
    remat: str = "none"
    stages: tuple = ()

    def _unused(self, *arguments):
        raise AssertionError("a protocol knows nothing of training")

    networks = optimizers = pretrained = init = sample_grid = _unused

    @property
    def inference(self):
        return {
            name: core.Mode(
                lambda variables, frozen, inputs, key, fn=fn: fn(inputs, key),
                dict(inputs),
                dict.fromkeys(outputs, core.Values()),
                (),
                per_example=per_example,
            )
            for name, fn, inputs, outputs, per_example in self.modes
        }


def translator(fn: Callable[..., Any]) -> Stub:
    """pix2pix whose translation is `fn(image, key)`."""

    def translate(inputs, key):
        return {"image": fn(inputs["image"], key)}

    inputs = (
        ("image", core.Image()),
        ("sampling", core.Choice(("paper", "eval"), "paper")),
    )
    return Stub((("translate", translate, inputs, ("image",), True),))


def cycler(fn: Callable[..., Any]) -> Stub:
    """CycleGAN that translates both ways by `fn(image)`."""

    def reconstruct(inputs, key):
        fake = fn(inputs["image"])
        return {"translation": fake, "reconstruction": fn(fake)}

    inputs, outputs = (("image", core.Image()),), ("translation", "reconstruction")
    return Stub(
        tuple(
            (f"reconstruct_{d}", reconstruct, inputs, outputs, True) for d in ("a", "b")
        )
    )


def generator(
    fn: Callable[..., Any],
    *more: tuple,
    output: str = "image",
    per_example: bool = True,
) -> Stub:
    """Draws `fn(z)` from latents of two numbers."""

    def sample(inputs, key):
        return {output: fn(inputs["z"])}

    inputs = (("z", core.Latent(2, "normal")),)
    return Stub((("sample", sample, inputs, (output,), per_example), *more))


def config(
    name: str, source: Any, task: str, /, holdout: float | None = None, **evaluation
) -> dict[str, Any]:
    """The parts of a config that protocols read; without `holdout` all splits are all
    examples."""
    data = {"task": task, "source": source, "image_size": 16, "holdout": holdout}
    return {
        "name": name,
        "seed": 0,
        "data": data,
        "training": {"batch_size": 4},
        "evaluation": evaluation,
        "pretrained": {},
    }


def judge(system: Any, config: Any, **options: Any) -> dict[str, float]:
    """The figures of a system without parameters."""
    return protocols.evaluate(system, {}, {}, config, **options)


def noise(seed: int, *shape: int) -> np.ndarray:
    """uint8 images."""
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def pairs(a: np.ndarray, b: np.ndarray) -> Any:
    return from_arrays(a=a, b=b)


def signed(images: np.ndarray) -> np.ndarray:
    """8-bit levels in [-1, 1], float64."""
    return images.astype(np.float64) / 127.5 - 1.0


def first_pixels(params: Any, images: Any) -> Any:
    """A feature network of six dimensions."""
    flat = images.astype(jnp.float32).reshape(len(images), -1) / 255.0
    return params * flat[:, :6]


def feature_network(is_random: bool = False) -> FeatureNetwork:
    return FeatureNetwork(first_pixels, 2.0, "clean", "0" * 64, is_random)
