"""Plans of a training run on machines that need not be here, stage by stage."""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxgan.core.errors import UserError
from jaxgan.core.system import System
from jaxgan.core.types import Batch, Key
from jaxgan.planning import peaks, topologies
from jaxgan.planning.estimate import Estimate, estimate
from jaxgan.training import configs, sharding
from jaxgan.training.frozen import load_frozen
from jaxgan.training.programs import Leg, Programs, legs

MakeTask = Callable[..., Any]
USABLE = {  # of a device's memory
    "gpu": 0.75,  # what JAX takes unless XLA_PYTHON_CLIENT_MEM_FRACTION says more
    "tpu": 1.0,  # the compiler refuses what does not fit
    "cpu": 0.9,
}


@dataclasses.dataclass(frozen=True)
class StagePlan:
    """A stage's step on a machine.

    Attributes:
      stage: its name.
      batch_size: global.
      devices: how many there are.
      device_kind: JAX's name of one.
      dtype: compute dtype.
      compile_seconds: on this machine.
      without_data: why the step begins with ready batches and not with raw examples:
        what was said of the config's own data; None if they are here.
      estimate: what one device needs.
      memory_limit: bytes of one device that a program can use; None if not known.
    """

    stage: str
    batch_size: int
    devices: int
    device_kind: str
    dtype: str
    compile_seconds: float
    without_data: str | None
    estimate: Estimate
    memory_limit: int | None

    @property
    def fits(self) -> bool:
        """Whether the step's memory is there; True where the limit is not known."""
        limit = self.memory_limit
        return limit is None or self.estimate.peak_memory <= limit


class TooLarge(Exception):
    """The compiler finds no room for the program in the device's memory."""


@dataclasses.dataclass(frozen=True)
class _Declared:
    """Stands in for a task whose data are not here: a stage's own batches."""

    spec: Mapping[str, Any]
    reason: str

    @staticmethod
    def preprocess(raw: Batch, key: Key) -> Batch:
        return dict(raw)

    @property
    def raw_spec(self) -> Mapping[str, Any]:
        return self.spec


class Planner:
    """Compiles the stages of a config for one topology."""

    def __init__(
        self,
        config: Mapping[str, Any],
        topology: topologies.Topology,
        make_task: MakeTask,
    ):
        """Looks for devices and data; nothing is compiled yet.

        Args:
          config: resolved; `dtype=auto` is the topology's.
          topology: `topologies.prepare`d.
          make_task: of `jaxgan.data`.

        Raises:
          UserError: if the system has no stages, or the topology is not known.
        """
        if config["dtype"] == "auto":
            own = "float32" if topology.platform == "cpu" else "bfloat16"
            config = {**config, "dtype": own}
        self.config, self.topology = config, topology
        self.system: System = configs.build_system(config)
        self.legs = legs(self.system.stages, config["training"]["num_steps"])
        if not self.legs:
            raise UserError(
                f"{config['name']} trains nothing: there is no step to plan"
            )
        self.mesh = sharding.make_mesh(config["devices"], topologies.devices(topology))
        self._make_task = make_task
        self._tasks = [self._task(leg) for leg in self.legs]
        stages = {leg.stage.name for leg in self.legs}
        sources = dict.fromkeys(self.system.pretrained(), "random")
        self._frozen = jax.eval_shape(lambda: load_frozen(self.system, sources, stages))

    def stage(self, number: int, batch_size: int) -> StagePlan:
        """The plan of one stage with a batch of this size.

        Args:
          number: of the stage, from 0.
          batch_size: global.

        Raises:
          UserError: if the devices cannot share the batch.
          TooLarge: if the compiler finds no room.
        """
        parts = self.config["system"].get("microbatches", 1)
        sharding.check_batch_size(batch_size, self.mesh, parts)
        leg, task = self.legs[number], self._tasks[number]
        raws = [self._raw(t, batch_size) for t in self._tasks]
        seed, host = self.config["seed"], self.config["devices"]["host"]
        programs = Programs(self.system, seed, self.mesh, self._frozen, host)
        begun = list(zip(self.legs, self._tasks, raws, strict=True))[: number + 1]
        state = programs.abstract(begun, self._tasks[0], raws[0])
        began = time.perf_counter()
        lowered = programs.lower(leg, task, state, raws[number])
        try:
            compiled = lowered.compile()
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" in str(error) or "Hbm" in str(error):
                raise TooLarge(str(error).strip().splitlines()[0]) from error
            raise
        seconds = time.perf_counter() - began
        kind = self.mesh.devices.flat[0].device_kind
        peak = peaks.find(kind)
        return StagePlan(
            leg.stage.name,
            batch_size,
            self.mesh.size,
            kind,
            self.config["dtype"],
            seconds,
            task.reason if isinstance(task, _Declared) else None,
            estimate(
                compiled,
                state,
                programs.frozen,
                raws[number],
                peak=peak,
                dtype=self.config["dtype"],
                host_size=self.topology.host_size,
            ),
            self.memory_limit(peak),
        )

    def memory_limit(self, peak: peaks.Peak | None) -> int | None:
        """Bytes of one device that a program can use; None if that is not known."""
        share = USABLE[self.topology.platform]
        if self.topology.platform == "cpu":
            return int(share * _host_memory() / self.mesh.size)
        return int(share * 1e9 * peak.memory) if peak and peak.memory else None

    def largest_batch(
        self, number: int, tell: Callable[[str], None] = lambda line: None
    ) -> StagePlan | None:
        """The plan with the largest batch that fits, to within a sixteenth.

        Memory grows nearly in proportion to the batch, so two sizes give a third, until
        one that fits and one that does not are neighbours.

        Args:
          number: of the stage.
          tell: is told of every size that was tried.

        Returns:
          None if not even the smallest batch fits.

        Raises:
          UserError: if the memory of the devices is not known.
        """
        unit = self._unit()
        before: StagePlan | None = None
        best = self._fitting(number, unit, tell)
        size, too_large = unit, None
        while best is not None:
            low = best.batch_size
            if size == low:
                guess = _extrapolated(before, best) or 4 * low
            else:
                guess = (low + size) // 2
            if too_large is not None:
                if too_large - low <= max(unit, low // 16):
                    return best
                guess = min(guess, too_large - unit)
            size = max(guess // unit, low // unit + 1) * unit
            plan = self._fitting(number, size, tell)
            if plan is None:
                too_large = size
            else:
                before, best = best, plan
        return None

    def _fitting(
        self, number: int, size: int, tell: Callable[[str], None]
    ) -> StagePlan | None:
        try:
            plan = self.stage(number, size)
        except TooLarge:
            tell(f"batch {size}: the compiler finds no room")
            return None
        if plan.memory_limit is None:
            raise UserError(f"the memory of {plan.device_kind} is not known")
        used, limit = plan.estimate.peak_memory / 1e9, plan.memory_limit / 1e9
        tell(f"batch {size}: {used:.2f} GB of {limit:.2f} GB a device")
        return plan if plan.fits else None

    def _unit(self) -> int:
        """What a batch size must be a multiple of."""
        fields = [
            getattr(self.system, name, 1) or 1
            for name in ("microbatches", "norm_groups", "pool_groups")
        ]
        return math.lcm(self.mesh.size * int(fields[0]), *map(int, fields[1:]))

    def _task(self, leg: Leg) -> Any:
        data = configs.stage_data(self.config, leg.stage.name)
        try:
            return self._make_task(data, split="train", seed=self.config["seed"])
        except UserError as error:
            side = data.get("image_size")
            side = side if isinstance(side, int) else 64
            spec = {
                name: dataclasses.replace(
                    want, shape=tuple(n or side for n in want.shape)
                )
                for name, want in leg.stage.batch_spec.items()
            }
            return _Declared(spec, str(error))

    def _raw(self, task: Any, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        where = sharding.over_batch(self.mesh)
        return {
            name: jax.ShapeDtypeStruct(
                (batch_size, *spec.shape), jnp.dtype(spec.dtype), sharding=where
            )
            for name, spec in task.raw_spec.items()
        }


def _extrapolated(before: StagePlan | None, now: StagePlan) -> int | None:
    """The batch that would just fit if memory grew on as it did."""
    limit = now.memory_limit
    if before is None or limit is None or now.batch_size == before.batch_size:
        return None
    used, earlier = now.estimate.peak_memory, before.estimate.peak_memory
    slope = (used - earlier) / (now.batch_size - before.batch_size)
    if slope <= 0:
        return None
    return now.batch_size + int((limit - used) / slope)


def _host_memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
