"""Inception-v3 (Szegedy et al., CVPR 2016): the FID network and torchvision's.

The network behind FID, KID and the Inception score is the TensorFlow graph of December
2015. torchvision's network of the same name differs in three places, which change its
features by 16 % at equal weights: its average pools count the padding, its last block
averages where the FID network takes a maximum, and it has 1000 outputs, not 1008.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from jaxgan.core.errors import UserError, one_of
from jaxgan.core.update import at_least_float32
from jaxgan.pretrained.layers import check_taps

SMALLEST_INPUT = 75  # below it the last strided block would have no output
BATCH_NORM_EPSILON = 1e-3  # TensorFlow's; torch's default is 1e-5

_STEM = {  # features, kernel, stride, padded
    "Conv2d_1a_3x3": (32, 3, 2, False),  # 149x149x32
    "Conv2d_2a_3x3": (32, 3, 1, False),  # 147x147x32
    "Conv2d_2b_3x3": (64, 3, 1, True),  # 147x147x64
    "pool1": None,  # 73x73x64
    "Conv2d_3b_1x1": (80, 1, 1, False),  # 73x73x80
    "Conv2d_4a_3x3": (192, 3, 1, False),  # 71x71x192
    "pool2": None,  # 35x35x192
}
_MIXED = {  # kind of block, its one free width
    "Mixed_5b": ("a", 32),  # 35x35x256
    "Mixed_5c": ("a", 64),  # 35x35x288
    "Mixed_5d": ("a", 64),  # 35x35x288
    "Mixed_6a": ("b", 0),  # 17x17x768
    "Mixed_6b": ("c", 128),  # 17x17x768
    "Mixed_6c": ("c", 160),  # 17x17x768
    "Mixed_6d": ("c", 160),  # 17x17x768
    "Mixed_6e": ("c", 192),  # 17x17x768
    "Mixed_7a": ("d", 0),  # 8x8x1280
    "Mixed_7b": ("e", 0),  # 8x8x2048
    "Mixed_7c": ("e", 0),  # 8x8x2048
}
LAYERS = (*_STEM, *_MIXED, "pool3", "logits_unbiased", "logits")


class ConvNorm(nn.Module):
    """Convolution without bias, batch norm with the stored statistics, ReLU."""

    features: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    padded: bool = True  # by half the kernel on each side, else not at all
    dtype: Any = None
    precision: jax.lax.Precision | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b i j f"]:
        x = nn.Conv(
            self.features,
            self.kernel,
            strides=(self.stride, self.stride),
            padding=[(k // 2, k // 2) if self.padded else (0, 0) for k in self.kernel],
            use_bias=False,
            dtype=self.dtype,
            precision=self.precision,
            name="conv",
        )(x)
        x = nn.BatchNorm(
            use_running_average=True,
            epsilon=BATCH_NORM_EPSILON,
            dtype=self.dtype,
            name="bn",
        )(x)
        return nn.relu(x)


class Mixed(nn.Module):
    """One block: branches side by side, their channels concatenated.

    Attributes:
        kind: "a" to "e", in the order in which the network uses them; "b" and "d"
            halve the resolution.
        width: channels of the pool branch of "a", inner channels of "c".
        count_padding: whether the 3x3 average pool counts the zeros around the picture.
        pool: "average" or "max", of the blocks that keep the resolution.
        dtype: compute dtype; None follows the input.
        precision: of the convolutions.
    """

    kind: str
    width: int = 0
    count_padding: bool = False
    pool: str = "average"
    dtype: Any = None
    precision: jax.lax.Precision | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b i j f"]:
        conv = functools.partial(ConvNorm, dtype=self.dtype, precision=self.precision)
        branches = getattr(self, f"_{self.kind}")(conv, x)
        return jnp.concatenate(branches, axis=-1)

    def _a(self, conv: Any, x: jax.Array) -> list[jax.Array]:
        one = conv(64, name="branch1x1")(x)
        five = conv(48, name="branch5x5_1")(x)
        five = conv(64, (5, 5), name="branch5x5_2")(five)
        double = conv(64, name="branch3x3dbl_1")(x)
        double = conv(96, (3, 3), name="branch3x3dbl_2")(double)
        double = conv(96, (3, 3), name="branch3x3dbl_3")(double)
        pooled = conv(self.width, name="branch_pool")(self._same_pool(x))
        return [one, five, double, pooled]

    def _b(self, conv: Any, x: jax.Array) -> list[jax.Array]:
        three = conv(384, (3, 3), 2, False, name="branch3x3")(x)
        double = conv(64, name="branch3x3dbl_1")(x)
        double = conv(96, (3, 3), name="branch3x3dbl_2")(double)
        double = conv(96, (3, 3), 2, False, name="branch3x3dbl_3")(double)
        return [three, double, nn.max_pool(x, (3, 3), (2, 2))]

    def _c(self, conv: Any, x: jax.Array) -> list[jax.Array]:
        one = conv(192, name="branch1x1")(x)
        seven = conv(self.width, name="branch7x7_1")(x)
        seven = conv(self.width, (1, 7), name="branch7x7_2")(seven)
        seven = conv(192, (7, 1), name="branch7x7_3")(seven)
        double = conv(self.width, name="branch7x7dbl_1")(x)
        double = conv(self.width, (7, 1), name="branch7x7dbl_2")(double)
        double = conv(self.width, (1, 7), name="branch7x7dbl_3")(double)
        double = conv(self.width, (7, 1), name="branch7x7dbl_4")(double)
        double = conv(192, (1, 7), name="branch7x7dbl_5")(double)
        pooled = conv(192, name="branch_pool")(self._same_pool(x))
        return [one, seven, double, pooled]

    def _d(self, conv: Any, x: jax.Array) -> list[jax.Array]:
        three = conv(192, name="branch3x3_1")(x)
        three = conv(320, (3, 3), 2, False, name="branch3x3_2")(three)
        seven = conv(192, name="branch7x7x3_1")(x)
        seven = conv(192, (1, 7), name="branch7x7x3_2")(seven)
        seven = conv(192, (7, 1), name="branch7x7x3_3")(seven)
        seven = conv(192, (3, 3), 2, False, name="branch7x7x3_4")(seven)
        return [three, seven, nn.max_pool(x, (3, 3), (2, 2))]

    def _e(self, conv: Any, x: jax.Array) -> list[jax.Array]:
        one = conv(320, name="branch1x1")(x)
        three = conv(384, name="branch3x3_1")(x)
        three_a = conv(384, (1, 3), name="branch3x3_2a")(three)
        three_b = conv(384, (3, 1), name="branch3x3_2b")(three)
        double = conv(448, name="branch3x3dbl_1")(x)
        double = conv(384, (3, 3), name="branch3x3dbl_2")(double)
        double_a = conv(384, (1, 3), name="branch3x3dbl_3a")(double)
        double_b = conv(384, (3, 1), name="branch3x3dbl_3b")(double)
        pooled = conv(192, name="branch_pool")(self._same_pool(x))
        return [one, three_a, three_b, double_a, double_b, pooled]

    def _same_pool(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        padding: Any = ((1, 1), (1, 1))  # Flax's annotation knows strings only
        if self.pool == "max":
            return nn.max_pool(x, (3, 3), (1, 1), padding)
        return nn.avg_pool(
            x, (3, 3), (1, 1), padding, count_include_pad=self.count_padding
        )


class Classifier(nn.Module):
    """Dense layer that returns its outputs without and with the bias."""

    features: int
    precision: jax.lax.Precision | None = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "b c"]
    ) -> tuple[Float[Array, "b k"], Float[Array, "b k"]]:
        shape = (x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        unbiased = jnp.dot(x, kernel, precision=self.precision)
        return unbiased, unbiased + bias


class InceptionV3(nn.Module):
    """Stem of five convolutions, eleven mixed blocks, global average, classifier.

    Taps, in order: the stem's `Conv2d_1a_3x3` ... `Conv2d_4a_3x3` with `pool1`
    (64 channels) and `pool2` (192), `Mixed_5b` ... `Mixed_6e` (768) ... `Mixed_7c`,
    `pool3` (2048 numbers a picture), `logits_unbiased` (without the classifier's bias,
    as the Inception score uses them), `logits`. Nothing beyond the last tap is built.
    23,850,960 parameters with the FID network's classifier, 21,785,568 without.

    Attributes:
        taps: names of the features to return.
        num_outputs: 1008 in the FID network, 1000 in torchvision's.
        count_padding: whether 3x3 average pools count the zeros around the picture:
            torchvision's do, the FID network's do not.
        last_pool: "max" (FID) or "average" (torchvision), in `Mixed_7c`.
        dtype: compute dtype; None follows the input. bfloat16 changes `pool3` by 0.4 %
            of its length (random weights, on a CPU): not for figures.
        precision: HIGHEST by default: lower ones change FIDs on accelerators.

    References:
        Rethinking the Inception Architecture for Computer Vision, figures 5 to 7.
    """

    taps: tuple[str, ...] = ("pool3",)
    num_outputs: int = 1008
    count_padding: bool = False
    last_pool: str = "max"
    dtype: Any = None
    precision: jax.lax.Precision | None = jax.lax.Precision.HIGHEST

    @nn.compact
    def __call__(self, x: Float[Array, "b h w 3"]) -> dict[str, Float[Array, "b ..."]]:
        """Maps pictures in [-1, 1] (299x299 for FID) to `{tap: float32 features}`.

        Raises:
            UserError: unknown tap or pool, or pictures under 75x75.
        """
        one_of(self.last_pool, ("max", "average"), "Inception-v3 last_pool")
        if min(x.shape[1:3]) < SMALLEST_INPUT:
            raise UserError(
                f"Inception-v3 needs pictures of at least {SMALLEST_INPUT}x"
                f"{SMALLEST_INPUT} (299x299 for FID), got {x.shape[1]}x{x.shape[2]}"
            )
        options = {"dtype": self.dtype, "precision": self.precision}
        features, logits = {}, x
        for name in LAYERS[: check_taps(self.taps, LAYERS, "Inception-v3")]:
            if name in ("pool1", "pool2"):
                x = nn.max_pool(x, (3, 3), (2, 2))
            elif name in _STEM:
                channels, k, *rest = _STEM[name]
                x = ConvNorm(channels, (k, k), *rest, **options, name=name)(x)
            elif name in _MIXED:
                pool = self.last_pool if name == "Mixed_7c" else "average"
                block = Mixed(
                    *_MIXED[name], self.count_padding, pool, **options, name=name
                )
                x = block(x)
            elif name == "pool3":
                x = at_least_float32(x).mean((1, 2))
            elif name == "logits_unbiased":
                classifier = Classifier(self.num_outputs, self.precision, name="fc")
                x, logits = classifier(x)
            else:
                x = logits
            if name in self.taps:
                features[name] = at_least_float32(x)
        return features


def tensorflow_modules() -> Mapping[str, str]:
    """Returns {module in the TensorFlow graph: our module}.

    In a block `tower` is the first branch of several convolutions, `tower_1` the
    second, `tower_2` the pool branch; the n-th layer of the same scope carries `_n`,
    and `mixed` below a tower holds its two outputs.
    """

    def chain(scope: str, module: str, length: int) -> dict[str, str]:
        return {
            f"{scope}/conv" + (f"_{i}" if i else ""): f"{module}_{i + 1}"
            for i in range(length)
        }

    def fork(scope: str, module: str) -> dict[str, str]:
        return {
            f"{scope}/mixed/conv": f"{module}a",
            f"{scope}/mixed/conv_1": f"{module}b",
        }

    one, pooled = {"/conv": "branch1x1"}, {"/tower_2/conv": "branch_pool"}
    blocks = {
        "a": one
        | pooled
        | chain("/tower", "branch5x5", 2)
        | chain("/tower_1", "branch3x3dbl", 3),
        "b": {"/conv": "branch3x3"} | chain("/tower", "branch3x3dbl", 3),
        "c": one
        | pooled
        | chain("/tower", "branch7x7", 3)
        | chain("/tower_1", "branch7x7dbl", 5),
        "d": chain("/tower", "branch3x3", 2) | chain("/tower_1", "branch7x7x3", 4),
        "e": one
        | pooled
        | chain("/tower", "branch3x3", 1)
        | fork("/tower", "branch3x3_2")
        | chain("/tower_1", "branch3x3dbl", 2)
        | fork("/tower_1", "branch3x3dbl_3"),
    }
    table = {"softmax": "fc"}
    stem = [name for name in _STEM if name.startswith("Conv")]
    for i, name in enumerate(stem):
        table[f"conv_{i}" if i else "conv"] = name
    for i, (name, (kind, _)) in enumerate(_MIXED.items()):
        scope = f"mixed_{i}" if i else "mixed"
        for theirs, ours in blocks[kind].items():
            table[scope + theirs] = f"{name}/{ours}"
    return table


def torchvision(
    taps: tuple[str, ...] = ("pool3",), num_outputs: int = 1000, dtype: Any = None
) -> InceptionV3:
    """Returns the network in torchvision's structure, without its auxiliary head."""
    return InceptionV3(
        taps=taps,
        num_outputs=num_outputs,
        count_padding=True,
        last_pool="average",
        dtype=dtype,
    )
