"""The inputs that published weights expect, all reached from pictures in [-1, 1]."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from jaxgan.core.errors import one_of
from jaxgan.ops.color import from_uint8

# RGB, float in [-1, 1] or uint8.
Pictures: TypeAlias = Float[Array, "b h w 3"] | UInt8[Array, "b h w 3"]


@dataclass(frozen=True)
class Convention:
    """`(values - mean) * scale` of the values 0..255, channels as the network has them.

    Attributes:
        mean: subtracted, red, green, blue, in 0..255.
        scale: factor, red, green, blue.
        channels: "rgb" or "bgr".
    """

    mean: tuple[float, float, float]
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)
    channels: str = "rgb"


CONVENTIONS = MappingProxyType(
    {
        # torchvision: (v / 255 - mean) / std with ImageNet's statistics.
        "torchvision": Convention(
            mean=(0.485 * 255, 0.456 * 255, 0.406 * 255),
            scale=(1 / (0.229 * 255), 1 / (0.224 * 255), 1 / (0.225 * 255)),
        ),
        # The original VGG models, Keras' VGGs and MUNIT's vgg16.
        "caffe": Convention(mean=(123.68, 116.779, 103.939), channels="bgr"),
        # The same, but the file's first kernel expects RGB (MatConvNet).
        "matconvnet": Convention(mean=(123.68, 116.779, 103.939)),
        # The trunk of the SSD authors, as torchvision hosts it.
        "caffe_rgb": Convention(mean=(0.48235 * 255, 0.45882 * 255, 0.40784 * 255)),
        # The FCN-8s of pix2pix' authors: the mean of Cityscapes.
        "cityscapes": Convention(mean=(73.45286, 83.21195, 72.78044), channels="bgr"),
        # TensorFlow's Inception takes [-1, 1] as it is.
        "inception": Convention(
            mean=(127.5, 127.5, 127.5), scale=(1 / 127.5, 1 / 127.5, 1 / 127.5)
        ),
    }
)


def normalize(images: Pictures, convention: str) -> Float[Array, "b h w 3"]:
    """Maps RGB pictures, in [-1, 1] or uint8, to the input of a network's `convention`.

    The convention's mean colour becomes exactly 0.

    Raises:
        UserError: unknown convention.
    """
    if images.dtype == jnp.uint8:
        images = from_uint8(images)
    if convention == "inception":
        return images
    one_of(convention, CONVENTIONS, "input convention")
    parts = CONVENTIONS[convention]
    # In units of the input, so that the mean colour cancels without rounding.
    mean = jnp.asarray(np.array(parts.mean) / 127.5 - 1.0, images.dtype)
    scale = jnp.asarray(np.array(parts.scale) * 127.5, images.dtype)
    normalized = (images - mean) * scale
    return normalized[..., ::-1] if parts.channels == "bgr" else normalized
