"""Colour spaces and the 8-bit grid.

The constants of sRGB and CIE Lab (D65, 2 degree observer) are those of scikit-image.
"""

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, UInt8

_XYZ_FROM_RGB = np.array(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ]
)
_D65_WHITE = np.array([0.95047, 1.0, 1.08883])
_LAB_EPSILON = 0.008856  # below it the cube root is replaced by a line


def rgb_to_lab(rgb: Float[Array, "*b 3"]) -> Float[Array, "*b 3"]:
    """Converts sRGB to CIE Lab.

    Args:
        rgb: Values in [0, 1].

    Returns:
        L in [0, 100]; a and b within about [-108, 108] for colours of the screen.
    """
    # Both branches of a `where` are differentiated: each gets an argument that its own
    # formula can bear, else the gradient at black is not a number.
    high = rgb > 0.04045
    curved = ((jnp.where(high, rgb, 1.0) + 0.055) / 1.055) ** 2.4
    linear = jnp.where(high, curved, rgb / 12.92)
    xyz = _product(linear, _XYZ_FROM_RGB / _D65_WHITE[:, None])
    high = xyz > _LAB_EPSILON
    root = jnp.cbrt(jnp.where(high, xyz, 1.0))
    x, y, z = _channels(jnp.where(high, root, 7.787 * xyz + 16 / 116))
    return jnp.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def lab_to_rgb(lab: Float[Array, "*b 3"]) -> Float[Array, "*b 3"]:
    """Converts CIE Lab to sRGB, clipped to the colours that a screen can show.

    Args:
        lab: L in [0, 100], a and b as in `rgb_to_lab`.

    Returns:
        Values in [0, 1].
    """
    lightness, a, b = _channels(lab)
    y = (lightness + 16) / 116
    f = jnp.stack([a / 500 + y, y, jnp.maximum(y - b / 200, 0.0)], axis=-1)
    xyz = jnp.where(f > 0.2068966, f**3, (f - 16 / 116) / 7.787)
    linear = _product(xyz, np.linalg.inv(_XYZ_FROM_RGB) * _D65_WHITE)
    high = linear > 0.0031308
    curved = 1.055 * jnp.where(high, linear, 1.0) ** (1 / 2.4) - 0.055
    return jnp.clip(jnp.where(high, curved, 12.92 * linear), 0.0, 1.0)


def normalize_lab(
    lab: Float[Array, "*b 3"],
) -> tuple[Float[Array, "*b 1"], Float[Array, "*b 2"]]:
    """Splits Lab for colorization: condition `L / 50 - 1`, target `ab / 110`.

    References: Isola et al., "Image-to-Image Translation with Conditional Adversarial
    Networks", CVPR 2017 (the official code's `colorization` data set).
    """
    return lab[..., :1] / 50 - 1, lab[..., 1:] / 110


def denormalize_lab(
    lightness: Float[Array, "*b 1"], ab: Float[Array, "*b 2"]
) -> Float[Array, "*b 3"]:
    """Joins what `normalize_lab` split; `ab` is clamped to [-1, 1] first."""
    return jnp.concatenate([(lightness + 1) * 50, jnp.clip(ab, -1, 1) * 110], axis=-1)


def picture_of_lab(
    lightness: Float[Array, "*b 1"], ab: Float[Array, "*b 2"]
) -> Float[Array, "*b 3"]:
    """What the planes of `normalize_lab` show: RGB in [-1, 1]."""
    return 2 * lab_to_rgb(denormalize_lab(lightness, ab)) - 1


def luma_bt601(rgb: Float[Array, "*b 3"]) -> Float[Array, "*b 1"]:
    """The Y of MATLAB's `rgb2ycbcr`, on which super-resolution is judged.

    Args:
        rgb: Values in [0, 1].

    Returns:
        Luma in [16, 235]: black is 16, white 235.
    """
    return 16 + _product(rgb, np.array([[65.481, 128.553, 24.966]]))


def rgb_to_bgr(image: Float[Array, "*b 3"]) -> Float[Array, "*b 3"]:
    """Reverses the channels; its own inverse. Caffe's weights read BGR."""
    return image[..., ::-1]


def to_uint8(x: Float[Array, "*b"]) -> UInt8[Array, "*b"]:
    """Maps [-1, 1] to 0..255, clipped, rounded half up."""
    unit = jnp.clip((x.astype(jnp.float32) + 1) / 2, 0, 1)
    return jnp.floor(unit * 255 + 0.5).astype(jnp.uint8)


def from_uint8(x: UInt8[Array, "*b"]) -> Float[Array, "*b"]:
    """Maps 0..255 to float32 in [-1, 1]; `to_uint8` brings back every value."""
    return x.astype(jnp.float32) / 127.5 - 1


def _channels(x: Array) -> tuple[Array, Array, Array]:
    return x[..., 0], x[..., 1], x[..., 2]


def _product(x: Array, matrix: np.ndarray) -> Array:
    # An accelerator's default precision would cost two decimal digits.
    weights = jnp.asarray(matrix, x.dtype)
    return jnp.einsum("...i,oi->...o", x, weights, precision=lax.Precision.HIGHEST)
