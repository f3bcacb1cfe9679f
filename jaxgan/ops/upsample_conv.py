"""Nearest-neighbour enlargement and a convolution, as one.

The pixels of the enlarged image that came of one pixel are equal, so the taps that meet
them are added up first: a window of 3 sees two pixels an axis in place of three. What
remains, four ninths of the products, is a transposed convolution of stride 2.
`python -m benchmarks.formulations --only=upsampling_nearest` compares.

References: Odena et al., "Deconvolution and Checkerboard Artifacts", 2016 (the layer).
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgan.ops.conv_transpose import conv_transpose


def upsample_conv(
    x: Float[Array, "b *size i"],
    kernel: Float[Array, "*window i o"],
    padding_mode: str = "zero",
) -> Float[Array, "b *out_size o"]:
    """Repeats each pixel twice along each axis, pads, and convolves, keeping the size.

    Args:
        x: `[b, h, w, i]` or `[b, d, h, w, i]`, any float dtype.
        kernel: The convolution's, `[kh, kw, i, o]` or `[kd, kh, kw, i, o]`, odd in all
            axes. The taps are added up in its dtype, then cast to that of `x`.
        padding_mode: What surrounds the enlarged image: `zero`, or, for windows of 3,
            `reflect`, which there repeats the border pixel.

    Returns:
        `[b, 2 h, 2 w, o]` or `[b, 2 d, 2 h, 2 w, o]`, in the dtype of `x`.

    Raises:
        ValueError: If the kernel is even, or larger than 3 with `reflect`.
    """
    window = kernel.shape[:-2]
    if any(k % 2 == 0 for k in window):
        raise ValueError(f"kernel {kernel.shape} must be odd in all axes")
    if padding_mode not in ("zero", "reflect"):
        raise ValueError(f"padding_mode {padding_mode!r}: choose 'zero' or 'reflect'")
    margin = 0
    if padding_mode == "reflect":
        if max(window) > 3:
            raise ValueError(f"kernel {kernel.shape} with 'reflect' must be at most 3")
        margin = 1
        around = ((0, 0), *((1, 1),) * len(window), (0, 0))
        x = jnp.pad(x, around, mode="edge")
    kernel = jnp.flip(kernel, range(len(window)))
    for axis in range(len(window)):  # a tap meets both halves of a pixel
        none = [(0, 0)] * kernel.ndim
        low, high = (
            [*none[:axis], ends, *none[axis + 1 :]] for ends in ((0, 1), (1, 0))
        )
        kernel = jnp.pad(kernel, low) + jnp.pad(kernel, high)
    kernel = jnp.swapaxes(kernel, -2, -1).astype(x.dtype)
    padding = [k // 2 + 2 * margin for k in window]
    return conv_transpose(x, kernel, 2, padding)
