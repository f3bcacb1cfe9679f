"""The whole state of a run, as one pytree."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct

from jaxgan.core.player import Player
from jaxgan.core.types import Key, Params


class TrainState(struct.PyTreeNode):
    """Everything that a step reads and writes; a checkpoint holds exactly this.

    Attributes:
      step: updates of the run so far, over all stages.
      stage_step: updates of the current stage so far; for schedules only.
      params: `{network: parameters}`.
      stats: `{network: its other collections}`, such as `{"batch_stats": ...}`; an
        empty dict for a network without any.
      opt_state: `{player: optimiser state}`.
      ema: `{network: exponential moving average of its parameters}`; a copy at init.
      memory: what the procedure itself remembers: image pools, the last accuracy.
    """

    step: Any  # int32 scalar; Any, as leaves may also be specs or shardings
    stage_step: Any
    params: dict[str, Params]
    stats: dict[str, Params]
    opt_state: dict[str, Any]
    ema: dict[str, Params]
    memory: dict[str, Any]

    def advance(self) -> TrainState:
        """The state after one more step."""
        return self.replace(step=self.step + 1, stage_step=self.stage_step + 1)

    def remember(self, **memory: Any) -> TrainState:
        """The state with these entries of `memory` replaced."""
        return self.replace(memory={**self.memory, **memory})

    def variables(self, ema: bool = True) -> dict[str, dict[str, Params]]:
        """`{network: variables}` as the Modes take them.

        Args:
          ema: use averaged parameters for the networks that keep an average.
        """
        params = {**self.params, **self.ema} if ema else self.params
        return {n: {"params": params[n], **self.stats[n]} for n in self.params}


def fold_name(key: Key, name: str) -> Key:
    """A key of its own for everything that has a name."""
    return jax.random.fold_in(key, zlib.crc32(name.encode(errors="surrogateescape")))


def initialize(
    key: Key,
    networks: Mapping[str, nn.Module],
    examples: Mapping[str, Sequence[Any]],
    optimizers: Mapping[str, Player],
    *,
    ema: Sequence[str] = (),
    memory: Mapping[str, Any] | None = None,
) -> TrainState:
    """Initialises every network under a key of its own name, and every optimiser.

    Args:
      key: the run's initialisation key.
      networks: Linen modules whose `__call__` takes `train: bool` by keyword.
      examples: `{network: positional arguments}` of the right shapes; the values are
        not looked at by the networks of this library.
      optimizers: `{player: Player}`.
      ema: the networks that keep an exponential moving average.
      memory: the start of `TrainState.memory`.
    """
    params, stats = {}, {}
    for name, module in networks.items():
        variables = module.init(fold_name(key, name), *examples[name], train=False)
        variables = {**variables}
        params[name] = variables.pop("params", {})
        stats[name] = variables
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        stage_step=jnp.zeros((), jnp.int32),
        params=params,
        stats=stats,
        opt_state={
            name: player.init({n: params[n] for n in player.networks})
            for name, player in optimizers.items()
        },
        # A donated state must not hold one buffer twice.
        ema={name: jax.tree.map(jnp.copy, params[name]) for name in ema},
        memory=dict(memory or {}),
    )
