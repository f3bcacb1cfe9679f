"""The registered systems as tests take them: every variant of every config."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import pathlib
from typing import Any

from benchmarks.steps import random_batch as random_batch
from benchmarks.steps import random_frozen as random_frozen
from jaxgan import systems

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


ALL = [(name, variant) for name in systems.SYSTEMS for variant in variants(name)]
TINY = [case for case in ALL if case[1].startswith("tiny")]
ARCHETYPES = [case for case in TINY if case[1] == "tiny"]


def ids(cases: list[tuple[str, str]]) -> list[str]:
    return [":".join(case) for case in cases]
