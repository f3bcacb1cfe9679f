"""Tiny image files."""

import io
import pathlib

import numpy as np
import pytest
from PIL import Image


def picture(seed: int, height: int = 20, width: int = 24, channels: int = 3):
    """Smooth noise, uint8 `[h, w, c]`, so that JPEG keeps it recognisable."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (4, 4, channels), np.uint8)
    image = Image.fromarray(small if channels == 3 else small[..., 0])
    values = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))
    return values.reshape(height, width, channels)


def encode(values: np.ndarray, format: str = "png", **options) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(values[..., 0] if values.shape[-1] == 1 else values)
    image.save(buffer, format, **options)
    return buffer.getvalue()


@pytest.fixture
def write(tmp_path):
    """`write("a/b.png", values)` makes a file below a new folder, and returns it."""

    def save(name: str, values: np.ndarray | bytes, **options) -> pathlib.Path:
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(values, np.ndarray):
            format = {".jpg": "jpeg"}.get(path.suffix, path.suffix[1:])
            values = encode(values, format, **options)
        path.write_bytes(values)
        return tmp_path / "set"

    return save


@pytest.fixture
def folder(write):
    """A folder of eleven small PNG files of different sizes."""
    for i in range(11):
        root = write(f"{i:02d}.png", picture(i, 20 + i, 24))
    return root


@pytest.fixture
def pairs(write):
    """A folder of seven side-by-side pairs, 32x16, PNG."""
    for i in range(7):
        both = np.concatenate([picture(i, 16, 16), picture(100 + i, 16, 16)], axis=1)
        root = write(f"train/{i}.png", both)
    return root
