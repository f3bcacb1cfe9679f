"""Random numbers that belong to an example, not to a position in a stream.

Every number is a hash of (seed, split, index, name of the draw), so that example `i`
is the same alone or in a batch, and a new draw never shifts the old ones.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Integer

from jaxgan.core.errors import UserError, one_of

SPLITS = ("train", "validation", "test")


def _mix(bits: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64 (Steele et al. 2014): uint64 -> uint64."""
    bits = bits + np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


class Draws:
    """Named random draws for a batch of indices.

    Args:
      stream: what tells this source of numbers from others, e.g. data set, seed and
        split; any values whose `repr` is stable.
      indices: `[n]` integers, one an example.
    """

    def __init__(self, stream: Sequence[Any], indices: Integer[np.ndarray, " n"]):
        self._stream = repr(tuple(stream))
        self._indices = _mix(np.asarray(indices).astype(np.uint64))

    def uniform(
        self, name: str, low: float = 0.0, high: float = 1.0, shape: tuple = ()
    ) -> Float[np.ndarray, "n ..."]:
        """float32 in [low, high), `[n, *shape]`."""
        key = hashlib.blake2b(f"{self._stream}/{name}".encode(), digest_size=8)
        key = np.uint64(int.from_bytes(key.digest(), "little"))
        lanes = np.arange(int(np.prod(shape)), dtype=np.uint64)
        bits = _mix(_mix(self._indices ^ key)[:, None] + lanes)
        # 24 bits: every value is exact in float32 and below 1.
        unit = (bits >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)
        unit = unit.reshape(len(self._indices), *shape)
        return (low + (high - low) * unit).astype(np.float32)

    def integers(
        self, name: str, low: int, high: int, shape: tuple = ()
    ) -> Int[np.ndarray, "n ..."]:
        """int32 in low..high-1, `[n, *shape]`."""
        unit = self.uniform(name, shape=shape).astype(np.float64)
        return (low + np.floor(unit * (high - low))).astype(np.int32)

    def chance(
        self, name: str, probability: float, shape: tuple = ()
    ) -> Bool[np.ndarray, "n ..."]:
        """True with this probability, `[n, *shape]`."""
        return self.uniform(name, shape=shape) < probability

    def normal(
        self, name: str, deviation: float = 1.0, shape: tuple = ()
    ) -> Float[np.ndarray, "n ..."]:
        """float32 of mean 0 and this deviation, bounded by 3.46 deviations.

        A sum of four uniforms: it has no far tails that could spoil a drawing.
        """
        total = self.uniform(name, -1.0, 1.0, shape=(*shape, 4)).sum(-1)
        return (total * np.float32(deviation * (3 / 4) ** 0.5)).astype(np.float32)


def check_options(name: str, split: str, count: int, size: int, least: int) -> None:
    """Refuses options that no data set here can serve.

    Raises:
      UserError: for an unknown split, no examples, or too small a size.
    """
    one_of(split, SPLITS, f"synthetic:{name}: split")
    if count < 1:
        raise UserError(f"synthetic:{name}: count is {count}; ask for at least 1.")
    if size < least:
        raise UserError(f"synthetic:{name}: size is {size}; use {least} or more.")


def check_indices(indices: Any, count: int) -> Int[np.ndarray, " n"]:
    """Returns `indices` as int64 `[n]`.

    Raises:
      IndexError: for an index outside 0..count-1.
    """
    indices = np.atleast_1d(np.asarray(indices, np.int64))
    if indices.size and not (0 <= indices.min() and indices.max() < count):
        raise IndexError(f"indices must lie in 0..{count - 1}, got {indices}")
    return indices


Fields = Mapping[str, tuple[tuple[int, ...], np.dtype]]


def chosen(
    available: Fields, wanted: Sequence[str] | None, name: str
) -> tuple[str, ...]:
    """The names among `wanted`, all if None.

    Raises:
      UserError: for a field that the data set lacks.
    """
    if wanted is None:
        return tuple(available)
    return tuple(
        one_of(field, available, f"synthetic:{name}: field") for field in wanted
    )


def fields_of(**fields: tuple[tuple[int, ...], Any]) -> Fields:
    """`name=(shape, dtype)` of one example as a dict with NumPy dtypes."""
    return {name: (shape, np.dtype(dtype)) for name, (shape, dtype) in fields.items()}
