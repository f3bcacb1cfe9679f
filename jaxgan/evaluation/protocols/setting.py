"""What a protocol is given, and how it walks over a data set."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.core import Mode, System
from jaxgan.core.errors import UserError
from jaxgan.data import Task

STATIC_KEY = 20_161_122  # protocols draw from a key of their own, whatever the run's


@dataclasses.dataclass(frozen=True)
class Setting:
    """A trained system and the data that it is judged on.

    Attributes:
      system: the system.
      variables: `{network: variables}`.
      frozen: pretrained networks.
      config: the run's resolved config.
      data: `data(split) -> Task`.
      split: the split to judge on.
    """

    system: System
    variables: Mapping[str, Any]
    frozen: Mapping[str, Any]
    config: Mapping[str, Any]
    data: Callable[[str], Task]
    split: str = "test"

    @property
    def options(self) -> Mapping[str, Any]:
        """The config's section `evaluation`."""
        return self.config["evaluation"]

    @property
    def batch_size(self) -> int:
        """Images that are processed together; never changes a figure."""
        return int(self.options.get("batch_size") or 16)

    @functools.cached_property
    def key(self) -> jax.Array:
        return jax.random.key(STATIC_KEY)

    def count(self, task: Task) -> int:
        """How many examples of a task are used: `evaluation.num_examples`, or all."""
        limit = self.options.get("num_examples")
        return min(int(limit), task.num_examples) if limit else task.num_examples

    def batches(
        self, task: Task, count: int | None = None
    ) -> Iterator[tuple[dict[str, jax.Array], np.ndarray]]:
        """The task's examples in order, all batches of one size.

        Yields:
          A preprocessed batch, and `weight [b]`: 0 for rows that pad the last batch.
        """
        count = self.count(task) if count is None else count
        if not count:
            raise UserError(f"the {task.split} split is empty: nothing to evaluate on")
        prepare = jax.jit(task.preprocess)
        for start in range(0, count, self.batch_size):
            rows = np.arange(start, start + self.batch_size)
            raw = task.examples(np.minimum(rows, count - 1))
            key = jax.random.fold_in(self.key, start)
            yield prepare(raw, key), (rows < count).astype(np.float32)

    def run(self, mode: str, **static: Any) -> Callable[..., dict[str, jax.Array]]:
        """A mode, compiled: `run(inputs, key) -> outputs`.

        Args:
          mode: a name in `system.inference`.
          **static: values of `Int` and `Choice` inputs; defaults where not given.
        """
        declared: Mode = self.system.inference[mode]
        for name, spec in declared.inputs.items():
            if hasattr(spec, "default"):
                static.setdefault(name, spec.default)
        variables = {n: self.variables[n] for n in declared.networks}

        @jax.jit
        def call(variables, frozen, arrays, key):
            return declared.fn(variables, frozen, {**static, **arrays}, key)

        return lambda arrays, key: call(variables, self.frozen, arrays, key)


def mean_image(setting: Setting, field: str, limit: int = 1000) -> jax.Array:
    """The mean training image `[1, h, w, c]`: what predicts without looking."""
    task = setting.data("train")
    total, seen = jnp.zeros(()), 0.0
    for batch, weight in setting.batches(task, min(limit, task.num_examples)):
        weight = jnp.asarray(weight)
        total += jnp.einsum("b...,b->...", batch[field], weight)
        seen += float(weight.sum())
    return (total / seen)[None]
