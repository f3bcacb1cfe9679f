"""Deterministic stand-ins for published weights and pictures.

Networks are compared with reference implementations without their files: both sides
fill their parameters from the names of the reference's tensors, look at the same
picture, and only a few numbers of the outcome need to be stored.
"""

import zlib
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float


def probe_tensor(
    torch_key: str, torch_shape: tuple[int, ...]
) -> Float[np.ndarray, "..."]:
    """Returns the probe's float32 values of one tensor of a PyTorch state dict.

    A normal sample seeded by the CRC-32 of the name: He-scaled for kernels of rank two
    and more, `1 + 0.1 n` for the scale of a norm, `0.1 n` for biases and running means,
    `1 + 0.1 |n|` for running variances.

    Args:
        torch_key: name in the state dict, such as `features.0.weight`.
        torch_shape: shape in PyTorch's order, such as `(64, 3, 3, 3)`.

    Raises:
        ValueError: the last part of the name is none of the known ones.
    """
    generator = np.random.RandomState(zlib.crc32(torch_key.encode()))
    # An explicit (size,) so that a scalar shape gives an array as well.
    normal = generator.standard_normal((int(np.prod(torch_shape)),))
    normal = normal.reshape(torch_shape)
    leaf = torch_key.rpartition(".")[2]
    if len(torch_shape) >= 2:
        values = normal * np.sqrt(2.0 / np.prod(torch_shape[1:]))
    elif leaf == "weight":
        values = 1.0 + 0.1 * normal
    elif leaf in ("bias", "running_mean"):
        values = 0.1 * normal
    elif leaf == "running_var":
        values = 1.0 + 0.1 * np.abs(normal)
    else:
        raise ValueError(f"no probe values for {torch_key} of shape {torch_shape}")
    return values.astype(np.float32)


def probe_state_dict(
    shapes: Mapping[str, tuple[int, ...]],
) -> dict[str, np.ndarray]:
    """Returns `probe_tensor` of every name; `convert.torch_shapes` makes `shapes`."""
    return {key: probe_tensor(key, tuple(shape)) for key, shape in shapes.items()}


def probe_image(
    b: int, h: int, w: int, c: int = 3, low: float = -1.0, high: float = 1.0
) -> Float[np.ndarray, "b h w c"]:
    """Returns smooth float32 pictures with values in [low, high], NHWC."""
    n, i, j, k = np.ogrid[:b, :h, :w, :c]
    waves = np.sin(0.37 * i + 0.11 * j * (k + 1) + 1.3 * n)
    waves = waves * np.cos(0.05 * i * (n + 1) - 0.23 * j + 0.7 * k)
    return (low + (waves + 1.0) / 2.0 * (high - low)).astype(np.float32)
