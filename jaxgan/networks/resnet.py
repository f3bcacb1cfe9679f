"""The residual generator of Johnson et al. (2016), as CycleGAN uses it."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgan.core.types import Image
from jaxgan.networks.layers import Conv, ConvTranspose, UpsampleConv
from jaxgan.networks.norms import Norm, bias_before


class ResidualBlock(nn.Module):
    """reflect 1, conv3, norm, ReLU, [dropout], reflect 1, conv3, norm, + input.

    No activation after the sum.

    Attributes: as `ResNetGenerator`.
    """

    norm: str = "instance"
    norm_groups: int = 1
    dropout: bool = False
    dtype: Any = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], *, train: bool, dropout: bool
    ) -> Float[Array, "b h w c"]:
        y = x
        for i in (1, 2):
            y = Conv(
                x.shape[-1],
                kernel_size=3,
                padding=1,
                padding_mode="reflect",
                use_bias=bias_before(self.norm),
                dtype=self.dtype,
                name=f"conv{i}",
            )(y)
            y = Norm(self.norm, self.norm_groups, name=f"norm{i}")(y, train=train)
            if i == 1:
                y = jax.nn.relu(y)
                if self.dropout:
                    y = nn.Dropout(0.5)(y, deterministic=not dropout)
        return x + y


class ResNetGenerator(nn.Module):
    """c7s1-64, d128, d256, R256 x 9, u128, u64, c7s1-3 (tanh).

    Both sides must be multiples of 4; fully convolutional. 9 blocks from 256 px on, 6
    at 128 px. The stem, the blocks and the head pad by reflection.

    Attributes:
      out_channels: channels of the result.
      num_blocks: residual blocks.
      base_channels: the references' `ngf`.
      norm: `instance` (no scale, no offset, bias kept), `instance_affine` (the Lua
        code), `batch` (no bias before it) or `none`.
      norm_groups: groups of batch statistics; 0 gives each example its own.
      dropout: p = 0.5 inside the blocks (pix2pix's use of this network).
      upsample: `conv_transpose`, or `resize_conv`: nearest neighbour and a reflected
        3x3 convolution, which leaves no checkerboard.
      dtype: compute dtype.
    """

    out_channels: int = 3
    num_blocks: int = 9
    base_channels: int = 64
    norm: str = "instance"
    norm_groups: int = 1
    dropout: bool = False
    upsample: str = "conv_transpose"
    dtype: Any = None

    @nn.compact
    def __call__(
        self, x: Image, *, train: bool, dropout: bool | None = None
    ) -> Float[Array, "b h w f"]:
        """Maps `[b, h, w, c]` in [-1, 1] to `[b, h, w, out_channels]` in [-1, 1]."""
        if x.shape[1] % 4 or x.shape[2] % 4:
            raise ValueError("ResNetGenerator takes sides that are multiples of 4")
        dropout = train if dropout is None else dropout
        bias = bias_before(self.norm)
        base = self.base_channels
        reflect = {"padding_mode": "reflect", "dtype": self.dtype}

        def norm_relu(x: Array, name: str) -> Array:
            norm = Norm(self.norm, self.norm_groups, name=f"{name}_norm")
            return jax.nn.relu(norm(x, train=train))

        x = Conv(base, 7, padding=3, use_bias=bias, name="stem", **reflect)(x)
        x = norm_relu(x, "stem")
        for i in (1, 2):
            x = Conv(
                base * 2**i, 3, 2, 1, use_bias=bias, dtype=self.dtype, name=f"down{i}"
            )(x)
            x = norm_relu(x, f"down{i}")
        for i in range(self.num_blocks):
            x = ResidualBlock(
                self.norm,
                self.norm_groups,
                dropout=self.dropout,
                dtype=self.dtype,
                name=f"block{i + 1}",
            )(x, train=train, dropout=dropout)
        for i in (1, 2):
            features = base * 2 ** (2 - i)
            if self.upsample == "conv_transpose":
                x = ConvTranspose(
                    features,
                    kernel_size=3,
                    output_padding=1,
                    use_bias=bias,
                    dtype=self.dtype,
                    name=f"up{i}",
                )(x)
            elif self.upsample == "resize_conv":
                x = UpsampleConv(features, use_bias=bias, name=f"up{i}", **reflect)(x)
            else:
                raise ValueError(f"upsample {self.upsample!r}")
            x = norm_relu(x, f"up{i}")
        x = Conv(self.out_channels, 7, padding=3, name="head", **reflect)(x)
        return jnp.tanh(x.astype(jnp.promote_types(x.dtype, jnp.float32)))
