"""Sizes that fully convolutional networks take: few of them, so few compilations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Shaped

Extent = tuple[int, int]  # height, width
GROWTHS = (1.05, 1.15, 1.3)  # of a picture's area by padding, tried in turn


def round_up(extent: Sequence[int], multiple: int) -> Extent:
    """The least multiples that hold `extent`."""
    height, width = (-(-n // multiple) * multiple for n in extent)
    return height, width


def merge(
    extents: Iterable[Sequence[int]], multiple: int, limit: int
) -> dict[Extent, Extent]:
    """Sizes to pad to, so that few programs are compiled and little is added.

    Where more than `limit` sizes remain, those of like size and shape become one, as
    long as it has at most `GROWTHS[-1]` times the area of each; no more than is needed.

    Args:
      extents: sizes of all pictures.
      multiple: what the network needs.
      limit: how many different sizes may remain if that suffices, at least 1.

    Returns:
      `{size: padded size}`.
    """
    rounded = {e: round_up(e, multiple) for e in map(tuple, extents)}
    exact = sorted(set(rounded.values()), key=lambda e: (-e[0] * e[1], e))
    merged = {e: e for e in exact}
    for growth in GROWTHS:
        if len(set(merged.values())) <= limit:
            break
        merged = _merge(exact, growth)
    return {(h, w): merged[e] for (h, w), e in rounded.items()}


def _merge(extents: Sequence[Extent], growth: float) -> dict[Extent, Extent]:
    """Greedily, from the largest to the smallest: each joins where the least is added,
    or begins a size of its own."""
    groups: list[tuple[Extent, list[Extent]]] = []
    for height, width in extents:
        joint = [(max(height, h), max(width, w)) for (h, w), _ in groups]
        areas = [h * w for h, w in joint]
        best = min(range(len(areas)), key=areas.__getitem__, default=0)
        if areas and areas[best] <= growth * height * width:
            groups[best] = (joint[best], [*groups[best][1], (height, width)])
        else:
            groups.append(((height, width), [(height, width)]))
    return {member: bound for bound, members in groups for member in members}


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
