"""Modes without a network, whose results are known."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxgan import core


def mode(fn: Any, inputs: dict, output: dict, **options: Any) -> core.Mode:
    """A mode that reads no networks; `fn(inputs, key)`."""
    options = {"networks": (), "help": "a toy", **options}
    return core.Mode(
        lambda variables, frozen, given, key: fn(given, key), inputs, output, **options
    )


def enlarge(scale: int = 1, multiple_of: int = 1) -> core.Mode:
    """Repeats every pixel; refuses sizes that it cannot take."""

    def fn(given, key):
        x = given["image"]
        assert x.shape[1] % multiple_of == 0 and x.shape[2] % multiple_of == 0
        x = jnp.repeat(jnp.repeat(x, scale, axis=1), scale, axis=2)
        return {"image": x}

    return mode(
        fn,
        {"image": core.Image(3, multiple_of=multiple_of)},
        {"image": core.Image(3, scale=scale)},
    )


def noise() -> core.Mode:
    """What an example draws, from its key and as its latent."""

    def fn(given, key):
        drawn = jax.random.uniform(key, (given["z"].shape[0],))
        return {"drawn": drawn, "z": given["z"]}

    return mode(
        fn, {"z": core.Latent(4)}, {"drawn": core.Values(), "z": core.Values((4,))}
    )


def labelled() -> core.Mode:
    """The class number of each picture."""
    return mode(
        lambda given, key: {"label": given["label"].astype(jnp.float32)},
        {"image": core.Image(3), "label": core.Labels(5)},
        {"label": core.Values()},
    )


def masked() -> core.Mode:
    """Blackens what is missing."""
    return mode(
        lambda given, key: {
            "image": jnp.where(given["hole"] > 0.5, -1.0, given["image"])
        },
        {"image": core.Image(3), "hole": core.Mask()},
        {"image": core.Image(3)},
    )
