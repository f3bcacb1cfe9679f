"""Between two sets of parameters."""

from collections.abc import Mapping
from typing import Any

import jax


def interpolate_weights(
    one: Mapping[str, Any], other: Mapping[str, Any], alpha: float
) -> dict[str, Any]:
    """`(1 - alpha) * one + alpha * other`, for variables of the same networks.

    Of use where the second run started from the first: between an SRResNet and the
    SRGAN made of it, 0 is as exact as the one and 1 as sharp as the other.

    Args:
      one: `{network: variables}`, as `jaxgan.load` returns them.
      other: the same networks' of another run.
      alpha: in [0, 1].
    """
    return jax.tree.map(
        lambda a, b: (1.0 - alpha) * a + alpha * b, dict(one), dict(other)
    )
