"""Inputs of the specification's test vectors."""

import numpy as np


def features() -> tuple[np.ndarray, np.ndarray]:
    """X (rank 2) and Y, six vectors of three features."""
    i, j = np.arange(6)[:, None], np.arange(3)[None]
    return np.sin(1 + i + 2 * j), np.cos(0.5 + i * (j + 1))


def wide_features() -> tuple[np.ndarray, np.ndarray]:
    """Five vectors of sixteen features: fewer images than dimensions."""
    i, j = np.arange(5)[:, None], np.arange(16)[None]
    return np.sin(1 + i + 2 * j + i * j), np.cos(0.5 + i * (j + 1))


def grey() -> tuple[np.ndarray, np.ndarray]:
    """A smooth 24x24 picture and a disturbed one, uint8 [1, 24, 24, 1]."""
    i, j = np.arange(24)[:, None], np.arange(24)[None]
    u = 128 + 100 * np.sin(i / 3) * np.cos(j / 4)
    a = np.round(u)
    b = np.clip(np.round(u + 8 * np.sin(1.7 * i + j)), 0, 255)
    assert (a.sum(), b.sum()) == (73403, 73411)
    return tuple(x.astype(np.uint8)[None, :, :, None] for x in (a, b))


def rgb() -> tuple[np.ndarray, np.ndarray]:
    """A colour picture and a shifted one, uint8 [1, 24, 24, 3]."""
    a, b = (x.astype(int) for x in grey())
    first = np.concatenate([a, b, 255 - a], axis=-1)
    second = np.clip(first + np.array([5, -7, 3]), 0, 255)
    return first.astype(np.uint8), second.astype(np.uint8)


def noise(seed: int, *shape: int) -> np.ndarray:
    """Random uint8 images."""
    random = np.random.default_rng(seed)
    return random.integers(0, 256, shape, dtype=np.uint8)
