"""What a backward pass finds in memory, and what it computes again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

REMAT = ("none", "convs", "full")
CONVOLUTION = "convolution"  # what the results of `jaxgan.ops`' convolutions are called
PRODUCTS = ("conv_general_dilated", "dot_general")


def rematerialized(fn: Callable[..., Any], remat: str) -> Callable[..., Any]:
    """The same function; its gradients need less memory and more time.

    Args:
      fn: of arrays, or trees of them.
      remat: `none`, everything is kept for the backward pass; `convs`, the results of
        convolutions and matrix products are, and norms and activations between them
        computed again; `full`, only the arguments are.
    """
    if remat == "none":
        return fn
    return jax.checkpoint(fn, policy=_is_product if remat == "convs" else None)


def _is_product(primitive: Any, *_: Any, **params: Any) -> bool:
    # A convolution with a derivative of its own hides its primitive, but has a name.
    return primitive.name in PRODUCTS or (
        primitive.name == "name" and params["name"] == CONVOLUTION
    )
