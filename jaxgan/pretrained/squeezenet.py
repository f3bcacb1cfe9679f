"""SqueezeNet 1.1 in torchvision's structure, the trunk of LPIPS-squeeze."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from jaxgan.core.update import at_least_float32
from jaxgan.pretrained.layers import ceil_max_pool, check_taps

_FIRES = {  # channels of the squeeze, of each of the two expansions
    "fire2": (16, 64),
    "fire3": (16, 64),
    "fire4": (32, 128),
    "fire5": (32, 128),
    "fire6": (48, 192),
    "fire7": (48, 192),
    "fire8": (64, 256),
    "fire9": (64, 256),
}
LAYERS = tuple(
    "conv1 relu1 pool1 fire2 fire3 pool3 fire4 fire5 pool5 fire6 fire7 fire8 "
    "fire9".split()
)
LPIPS_TAPS = ("relu1", "fire3", "fire5", "fire6", "fire7", "fire8", "fire9")
TORCH_MODULES: Mapping[str, str] = MappingProxyType(
    {
        "features.0": "conv1",
        "features.3": "fire2",
        "features.4": "fire3",
        "features.6": "fire4",
        "features.7": "fire5",
        "features.9": "fire6",
        "features.10": "fire7",
        "features.11": "fire8",
        "features.12": "fire9",
    }
)


class Fire(nn.Module):
    """1x1 squeeze, then 1x1 and 3x3 expansions side by side, ReLU after each."""

    squeeze: int
    expand: int
    dtype: Any = None
    precision: jax.lax.Precision | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w f"]:
        options = {"dtype": self.dtype, "precision": self.precision}
        x = nn.relu(nn.Conv(self.squeeze, (1, 1), name="squeeze", **options)(x))
        one = nn.Conv(self.expand, (1, 1), name="expand1x1", **options)(x)
        three = nn.Conv(self.expand, (3, 3), padding=1, name="expand3x3", **options)(x)
        return nn.relu(jnp.concatenate([one, three], axis=-1))


class SqueezeNet(nn.Module):
    """A 3/2 convolution and eight fire modules; max-pools round their sizes up.

    Taps, in order: `LAYERS`. Nothing beyond the last tap is built. 722,496 parameters
    up to `fire9`; the classifier is left out.

    Attributes:
        taps: names of the feature maps to return.
        dtype: compute dtype; None follows the input.
        precision: of the convolutions.

    References:
        Iandola et al., SqueezeNet, 2016; version 1.1 of the authors, as torchvision
        builds it.
    """

    taps: tuple[str, ...] = LPIPS_TAPS
    dtype: Any = None
    precision: jax.lax.Precision | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w 3"]) -> dict[str, Float[Array, "b ..."]]:
        """Maps normalised pictures to `{tap: float32 features}`.

        Raises:
            UserError: unknown tap.
        """
        options = {"dtype": self.dtype, "precision": self.precision}
        features = {}
        for name in LAYERS[: check_taps(self.taps, LAYERS, "SqueezeNet")]:
            if name == "conv1":
                x = nn.Conv(64, (3, 3), 2, padding=0, name=name, **options)(x)
            elif name == "relu1":
                x = nn.relu(x)
            elif name.startswith("pool"):
                x = ceil_max_pool(x, 3, 2)
            else:
                x = Fire(*_FIRES[name], **options, name=name)(x)
            if name in self.taps:
                features[name] = at_least_float32(x)
        return features
