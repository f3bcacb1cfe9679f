"""LPIPS: the learned perceptual distance of Zhang et al. (CVPR 2018), version 0.1."""

import os
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from jaxgan.core.errors import UserError, one_of
from jaxgan.pretrained import alexnet, squeezenet
from jaxgan.pretrained.conventions import Pictures
from jaxgan.pretrained.features import extract
from jaxgan.pretrained.loading import LoadedWeights, load_weights
from jaxgan.pretrained.lpips_heads import LPIPSHeads
from jaxgan.pretrained.vgg import VGG

_EPSILON = 1e-10
_VGG_TAPS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")
_TRUNKS: MappingProxyType[str, tuple[str, type[nn.Module], tuple[str, ...], dict]] = (
    MappingProxyType(
        {
            "alex": ("alexnet", alexnet.AlexNet, alexnet.LPIPS_TAPS, {}),
            "vgg": ("vgg16", VGG, _VGG_TAPS, {"depth": 16}),
            "squeeze": (
                "squeezenet",
                squeezenet.SqueezeNet,
                squeezenet.LPIPS_TAPS,
                {},
            ),
        }
    )
)
Source = str | os.PathLike[str] | None


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class LPIPSWeights:
    """The two files of an LPIPS: a classifier's trunk and the heads."""

    trunk: LoadedWeights
    heads: LoadedWeights


@dataclass(frozen=True)
class LPIPS:
    """Perceptual distance of pictures, in [-1, 1] or uint8, of any but equal size.

    `d(x, y) = sum_l mean_{h,w} sum_c w_lc (f_l(x) - f_l(y))_c^2` with the taps f_l of
    the trunk after ReLU, divided by their length over channels. The size of the
    pictures changes the figure; nothing is resized here.

    Attributes:
        trunk: "alex" (metrics), "vgg" (losses) or "squeeze".
        dtype: compute dtype of the trunk; None follows the input.

    References:
        The Unreasonable Effectiveness of Deep Features as a Perceptual Metric, eq. 1.
    """

    trunk: str = "alex"
    dtype: Any = None

    def network(self) -> nn.Module:
        """Returns the trunk with its taps."""
        one_of(self.trunk, _TRUNKS, "LPIPS trunk")
        _, module, taps, options = _TRUNKS[self.trunk]
        precision = jax.lax.Precision.HIGHEST
        return module(taps=taps, dtype=self.dtype, precision=precision, **options)

    @property
    def files(self) -> tuple[str, str]:
        """Names of its two files in the registry, such as `alexnet`, `lpips_alex`."""
        one_of(self.trunk, _TRUNKS, "LPIPS trunk")
        return _TRUNKS[self.trunk][0], f"lpips_{self.trunk}"

    def load(self, trunk: Source = None, heads: Source = None) -> LPIPSWeights:
        """Loads both files, see `load_weights`.

        Raises:
            UserError: as `load_weights`; a trunk that does not expect torchvision's
                input, for which the heads were not made.
        """
        network = self.network()
        name, heads_name = self.files
        loaded = load_weights(name, trunk, network=network)
        if loaded.convention != "torchvision":
            raise UserError(
                f"LPIPS: {loaded.source} expects the input of {loaded.convention}; the "
                "heads were made for torchvision's weights"
            )
        return LPIPSWeights(loaded, load_weights(heads_name, heads))

    def features(
        self, weights: LPIPSWeights, images: Pictures
    ) -> tuple[Float[Array, "b _h _w _c"], ...]:
        """Returns maps whose squared distances, averaged over places, sum to LPIPS.

        Extract them once a picture when many pairs are compared.
        """
        network = self.network()
        taps = extract(network, weights.trunk, images)
        _, _, names, _ = _TRUNKS[self.trunk]
        units = (unit_length(taps[name]) for name in names)
        heads = jax.lax.stop_gradient(weights.heads.variables)
        scaled: Any = LPIPSHeads().apply(heads, *units)
        return scaled

    def __call__(
        self,
        weights: LPIPSWeights,
        x: Pictures,
        y: Pictures,
    ) -> Float[Array, " b"]:
        """Returns the distance of each pair, at least 0."""
        pairs = zip(self.features(weights, x), self.features(weights, y), strict=True)
        return sum(
            (jnp.square(a - b).sum(-1).mean((1, 2)) for a, b in pairs),
            jnp.zeros(x.shape[0]),
        )

    def mean_pairwise(
        self, weights: LPIPSWeights, images: Pictures
    ) -> Float[Array, ""]:
        """Returns the mean distance over all pairs of k pictures, k at least 2.

        `sum_{i<j} |a_i - a_j|^2 = k sum_i |a_i - mean|^2` needs k passes of the trunk
        instead of one for every pair.
        """
        k = images.shape[0]
        total = jnp.zeros(())
        for a in self.features(weights, images):
            total += k * jnp.square(a - a.mean(0)).sum((0, 3)).mean()
        return total / (k * (k - 1) / 2)


def unit_length(x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    """Divides by the length over channels; finite, with its gradient, at length 0."""
    squared = jnp.square(x).sum(-1, keepdims=True)
    safe = jnp.where(squared > 0, squared, 1.0)
    length = jnp.where(squared > 0, jnp.sqrt(safe), 0.0)
    return x / (length + _EPSILON)
