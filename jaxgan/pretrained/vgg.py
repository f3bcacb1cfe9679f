"""VGG-16 and VGG-19 (Simonyan and Zisserman, ICLR 2015) as feature extractors."""

from collections.abc import Mapping
from typing import Any

import jax
from flax import linen as nn
from jaxtyping import Array, Float

from jaxgan.core.errors import UserError
from jaxgan.core.update import at_least_float32
from jaxgan.pretrained.layers import adaptive_average_pool, check_taps

_CONVS_PER_BLOCK = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
_CHANNELS = (64, 128, 256, 512, 512)


class VGG(nn.Module):
    """3x3 convolutions with ReLU in five blocks, a max-pool after each.

    `64 x2, M, 128 x2, M, 256 x3|4, M, 512 x3|4, M, 512 x3|4, M, 4096, 4096, 1000`

    Taps, in order: `conv{b}_{i}` before its ReLU and `relu{b}_{i}` after it for block b
    from 1, `pool{b}`, then `fc6`, `relu6`, `fc7`, `relu7`, `logits`. Nothing beyond the
    last tap is built. 14,714,688 (VGG-16) or 20,024,384 (VGG-19) parameters up to
    `pool5`.

    Attributes:
        depth: 16 or 19.
        taps: names of the feature maps to return.
        num_pools: blocks that are followed by a pool; MUNIT's relu5_3 leaves out the
            last two.
        num_outputs: classes behind `logits`.
        dtype: compute dtype; None follows the input.
        precision: of the convolutions and dense layers.

    References:
        Very Deep Convolutional Networks for Large-Scale Image Recognition, table 1,
        columns D and E.
    """

    depth: int = 19
    taps: tuple[str, ...] = ("relu5_4",)
    num_pools: int = 5
    num_outputs: int = 1000
    dtype: Any = None
    precision: jax.lax.Precision | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w 3"]) -> dict[str, Float[Array, "b ..."]]:
        """Maps pictures in the convention of the weights to `{tap: features}`.

        Features are `[b, h', w', c]` (`[b, c]` from `fc6` on), float32.

        Raises:
            UserError: unknown depth or tap, or pictures too small for the pools.
        """
        names = layer_names(self.depth, self.num_pools)
        built = names[: check_taps(self.taps, names, f"VGG-{self.depth}")]
        smallest = 2 ** sum(name.startswith("pool") for name in built)
        if min(x.shape[1:3]) < smallest:
            raise UserError(
                f"VGG-{self.depth} up to {built[-1]} needs pictures of at least "
                f"{smallest}x{smallest}, got {x.shape[1]}x{x.shape[2]}"
            )
        options = {"dtype": self.dtype, "precision": self.precision}
        features = {}
        for name in built:
            if name.startswith("conv"):
                channels = _CHANNELS[int(name[4]) - 1]
                x = nn.Conv(channels, (3, 3), padding=1, name=name, **options)(x)
            elif name.startswith("relu"):
                x = nn.relu(x)
            elif name.startswith("pool"):
                x = nn.max_pool(x, (2, 2), (2, 2))
            elif name == "logits":
                x = nn.Dense(self.num_outputs, name="fc8", **options)(x)
            else:
                if x.ndim == 4:  # 7x7x512, also for inputs that are not 224x224
                    x = adaptive_average_pool(x, (7, 7)).reshape(x.shape[0], -1)
                x = nn.Dense(4096, name=name, **options)(x)
            if name in self.taps:
                features[name] = at_least_float32(x)
        return features


def layer_names(depth: int, num_pools: int = 5) -> tuple[str, ...]:
    """Returns the names of all taps in the order in which they are computed."""
    if depth not in _CONVS_PER_BLOCK:
        raise UserError(f"VGG depth {depth}: must be 16 or 19")
    names = []
    for block, convs in enumerate(_CONVS_PER_BLOCK[depth], start=1):
        for i in range(1, convs + 1):
            names += [f"conv{block}_{i}", f"relu{block}_{i}"]
        if block <= num_pools:
            names.append(f"pool{block}")
    return (*names, "fc6", "relu6", "fc7", "relu7", "logits")


def source_modules(depth: int) -> Mapping[str, str]:
    """Returns {module in torchvision's or keras' files: our module}.

    torchvision numbers every layer of the trunk, convolutions, ReLUs and pools alike.
    Caffe and MatConvNet use our names.
    """
    table = {}
    names = layer_names(depth)
    for index, name in enumerate(names[: names.index("fc6")]):
        if name.startswith("conv"):
            table[f"features.{index}"] = name
            table[f"block{name[4]}_conv{name[6]}"] = name
    for index, (keras, ours) in enumerate(
        (("fc1", "fc6"), ("fc2", "fc7"), ("predictions", "fc8"))
    ):
        table[f"classifier.{3 * index}"] = ours
        table[keras] = ours
    return table
