"""How the ten digits are written: pen strokes through points.

Points lie in a box from (0, 0) to (1, 1), y down. A stroke is a Catmull-Rom spline,
which is linear in its points: a glyph is a matrix from points to the ends of short
segments, so that jittered points of many digits become strokes in one product.
"""

import dataclasses

import numpy as np

Stroke = tuple[tuple[float, float], ...]

SEGMENTS = 40  # a glyph, over all its strokes
_POINTS = 12  # at most, over all its strokes

# Ways of writing each digit; a way is one stroke or more, in pen order.
_WAYS: dict[int, tuple[tuple[Stroke, ...], ...]] = {
    0: (
        (((0.55, 0.02), (0.20, 0.16), (0.10, 0.52), (0.26, 0.90), (0.54, 0.98),
          (0.82, 0.84), (0.90, 0.48), (0.78, 0.13), (0.52, 0.02)),),
        (((0.68, 0.08), (0.34, 0.04), (0.14, 0.38), (0.16, 0.76), (0.42, 0.98),
          (0.74, 0.84), (0.88, 0.46), (0.74, 0.12), (0.46, 0.08)),),
    ),
    1: (
        (((0.54, 0.02), (0.52, 0.34), (0.50, 0.66), (0.48, 0.98)),),
        (((0.28, 0.24), (0.42, 0.14), (0.54, 0.02)),
         ((0.54, 0.02), (0.53, 0.50), (0.52, 0.98))),
        (((0.28, 0.24), (0.42, 0.14), (0.54, 0.02)),
         ((0.54, 0.02), (0.53, 0.50), (0.52, 0.97)),
         ((0.26, 0.97), (0.52, 0.97), (0.78, 0.97))),
    ),
    2: (
        (((0.14, 0.26), (0.30, 0.06), (0.60, 0.02), (0.82, 0.22), (0.72, 0.48),
          (0.42, 0.74), (0.12, 0.96)), ((0.12, 0.96), (0.50, 0.95), (0.90, 0.95))),
        (((0.16, 0.22), (0.38, 0.03), (0.70, 0.08), (0.80, 0.34), (0.56, 0.66),
          (0.24, 0.94), (0.12, 0.82), (0.30, 0.76), (0.56, 0.92), (0.90, 0.92)),),
    ),
    3: (
        (((0.16, 0.16), (0.40, 0.02), (0.72, 0.08), (0.76, 0.32), (0.42, 0.47)),
         ((0.42, 0.47), (0.78, 0.54), (0.84, 0.80), (0.54, 0.98), (0.14, 0.86))),
        (((0.16, 0.05), (0.48, 0.05), (0.80, 0.05)),
         ((0.80, 0.05), (0.60, 0.24), (0.42, 0.42)),
         ((0.42, 0.42), (0.78, 0.52), (0.82, 0.80), (0.50, 0.98), (0.14, 0.86))),
    ),
    4: (
        (((0.34, 0.04), (0.24, 0.34), (0.12, 0.60)),
         ((0.12, 0.60), (0.50, 0.58), (0.92, 0.56)),
         ((0.72, 0.22), (0.68, 0.60), (0.64, 0.98))),
        (((0.66, 0.02), (0.38, 0.34), (0.08, 0.68)),
         ((0.08, 0.68), (0.50, 0.68), (0.94, 0.68)),
         ((0.66, 0.02), (0.66, 0.50), (0.66, 0.98))),
    ),
    5: (
        (((0.26, 0.04), (0.22, 0.24), (0.18, 0.44)),
         ((0.18, 0.44), (0.50, 0.36), (0.80, 0.52), (0.80, 0.80), (0.50, 0.98),
          (0.12, 0.88)), ((0.26, 0.04), (0.54, 0.04), (0.84, 0.03))),
    ),
    6: (
        (((0.68, 0.02), (0.38, 0.24), (0.16, 0.62), (0.26, 0.92), (0.56, 0.98),
          (0.82, 0.80), (0.72, 0.56), (0.42, 0.54), (0.18, 0.74)),),
        (((0.80, 0.12), (0.54, 0.04), (0.26, 0.28), (0.14, 0.66), (0.34, 0.96),
          (0.68, 0.94), (0.82, 0.68), (0.56, 0.50), (0.22, 0.64)),),
    ),
    7: (
        (((0.12, 0.06), (0.50, 0.06), (0.88, 0.05)),
         ((0.88, 0.05), (0.62, 0.46), (0.40, 0.98))),
        (((0.12, 0.12), (0.46, 0.06), (0.88, 0.06)),
         ((0.88, 0.06), (0.64, 0.44), (0.50, 0.98)),
         ((0.34, 0.52), (0.58, 0.50), (0.82, 0.49))),
    ),
    8: (
        (((0.76, 0.16), (0.50, 0.02), (0.22, 0.16), (0.32, 0.38), (0.60, 0.54),
          (0.84, 0.76), (0.52, 0.98), (0.16, 0.80), (0.34, 0.56), (0.66, 0.40),
          (0.76, 0.16)),),
    ),
    9: (
        (((0.78, 0.26), (0.52, 0.04), (0.20, 0.18), (0.22, 0.44), (0.52, 0.52),
          (0.78, 0.26)), ((0.80, 0.10), (0.76, 0.56), (0.68, 0.98))),
        (((0.80, 0.22), (0.50, 0.02), (0.20, 0.22), (0.30, 0.48), (0.62, 0.46),
          (0.80, 0.22)),
         ((0.80, 0.22), (0.80, 0.60), (0.60, 0.92), (0.24, 0.96))),
    ),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Glyphs:
    """All ways of writing all digits, padded to one size.

    Attributes:
      points: `[ways, 12, 2]`.
      starts, ends: `[ways, 40, 12]`, from points to the ends of the segments.
      first, number: `[10]`: the ways of digit d are first[d] .. first[d]+number[d]-1.
    """

    points: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    first: np.ndarray
    number: np.ndarray


def _spline(count: int, samples: int) -> np.ndarray:
    """`[samples, count]` weights of a Catmull-Rom spline through `count` points."""
    place = np.linspace(0, count - 1, samples)
    left = np.minimum(place.astype(int), count - 2)
    t = (place - left)[:, None]
    basis = 0.5 * np.concatenate(
        [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3,
         -(t**2) + t**3], axis=1)  # fmt: skip
    weights = np.zeros((samples, count + 2))  # with a ghost point at either end
    for k in range(4):
        weights[np.arange(samples), left + k] += basis[:, k]
    # Ghosts continue the end segments: 2 p0 - p1.
    for ghost, end, next_ in ((0, 1, 2), (count + 1, count, count - 1)):
        weights[:, end] += 2 * weights[:, ghost]
        weights[:, next_] -= weights[:, ghost]
    return weights[:, 1:-1]


def load() -> Glyphs:
    """Builds the table from `_WAYS`; cheap, done once at import."""
    number = np.array([len(_WAYS[digit]) for digit in range(10)])
    total = int(number.sum())
    points = np.full((total, _POINTS, 2), 0.5, np.float32)
    starts = np.zeros((total, SEGMENTS, _POINTS), np.float32)
    ends = np.zeros_like(starts)
    ways = [way for digit in range(10) for way in _WAYS[digit]]
    for row, way in enumerate(ways):
        lengths = [len(stroke) - 1 for stroke in way]
        bounds = np.cumsum([0, *lengths]) * SEGMENTS // sum(lengths)
        point = 0
        for stroke, low, high in zip(way, bounds[:-1], bounds[1:], strict=True):
            inside = slice(point, point + len(stroke))
            points[row, inside] = stroke
            weights = _spline(len(stroke), int(high - low + 1))
            starts[row, low:high, inside] = weights[:-1]
            ends[row, low:high, inside] = weights[1:]
            point += len(stroke)
    first = np.concatenate([[0], np.cumsum(number)[:-1]])
    return Glyphs(points, starts, ends, first, number)


GLYPHS = load()
