"""Kolmogorov-Smirnov distance of codes to a uniform prior."""

import numpy as np
from jaxtyping import Float

from jaxgan.evaluation.images import AnyArray
from jaxgan.evaluation.optional import require


def ks_distance(
    z: Float[AnyArray, "n d"], *, low: float = -1.0, high: float = 1.0
) -> Float[np.ndarray, " d"]:
    """Largest gap between each dimension's empirical CDF and that of U[low, high].

    Args:
        z: codes, one row an example.
        low: lower end of the prior.
        high: upper end.

    Returns:
        `[d]` in [0, 1]; 0 would be a perfect match.

    Raises:
        UserError: without SciPy.
    """
    stats = require("scipy.stats", "the KS distance")
    cdf = stats.uniform(low, high - low).cdf
    return np.array(
        [stats.kstest(column, cdf).statistic for column in np.asarray(z, np.float64).T]
    )
