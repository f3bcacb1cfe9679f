"""Batch norm's statistics anew: means over batches of one set of examples.

Running statistics of a discriminator mix real images with generated ones of the last
few dozen steps. Features for a classifier are better normalised as real images are.

References:
    The code of Radford, Metz, Chintala, "Unsupervised Representation Learning with Deep
    Convolutional Generative Adversarial Networks", 2016 (its SVHN classifier).
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Shaped

from jaxgan.core import forward

STATISTICS = "batch_stats"


def estimate(
    network: nn.Module,
    variables: Mapping[str, Any],
    examples: Shaped[np.ndarray, "n ..."],
    batch_size: int,
) -> dict[str, Any]:
    """A network's variables with the mean statistics of whole batches of examples.

    Args:
        network: takes the examples and `train`.
        variables: its own; without batch statistics they come back as they are.
        examples: its only input.
        batch_size: of each batch; what is left over at the end does not count, and
            fewer examples make one batch.
    """
    if not variables.get(STATISTICS):
        return dict(variables)
    others = {k: v for k, v in variables.items() if k not in ("params", STATISTICS)}

    @jax.jit
    def updated(running: Any, batch: Any) -> Any:
        stats = {**others, STATISTICS: running}
        new = forward(network, variables["params"], stats, batch, train=True)[1]
        return new[STATISTICS]

    def filled(value: float) -> Any:
        return jax.tree.map(lambda x: jnp.full_like(x, value), variables[STATISTICS])

    batch_size = min(batch_size, len(examples))
    starts = range(0, len(examples) - batch_size + 1, batch_size)
    sums = None
    for start in starts:
        new = updated(filled(0.0), examples[start : start + batch_size])
        sums = new if sums is None else jax.tree.map(jnp.add, sums, new)
    # An update is keep * old + (1 - keep) * batch; `keep` is the network's own.
    first = examples[:batch_size]
    keep = jax.tree.map(
        jnp.subtract, updated(filled(1.0), first), updated(filled(0.0), first)
    )
    mean = jax.tree.map(lambda x, k: x / (len(starts) * (1.0 - k)), sums, keep)
    return {**variables, STATISTICS: mean}
