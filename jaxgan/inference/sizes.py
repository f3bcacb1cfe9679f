"""Sizes that fully convolutional networks take: few of them, so few compilations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Shaped

Extent = tuple[int, int]  # height, width


def round_up(extent: Sequence[int], multiple: int) -> Extent:
    """The least multiples that hold `extent`."""
    height, width = (-(-n // multiple) * multiple for n in extent)
    return height, width


def common_multiple(extents: Iterable[Sequence[int]], multiple: int, limit: int) -> int:
    """The least doubling of `multiple` by which `extents` round to `limit` sizes.

    Args:
      extents: sizes of all pictures.
      multiple: what the network needs.
      limit: how many different sizes may remain, at least 1.
    """
    extents = set(map(tuple, extents))
    while len({round_up(e, multiple) for e in extents}) > limit:
        multiple *= 2
    return multiple


def pad(
    picture: Shaped[np.ndarray, "*n h w c"], extent: Sequence[int]
) -> Shaped[np.ndarray, "*n _ _ c"]:
    """Mirrors pictures at the bottom and at the right up to `extent`.

    As `ops.pad_to_multiple` does on the device; here also where a picture is smaller
    than its margin, which is then mirrored again.
    """
    height, width = picture.shape[-3:-1]
    margin = ((0, extent[0] - height), (0, extent[1] - width), (0, 0))
    lead = ((0, 0),) * (picture.ndim - 3)
    return np.pad(picture, lead + margin, mode="reflect")
