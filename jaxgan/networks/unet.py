"""The U-Net generator of pix2pix (Isola et al., 2017, appendix 6.1.1)."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgan.core.types import Image
from jaxgan.networks.layers import Conv, ConvTranspose, leaky_relu
from jaxgan.networks.norms import Norm, bias_before


def depth_of(size: int, num_downs: int = 0) -> int:
    """How often a U-Net halves an image: `num_downs`, or, if that is 0, down to 1x1."""
    return num_downs or max(size.bit_length() - 1, 1)


class UNet(nn.Module):
    """Encoder and decoder of stride-2 4x4 convolutions with skip connections.

    `unet_256`: e64 e128 e256 e512 e512 e512 e512 e512, d512 d512 d512 d512 d256 d128
    d64 d-out. Both sides must be multiples of `2 ** num_downs`. The first and the
    innermost encoder layers have no norm; the last layer is linear with a bias, then
    tanh.

    Attributes:
      out_channels: channels of the result.
      num_downs: how often the size is halved: 8 at 256 px, 7 at 128 px.
      base_channels: the references' `ngf`; layers have at most 8 times as many.
      norm: `batch` (no bias before it), `instance`, `instance_affine`, `none`.
      norm_groups: groups of batch statistics; 0 gives each example its own.
      dropout_layers: decoder layers, counted from 1 at the innermost, whose output is
        dropped with p = 0.5. The PyTorch reference drops 2 to num_downs - 4, the
        paper's Lua code 1 to 3.
      skips: False is the encoder-decoder of the paper's ablation.
      dtype: compute dtype.
    """

    out_channels: int = 3
    num_downs: int = 8
    base_channels: int = 64
    norm: str = "batch"
    norm_groups: int = 1
    dropout_layers: tuple[int, ...] = (2, 3, 4)
    skips: bool = True
    dtype: Any = None

    @nn.compact
    def __call__(
        self, x: Image, *, train: bool, dropout: bool | None = None
    ) -> Float[Array, "b h w f"]:
        """Maps `[b, h, w, c]` in [-1, 1] to `[b, h, w, out_channels]` in [-1, 1].

        Args:
          x: images.
          train: use the batch's statistics and update the running ones.
          dropout: draw dropout masks (needs a `dropout` key); None follows `train`.
        """
        side = 2**self.num_downs
        if x.shape[1] % side or x.shape[2] % side:
            raise ValueError(f"UNet({self.num_downs=}) takes multiples of {side}")
        dropout = train if dropout is None else dropout
        bias = bias_before(self.norm)
        depth = self.num_downs
        channels = [self.base_channels * min(2**i, 8) for i in range(depth)]

        skips = []
        for i in range(depth):
            y = x if i == 0 else leaky_relu(x)
            x = Conv(
                channels[i],
                4,
                2,
                1,
                use_bias=bias,
                dtype=self.dtype,
                name=f"down{i + 1}",
            )(y)
            if 0 < i < depth - 1:
                norm = Norm(self.norm, self.norm_groups, name=f"down{i + 1}_norm")
                x = norm(x, train=train)
            skips.append(x)

        skips.pop()
        for i in range(1, depth):
            x = ConvTranspose(
                channels[depth - 1 - i], use_bias=bias, dtype=self.dtype, name=f"up{i}"
            )(jax.nn.relu(x))
            x = Norm(self.norm, self.norm_groups, name=f"up{i}_norm")(x, train=train)
            if i in self.dropout_layers:
                x = nn.Dropout(0.5)(x, deterministic=not dropout)
            if self.skips:
                x = jnp.concatenate([skips.pop(), x], axis=-1)
        x = ConvTranspose(self.out_channels, dtype=self.dtype, name=f"up{depth}")(
            jax.nn.relu(x)
        )
        return jnp.tanh(x.astype(jnp.promote_types(x.dtype, jnp.float32)))
