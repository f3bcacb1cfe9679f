"""The volumetric networks of 3D-GAN (Wu et al., 2016, section 3)."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgan.core.types import Latent, Voxels
from jaxgan.core.update import at_least_float32
from jaxgan.networks.initializers import normal_002
from jaxgan.networks.layers import Conv, ConvTranspose, leaky_relu
from jaxgan.networks.norms import BatchNorm
from jaxgan.networks.parameters import parameter


class VoxelGenerator(nn.Module):
    """z -> 4^3 x 512 -> 8^3 x 256 -> 16^3 x 128 -> 32^3 x 64 -> 64^3 x 1, sigmoid.

    Transposed 4^3 convolutions without bias, batch norm and ReLU between them. The
    first one sees a grid of 1^3, so it is a matrix product; where it makes 2^3 (stride
    2 and padding 1, the published 32^3 variant) only its kernel's inner taps count.

    Attributes:
      channels: of the hidden layers; the result's side is `stem * 2 ** len(channels)`.
      stem: side of the first grid, 4 or 2.
      momentum: share of the old running statistics that an update keeps.
      dtype: compute dtype.
    """

    channels: tuple[int, ...] = (512, 256, 128, 64)
    stem: int = 4
    momentum: float = 0.9
    dtype: Any = None

    @nn.compact
    def __call__(self, z: Latent, *, train: bool) -> Voxels:
        """Maps `[b, z]` to occupancy probabilities `[b, r, r, r, 1]`."""
        shape = (4, 4, 4, self.channels[0], z.shape[-1])
        kernel = parameter(self, "up1_kernel", normal_002, shape)
        if self.stem == 2:
            kernel = kernel[1:3, 1:3, 1:3]
        z, kernel = nn.dtypes.promote_dtype(z, kernel, dtype=self.dtype)
        x = jnp.einsum("bz,dhwcz->bdhwc", z, kernel)
        for i, features in enumerate((*self.channels[1:], 1), start=2):
            norm = BatchNorm(momentum=self.momentum, name=f"up{i - 1}_norm")
            x = jax.nn.relu(norm(x, train=train))
            x = ConvTranspose(
                features, use_bias=False, dtype=self.dtype, name=f"up{i}"
            )(x)
        return jax.nn.sigmoid(at_least_float32(x))


class VoxelDiscriminator(nn.Module):
    """64^3 -> 32^3 x 64 -> 16^3 x 128 -> 8^3 x 256 -> 4^3 x 512 -> logit.

    The generator's mirror: 4^3 convolutions of stride 2 without bias, LeakyReLU 0.2.

    Attributes:
      channels: of the hidden layers.
      norm_first: batch norm after the first layer too, as the re-implementations do;
        DCGAN's rule leaves it out.
      momentum: share of the old running statistics that an update keeps.
      dtype: compute dtype.
    """

    channels: tuple[int, ...] = (64, 128, 256, 512)
    norm_first: bool = True
    momentum: float = 0.9
    dtype: Any = None

    @nn.compact
    def __call__(
        self, x: Voxels, *, train: bool
    ) -> tuple[Float[Array, " b"], list[Float[Array, "b _ _ _ _"]]]:
        """Maps voxels to logits `[b]`, the last layer's one channel dropped, and the
        hidden layers' activations."""
        taps = []
        for i, features in enumerate(self.channels, start=1):
            x = Conv(
                features,
                kernel_size=4,
                stride=2,
                padding=1,
                use_bias=False,
                dtype=self.dtype,
                name=f"conv{i}",
            )(x)
            if i > 1 or self.norm_first:
                norm = BatchNorm(momentum=self.momentum, name=f"conv{i}_norm")
                x = norm(x, train=train)
            x = leaky_relu(x)
            taps.append(x)
        # One output position: a matrix product with the taps that meet the grid.
        side, features = x.shape[1], x.shape[-1]
        kernel = parameter(self, "head_kernel", normal_002, (4, 4, 4, features, 1))
        if side == 2:  # padding 1, stride 2
            kernel = kernel[1:3, 1:3, 1:3]
        elif side != 4:
            raise ValueError(
                f"VoxelDiscriminator ends in a grid of {side}^3, not 4 or 2"
            )
        x, kernel = nn.dtypes.promote_dtype(x, kernel, dtype=self.dtype)
        logits = jnp.einsum("bdhwc,dhwco->bo", x, kernel)[:, 0]
        return at_least_float32(logits), taps


def stem_of(resolution: int, hidden_layers: int) -> int:
    """Side of the first grid of a generator of `resolution`; 4 or 2 are possible."""
    side = resolution / 2**hidden_layers
    return int(side) if side in (2, 4) else 0


def pooling(resolution: int, layers: int) -> tuple[int, ...]:
    """Pooling windows of layers 2 to 4 that leave 2^3 numbers a channel, as the
    paper's {8, 4, 2} do at 64^3."""
    return tuple(max(side // 2, 1) for side in _sides(resolution, layers))


def features_of(resolution: int, channels: tuple[int, ...]) -> int:
    """Length of the pooled feature vector: 7168 for the paper's network.

    Args:
      resolution: side of the voxel grid.
      channels: the discriminator's; 0 for one alone, which has no layer 2.
    """
    layers = len(channels)
    pooled = zip(
        channels[1:4],
        _sides(resolution, layers),
        pooling(resolution, layers),
        strict=True,
    )
    return sum(c * (side // window) ** 3 for c, side, window in pooled)


def _sides(resolution: int, layers: int) -> list[int]:
    """Sides of the grids after layers 2 to 4, as many as there are."""
    return [resolution // 2**layer for layer in range(2, min(layers, 4) + 1)]
