"""Padding of images, and cropping back what a network saw beyond them."""

from typing import Literal, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

PaddingMode = Literal["reflect", "zero", "edge", "symmetric"]


class CropBox(NamedTuple):
    """A rectangle of pixels: the part of a padded image that was there before."""

    top: int
    left: int
    height: int
    width: int

    def scaled(self, factor: int) -> "CropBox":
        """The same rectangle in an image `factor` times as large."""
        return CropBox(*(factor * value for value in self))


def pad2d(
    x: Float[Array, "b h w c"],
    amount: int | tuple[tuple[int, int], tuple[int, int]],
    mode: PaddingMode = "reflect",
) -> Float[Array, "b _ _ c"]:
    """Pads height and width.

    Before a convolution with zero padding, give the amount to the convolution instead:
    a separate zero pad is one more pass over memory.

    Args:
        x: Images.
        amount: Pixels on every side, or `((top, bottom), (left, right))`.
        mode: `reflect` mirrors without repeating the border pixel (torch's
            `ReflectionPad2d`), `symmetric` repeats it (TensorFlow's `SYMMETRIC`),
            `edge` extends it, `zero` is black in [0, 1] and grey in [-1, 1].

    Returns:
        The padded images.

    Raises:
        ValueError: If the mode is unknown or an amount is negative.
    """
    if isinstance(amount, int):
        amount = ((amount, amount), (amount, amount))
    if min(min(side) for side in amount) < 0:
        raise ValueError(f"padding {amount} must not be negative")
    names = {m: m for m in ("reflect", "edge", "symmetric")} | {"zero": "constant"}
    if mode not in names:
        raise ValueError(f"padding mode {mode!r} must be one of {sorted(names)}")
    if amount == ((0, 0), (0, 0)):
        return x
    return jnp.pad(x, ((0, 0), *amount, (0, 0)), mode=names[mode])


def pad_to_multiple(
    x: Float[Array, "b h w c"], multiple: int, mode: PaddingMode = "reflect"
) -> tuple[Float[Array, "b _ _ c"], CropBox]:
    """Pads an image of any size to one that a network can take.

    Pixels are added at the bottom and at the right, so that strides keep their phase.

    Args:
        x: Images.
        multiple: What height and width must be divisible by, such as `2**depth`.
        mode: As in `pad2d`.

    Returns:
        The padded images and where the original lies in them; `crop` takes it, for
        super-resolution as `box.scaled(factor)`.
    """
    height, width = x.shape[1:3]
    padded = pad2d(x, ((0, -height % multiple), (0, -width % multiple)), mode)
    return padded, CropBox(0, 0, height, width)


def crop(x: Float[Array, "b h w c"], box: CropBox) -> Float[Array, "b _ _ c"]:
    """Cuts the rectangle `box` out of every image."""
    rows = slice(box.top, box.top + box.height)
    return x[:, rows, box.left : box.left + box.width]
