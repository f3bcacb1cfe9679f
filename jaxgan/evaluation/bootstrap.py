"""Bootstrap confidence intervals of means over images."""

import numpy as np
from jaxtyping import Float

from jaxgan.core.errors import UserError
from jaxgan.evaluation.images import AnyArray
from jaxgan.evaluation.per_image import PerImage


def bootstrap_interval(
    values: Float[AnyArray, " n"],
    *,
    num_resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval of the mean, from resamples of the images with replacement.

    Args:
        values: one an image (`PerImage.values[name]`).
        num_resamples: how often the images are drawn anew.
        confidence: share of resampled means inside the interval.
        seed: of the draws; it goes into the row.

    Returns:
        (low, high).

    Raises:
        UserError: without values.
    """
    values = np.asarray(values, np.float64)
    if not len(values):
        raise UserError("a confidence interval needs the values of at least one image")
    random = np.random.default_rng(seed)
    means = [
        values[random.integers(len(values), size=len(values))].mean()
        for _ in range(num_resamples)
    ]
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(means, (tail, 1.0 - tail))
    return float(low), float(high)


def intervals(acc: PerImage, num_resamples: int, *, seed: int = 0) -> dict[str, float]:
    """95 % intervals of all means of an accumulator.

    Args:
        acc: what was accumulated.
        num_resamples: how often the images are drawn anew; 0 returns nothing.
        seed: of the draws.

    Returns:
        `{metric/low, metric/high, ..., bootstrap/num_resamples, bootstrap/seed}`.
        Positive infinities are left out, as of the mean; a metric that has nothing else
        has no interval.
    """
    if not num_resamples:
        return {}
    row: dict[str, float] = {}
    for name, values in acc.values.items():
        kept = values[~np.isposinf(values)]
        if len(kept):
            low, high = bootstrap_interval(kept, num_resamples=num_resamples, seed=seed)
            row |= {f"{name}/low": low, f"{name}/high": high}
    return row | {"bootstrap/num_resamples": num_resamples, "bootstrap/seed": seed}
