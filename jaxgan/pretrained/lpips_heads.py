"""The linear heads of LPIPS: one weight a channel and tap."""

from collections.abc import Mapping
from types import MappingProxyType

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

CHANNELS: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "alex": (64, 192, 384, 256, 256),
        "vgg": (64, 128, 256, 512, 512),
        "squeeze": (64, 128, 256, 384, 384, 512, 512),
    }
)


class LPIPSHeads(nn.Module):
    """Scales each channel by the root of its weight.

    Squared distances of scaled features are then the weighted distances of LPIPS.
    Published weights are not negative. 1,152 (alex), 1,472 (vgg) or 2,240 (squeeze)
    parameters.
    """

    @nn.compact
    def __call__(
        self, *features: Float[Array, "b _h _w _c"]
    ) -> tuple[Float[Array, "b _h _w _c"], ...]:
        """Maps the normalised taps of a trunk to as many maps of the same shapes."""
        return tuple(
            feature * jnp.sqrt(Head(name=f"lin{i}")(feature.shape[-1]))
            for i, feature in enumerate(features)
        )


class Head(nn.Module):
    """The weights of one tap, kept as the 1x1 convolution that they are in files."""

    @nn.compact
    def __call__(self, channels: int) -> Float[Array, " c"]:
        kernel = self.param("kernel", nn.initializers.ones, (1, 1, channels, 1))
        return kernel[0, 0, :, 0]


def torch_modules(count: int) -> Mapping[str, str]:
    """Returns {module in the files of LPIPS and of StarGAN v2: our module}."""
    return {f"lin{i}.model.1": f"lin{i}" for i in range(count)} | {
        f"lpips_weights.{i}.main.1": f"lin{i}" for i in range(count)
    }
