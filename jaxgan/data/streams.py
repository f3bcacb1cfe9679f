"""Index arithmetic: which examples stand at which place of an endless walk."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Int

from jaxgan.data.permutation import epoch_and_index, random_bits, uniform
from jaxgan.data.pictures import OtherPicture, Picture, Prepare, cut_own, trim_low
from jaxgan.data.sources import Source

Raw = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False)
class Stream:
    """An endless walk over a source.

    Attributes:
      source: the examples.
      order: `shuffled` (a fresh permutation each epoch), `serial`, or `replacement`
        (every draw independent and uniform).
      seed: of the order.
      length: of an epoch; a source with fewer examples starts again (modulo).
    """

    source: Source
    order: str
    seed: int
    length: int

    def indices(self, positions: Int[np.ndarray, "*n"]) -> Int[np.ndarray, "*n"]:
        """The examples at these places of the walk."""
        count = len(self.source)
        if self.order == "serial":
            return np.asarray(positions, np.int64) % count
        if self.order == "replacement":
            draw = uniform(self.seed, positions) * count
            return np.minimum(draw.astype(np.int64), count - 1)
        return epoch_and_index(positions, self.length, self.seed)[1] % count

    def places(self, positions: Int[np.ndarray, " n"]) -> np.ndarray:
        """Where the host's random windows lie, `[n, 2]` in [0, 1)."""
        return uniform(self.seed + 1, positions[:, None], np.arange(2))


@dataclasses.dataclass(frozen=True)
class Column:
    """One field of the raw batch.

    Attributes:
      stream: the walk it follows.
      field: the source's field.
      prepare: for pictures: how they come to one size.
      dtype: for other fields: what they are converted to, None as they are.
      classes: for class numbers: how many there are.
      above: for occupancies: what is greater becomes 1, all else 0.
      bins: for numbers that become groups: the greatest value of each group but the
        last, ascending.
      low_of: for pictures of low resolution: the field of the high one, and how many
        times larger its side is.
      box: for pictures that are cut first, each by its own box: the field of the box.
    """

    stream: str
    field: str
    prepare: Prepare | None = None
    dtype: str | None = None
    classes: int | None = None
    bins: tuple[float, ...] | None = None
    low_of: tuple[str, int] | None = None
    above: float | None = None
    box: str | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that it looks at, its own first."""
        more = (self.low_of[0] if self.low_of else None, self.box)
        return (self.field, *(field for field in more if field))

    def picture(
        self,
        pictures: Mapping[str, Picture],
        place: tuple[float, float],
        boxes: Mapping[str, np.ndarray],
    ) -> OtherPicture:
        """The prepared picture of one example.

        Args:
          pictures: `{field: as decoded}` of those of `fields` that are pictures.
          place: see `Prepare`.
          boxes: `{field: [4]}` of the other.

        Raises:
          Unusable: see `Prepare`, `trim_low` and `cut_own`.
        """
        assert self.prepare
        own = pictures[self.field]
        if self.low_of:
            high, scale = self.low_of
            own = trim_low(own, pictures[high].shape[:2], scale)
        if self.box:
            own = cut_own(own, boxes[self.box])
        return self.prepare(own, place)


@dataclasses.dataclass(frozen=True)
class Rows:
    """What one batch holds: for each stream, examples and where windows lie in them.

    Attributes:
      indices: `{stream: [n]}`.
      places: `{stream: [n, 2]}` in [0, 1).
    """

    indices: Mapping[str, np.ndarray]
    places: Mapping[str, np.ndarray]


def walk(
    source: Source,
    split: str,
    seed: int,
    salt: int = 0,
    order: str = "shuffled",
    length: int | None = None,
) -> Stream:
    """A walk for a split: as `order` says in training, serial elsewhere.

    Args:
      source: the examples.
      split: `train` or another.
      seed: the run's.
      salt: tells the walks of one task apart.
      order: see `Stream`.
      length: of an epoch, that of the source if None.
    """
    order = order if split == "train" else "serial"
    own_seed = int(random_bits(seed, salt)) & (2**62 - 1)
    return Stream(source, order, own_seed, length or len(source))
