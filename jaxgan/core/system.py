"""What every system offers. Interface without code: systems are frozen dataclasses."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias, runtime_checkable

import flax.linen as nn
import jax

from jaxgan.core.errors import UserError
from jaxgan.core.mode import Mode
from jaxgan.core.player import Player
from jaxgan.core.state import TrainState
from jaxgan.core.types import Batch, Key, Metrics, Params

Frozen: TypeAlias = Mapping[str, Params]  # {pretrained network: parameters}


@dataclasses.dataclass(frozen=True)
class ArraySpec:
    """One field of a batch, without its batch axis.

    Attributes:
      shape: sizes; None is any.
      dtype: `float32` for everything continuous, `int32` for labels.
      low: least value; None is unbounded.
      high: greatest value.
    """

    shape: tuple[int | None, ...]
    dtype: str = "float32"
    low: float | None = -1.0
    high: float | None = 1.0


@dataclasses.dataclass(frozen=True)
class Stage:
    """A part of the training procedure with its own step.

    Attributes:
      name: as in the paper.
      step: `step(state, frozen, batch, key) -> (state, metrics)`: all updates of one
        period, pure and jittable, the same metric keys every time.
      num_steps: its published length, in steps; the configs set it.
      batch_spec: `{field: ArraySpec}` of the batch it takes.
      players: who moves in it.
      enter: `enter(state, frozen, calibration, key) -> state` at hand-over, if the
        procedure changes anything there; `calibration` is the stage's first batch.
      continues: the stage whose networks it goes on from, if any: a run that begins
        with this one takes them from another run.
      watch: `watch(step, metrics)` of a logged step, on the host: advice for the user,
        or None. The same words are said once.
    """

    name: str
    step: Callable[[TrainState, Frozen, Batch, Key], tuple[TrainState, Metrics]]
    num_steps: int
    batch_spec: Mapping[str, ArraySpec]
    players: tuple[str, ...]
    enter: Callable[[TrainState, Frozen, Batch, Key], TrainState] | None = None
    continues: str | None = None
    watch: Callable[[int, Mapping[str, float]], str | None] | None = None


@dataclasses.dataclass(frozen=True)
class Pretrained:
    """A frozen network from outside the run that a system needs.

    Attributes:
      network: its canonical name in `jaxgan.pretrained`, such as `vgg19`.
      module: the Linen module, built as the system uses it, with its key in
        `System.pretrained` as `name`: profiles call it so.
      stages: the stages that need it; empty if only inference does.
      convention: the input that a file expects which does not say so itself; another
        than the file's own is refused.
    """

    network: str
    module: nn.Module
    stages: tuple[str, ...] = ()
    convention: str | None = None


@runtime_checkable
class System(Protocol):
    """A published GAN method; see `jaxgan.systems`.

    Every update's loss is a method `<update>_loss(trained, fixed, *args)` that returns
    `(total, Out)`.
    """

    dtype: str
    microbatches: int
    remat: str

    def networks(self) -> dict[str, nn.Module]:
        """`{network: Linen module}`, under the paper's names spelled out, by
        `core.named`."""
        ...

    def optimizers(self) -> dict[str, Player]:
        """`{player: Player}`; empty for a system that trains nothing."""
        ...

    def pretrained(self) -> dict[str, Pretrained]:
        """The frozen networks, by the names under which `frozen` holds them."""
        ...

    def init(self, key: Key, batch: Batch, frozen: Frozen) -> TrainState:
        """The state before the first step; `batch` is a real one."""
        ...

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The procedure, in order; empty for a system that trains nothing."""
        ...

    @property
    def inference(self) -> Mapping[str, Mode]:
        """Every mode the paper shows."""
        ...

    def sample_grid(
        self, variables: Mapping[str, Any], frozen: Frozen, batch: Batch, key: Key
    ) -> dict[str, Any]:
        """`{column: images [n, h, w, c] in [-1, 1]}` of one batch, to look at."""
        ...


def check_batch(batch: Any, spec: Mapping[str, ArraySpec], where: str) -> None:
    """Holds a batch (arrays or shape structs) against a spec.

    Raises:
      UserError: naming the first field that differs and what was expected.
    """
    for name, want in spec.items():
        if name not in batch:
            raise UserError(
                f"{where}: the batch has no field {name!r} (it has "
                f"{', '.join(sorted(batch)) or 'none'}); check the task in data.task"
            )
        have = jax.eval_shape(lambda x: x, batch[name])
        expected = ", ".join("any" if n is None else str(n) for n in want.shape)
        fits = len(have.shape) == len(want.shape) + 1 and all(
            n is None or n == m for n, m in zip(want.shape, have.shape[1:], strict=True)
        )
        if not fits or str(have.dtype) != want.dtype:
            raise UserError(
                f"{where}: batch field {name!r} is {have.dtype}{list(have.shape)}, "
                f"expected {want.dtype}[batch, {expected}]; set data.image_size, "
                "data.channels or the system's fields so that they agree"
            )
