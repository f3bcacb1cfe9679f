"""Layers that several frozen networks share, and that Flax does not have."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from jaxgan.core.errors import UserError, one_of


def check_taps(taps: tuple[str, ...], known: tuple[str, ...], network: str) -> int:
    """Returns how many of the `known` layers, which stand in order, must be built.

    Raises:
        UserError: no tap is asked for, or one that the network does not have.
    """
    if not taps:
        raise UserError(f"{network}: name at least one tap, such as {known[-1]!r}")
    return 1 + max(known.index(one_of(tap, known, f"{network} tap")) for tap in taps)


def adaptive_average_pool(
    x: Float[Array, "b h w c"], size: tuple[int, int]
) -> Float[Array, "b i j c"]:
    """Averages `x` over `size` windows that cover it, as torch's AdaptiveAvgPool2d.

    Window i of n over a length l reaches from floor(i l / n) to ceil((i + 1) l / n), so
    windows overlap or repeat pixels where n does not divide l.
    """

    def windows(length: int, n: int) -> np.ndarray:
        matrix = np.zeros((n, length))
        for i in range(n):
            start, stop = i * length // n, -(-(i + 1) * length // n)
            matrix[i, start:stop] = 1.0 / (stop - start)
        return matrix

    if x.shape[1:3] == size:
        return x
    rows = jnp.asarray(windows(x.shape[1], size[0]), x.dtype)
    columns = jnp.asarray(windows(x.shape[2], size[1]), x.dtype)
    return jnp.einsum("ih,bhwc,jw->bijc", rows, x, columns, precision="highest")


def ceil_max_pool(
    x: Float[Array, "b h w c"], window: int, stride: int
) -> Float[Array, "b i j c"]:
    """Max-pools with windows that may reach over the right and lower border.

    The sizes are rounded up (torch's `ceil_mode`, Caffe's default); what lies outside
    counts as minus infinity. No window starts outside the picture.
    """

    def overhang(length: int) -> tuple[int, int]:
        steps = -(-max(length - window, 0) // stride)
        if steps * stride >= length:
            steps -= 1
        return 0, max(steps * stride + window - length, 0)

    padding: Any = (overhang(x.shape[1]), overhang(x.shape[2]))
    return nn.max_pool(x, (window, window), (stride, stride), padding)
