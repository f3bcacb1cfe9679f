"""SRResNet, SRGAN's generator, and its VGG-style discriminator (Ledig et al., 2017)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgan.core.types import Image, Key
from jaxgan.core.update import at_least_float32
from jaxgan.networks.initializers import Initializer, he_normal, torch_default
from jaxgan.networks.layers import Conv, UpsampleConv, leaky_relu
from jaxgan.networks.norms import BatchNorm
from jaxgan.networks.parameters import parameter
from jaxgan.ops.pixel_shuffle import pixel_shuffle

SCALES = (2, 4, 8)
UPSAMPLES = ("pixel_shuffle", "resize_conv")
HEADS = ("flatten", "gap")
Order = Literal["depth_to_space", "torch"]


class PReLU(nn.Module):
    """`x` where positive, `slope * x` elsewhere (He et al., 2015).

    Attributes:
      shared: one slope for all channels, torch's default, instead of one for each.
    """

    shared: bool = True

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        shape = () if self.shared else x.shape[-1:]
        slope = parameter(self, "slope", nn.initializers.constant(0.25), shape)
        # In the slope's precision, so that its gradient is summed in float32.
        return jnp.where(x >= 0, x, (x * slope).astype(x.dtype))


class ResidualBlock(nn.Module):
    """conv3, norm, PReLU, conv3, norm, + input; no activation after the sum.

    Attributes: as `SRResNet`.
    """

    prelu_shared: bool = True
    conv_bias: bool = False
    norm_groups: int = 1
    kernel_init: Initializer = he_normal
    dtype: Any = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], *, train: bool
    ) -> Float[Array, "b h w c"]:
        y = x
        for i in (1, 2):
            y = Conv(
                x.shape[-1],
                padding=1,
                use_bias=self.conv_bias,
                kernel_init=self.kernel_init,
                dtype=self.dtype,
                name=f"conv{i}",
            )(y)
            y = _norm(self.norm_groups, f"norm{i}")(y, train=train)
            if i == 1:
                y = PReLU(self.prelu_shared, name="prelu")(y)
        return x + y


class SubPixelUpsample(nn.Module):
    """Twice the size: conv3 to 4 times the channels, pixel shuffle, PReLU.

    Attributes: as `SRResNet`.
    """

    prelu_shared: bool = True
    upsample: str = "pixel_shuffle"
    shuffle_order: Order = "depth_to_space"
    icnr: bool = False
    kernel_init: Initializer = he_normal
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b 2*h 2*w c"]:
        channels = x.shape[-1]
        init, conv = self.kernel_init, {"dtype": self.dtype, "name": "conv"}
        if self.upsample == "resize_conv":
            x = UpsampleConv(channels, kernel_init=init, **conv)(x)
        else:
            if self.icnr:
                init = icnr_init(init, 2, self.shuffle_order)
            x = Conv(4 * channels, padding=1, kernel_init=init, **conv)(x)
            x = pixel_shuffle(x, 2, self.shuffle_order)
        return PReLU(self.prelu_shared, name="prelu")(x)


class SRResNet(nn.Module):
    """c9-64, PReLU, R64 x 16, c3-64, norm, + stem, (c3-256, shuffle, PReLU) x 2, c9-3.

    Fully convolutional. Convolutions pad with zeros; batch norm with epsilon 1e-5 and
    momentum 0.9.

    Attributes:
      scale: side of the result over side of the input: 2, 4 or 8.
      out_channels: channels of the result.
      num_blocks: residual blocks, the paper's B.
      base_channels: the paper's n.
      prelu_shared: one slope a PReLU; False is one a channel.
      conv_bias: keep the biases of convolutions before batch norm.
      upsample: `pixel_shuffle`, or `resize_conv`: nearest neighbour and a convolution,
        which leaves no checkerboard.
      shuffle_order: the channel order of `ops.pixel_shuffle`.
      icnr: start the four sub-pixels of an upsampling equal, against checkerboards.
      out_act: `none`, or `tanh`.
      norm_groups: groups of batch statistics, see `BatchNorm`.
      kernel_init: initialiser of all kernels.
      dtype: compute dtype.

    References: Ledig et al., CVPR 2017, figure 4 and section 2.1.1; Aitken et al.,
    "Checkerboard artifact free sub-pixel convolution", 2017 (`icnr`).
    """

    scale: int = 4
    out_channels: int = 3
    num_blocks: int = 16
    base_channels: int = 64
    prelu_shared: bool = True
    conv_bias: bool = False
    upsample: str = "pixel_shuffle"
    shuffle_order: Order = "depth_to_space"
    icnr: bool = False
    out_act: str = "none"
    norm_groups: int = 1
    kernel_init: Initializer = he_normal
    dtype: Any = None

    @property
    def halo(self) -> int:
        """Low-resolution pixels around a pixel that its result depends on.

        4 of the stem, 2 a block, 1 of the convolution after them, and 3 of the
        upsampling and the head together at any scale.
        """
        return 4 + 2 * self.num_blocks + 1 + 3

    @nn.compact
    def __call__(self, x: Image, *, train: bool) -> Float[Array, "b _h _w f"]:
        """Maps `[b, h, w, c]` in [0, 1] to `[b, scale * h, scale * w, out_channels]`.

        The target range is [-1, 1], which the linear output may leave. float32.
        """
        if self.scale not in SCALES:
            raise ValueError(f"scale {self.scale} is none of {SCALES}")
        wide = {"kernel_size": 9, "padding": 4, "kernel_init": self.kernel_init}
        x = Conv(self.base_channels, dtype=self.dtype, name="stem", **wide)(x)
        x = stem = PReLU(self.prelu_shared, name="stem_prelu")(x)
        for i in range(self.num_blocks):
            x = ResidualBlock(
                self.prelu_shared,
                self.conv_bias,
                self.norm_groups,
                self.kernel_init,
                self.dtype,
                name=f"block{i + 1}",
            )(x, train=train)
        x = Conv(
            self.base_channels,
            padding=1,
            use_bias=self.conv_bias,
            kernel_init=self.kernel_init,
            dtype=self.dtype,
            name="mid",
        )(x)
        x = stem + _norm(self.norm_groups, "mid_norm")(x, train=train)
        for i in range(int(math.log2(self.scale))):
            x = SubPixelUpsample(
                self.prelu_shared,
                self.upsample,
                self.shuffle_order,
                self.icnr,
                self.kernel_init,
                self.dtype,
                name=f"up{i + 1}",
            )(x)
        x = Conv(self.out_channels, dtype=self.dtype, name="head", **wide)(x)
        x = at_least_float32(x)
        return jnp.tanh(x) if self.out_act == "tanh" else x


class SRDiscriminator(nn.Module):
    """64, d64, 128, d128, 256, d256, 512, d512, dense 1024, dense 1; leaky ReLU 0.2.

    3x3 convolutions with one zero on every side, `d` of stride 2; batch norm on all but
    the first. torch's default initialisation of the kernels.

    Attributes:
      base_channels: channels of the first layer.
      dense_units: of the layer before the logit.
      head: `flatten`: built for one image size; `gap`: global average pool, any size.
      conv_bias: keep the biases of convolutions before batch norm.
      norm_groups: groups of batch statistics, see `BatchNorm`.
      dtype: compute dtype.

    References: Ledig et al., CVPR 2017, figure 4. `gap` is leftthomas/SRGAN's head.
    """

    base_channels: int = 64
    dense_units: int = 1024
    head: str = "flatten"
    conv_bias: bool = False
    norm_groups: int = 1
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Image, *, train: bool) -> Float[Array, "b 1"]:
        """Maps images in [-1, 1] to logits, float32."""
        for i in range(8):
            x = Conv(
                self.base_channels * 2 ** (i // 2),
                stride=1 + i % 2,
                padding=1,  # not `SAME`, which pads even sides at their end alone
                use_bias=self.conv_bias or i == 0,
                kernel_init=torch_default,
                dtype=self.dtype,
                name=f"conv{i + 1}",
            )(x)
            if i:
                x = _norm(self.norm_groups, f"conv{i + 1}_norm")(x, train=train)
            x = leaky_relu(x)
        if self.head == "gap":
            x = jnp.mean(at_least_float32(x), axis=(1, 2))
        else:
            x = x.reshape(x.shape[0], -1)
        dense = {"kernel_init": torch_default, "dtype": self.dtype}
        x = leaky_relu(nn.Dense(self.dense_units, name="dense", **dense)(x))
        return at_least_float32(nn.Dense(1, name="head", **dense)(x))


def icnr_init(
    init: Initializer, r: int, order: Order = "depth_to_space"
) -> Initializer:
    """Gives the `r * r` sub-pixels of a channel equal kernels, drawn by `init`.

    What leaves the pixel shuffle is then a nearest-neighbour enlargement.
    """

    def sub_pixel_init(
        key: Key, shape: Sequence[int], dtype: Any = jnp.float32
    ) -> Array:
        channels = shape[-1] // (r * r)
        kernel = init(key, (*shape[:-1], channels), dtype)
        if order == "torch":
            return jnp.repeat(kernel, r * r, axis=-1)
        return jnp.concatenate([kernel] * (r * r), axis=-1)

    return sub_pixel_init


def _norm(groups: int, name: str) -> BatchNorm:
    return BatchNorm(groups=groups, scale_init=nn.initializers.ones, name=name)
