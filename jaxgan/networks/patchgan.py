"""Patch discriminators (Isola et al., 2017, appendix 6.1.2)."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgan.core.types import Image
from jaxgan.networks.layers import Conv, leaky_relu
from jaxgan.networks.norms import Norm, bias_before


class PatchDiscriminator(nn.Module):
    """C64-C128-C256-C512 for `num_layers` 3: one logit for each 70x70 patch.

    4x4 convolutions with padding 1; the last two have stride 1, so 256 px give 30x30
    logits. Receptive fields for 1 to 5 layers: 16, 34, 70, 142, 286.

    Attributes:
      base_channels: the references' `ndf`; layers have at most 8 times as many.
      num_layers: stride-2 layers.
      norm: `batch`, `instance`, `instance_affine` or `none`; the first layer has none.
      norm_groups: groups of batch statistics; 0 gives each example its own.
      dtype: compute dtype.
    """

    base_channels: int = 64
    num_layers: int = 3
    norm: str = "batch"
    norm_groups: int = 1
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Image, *, train: bool) -> Float[Array, "b p q 1"]:
        """Maps images `[b, h, w, c]` to patch logits, float32."""
        x = Conv(self.base_channels, 4, 2, 1, dtype=self.dtype, name="conv1")(x)
        x = leaky_relu(x)
        for i in range(1, self.num_layers + 1):
            features = self.base_channels * min(2**i, 8)
            x = Conv(
                features,
                kernel_size=4,
                stride=2 if i < self.num_layers else 1,
                padding=1,
                use_bias=bias_before(self.norm),
                dtype=self.dtype,
                name=f"conv{i + 1}",
            )(x)
            norm = Norm(self.norm, self.norm_groups, name=f"conv{i + 1}_norm")
            x = leaky_relu(norm(x, train=train))
        x = Conv(1, 4, 1, 1, dtype=self.dtype, name="head")(x)
        return x.astype(jnp.promote_types(x.dtype, jnp.float32))


class PixelDiscriminator(nn.Module):
    """1x1 convolutions 64-128-1: a logit for each pixel (PixelGAN).

    Attributes: as `PatchDiscriminator`. The reference keeps a bias on the first layer
    always, and on the others only with instance norm.
    """

    base_channels: int = 64
    norm: str = "batch"
    norm_groups: int = 1
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Image, *, train: bool) -> Float[Array, "b h w 1"]:
        """Maps images `[b, h, w, c]` to logits `[b, h, w, 1]`, float32."""
        bias, dtype = bias_before(self.norm), self.dtype
        x = leaky_relu(Conv(self.base_channels, 1, dtype=dtype, name="conv1")(x))
        x = Conv(2 * self.base_channels, 1, use_bias=bias, dtype=dtype, name="conv2")(x)
        norm = Norm(self.norm, self.norm_groups, name="conv2_norm")
        x = leaky_relu(norm(x, train=train))
        x = Conv(1, 1, use_bias=bias, dtype=dtype, name="head")(x)
        return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def least_size(num_layers: int) -> int:
    """Side of the smallest image for which `PatchDiscriminator` has a logit."""
    return 3 * 2**num_layers


def receptive_field(num_layers: int) -> int:
    """Side in pixels of the window that one logit of `PatchDiscriminator` sees."""
    field = 4 + 3  # the two stride-1 layers
    for _ in range(num_layers):
        field = 2 * field + 2  # 4x4, stride 2
    return field


def translation_discriminator(
    kind: str, base_channels: int, num_layers: int, **shared: Any
) -> PatchDiscriminator | PixelDiscriminator:
    """The discriminator that `patch` or `pixel` names; `shared` goes to either."""
    if kind == "patch":
        return PatchDiscriminator(base_channels, num_layers, **shared)
    return PixelDiscriminator(base_channels, **shared)
