"""Networks of the first GAN (Goodfellow et al., 2014): ReLU, sigmoid and maxout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgan.core.types import Image, Latent
from jaxgan.core.update import at_least_float32
from jaxgan.networks.initializers import Initializer, uniform
from jaxgan.networks.layers import Conv, ConvTranspose
from jaxgan.networks.parameters import parameter

ACTIVATIONS = {"relu": jax.nn.relu, "sigmoid": jax.nn.sigmoid, "linear": lambda x: x}
CONV_WINDOWS = ((8, 4, 4), (8, 3, 4), (5, 3, 2))  # CIFAR's kernels, paddings and pools
LEAST_CONV_SIZE = 4  # of their images: of 3 pixels nothing would reach the last one


def largest_piece(
    x: Float[Array, "*b features"], num_pieces: int
) -> Float[Array, "*b units"]:
    """The maximum over each unit's `num_pieces` neighbouring features."""
    return jnp.max(x.reshape(*x.shape[:-1], -1, num_pieces), axis=-1)


class Maxout(nn.Module):
    """A dense layer and the maximum over each unit's pieces; nothing else.

    Attributes:
      units: outputs.
      num_pieces: linear pieces of a unit.
      kernel_init: initialiser of the kernel.
      dtype: compute dtype.
    """

    units: int
    num_pieces: int = 5
    kernel_init: Initializer = uniform(0.005)
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Float[Array, "b f"]) -> Float[Array, "b units"]:
        features = self.units * self.num_pieces
        dense = nn.Dense(features, kernel_init=self.kernel_init, dtype=self.dtype)
        return largest_piece(dense(x), self.num_pieces)


class MaxoutConv(nn.Module):
    """A convolution, the maximum over pieces, then over windows.

    A last window that hangs over the border pools what is there, as cuda-convnet did.

    Attributes:
      units: output channels.
      kernel_size: side of the convolution's window.
      padding: zeros on each side.
      pool: side of the pooling window.
      pool_stride: its step.
      num_pieces: linear pieces of a unit.
      kernel_init: initialiser of the kernel.
      dtype: compute dtype.
    """

    units: int
    kernel_size: int
    padding: int
    pool: int
    pool_stride: int = 2
    num_pieces: int = 2
    kernel_init: Initializer = uniform(0.005)
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b p q units"]:
        x = Conv(
            self.units * self.num_pieces,
            self.kernel_size,
            padding=self.padding,
            kernel_init=self.kernel_init,
            dtype=self.dtype,
        )(x)
        x = largest_piece(x, self.num_pieces)
        overhang = [(0, self._overhang(side)) for side in x.shape[1:3]]
        window = (1, self.pool, self.pool, 1)
        step = (1, self.pool_stride, self.pool_stride, 1)
        padding = ((0, 0), *overhang, (0, 0))
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, step, padding)

    def _overhang(self, side: int) -> int:
        windows = -(-max(side - self.pool, 0) // self.pool_stride) + 1
        return (windows - 1) * self.pool_stride + self.pool - side


class MLPGenerator(nn.Module):
    """z, dense 1200 ReLU, dense 1200 ReLU, dense 784 sigmoid (MNIST).

    `convolutional` ends instead in one transposed convolution, 5x5 with stride 3, of
    the last hidden layer seen as a map: 10x10x80 becomes 32x32x3, with a bias of its
    own for every output.

    Attributes:
      image_shape: `(h, w, c)` of the result.
      hidden_units: widths of the hidden layers.
      hidden_activations: `relu` or `sigmoid`, one a layer.
      output: `sigmoid`, or `linear`.
      convolutional: see above; h and w must be `3 n + 2`.
      weight_range: weights start in U(-weight_range, weight_range), biases at 0.
      output_weight_range: that of the last layer.
      dtype: compute dtype.
    """

    image_shape: tuple[int, int, int] = (28, 28, 1)
    hidden_units: Sequence[int] = (1200, 1200)
    hidden_activations: Sequence[str] = ("relu", "relu")
    output: str = "sigmoid"
    convolutional: bool = False
    weight_range: float = 0.05
    output_weight_range: float = 0.05
    dtype: Any = None

    @nn.compact
    def __call__(self, z: Latent, *, train: bool) -> Image:
        """Maps `[b, z]` to images `[b, h, w, c]`, in [0, 1] after a sigmoid."""
        del train  # nothing is dropped or normalised
        init = uniform(self.weight_range)
        x = z
        layers = zip(self.hidden_units, self.hidden_activations, strict=True)
        for i, (units, activation) in enumerate(layers):
            dense = nn.Dense(
                units, kernel_init=init, dtype=self.dtype, name=f"hidden{i + 1}"
            )
            x = ACTIVATIONS[activation](dense(x))
        height, width, channels = self.image_shape
        init = uniform(self.output_weight_range)
        if self.convolutional:
            grid = ((height - 2) // 3, (width - 2) // 3)  # (n - 1) * 3 + 5 = 3 n + 2
            x = ConvTranspose(
                channels,
                kernel_size=5,
                stride=3,
                padding=0,
                use_bias=False,
                kernel_init=init,
                dtype=self.dtype,
                name="output",
            )(x.reshape(x.shape[0], *grid, -1))
            zeros = nn.initializers.zeros
            x = x + parameter(self, "output_bias", zeros, self.image_shape)
        else:
            size = height * width * channels
            dense = nn.Dense(size, kernel_init=init, dtype=self.dtype, name="output")
            x = dense(x)
        x = ACTIVATIONS[self.output](at_least_float32(x))
        # Reshaped last: before the activation, XLA would not merge D's two forwards.
        return x.reshape(-1, height, width, channels)


class MaxoutDiscriminator(nn.Module):
    """[three maxout convolutions,] maxout layers, dense 1; dropout before each.

    MNIST: maxout 240x5, maxout 240x5, 1. Dropout keeps a value with the probability
    named and divides it by that, so that nothing changes on average.

    Attributes:
      units: widths of the dense maxout layers.
      num_pieces: their pieces.
      conv_units: widths of the convolutional maxout layers, of 2 pieces each: none, or
        three, 8x8 (padding 4), 8x8 (3) and 5x5 (3), pooled 4/2, 4/2 and 2/2.
      keep_input: kept share of the input of the first layer.
      keep_hidden: kept share of the input of every later layer.
      weight_range: weights start in U(-weight_range, weight_range), biases at 0.
      dtype: compute dtype.
    """

    units: Sequence[int] = (240, 240)
    num_pieces: int = 5
    conv_units: Sequence[int] = ()
    keep_input: float = 0.8
    keep_hidden: float = 0.5
    weight_range: float = 0.005
    dtype: Any = None

    @nn.compact
    def __call__(self, image: Image, *, train: bool) -> Float[Array, " b"]:
        """Maps images `[b, h, w, c]` to logits `[b]`; draws masks where `train`."""
        init = uniform(self.weight_range)
        shared = {"kernel_init": init, "dtype": self.dtype}
        windows = CONV_WINDOWS if self.conv_units else ()
        x, keep = image, self.keep_input
        for i, (units, (kernel, padding, pool)) in enumerate(
            zip(self.conv_units, windows, strict=True)
        ):
            x = nn.Dropout(1 - keep, deterministic=not train)(x)
            layer = MaxoutConv(
                units, kernel, padding, pool, name=f"conv{i + 1}", **shared
            )
            x, keep = layer(x), self.keep_hidden
        x = x.reshape(x.shape[0], -1)
        for i, units in enumerate(self.units):
            x = nn.Dropout(1 - keep, deterministic=not train)(x)
            layer = Maxout(units, self.num_pieces, name=f"maxout{i + 1}", **shared)
            x, keep = layer(x), self.keep_hidden
        x = nn.Dropout(1 - keep, deterministic=not train)(x)
        x = nn.Dense(1, name="head", **shared)(x)
        return at_least_float32(x[:, 0])
