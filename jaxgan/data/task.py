"""A task: which examples make batch `step`, and how raw arrays become a batch."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Shaped

from jaxgan.core.errors import UserError
from jaxgan.core.system import ArraySpec
from jaxgan.core.types import Key
from jaxgan.data import pipeline
from jaxgan.data.options import Options
from jaxgan.data.plain_reader import PlainReader
from jaxgan.data.streams import Column, Raw, Rows, Stream

_PLACES = 4096  # of a walk that are worked out at once

Transform = Callable[[Mapping[str, Any], Any], dict[str, Any]]


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
    """Turns examples into batches.

    Attributes:
      name: the task's name, such as `paired`.
      split: `train`, `validation` or `test`.
      num_examples: length of an epoch, and of `examples`.
      streams: the walks over the sources.
      columns: the raw fields.
      transform: `transform(raw, key) -> batch` for rows `[n, ...]`, jittable.
      options: how the host reads.
    """

    name: str
    split: str
    num_examples: int
    streams: Mapping[str, Stream]
    columns: Mapping[str, Column]
    transform: Transform
    options: Options

    @functools.cached_property
    def reader(self) -> PlainReader:
        """What it learns of unusable files serves every iterator of the task."""
        return PlainReader(self.streams, self.columns, self.options)

    @property
    def raw_spec(self) -> dict[str, ArraySpec]:
        """The raw fields as the host sends them, without the batch axis."""
        lead = (self.options.draws,) if self.options.draws > 1 else ()
        specs = {}
        for name, column in self.columns.items():
            if column.prepare:
                p = column.prepare
                specs[name] = ArraySpec(
                    (*lead, p.height, p.width, p.channels), "uint8", 0.0, 255.0
                )
                continue
            field = self.streams[column.stream].source.fields[column.field]
            shape, dtype = field.shape or (), column.dtype or field.dtype
            low, high = None, None
            if column.classes is not None:
                low, high = 0.0, column.classes - 1.0
            specs[name] = ArraySpec((*lead, *shape), dtype, low, high)
        return specs

    def preprocess(
        self, raw: Mapping[str, Shaped[Array | np.ndarray, "b ..."]], key: Key
    ) -> dict[str, Shaped[Array, "b ..."]]:
        """Raw arrays to a batch: crops, flips, normalisation. Pure; runs in the step.

        Args:
          raw: as `raw_spec` says, with a batch axis; the axis of `data.draws` may be
            absent, as it is from `examples`.
          key: decides the augmentation of the training split; the other splits are
            deterministic, except for what the task itself draws (holes).

        Returns:
          float32 fields in the ranges that the task documents; labels int32.
        """
        arrays = {name: jnp.asarray(value) for name, value in raw.items()}
        name, spec = next(iter(self.raw_spec.items()))
        if self.options.draws == 1 or arrays[name].ndim == len(spec.shape):
            return self.transform(arrays, key)
        flat = {k: v.reshape(-1, *v.shape[2:]) for k, v in arrays.items()}
        lead = next(iter(arrays.values())).shape[:2]
        out = self.transform(flat, key)
        return jax.tree.map(lambda x: x.reshape(*lead, *x.shape[1:]), out)

    def rows(
        self, step: int, batch_size: int, process_index: int = 0, process_count: int = 1
    ) -> Rows:
        """What this host's share of batch `step` holds: index arithmetic, no reading.

        Raises:
          UserError: if the batch is empty or cannot be shared evenly.
        """
        if batch_size < 1:
            raise UserError(
                f"training.batch_size is {batch_size}: it must be at least 1"
            )
        if batch_size % process_count:
            raise UserError(
                f"training.batch_size {batch_size} cannot be shared by {process_count} "
                f"processes; choose a multiple of {process_count}"
            )
        size = batch_size * self.options.draws
        share = size // process_count
        return self._rows(step * size + process_index * share, size, share, 1)[0]

    def _rows(self, first: int, stride: int, share: int, steps: int) -> list[Rows]:
        """The rows of several steps: `share` places each, from `first` on.

        Arithmetic on a few numbers is as slow as on a few thousand.
        """
        starts = first + stride * np.arange(steps, dtype=np.int64)
        positions = (starts[:, None] + np.arange(share)).reshape(-1)
        walks = self.streams.items()
        indices = {n: s.indices(positions).reshape(steps, share) for n, s in walks}
        places = {n: s.places(positions).reshape(steps, share, 2) for n, s in walks}
        return [
            Rows(
                {n: v[i] for n, v in indices.items()}, {n: places[n][i] for n in places}
            )
            for i in range(steps)
        ]

    def batches(
        self,
        start_step: int,
        batch_size: int,
        process_index: int = 0,
        process_count: int = 1,
    ) -> Iterator[Raw]:
        """This host's slices of the batches from `start_step` on, without end.

        Batch `step` is a pure function of (seed, step): a resumed run reads what the
        uninterrupted one reads, and the hosts' slices join to the one host's batch.
        """
        self.rows(start_step, batch_size, process_index, process_count)  # refuse early
        size = batch_size * self.options.draws
        share = size // process_count
        several = max(1, _PLACES // share)

        @functools.lru_cache(maxsize=2)
        def ahead(block: int) -> list[Rows]:
            first = block * several * size + process_index * share
            return self._rows(first, size, share, several)

        def rows(step: int) -> Rows:
            return ahead(step // several)[step % several]

        return pipeline.batches(self.reader, rows, start_step)

    def examples(self, indices: Any) -> Raw:
        """Raw examples by index, in the source's order, never shuffled.

        Args:
          indices: numbers in [0, num_examples); windows lie in the centre.
        """
        indices = np.asarray(indices, np.int64).reshape(-1)
        outside = indices[(indices < 0) | (indices >= self.num_examples)]
        if outside.size:
            raise UserError(
                f"example {outside[0]} does not exist: data.task={self.name} has "
                f"{self.num_examples} in its {self.split} split"
            )
        rows = Rows(
            {n: indices % len(s.source) for n, s in self.streams.items()},
            {n: np.full((len(indices), 2), 0.5) for n in self.streams},
        )
        return self.reader.read(rows)

    def usable(self, indices: Int[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """Whether no other example stood in for one that `examples` was asked for.

        Args:
          indices: numbers in [0, num_examples), read before.
        """
        usable = np.ones(len(indices), bool)
        for name, stream in self.streams.items():
            rows = (np.asarray(indices) % len(stream.source)).tolist()
            skips = self.reader.skips[name]
            usable &= np.array([skips.stand_in(i) == i for i in rows], bool)
        return usable
