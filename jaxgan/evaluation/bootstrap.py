"""Bootstrap confidence interval of a mean over images."""

import numpy as np
from jaxtyping import Float

from jaxgan.core.errors import UserError
from jaxgan.evaluation.images import AnyArray


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
