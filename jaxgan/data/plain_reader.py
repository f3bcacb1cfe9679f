"""Reading without TensorFlow: a plain take for arrays, Pillow and threads for files."""

from __future__ import annotations

import itertools
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

from jaxgan.core.errors import UserError
from jaxgan.data.options import Options
from jaxgan.data.pictures import Picture, Unusable, cut_own, decode, trim_low
from jaxgan.data.sources import Source
from jaxgan.data.streams import Column, Raw, Rows, Stream

log = logging.getLogger("jaxgan.data")

_THREADS = 16  # a device
_WAITS = (0.1, 1.0)  # seconds before a file is asked for again
_Decoded = tuple[dict[str, np.ndarray], dict[str, np.ndarray]]  # pictures, boxes
_LASTING = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)


class Skips:
    """Which examples of a source cannot be used, and what stands in for them.

    The stand-in is the next usable example: it depends on the files alone, not on
    which of them were met before, so that batches stay a function of (seed, step).
    """

    def __init__(self, source: Source, max_share: float):
        self._source, self._max_share = source, max_share
        self._unusable: dict[int, Unusable] = {}
        self._lock = threading.Lock()

    def stand_in(self, index: int) -> int:
        """`index`, or the next example after it that is not known to be unusable.

        Raises:
          UserError: if there is none.
        """
        total = len(self._source)
        for ahead in range(total):
            if (index + ahead) % total not in self._unusable:
                return (index + ahead) % total
        raise self._none_left(index)

    def add(self, index: int, why: Unusable) -> None:
        """Notes an unusable example and names it in the log.

        Raises:
          UserError: if a setting is to blame, if more cannot be read than is permitted,
            or if there are no others.
        """
        if why.fatal:
            raise UserError(f"{self._source.describe(index)}: an image {why}") from why
        with self._lock:
            if index in self._unusable:
                return
            self._unusable[index] = why
            small = sum(w.small for w in self._unusable.values())
            broken = len(self._unusable) - small
        total, where = len(self._source), self._source.describe(index)
        if broken > self._max_share * total:
            raise UserError(
                f"{where}: {why}; {broken} of {total} files cannot be read, more than "
                f"data.max_unreadable={self._max_share:g} permits: repair or remove "
                "them, or raise it"
            )
        if small + broken == total:
            raise self._none_left(index)
        if why.small:
            log.warning("skipped %s: it %s (%d so far)", where, why, small)
        else:
            log.warning("skipped %s: %s (%d so far)", where, why, broken)

    def _none_left(self, index: int) -> UserError:
        return UserError(
            f"{self._source.name}: none of its {len(self._source)} images can be used, "
            f"such as {self._source.describe(index)}: {self._unusable[index]}; check "
            "the files, data.image_size and data.load_size"
        )


class PlainReader:
    """Reads the rows of a task; its threads live as long as it does."""

    def __init__(
        self,
        streams: Mapping[str, Stream],
        columns: Mapping[str, Column],
        options: Options,
    ):
        self.streams, self.columns, self.options = streams, columns, options
        self.skips = {
            name: Skips(s.source, options.max_unreadable) for name, s in streams.items()
        }
        self.threads = options.threads or default_threads()
        self._pool: ThreadPoolExecutor | None = None
        self._memory: dict[str, list[Any]] = {}  # decoded files by stream
        self._arrays: dict[tuple[str, str], np.ndarray] = {}  # by stream and field
        self._memory_lock = threading.Lock()

    def read(self, rows: Rows) -> Raw:
        """The raw arrays of these rows, `[n, ...]`."""
        raw: Raw = {}
        for stream, indices in rows.indices.items():
            files, indices = self._read_files(stream, indices, rows.places[stream])
            raw |= files | self.read_arrays(stream, indices, rows.places[stream])
        return {name: raw[name] for name in self.columns}

    def read_arrays(self, stream: str, indices: np.ndarray, places: np.ndarray) -> Raw:
        """The columns of a stream that are not image files, of these examples."""
        source = self.streams[stream].source
        columns = {
            n: c
            for n, c in self.columns.items()
            if c.stream == stream and not source.fields[c.field].encoded
        }
        if not columns:
            return {}
        wanted = sorted({field for c in columns.values() for field in c.fields})
        if self.options.in_memory:
            read = {k: v[indices] for k, v in self._whole(stream, wanted).items()}
        else:
            read = source.read(indices, wanted)
        return {n: finish_array(read, c, places, self._map) for n, c in columns.items()}

    def _whole(self, stream: str, fields: list[str]) -> Raw:
        """Fields of all examples, read or drawn once."""
        source = self.streams[stream].source
        with self._memory_lock:
            new = [f for f in fields if (stream, f) not in self._arrays]
            if new:
                read = source.read(np.arange(len(source)), new)
                self._arrays |= {(stream, field): read[field] for field in new}
            return {field: self._arrays[stream, field] for field in fields}

    def _read_files(
        self, stream: str, indices: np.ndarray, places: np.ndarray
    ) -> tuple[Raw, np.ndarray]:
        """The columns that are image files, and the examples that were usable."""
        source = self.streams[stream].source
        columns = {
            n: c
            for n, c in self.columns.items()
            if c.stream == stream and source.fields[c.field].encoded
        }
        if not columns:
            return {}, indices
        load = self._loader(stream, source, columns)
        jobs = zip(indices.tolist(), map(tuple, places), strict=True)
        loaded = list(self._map(lambda job: self._usable(stream, load, *job), jobs))
        raw = {n: np.stack([pictures[n] for _, pictures in loaded]) for n in columns}
        return raw, np.array([index for index, _ in loaded], np.int64)

    def _usable(
        self, stream: str, load: Callable, index: int, place: tuple[float, float]
    ) -> tuple[int, dict[str, Picture]]:
        skips = self.skips[stream]
        while True:
            index = skips.stand_in(index)
            try:
                return index, load(index, place)
            except Unusable as why:
                skips.add(index, why)

    def _loader(
        self, stream: str, source: Source, columns: Mapping[str, Column]
    ) -> Callable[..., dict[str, Picture]]:
        wanted = {c.field: c.prepare.classes for c in columns.values() if c.prepare}

        def decoded(index: int) -> _Decoded:
            files, boxes = load_files(source, index), load_boxes(source, columns, index)
            return {f: decode(files[f], c) for f, c in wanted.items()}, boxes

        def prepared(found: _Decoded, place: tuple[float, float]) -> dict[str, Picture]:
            pictures, boxes = found
            return {
                n: c.picture(pictures, place, boxes)
                for n, c in columns.items()
                if c.prepare
            }

        if not self.options.in_memory:
            return lambda index, place: prepared(decoded(index), place)
        fixed = not any(c.prepare.draws_window for c in columns.values() if c.prepare)

        def once(index: int) -> dict[str, Picture] | _Decoded | Unusable:
            """What does not depend on the window, or why there is nothing."""
            try:
                found = decoded(index)
                return prepared(found, (0.5, 0.5)) if fixed else found
            except Unusable as why:
                return why

        with self._memory_lock:
            if stream not in self._memory:
                self._memory[stream] = list(self._map(once, range(len(source))))
        memory = self._memory[stream]

        def remembered(index: int, place: tuple[float, float]) -> dict[str, Picture]:
            kept = memory[index]
            if isinstance(kept, Unusable):
                raise kept
            return kept if fixed else prepared(kept, place)

        return remembered

    def _map(self, function: Callable, jobs: Iterable[Any]) -> Iterator[Any]:
        if self.threads == 1:
            return map(function, jobs)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.threads, "jaxgan-read")
        return self._pool.map(function, jobs)


def default_threads() -> int:
    """One a core that this process may use, and at most 16 for each of its devices."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on every system
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min(_THREADS * jax.local_device_count(), cores)


def load_files(source: Source, index: int) -> dict[str, bytes]:
    """The image files of an example; what a network disk refuses is asked for again.

    Raises:
      Unusable: if one cannot be read.
    """
    for wait in (*_WAITS, None):
        try:
            return source.encoded(index)
        except OSError as error:
            lasting = isinstance(error, _LASTING) or error.errno is None
            if wait is None or lasting:
                raise Unusable(f"cannot be read ({error})") from error
        time.sleep(wait)
    raise AssertionError


def load_boxes(
    source: Source, columns: Mapping[str, Column], index: int
) -> dict[str, np.ndarray]:
    """The boxes of an example by which these columns cut it: `{field: [4]}`."""
    names = sorted({c.box for c in columns.values() if c.box})
    if not names:
        return {}
    return {name: v[0] for name, v in source.read(np.array([index]), names).items()}


def finish_array(
    read: Raw, column: Column, places: np.ndarray, map: Callable[..., Iterable] = map
) -> np.ndarray:
    """An array field as the raw batch wants it: pictures of one size, or its dtype.

    Args:
      read: `{field: [n, ...]}`.
      column: which field, and how.
      places: where windows lie, `[n, 2]`.
      map: as the built-in; of several threads, for pictures of another size.

    Raises:
      UserError: if pictures do not fit, or class numbers are out of range.
    """
    values, p = read[column.field], column.prepare
    if p is None:
        return _finish_numbers(values, column)
    if values.ndim == 3:
        values = values[..., None]
    try:
        if column.low_of:
            high, scale = column.low_of
            values = trim_low(values, read[high].shape[1:3], scale)
        if (
            values.shape[1:] == (p.height, p.width, p.channels)
            and p.part is None
            and p.box is None
            and column.box is None
        ):
            return values
        if column.box:
            pairs = zip(values, read[column.box], strict=True)
            values = list(itertools.starmap(cut_own, pairs))
        jobs = zip(values, places, strict=True)
        return np.stack(list(map(lambda job: p(job[0], tuple(job[1])), jobs)))
    except Unusable as why:
        raise UserError(f"field {column.field!r}: an image {why}") from why


def _finish_numbers(values: np.ndarray, column: Column) -> np.ndarray:
    if column.bins is not None:
        values = np.digitize(values, column.bins, right=True)
    if column.above is not None:
        values = values > column.above
    if column.classes is not None:
        check_labels(values, column.classes, f"field {column.field!r}")
    return values if column.dtype is None else values.astype(column.dtype)


def check_labels(values: np.ndarray, classes: int, where: str) -> None:
    """Refuses class numbers out of range.

    Raises:
      UserError: naming the first such number.
    """
    broken = values[values != np.floor(values)]
    if broken.size:
        raise UserError(
            f"{where}: label {broken[0]:g} is no whole number: store class numbers, or "
            "make groups of values with data.bins"
        )
    wrong = values[(values < 0) | (values >= classes)]
    if wrong.size:
        raise UserError(
            f"{where}: label {wrong[0]} is outside 0..{classes - 1}; set "
            "data.num_classes, or choose examples with data.where"
        )
