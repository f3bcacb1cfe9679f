"""How each system is judged: the papers' protocols, beside trivial baselines."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from jaxgan.core import System, UserError
from jaxgan.data import make_task
from jaxgan.evaluation.protocols import translation
from jaxgan.evaluation.protocols.setting import Setting

PROTOCOLS: dict[str, Callable[[Setting], dict[str, float]]] = {
    "cyclegan": translation.unpaired,
    "pix2pix": translation.paired,
}


def evaluate(
    system: System,
    variables: Mapping[str, Any],
    frozen: Mapping[str, Any],
    config: Mapping[str, Any],
    *,
    split: str = "test",
) -> dict[str, float]:
    """The figures of a system's protocol.

    Args:
      system: the system.
      variables: `{network: variables}`, averaged ones where the system keeps them.
      frozen: its pretrained networks.
      config: the run's resolved config; `evaluation.num_examples` limits the examples.
      split: `test`, `validation` or `train`.

    Raises:
      UserError: if the system has no protocol, or its data is missing.
    """
    name = config["name"]
    if name not in PROTOCOLS:
        known = ", ".join(PROTOCOLS)
        raise UserError(f"no evaluation protocol for {name!r}; there are: {known}")

    @functools.cache
    def data(split: str):
        return make_task(config["data"], split=split, seed=config["seed"])

    return PROTOCOLS[name](Setting(system, variables, frozen, config, data, split))


__all__ = ["PROTOCOLS", "Setting", "evaluate"]
