"""Shuffling by arithmetic: a fresh permutation an epoch, asked at any position.

Element p of the endless stream is a pure function of (seed, p), so that a run resumes
at any step without replaying the ones before. Nothing is stored: a permutation is a
block cipher over the indices, not a list. NumPy only, the same on every machine.

References: Black and Rogaway, "Ciphers with Arbitrary Finite Domains", CT-RSA 2002
(generalised Feistel cipher and cycle walking); Steele, Lea and Flood, "Fast Splittable
Pseudorandom Number Generators", OOPSLA 2014 (the mixing function).
"""

import numpy as np
from jaxtyping import Float, Int, UInt64

_ROUNDS = 8
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def spread(
    rows: Int[np.ndarray, " n"], count: int, total: int
) -> Int[np.ndarray, " n"]:
    """Row r of `count` that lie evenly among `total` examples; all if they are equal.

    Neighbours are often alike: files sorted by class, frames of a film.
    """
    return rows.astype(np.int64) * total // count


def epoch_and_index(
    position: Int[np.ndarray, "*n"], count: int, seed: int
) -> tuple[Int[np.ndarray, "*n"], Int[np.ndarray, "*n"]]:
    """Where the endless, freshly shuffled stream stands.

    Args:
      position: places in the stream, from 0.
      count: examples in an epoch.
      seed: another seed is another order.

    Returns:
      The epoch and the example's index in [0, count), of each position; within an
      epoch every index occurs once.
    """
    position = np.asarray(position, np.int64)
    epoch = position // count
    return epoch, permute(position % count, count, seed, epoch)


def permute(
    index: Int[np.ndarray, "*n"],
    count: int,
    seed: int,
    epoch: int | Int[np.ndarray, "*n"] = 0,
) -> Int[np.ndarray, "*n"]:
    """The images of `index` under the permutation of [0, count) named (seed, epoch)."""
    index = np.asarray(index, np.int64)
    shape, index = index.shape, index.reshape(-1)
    if count <= 1:
        return np.zeros(shape, np.int64)
    # A domain of at least 64 mixes well; walking then needs 32 trips for two examples.
    half = np.uint64(max(3, ((count - 1).bit_length() + 1) // 2))
    mask = np.uint64((1 << int(half)) - 1)
    epoch = np.broadcast_to(np.asarray(epoch, np.int64), shape).reshape(-1)
    keys = random_bits(seed, epoch[None], np.arange(_ROUNDS)[:, None])

    def encrypt(value: np.ndarray, keys: np.ndarray) -> np.ndarray:
        left, right = value >> half, value & mask
        for key in keys:
            left, right = right, left ^ (_mix(right ^ key) & mask)
        return (left << half) | right

    value = encrypt(index.astype(np.uint64), keys)
    outside = np.flatnonzero(value >= count)
    while outside.size:  # walk the cycle until it comes back into [0, count)
        value[outside] = encrypt(value[outside], keys[:, outside])
        outside = outside[value[outside] >= count]
    return value.astype(np.int64).reshape(shape)


def random_bits(seed: int, *counters: int | np.ndarray) -> UInt64[np.ndarray, "*n"]:
    """64 random bits for every combination of counters (they broadcast)."""
    state = _mix(np.asarray([seed & (2**64 - 1)], np.uint64))
    shape = np.broadcast_shapes(*(np.shape(c) for c in counters))
    for counter in counters:
        wide = np.asarray(counter).astype(np.int64).astype(np.uint64)
        state = _mix(state ^ _mix(np.atleast_1d(wide)))
    return state.reshape(shape)


def uniform(seed: int, *counters: int | np.ndarray) -> Float[np.ndarray, "*n"]:
    """Random float64 in [0, 1) for every combination of counters."""
    return (random_bits(seed, *counters) >> np.uint64(11)) * 2.0**-53


def _mix(x: np.ndarray) -> np.ndarray:
    """The finaliser of splitmix64; arithmetic is modulo 2**64."""
    x = x + _GOLDEN
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
