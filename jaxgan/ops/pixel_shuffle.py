"""Sub-pixel upsampling, in the two channel orders that exist.

References: Shi et al., "Real-Time Single Image and Video Super-Resolution Using an
Efficient Sub-Pixel Convolutional Neural Network", CVPR 2016, equation 4.
"""

from typing import Literal

import numpy as np
from jaxtyping import Array, Float, Int


def pixel_shuffle(
    x: Float[Array, "b h w c"],
    r: int,
    order: Literal["depth_to_space", "torch"] = "depth_to_space",
) -> Float[Array, "b h*{r} w*{r} c//{r}**2"]:
    """Turns `r * r` channels into an `r` times larger image.

    Output pixel `(r * y + i, r * x + j)`, channel `k` of `C`, reads the input channel

        depth_to_space   (i * r + j) * C + k    (TensorFlow; contiguous in NHWC)
        torch            k * r * r + i * r + j

    Trained from scratch either order is as good; a kernel trained in torch's order is
    converted by `pixel_shuffle_permutation`.

    Args:
        x: Features with `C * r * r` channels.
        r: The upsampling factor.
        order: Which input channel holds which pixel.

    Returns:
        Features with `C` channels.

    Raises:
        ValueError: If the channels are not a multiple of `r * r`, or on unknown order.
    """
    batch, height, width, channels = x.shape
    if channels % (r * r):
        raise ValueError(f"{channels} channels are not a multiple of r * r = {r * r}")
    out = channels // (r * r)
    if order == "depth_to_space":
        x = x.reshape(batch, height, width, r, r, out).transpose(0, 1, 3, 2, 4, 5)
    elif order == "torch":
        x = x.reshape(batch, height, width, out, r, r).transpose(0, 1, 4, 2, 5, 3)
    else:
        raise ValueError(f"order {order!r} must be 'depth_to_space' or 'torch'")
    return x.reshape(batch, height * r, width * r, out)


def pixel_shuffle_permutation(channels: int, r: int) -> Int[np.ndarray, " n"]:
    """Converts the convolution before a pixel shuffle from torch's order.

    `kernel[..., permutation]` and `bias[permutation]` give in `depth_to_space` order
    what `kernel` and `bias` give in torch's; `numpy.argsort` of it goes back.

    Args:
        channels: Channels after the shuffle.
        r: The upsampling factor.

    Returns:
        `permutation[(i * r + j) * channels + k] = k * r * r + i * r + j`.
    """
    return np.arange(channels * r * r).reshape(channels, r * r).T.reshape(-1)
