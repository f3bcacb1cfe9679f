"""Features of pictures under frozen networks, for losses and metrics."""

from dataclasses import dataclass
from typing import Any

import jax
from flax import linen as nn
from jaxtyping import Array, Float

from jaxgan.core.remat import rematerialized
from jaxgan.pretrained.conventions import Pictures, normalize
from jaxgan.pretrained.loading import LoadedWeights


def extract(
    network: nn.Module,
    weights: LoadedWeights,
    images: Pictures,
    remat: str = "none",
) -> dict[str, Float[Array, "b ..."]]:
    """Returns the taps of a frozen network for RGB pictures.

    Differentiable in the pictures; the weights never receive a gradient. Wrap targets
    in `jax.lax.stop_gradient` where they depend on what is trained.

    Args:
        network: such as `VGG(depth=19, taps=("relu5_4",))`.
        weights: from `load_weights`, an argument of the compiled function rather than
            a captured constant, which would be copied into the program.
        images: in [-1, 1], or uint8; mapped to the input that the weights expect.
        remat: what a gradient computes again, see `jaxgan.core.rematerialized`.

    Returns:
        {tap: features}, float32.
    """
    variables = jax.lax.stop_gradient(weights.variables)
    apply = rematerialized(network.apply, remat)
    features: Any = apply(variables, normalize(images, weights.convention))
    return features


@dataclass(frozen=True)
class Tap:
    """One tap as a plain function of weights and pictures, for metrics.

    Hashable: equal taps of equal networks share one compiled function.

    Attributes:
        network: the network that computes it.
        name: of the tap, such as "pool3".
    """

    network: nn.Module
    name: str

    def __call__(
        self, weights: LoadedWeights, images: Pictures
    ) -> Float[Array, "b ..."]:
        """Returns the features of pictures in [-1, 1], or uint8."""
        return extract(self.network, weights, images)[self.name]
