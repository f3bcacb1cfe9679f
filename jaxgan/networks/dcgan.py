"""DCGAN's networks (Radford et al., 2016), in the lineages that people train.

| | `theano` | `theano_3x3` | `torch` | `tf` |
|---|---|---|---|---|
| kernel | 5 | 3, twice a level | 4 | 5 |
| padding, stride 2 | 2 on all sides | 1 | 1 | `SAME`: 1 before, 2 after |
| biases | no | no | no | yes |
| stem's norm | per unit | per unit | per channel | per channel |
| norm's epsilon | 1e-8 | 1e-8 | 1e-5 | 1e-5 |
| norm's scale at the start | N(1, 0.02) | same | same | 1 |

`theano` is the author's code (faces), `theano_3x3` his ImageNet model, `torch` his
co-author's port, `tf` carpedm20's port, whose networks semantic inpainting loads.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgan.core import checks
from jaxgan.core.types import Image, Labels, Latent
from jaxgan.core.update import at_least_float32
from jaxgan.networks.initializers import (
    Initializer,
    normal_002,
    scale_normal_002,
    truncated_normal_002,
)
from jaxgan.networks.layers import Conv, ConvTranspose, leaky_relu
from jaxgan.networks.norms import BatchNorm

THEANO_EPSILON = 1e-8


class Lineage(NamedTuple):
    """What the ports disagree on.

    Attributes:
      kernel_size: side of the windows, but for torch's stem and head.
      padding: of a stride-2 convolution, `(low, high)`.
      output_padding: of its transpose, so that the size doubles.
      repeats: convolutions of a level; all but the last have stride 1.
      use_bias: of all layers.
      epsilon: of batch norm.
      scale_init: of batch norm.
      conv_init: of the discriminator's convolutions.
      unit_stem: the stem's batch norm sees units, not channels.
      fully_convolutional: stem and head are 4x4 convolutions.
    """

    kernel_size: int
    padding: tuple[int, int]
    output_padding: int
    repeats: int = 1
    use_bias: bool = False
    epsilon: float = THEANO_EPSILON
    scale_init: Initializer = scale_normal_002
    conv_init: Initializer = normal_002
    unit_stem: bool = True
    fully_convolutional: bool = False


LINEAGES = {
    "theano": Lineage(kernel_size=5, padding=(2, 2), output_padding=1),
    "theano_3x3": Lineage(kernel_size=3, padding=(1, 1), output_padding=1, repeats=2),
    "torch": Lineage(
        kernel_size=4,
        padding=(1, 1),
        output_padding=0,
        epsilon=1e-5,
        unit_stem=False,
        fully_convolutional=True,
    ),
    "tf": Lineage(
        kernel_size=5,
        padding=(1, 2),
        output_padding=0,
        use_bias=True,
        epsilon=1e-5,
        scale_init=nn.initializers.ones,
        conv_init=truncated_normal_002,
        unit_stem=False,
    ),
}


def check_size(image_size: int, num_classes: int = 0) -> None:
    """Whether networks of this size can be built.

    Raises:
      UserError: saying which sizes can be.
    """
    if num_classes:
        why, takes = "multiples of 4", lambda side: side % 4 == 0
    else:
        sizes = {4 * 2**n for n in range(1, 12)}
        why, takes = "8, 16, 32, 64, 128, ...", sizes.__contains__
    checks.check_size(image_size, takes, why)


class Layer(NamedTuple):
    """A convolution of the discriminator; the generator transposes it."""

    fan_in: int
    fan_out: int
    stride: int


def layer_table(
    image_size: int,
    channels: int,
    base_channels: int,
    lineage: str,
    max_channels: int = 0,
) -> tuple[Layer, ...]:
    """The discriminator's convolutions, from the image down to 4x4.

    At 64 pixels w, 2w, 4w, 8w. Other sizes `4 * 2**n` have n levels of at most 8w
    channels (an extension; the papers have 64 and 32 pixels), or of `max_channels` if
    that is less and not 0. The generator is their transposes in reverse.
    """
    repeats, layers, fan_in = LINEAGES[lineage].repeats, [], channels
    most = min(8 * base_channels, max_channels or 8 * base_channels)
    for level in range(image_size.bit_length() - 3):
        fan_out = min(base_channels * 2**level, most)
        for i in range(repeats):
            layers.append(Layer(fan_in, fan_out, 2 if i == repeats - 1 else 1))
            fan_in = fan_out
    return tuple(layers)


class DCGANGenerator(nn.Module):
    """z, project to 4x4x8w, up 4w, up 2w, up w, up 3 (tanh); batch norm and ReLU.

    The stem of `theano` numbers its units (row, column, channel), where the author's
    code has (channel, row, column).

    Attributes:
      image_size: side of the result, `4 * 2**n`.
      channels: of the result.
      base_channels: w, the references' `ngf`.
      lineage: one of `LINEAGES`.
      max_channels: of any layer; 0 leaves them at most 8w.
      dtype: compute dtype.
    """

    image_size: int = 64
    channels: int = 3
    base_channels: int = 128
    lineage: str = "theano"
    max_channels: int = 0
    dtype: Any = None

    @nn.compact
    def __call__(
        self,
        z: Float[Array, "b *grid z"],
        *,
        train: bool,
        dropped_maps: Float[Array, "b maps"] | None = None,
    ) -> Image | tuple[Image, Float[Array, "b _h _w maps"]]:
        """Maps latents to images in [-1, 1].

        Args:
          z: `[b, z]`; or `[b, m, n, z]` for `torch`, whose image then has
            `(m + 3) / 4` times the height and `(n + 3) / 4` times the width.
          train: use the batch's statistics and update the running ones.
          dropped_maps: 1 where a map of `filter_layer` is set to zero; if given, all
            maps of that layer before they are dropped are returned beside the images.
        """
        lineage = LINEAGES[self.lineage]
        layers = self._layers()

        def norm_relu(x: Array, name: str) -> Array:
            norm = BatchNorm(
                epsilon=lineage.epsilon, scale_init=lineage.scale_init, name=name
            )
            return jax.nn.relu(norm(x, train=train))

        shared = {"use_bias": lineage.use_bias, "dtype": self.dtype}
        width = layers[0].fan_out
        if lineage.fully_convolutional:
            z = z if z.ndim == 4 else z[:, None, None]
            x = ConvTranspose(width, 4, stride=1, padding=0, name="stem", **shared)(z)
            x = norm_relu(x, "stem_norm")
        else:
            dense = nn.Dense(16 * width, kernel_init=normal_002, name="stem", **shared)
            x, grid = dense(z), (z.shape[0], 4, 4, width)
            if lineage.unit_stem:
                x = norm_relu(x, "stem_norm").reshape(grid)
            else:
                x = norm_relu(x.reshape(grid), "stem_norm")
        maps = None
        for i, layer in enumerate(layers):
            x = ConvTranspose(
                layer.fan_in,
                lineage.kernel_size,
                stride=layer.stride,
                padding=(lineage.padding,) * 2,
                output_padding=lineage.output_padding if layer.stride == 2 else 0,
                name=f"up{i + 1}",
                **shared,
            )(x)
            if i < len(layers) - 1:
                x = norm_relu(x, f"up{i + 1}_norm")
            if i == self.filter_layer and dropped_maps is not None:
                maps = x
                x = x * (1.0 - dropped_maps[:, None, None]).astype(x.dtype)
        image = jnp.tanh(at_least_float32(x))
        return image if maps is None else (image, at_least_float32(maps))

    def _layers(self) -> tuple[Layer, ...]:
        return layer_table(
            self.image_size,
            self.channels,
            self.base_channels,
            self.lineage,
            self.max_channels,
        )[::-1]

    @property
    def filter_layer(self) -> int:
        """The layer whose maps `dropped_maps` drops: the second highest with a ReLU."""
        return max(len(self._layers()) - 3, 0)

    @property
    def num_filter_maps(self) -> int:
        """How many maps that layer has; 0 if no layer but the last makes any."""
        layers = self._layers()
        return layers[self.filter_layer].fan_in if len(layers) > 1 else 0


class DCGANDiscriminator(nn.Module):
    """w, 2w, 4w, 8w, one logit; batch norm on all but the first, leaky ReLU 0.2.

    Attributes: as `DCGANGenerator`; `base_channels` is the references' `ndf`.
    """

    image_size: int = 64
    channels: int = 3
    base_channels: int = 128
    lineage: str = "theano"
    max_channels: int = 0
    dtype: Any = None

    @nn.compact
    def __call__(
        self, image: Image, *, train: bool, features: bool = False
    ) -> Float[Array, " b"] | tuple[Float[Array, "b _h _w _c"], ...]:
        """Maps images in [-1, 1] to logits `[b]`.

        Args:
          image: images of the size that the network was built for.
          train: use the batch's statistics and update the running ones.
          features: return every convolution's activations instead.
        """
        lineage = LINEAGES[self.lineage]
        layers = layer_table(
            self.image_size,
            self.channels,
            self.base_channels,
            self.lineage,
            self.max_channels,
        )
        shared = {"use_bias": lineage.use_bias, "dtype": self.dtype}
        x, activations = image, []
        for i, layer in enumerate(layers):
            x = Conv(
                layer.fan_out,
                lineage.kernel_size,
                layer.stride,
                (lineage.padding,) * 2,
                kernel_init=lineage.conv_init,
                name=f"conv{i + 1}",
                **shared,
            )(x)
            if i:
                x = BatchNorm(
                    epsilon=lineage.epsilon,
                    scale_init=lineage.scale_init,
                    name=f"conv{i + 1}_norm",
                )(x, train=train)
            x = leaky_relu(x)
            activations.append(x)
        if lineage.fully_convolutional:
            x = Conv(1, 4, name="head", **shared)(x)
        else:
            x = x.reshape(x.shape[0], -1)
            x = nn.Dense(1, kernel_init=normal_002, name="head", **shared)(x)
        logits = at_least_float32(x.reshape(x.shape[0]))
        return tuple(activations) if features else logits


class ConditionalGenerator(nn.Module):
    """[z, y], 1024, 7x7x128, up 64, up 1; y joins every layer's input (MNIST).

    Batch norm has neither scale nor offset, layers have no bias. The author's network
    works in [0, 1] and ends in a sigmoid; the result is mapped to [-1, 1].

    Attributes:
      image_size: side of the result, a multiple of 4.
      channels: of the result.
      num_classes: of the labels.
      base_channels: the author's `ngf`.
      dense_units: his `ngfc`.
      dtype: compute dtype.
    """

    image_size: int = 28
    channels: int = 1
    num_classes: int = 10
    base_channels: int = 64
    dense_units: int = 1024
    dtype: Any = None

    @nn.compact
    def __call__(self, z: Latent, labels: Labels, *, train: bool) -> Image:
        """Maps `[b, z]` and labels `[b]` to images in [-1, 1]."""
        y, side = jax.nn.one_hot(labels, self.num_classes), self.image_size // 4
        maps = (z.shape[0], side, side, 2 * self.base_channels)
        x = join_labels(z, y)
        widths = {"dense1": self.dense_units, "dense2": side**2 * maps[3]}
        for name, units in widths.items():
            x = _dense(units, name, self.dtype)(x)
            x = jax.nn.relu(_plain_norm(f"{name}_norm")(x, train=train))
            x = join_labels(x.reshape(maps) if name == "dense2" else x, y)
        up = {"kernel_size": 5, "padding": 2, "output_padding": 1, "use_bias": False}
        x = ConvTranspose(self.base_channels, name="up1", dtype=self.dtype, **up)(x)
        x = jax.nn.relu(_plain_norm("up1_norm")(x, train=train))
        x = join_labels(x, y)
        x = ConvTranspose(self.channels, name="up2", dtype=self.dtype, **up)(x)
        return 2.0 * jax.nn.sigmoid(at_least_float32(x)) - 1.0


class ConditionalDiscriminator(nn.Module):
    """Conv 64, conv 128, dense 1024, one logit; y joins every layer's input (MNIST).

    Attributes: as `ConditionalGenerator`; `base_channels` is the author's `ndf`,
    `dense_units` his `ndfc`. Sees images in [0, 1], as his does.
    """

    num_classes: int = 10
    base_channels: int = 64
    dense_units: int = 1024
    dtype: Any = None

    @nn.compact
    def __call__(
        self, image: Image, labels: Labels, *, train: bool
    ) -> Float[Array, " b"]:
        """Maps images in [-1, 1] and labels `[b]` to logits `[b]`."""
        y = jax.nn.one_hot(labels, self.num_classes)
        x = join_labels((image + 1.0) / 2.0, y)
        for i, features in enumerate((self.base_channels, 2 * self.base_channels)):
            name = f"conv{i + 1}"
            x = Conv(features, 5, 2, 2, use_bias=False, dtype=self.dtype, name=name)(x)
            if i:
                x = _plain_norm("conv2_norm")(x, train=train)
            x = leaky_relu(x)
            x = join_labels(x.reshape(x.shape[0], -1) if i else x, y)
        x = _dense(self.dense_units, "dense", self.dtype)(x)
        x = leaky_relu(_plain_norm("dense_norm")(x, train=train))
        logits = _dense(1, "head", self.dtype)(join_labels(x, y))
        return at_least_float32(logits[:, 0])


def dcgan_pair(
    image_size: int,
    channels: int,
    generator_channels: int,
    discriminator_channels: int,
    *,
    lineage: str = "theano",
    max_channels: int = 0,
    num_classes: int = 0,
    dense_units: int = 1024,
    dtype: Any = None,
) -> dict[str, nn.Module]:
    """`{"generator": ..., "discriminator": ...}`, conditional if there are classes.

    The conditional networks have neither lineage nor `max_channels`.
    """
    if not num_classes:
        sizes = image_size, channels
        shared = {"lineage": lineage, "max_channels": max_channels, "dtype": dtype}
        generator = DCGANGenerator(*sizes, generator_channels, **shared)
        discriminator = DCGANDiscriminator(*sizes, discriminator_channels, **shared)
    else:
        shared = {"dense_units": dense_units, "dtype": dtype}
        generator = ConditionalGenerator(
            image_size, channels, num_classes, generator_channels, **shared
        )
        discriminator = ConditionalDiscriminator(
            num_classes, discriminator_channels, **shared
        )
    return {"generator": generator, "discriminator": discriminator}


def join_labels(
    x: Float[Array, "b *size c"], y: Float[Array, "b k"]
) -> Float[Array, "b *size f"]:
    """Appends one-hot labels as channels, the same everywhere."""
    y = y.reshape(y.shape[0], *[1] * (x.ndim - 2), y.shape[-1]).astype(x.dtype)
    y = jnp.broadcast_to(y, (*x.shape[:-1], y.shape[-1]))
    return jnp.concatenate([x, y], axis=-1)


def _dense(units: int, name: str, dtype: Any) -> nn.Dense:
    return nn.Dense(
        units, use_bias=False, kernel_init=normal_002, dtype=dtype, name=name
    )


def _plain_norm(name: str) -> BatchNorm:
    return BatchNorm(epsilon=THEANO_EPSILON, use_scale=False, use_bias=False, name=name)
