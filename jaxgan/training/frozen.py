"""The pretrained networks that a system reads and never trains."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from jaxgan.core.errors import UserError, did_you_mean
from jaxgan.core.system import System
from jaxgan.pretrained import loading
from jaxgan.pretrained.registry import NETWORKS


def load_frozen(
    system: System, sources: Mapping[str, str | None], stages: Collection[str]
) -> dict[str, Any]:
    """Loads what the named stages and inference need.

    Args:
      system: whose `pretrained()` says what it needs.
      sources: the config's section `pretrained`: `{name: file, "random" or None}`; a
        known network that the system does not use, as it is configured, is left out.
      stages: names of the stages that will run; a network that only other stages need
        is left out.

    Returns:
      `{name: weights}`, as the system's steps and modes take them.

    Raises:
      UserError: for a name the system does not know, and if a file is missing, damaged,
        of another layout or of another input convention than the system states.
    """
    needed = system.pretrained()
    known = {*needed, *NETWORKS}
    for name in sources:
        if name not in known:
            raise UserError(
                f"unknown config key 'pretrained.{name}'{did_you_mean(name, known)}; "
                f"known: {', '.join(sorted(known))}"
            )
    return {
        name: loading.load_weights(
            entry.network,
            sources.get(name),
            network=entry.module,
            convention=entry.convention,
        )
        for name, entry in needed.items()
        if not entry.stages or set(entry.stages) & set(stages)
    }


def hashes(frozen: Mapping[str, Any]) -> dict[str, str]:
    """`{name: sha256}` of the published files; "random" for random weights."""
    return {
        name: weights.sha256
        for name, weights in frozen.items()
        if isinstance(weights, loading.LoadedWeights)
    }
