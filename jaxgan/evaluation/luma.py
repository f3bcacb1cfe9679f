"""The Y channel that super-resolution is scored on, and its crops."""

from jaxtyping import Array, Float, Shaped

from jaxgan.core.errors import UserError
from jaxgan.evaluation.images import AnyArray
from jaxgan.ops import color


def luma(images: Float[Array, "*b c"]) -> Float[Array, "*b 1"]:
    """Y = 16 + (65.481 R + 128.553 G + 24.966 B) / 255, not rounded.

    Args:
        images: levels 0..255; a single channel counts as Y already.

    Returns:
        Y in [16, 235].

    Raises:
        UserError: unless there are one or three channels.
    """
    if images.shape[-1] == 1:
        return images
    if images.shape[-1] != 3:
        raise UserError(f"luma needs 1 or 3 channels, got {images.shape[-1]}")
    return color.luma_bt601(images / 255.0)


def crop(
    images: Shaped[AnyArray, "b h w c"], *, multiple: int = 1, border: int = 0
) -> Shaped[AnyArray, "b h2 w2 c"]:
    """Crops bottom and right to a multiple, then `border` pixels from every side.

    Raises:
        UserError: if nothing is left.
    """
    height = images.shape[1] - images.shape[1] % multiple
    width = images.shape[2] - images.shape[2] % multiple
    if height <= 2 * border or width <= 2 * border:
        raise UserError(
            f"images of {images.shape[1]}x{images.shape[2]} pixels are too small to "
            f"remove a border of {border}: use larger images or a smaller border"
        )
    return images[:, border : height - border, border : width - border]
