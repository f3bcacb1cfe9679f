"""Networks under their names, and what one application of a network is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax.linen as nn

from jaxgan.core import placement
from jaxgan.core.remat import rematerialized
from jaxgan.core.types import Key, Params


def named(**networks: nn.Module) -> dict[str, nn.Module]:
    """The same modules, each under its own name; for `System.networks`.

    Flax opens a scope by the name of a module that it applies, so a profile and the
    operations of a compiled program tell two networks of one class apart. Parameters
    do not depend on it.
    """
    return {name: module.clone(name=name) for name, module in networks.items()}


def forward(
    module: nn.Module,
    params: Params,
    stats: Params,
    *inputs: Any,
    key: Key | None = None,
    remat: str = "none",
    **options: Any,
) -> tuple[Any, Params]:
    """Applies a network and returns its outputs and its new collections.

    Parameters that lie split over devices are gathered here.

    Args:
      module: the network.
      params: its parameters.
      stats: its other collections; returned as they came where nothing changes them.
      *inputs: positional arguments of the network.
      key: the dropout key, if the network draws any.
      remat: what a backward pass computes again, see `rematerialized`.
      **options: keyword arguments of the network, such as `train=True`.
    """
    rngs = None if key is None else {"dropout": key}

    def apply(params: Params, stats: Params, *inputs: Any) -> tuple[Any, Params]:
        variables = {"params": params, **stats}
        if not stats:
            return module.apply(variables, *inputs, rngs=rngs, **options), stats
        return module.apply(
            variables, *inputs, rngs=rngs, mutable=list(stats), **options
        )

    return rematerialized(apply, remat)(placement.unsplit(params), stats, *inputs)


def predict(
    module: nn.Module,
    variables: Mapping[str, Params],
    *inputs: Any,
    key: Key | None = None,
    remat: str = "none",
    **options: Any,
) -> Any:
    """`forward` for inference: takes a network's variables, returns its outputs only.

    Args: as `forward`; `variables` is `{"params": ..., **other collections}`.
    """
    stats = {name: tree for name, tree in variables.items() if name != "params"}
    params, shared = variables["params"], {"key": key, "remat": remat}
    return forward(module, params, stats, *inputs, **shared, **options)[0]
