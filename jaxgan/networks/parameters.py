"""A module's parameters, without tracing how they start where they are there."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
from flax.errors import ScopeParamShapeError

from jaxgan.networks.initializers import Initializer


def parameter(
    module: nn.Module, name: str, init: Initializer, shape: tuple[int, ...]
) -> Any:
    """`module.param(name, init, shape)`.

    Flax traces the initialiser anew in every application, to compare shapes: up to a
    tenth of what a training step takes to trace.

    Args:
      module: whose parameter it is.
      name: of the parameter.
      init: its initialiser.
      shape: of the parameter.

    Raises:
      ScopeParamShapeError: if there is a parameter of another shape.
    """
    if not module.has_variable("params", name):
        return module.param(name, init, shape)
    value = module.get_variable("params", name)
    if value.shape != shape:
        raise ScopeParamShapeError(name, "/".join(module.path), value.shape, shape)
    return value
