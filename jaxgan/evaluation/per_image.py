"""Accumulator of metrics that are means over images (PSNR, SSIM, L1, ...).

The values themselves are kept (a few bytes an image), so the mean is exact and does not
depend on how images were grouped into batches or in which order those arrived, and a
confidence interval can be drawn from them (`bootstrap.py`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Shaped

from jaxgan.evaluation.images import AnyArray


@dataclass(frozen=True)
class PerImage:
    """Values of every image seen: {metric: float64 [n]}."""

    values: Mapping[str, Float[np.ndarray, " n"]] = field(default_factory=dict)


def update(
    acc: PerImage,
    values: Mapping[str, Shaped[AnyArray, " b"]],
    weight: Shaped[AnyArray, " b"] | None = None,
) -> PerImage:
    """Adds one batch.

    Args:
        acc: what was accumulated so far; `PerImage()` at the start.
        values: {metric: one value an image}.
        weight: 1 for images that count, 0 for padding; None counts all.
    """
    batch = {name: np.asarray(value, np.float64) for name, value in values.items()}
    if weight is not None:
        keep = np.asarray(weight) > 0
        batch = {name: value[keep] for name, value in batch.items()}
    return merge(acc, PerImage(batch))


def merge(a: PerImage, b: PerImage) -> PerImage:
    """The union of two accumulators, the images of `a` first."""
    empty = np.zeros((0,))
    names = dict.fromkeys((*a.values, *b.values))
    return PerImage(
        {
            name: np.concatenate([a.values.get(name, empty), b.values.get(name, empty)])
            for name in names
        }
    )


def result(acc: PerImage) -> dict[str, float]:
    """Means over images.

    Returns:
        `{metric: mean, metric/num_samples: n}`. Positive infinities (the PSNR of
        identical images) are left out of the mean and counted under
        `metric/num_infinite`, a key that is only there when one was seen; if every
        value is infinite so is the mean. NaN makes the mean NaN.
    """
    row: dict[str, float] = {}
    for name, values in acc.values.items():
        kept = values[~np.isposinf(values)]
        if len(kept):
            # fsum is exactly rounded: the order of the images cannot matter.
            row[name] = math.fsum(kept) / len(kept)
        else:
            row[name] = math.inf if len(values) else math.nan
        row[f"{name}/num_samples"] = len(values)
        if len(kept) < len(values):
            row[f"{name}/num_infinite"] = len(values) - len(kept)
    return row
