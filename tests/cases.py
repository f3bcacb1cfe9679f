"""The registered systems as tests take them: every variant of every config."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import pathlib
from typing import Any

import jax
import jax.numpy as jnp

from jaxgan import core, systems
from jaxgan.pretrained import load_weights

CONFIGS = pathlib.Path(__file__).parents[1] / "configs"


@functools.cache
def config_module(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, CONFIGS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def variants(name: str) -> tuple[str, ...]:
    return config_module(name).VARIANTS


def build(name: str, variant: str, **changes: Any) -> Any:
    """The system of a config, its lists as tuples."""
    config = config_module(name).get_config(variant)
    fields = {
        k: tuple(v) if isinstance(v, list | tuple) else v
        for k, v in config.system.to_dict().items()
    }
    return dataclasses.replace(systems.get(name)(**fields), **changes)


def batch_size(name: str, variant: str) -> int:
    return config_module(name).get_config(variant).training.batch_size


def random_batch(stage: core.Stage, size: int, seed: int = 0) -> core.types.Batch:
    """Arrays within the ranges that a stage declares."""
    batch = {}
    for i, (name, spec) in enumerate(sorted(stage.batch_spec.items())):
        key = jax.random.fold_in(jax.random.key(seed), i)
        shape = (size, *(n or 32 for n in spec.shape))
        low = -1.0 if spec.low is None else spec.low
        high = 1.0 if spec.high is None else spec.high
        if spec.dtype == "int32":
            batch[name] = jax.random.randint(key, shape, int(low), int(high) + 1)
        else:
            batch[name] = jax.random.uniform(key, shape, jnp.float32, low, high)
    return batch


def random_frozen(system: core.System) -> dict[str, Any]:
    """Pretrained networks with random weights."""
    return {
        name: load_weights(need.network, "random", network=need.module)
        for name, need in system.pretrained().items()
    }


ALL = [(name, variant) for name in systems.SYSTEMS for variant in variants(name)]
TINY = [case for case in ALL if case[1].startswith("tiny")]
ARCHETYPES = [case for case in TINY if case[1] == "tiny"]


def ids(cases: list[tuple[str, str]]) -> list[str]:
    return [":".join(case) for case in cases]
