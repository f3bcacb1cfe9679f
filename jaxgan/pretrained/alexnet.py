"""AlexNet in torchvision's structure, the trunk of LPIPS-alex."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import jax
from flax import linen as nn
from jaxtyping import Array, Float

from jaxgan.core.errors import UserError
from jaxgan.core.update import at_least_float32
from jaxgan.pretrained.layers import adaptive_average_pool, check_taps

SMALLEST_INPUT = 63  # below it the last pool would have no output

_CONVS = {  # features, kernel, stride, padding
    "conv1": (64, 11, 4, 2),
    "conv2": (192, 5, 1, 2),
    "conv3": (384, 3, 1, 1),
    "conv4": (256, 3, 1, 1),
    "conv5": (256, 3, 1, 1),
}
LAYERS = tuple(
    "conv1 relu1 pool1 conv2 relu2 pool2 conv3 relu3 conv4 relu4 conv5 relu5 pool5 "
    "fc6 relu6 fc7 relu7 logits".split()
)
LPIPS_TAPS = ("relu1", "relu2", "relu3", "relu4", "relu5")
TORCH_MODULES: Mapping[str, str] = MappingProxyType(
    {
        "features.0": "conv1",
        "features.3": "conv2",
        "features.6": "conv3",
        "features.8": "conv4",
        "features.10": "conv5",
        "classifier.1": "fc6",
        "classifier.4": "fc7",
        "classifier.6": "fc8",
    }
)


class AlexNet(nn.Module):
    """Five convolutions with ReLU, three 3/2 max-pools, no groups, no local response.

    `64 k11 s4 p2, M, 192 k5 p2, M, 384, 256, 256, M, 4096, 4096, 1000`

    Taps, in order: `LAYERS`. Nothing beyond the last tap is built. 2,469,696 parameters
    up to `relu5`, 61,100,840 in all.

    Attributes:
        taps: names of the feature maps to return.
        num_outputs: classes behind `logits`.
        dtype: compute dtype; None follows the input.
        precision: of the convolutions and dense layers.

    References:
        Krizhevsky, One weird trick for parallelizing convolutional neural networks,
        2014, as torchvision builds it.
    """

    taps: tuple[str, ...] = LPIPS_TAPS
    num_outputs: int = 1000
    dtype: Any = None
    precision: jax.lax.Precision | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w 3"]) -> dict[str, Float[Array, "b ..."]]:
        """Maps normalised pictures to `{tap: float32 features}`.

        Raises:
            UserError: unknown tap, or pictures under 63x63.
        """
        if min(x.shape[1:3]) < SMALLEST_INPUT:
            raise UserError(
                f"AlexNet needs pictures of at least {SMALLEST_INPUT}x{SMALLEST_INPUT},"
                f" got {x.shape[1]}x{x.shape[2]}"
            )
        options = {"dtype": self.dtype, "precision": self.precision}
        features = {}
        for name in LAYERS[: check_taps(self.taps, LAYERS, "AlexNet")]:
            if name in _CONVS:
                channels, k, stride, padding = _CONVS[name]
                x = nn.Conv(
                    channels, (k, k), stride, padding=padding, name=name, **options
                )(x)
            elif name.startswith("relu"):
                x = nn.relu(x)
            elif name.startswith("pool"):
                x = nn.max_pool(x, (3, 3), (2, 2))
            elif name == "logits":
                x = nn.Dense(self.num_outputs, name="fc8", **options)(x)
            else:
                if x.ndim == 4:  # 6x6x256, also for inputs that are not 224x224
                    x = adaptive_average_pool(x, (6, 6)).reshape(x.shape[0], -1)
                x = nn.Dense(4096, name=name, **options)(x)
            if name in self.taps:
                features[name] = at_least_float32(x)
        return features
