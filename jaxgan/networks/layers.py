"""Convolutions with everything that ports get wrong made visible.

Two and three spatial dimensions share each class; the rank is that of the input.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgan.networks.initializers import Initializer, normal_002
from jaxgan.networks.parameters import parameter
from jaxgan.ops.conv_transpose import conv_transpose
from jaxgan.ops.strided_conv import strided_conv
from jaxgan.ops.upsample_conv import upsample_conv

Padding = int | Sequence[tuple[int, int]]
Activation = Any  # Callable[[Array], Array]; beartype cannot look into jitted functions


def leaky_relu(x: Float[Array, "*shape"], slope: float = 0.2) -> Float[Array, "*shape"]:
    """`x` where positive, `slope * x` elsewhere; the field's default slope is 0.2."""
    return jax.nn.leaky_relu(x, slope)


class Conv(nn.Module):
    """A convolution with explicit padding; kernel `[*window, in, out]`.

    Attributes:
      features: output channels.
      kernel_size: side of the window.
      stride: step in every axis.
      padding: what each side gets: a number for all, or `(low, high)` an axis.
      padding_mode: `zero`, or a mode of `jnp.pad` such as `reflect`. Zeros are folded
        into the convolution.
      use_bias: whether there is a bias.
      kernel_init: initialiser of the kernel.
      bias_init: initialiser of the bias.
      dtype: compute dtype; parameters stay float32.
    """

    features: int
    kernel_size: int = 3
    stride: int = 1
    padding: Padding = 0
    padding_mode: str = "zero"
    use_bias: bool = True
    kernel_init: Initializer = normal_002
    bias_init: Initializer = nn.initializers.zeros
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Float[Array, "b *size c"]) -> Float[Array, "b *out_size f"]:
        rank = x.ndim - 2
        pairs = _pairs(self.padding, rank)
        if self.padding_mode != "zero":
            x = jnp.pad(x, ((0, 0), *pairs, (0, 0)), mode=self.padding_mode)
            pairs = ((0, 0),) * rank
        shape = (self.kernel_size,) * rank + (x.shape[-1], self.features)
        kernel = parameter(self, "kernel", self.kernel_init, shape)
        bias = None
        if self.use_bias:
            bias = parameter(self, "bias", self.bias_init, shape[-1:])
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        y = strided_conv(x, kernel, (self.stride,) * rank, pairs)
        return y if bias is None else y + bias


class ConvTranspose(nn.Module):
    """A transposed convolution as torch counts it; kernel `[*window, out, in]`.

    Output side: `(side - 1) * stride - 2 * padding + kernel_size + output_padding`.
    The kernel is that of the strided convolution whose transpose this is, so torch's
    `(in, out, h, w)` weights import by a transposition without any flip.

    Attributes:
      features: output channels.
      kernel_size: side of the window.
      stride: step of the convolution that is transposed.
      padding: that convolution's padding: a number, or `(low, high)` an axis.
        TensorFlow's `SAME` with kernel 5 and stride 2 is `(1, 2)`.
      output_padding: rows and columns added at the end.
      use_bias: whether there is a bias.
      kernel_init: initialiser of the kernel.
      dtype: compute dtype; parameters stay float32.
    """

    features: int
    kernel_size: int = 4
    stride: int = 2
    padding: Padding = 1
    output_padding: int = 0
    use_bias: bool = True
    kernel_init: Initializer = normal_002
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Float[Array, "b *size c"]) -> Float[Array, "b *out_size f"]:
        rank = x.ndim - 2
        shape = (self.kernel_size,) * rank + (self.features, x.shape[-1])
        kernel = parameter(self, "kernel", self.kernel_init, shape)
        bias, zeros = None, nn.initializers.zeros
        if self.use_bias:
            bias = parameter(self, "bias", zeros, (self.features,))
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        pairs = _pairs(self.padding, rank)
        y = conv_transpose(x, kernel, self.stride, pairs, self.output_padding)
        return y if bias is None else y + bias


class UpsampleConv(nn.Module):
    """Twice the size by nearest neighbours, then a `Conv` that keeps it.

    Parameters are those of the convolution: kernel `[*window, in, out]`.

    Attributes:
      features: output channels.
      kernel_size: side of the window, odd.
      padding_mode: what surrounds the enlarged image: `zero`, or, up to a window of 3,
        `reflect`.
      use_bias: whether there is a bias.
      kernel_init: initialiser of the kernel.
      dtype: compute dtype; parameters stay float32.
    """

    features: int
    kernel_size: int = 3
    padding_mode: str = "zero"
    use_bias: bool = True
    kernel_init: Initializer = normal_002
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Float[Array, "b *size c"]) -> Float[Array, "b *out_size f"]:
        shape = (self.kernel_size,) * (x.ndim - 2) + (x.shape[-1], self.features)
        kernel = parameter(self, "kernel", self.kernel_init, shape)
        bias, zeros = None, nn.initializers.zeros
        if self.use_bias:
            bias = parameter(self, "bias", zeros, (self.features,))
        # The kernel stays in float32 until its taps are added up.
        x, _, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        y = upsample_conv(x, kernel, self.padding_mode)
        return y if bias is None else y + bias


def _pairs(padding: Padding, rank: int) -> tuple[tuple[int, int], ...]:
    if isinstance(padding, int):
        return ((padding, padding),) * rank
    if len(padding) != rank:
        raise ValueError(f"padding {padding} for {rank} spatial axes")
    return tuple((low, high) for low, high in padding)
