"""What a compiled step needs of each device: flops, bytes, network, memory."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
from jax.stages import Compiled

from jaxgan.core.state import TrainState
from jaxgan.planning import hlo
from jaxgan.planning.peaks import Peak
from jaxgan.training.sharding import HOST_MEMORY

# Bytes that a device sends for one byte of the result of a collective over n devices,
# each in a ring (Thakur et al., 2005).
_SENT = {
    "all-reduce": lambda n: 2 * (n - 1) / n,
    "all-gather": lambda n: (n - 1) / n,
    "reduce-scatter": lambda n: n - 1,
    "all-to-all": lambda n: (n - 1) / n,
    "collective-permute": lambda n: 1,
}

_WAITING = 2  # batches that lie on the device beside the one in use


@dataclasses.dataclass(frozen=True)
class Estimate:
    """One step on one device.

    Attributes:
      flops: of convolutions and dots, padding left out; None where a loop's length is
        not known.
      accessed: bytes that the program's operations read and write in the device's
        memory, as its compiler counts them; on TPUs with the padding of its layouts.
      sent: bytes over the network, `{kind: (collectives, bytes of results, sent)}`.
      memory: bytes of the device's memory, `{what: bytes}`; their sum is the peak.
      host_memory: bytes of the state that rest in its host's memory between steps.
      seconds: `{"compute", "memory", "network": least seconds}`; empty for a device
        whose data sheet is not known.
    """

    flops: float | None
    accessed: float | None
    sent: Mapping[str, tuple[int, float, float]]
    memory: Mapping[str, int]
    host_memory: int
    seconds: Mapping[str, float]

    @property
    def bytes_sent(self) -> float:
        """Bytes that a device sends over the network, of all kinds together."""
        return sum(out for _, _, out in self.sent.values())

    @property
    def peak_memory(self) -> int:
        """Bytes of the device's memory while the trainer's loop runs."""
        return sum(self.memory.values())

    @property
    def bound(self) -> str | None:
        """Which of `seconds` is the largest."""
        return (
            max(self.seconds, key=lambda k: self.seconds[k]) if self.seconds else None
        )

    @property
    def least_seconds(self) -> float | None:
        """The roofline: a step takes no less, if everything overlaps."""
        return max(self.seconds.values()) if self.seconds else None


def estimate(
    compiled: Compiled,
    state: TrainState,
    frozen: Any,
    raw: Any,
    *,
    peak: Peak | None,
    dtype: str,
    host_size: int,
) -> Estimate:
    """Reads a compiled update.

    Args:
      compiled: of `Programs.lower`.
      state: its state, shapes and places.
      frozen: pretrained networks, likewise.
      raw: the raw batch, likewise.
      peak: of the device; None if that is not known.
      dtype: the step's compute dtype, `bfloat16` or `float32`.
      host_size: how many devices the fast network joins.
    """
    text = compiled.as_text() or ""
    flops, accessed = work(compiled, text)
    sent: dict[str, tuple[int, float, float]] = {}
    outside = False
    for each in hlo.collective_list(text):
        count, size, out = sent.get(each.kind, (0, 0.0, 0.0))
        results = each.times * each.size
        out += _SENT[each.kind](each.group_size) * results
        sent[each.kind] = count + each.times, size + results, out
        outside |= each.group_size > host_size
    memory = _memory(compiled, state, frozen, raw)
    resting = on_one_device(state, on_host=True)
    found = Estimate(flops, accessed, sent, memory, resting, {})
    seconds: dict[str, float] = {}
    if peak is not None and dtype in peak.matmul:
        seconds["compute"] = (flops or 0.0) / (1e12 * peak.matmul[dtype])
        seconds["memory"] = (accessed or 0.0) / (1e12 * peak.bandwidth)
        if rate := peak.outside if outside else peak.network:
            seconds["network"] = found.bytes_sent / (1e9 * rate)
    return dataclasses.replace(found, seconds=seconds)


def work(compiled: Compiled, text: str) -> tuple[float | None, float | None]:
    """`flops` and `accessed` of an `Estimate`; loops' bytes count once.

    Args:
      compiled: a program.
      text: its optimised HLO.
    """
    costs = compiled.cost_analysis() or {}  # None for a GPU that is not here
    try:
        flops = hlo.text_flops(text)
    except ValueError:
        flops = costs.get("flops")
    return flops, costs.get("bytes accessed") if costs else hlo.top_level_bytes(text)


def _memory(
    compiled: Compiled, state: TrainState, frozen: Any, raw: Any
) -> dict[str, int]:
    plan: Any = compiled.memory_analysis()
    batch = on_one_device(raw)
    held = {
        "parameters": on_one_device(state.params),
        "optimiser": on_one_device(state.opt_state),
        "statistics": on_one_device(state.stats),
        "averages": on_one_device(state.ema),
        "pools and the like": on_one_device(state.memory),
        "pretrained": on_one_device(frozen),
    }
    arguments_and_results = (
        plan.argument_size_in_bytes
        + plan.output_size_in_bytes
        - plan.alias_size_in_bytes
    )
    found = held | {
        "batches": (1 + _WAITING) * batch,
        "temporary": plan.temp_size_in_bytes,
        "code": plan.generated_code_size_in_bytes,
        # What layouts pad, and results that take no argument's place.
        "padding and results": max(
            0, arguments_and_results - sum(held.values()) - batch
        ),
    }
    return {name: size for name, size in found.items() if size}


def on_one_device(tree: Any, on_host: bool = False) -> int:
    """Bytes that a device holds of arrays, or of shapes with shardings.

    Args:
      tree: the arrays.
      on_host: count what its host holds for it instead; a CPU's memory is the host's,
        and counts as the device's.
    """

    def rests(s: Any) -> bool:
        own = next(iter(s.device_set)).platform != "cpu"
        return own and s.memory_kind == HOST_MEMORY

    return sum(
        math.prod(x.sharding.shard_shape(x.shape)) * x.dtype.itemsize
        for x in jax.tree.leaves(tree)
        if rests(x.sharding) == on_host
    )
