"""Reading image files through tf.data: the same rows, decoded by TensorFlow's threads.

JPEG files are decoded by TensorFlow, all others, and every resize, by Pillow as in
the plain reader; so both give the same batches up to the rounding of JPEG's transform.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from jaxgan.core.errors import UserError
from jaxgan.data.pictures import Unusable, decode
from jaxgan.data.plain_reader import PlainReader, load_boxes, load_files
from jaxgan.data.streams import Column, Raw, Rows
from jaxgan.data.tensorflow_import import tensorflow


class _Anchor:
    """Something to hang a finaliser on."""


def batches(
    reader: PlainReader, rows: Callable[[int], Rows], step: int
) -> Iterator[Raw]:
    """The raw batches from `step` on, without end."""
    op_error = tensorflow().errors.OpError  # a name that outlives the module at exit
    live: list[Any] = []  # the one iterator
    refused: list[UserError] = []  # by a thread of its
    anchor = _Anchor()
    # tf.data's threads run Python; none may be left when the interpreter goes down.
    close = weakref.finalize(anchor, live.clear)
    try:
        while True:
            live[:] = [iter(_dataset(reader, rows, step, refused))]
            try:
                while True:
                    indices, *pictures = next(live[0])
                    yield _join(reader, rows(step), indices.numpy(), pictures)
                    step += 1
            except op_error as error:
                reason = str(error)
            # A file of batch `step` is broken. Stand-ins are chosen and it is read
            # anew, as a run would read it that knew from the start. Outside of the
            # handler: an error raised within holds the iterator in its traceback, and
            # an interpreter that goes down with it may wait for its threads for ever.
            live.clear()
            if refused:
                raise refused[0]
            if not _find_unusable(reader, rows(step)):
                raise RuntimeError(reason)
    finally:
        close()


def _file_columns(reader: PlainReader) -> dict[str, dict[str, Column]]:
    """`{stream: {name: column}}` of the columns that are image files."""
    found: dict[str, dict[str, Column]] = {}
    for name, column in reader.columns.items():
        if reader.streams[column.stream].source.fields[column.field].encoded:
            found.setdefault(column.stream, {})[name] = column
    return found


def _dataset(
    reader: PlainReader,
    rows: Callable[[int], Rows],
    start: int,
    refused: list[UserError],
) -> Any:
    """Elements: example numbers `[n, streams]`, then `[n, h, w, c]` for each column."""
    tf = tensorflow()
    columns = _file_columns(reader)
    threads = reader.threads
    batch = len(next(iter(rows(start).indices.values())))

    def numbers(step: Any) -> tuple[np.ndarray, np.ndarray]:
        row = rows(int(step))
        indices = [
            [reader.skips[s].stand_in(i) for i in row.indices[s].tolist()]
            for s in columns
        ]
        places = np.stack([row.places[s] for s in columns], axis=1)
        return np.array(indices, np.int64).T, places

    plain = tf.autograph.experimental.do_not_convert

    @plain
    def load(indices: Any, places: Any) -> tuple[Any, ...]:
        used, pictures = [], []
        for k, (stream, group) in enumerate(columns.items()):
            decoded = _decoded(reader, stream, group, indices[k])
            index, *found = _prepared(
                reader, stream, group, decoded, indices[k], places[k], refused
            )
            used.append(index)
            pictures += found
        return (tf.stack(used), *pictures)

    @plain
    def expand(step: Any) -> Any:
        # numpy_function: Python decides which examples, once a batch.
        pair = tf.numpy_function(numbers, [step], [tf.int64, tf.float64])
        pair[0].set_shape((batch, len(columns)))
        pair[1].set_shape((batch, len(columns), 2))
        return tf.data.Dataset.from_tensor_slices(tuple(pair))

    options = tf.data.Options()
    options.deterministic = True
    options.threading.private_threadpool_size = threads
    steps = tf.data.Dataset.counter(start=start, step=1, dtype=tf.int64)
    return (
        steps.flat_map(expand)
        .map(load, num_parallel_calls=threads)
        .batch(batch, drop_remainder=True)
        .prefetch(2)
        .with_options(options)
    )


def _decoded(
    reader: PlainReader, stream: str, group: dict[str, Column], index: Any
) -> dict[str, Any]:
    """`{field: picture}` of one example, in the graph or eagerly."""
    tf = tensorflow()
    source = reader.streams[stream].source
    fields = {c.field: c.prepare.classes for c in group.values() if c.prepare}

    def read(index: Any) -> list[bytes]:
        files = load_files(source, int(index))
        return [files[field] for field in fields]

    data = tf.numpy_function(read, [index], [tf.string] * len(fields), stateful=False)
    return {
        field: _decode(data[k], classes)
        for k, (field, classes) in enumerate(fields.items())
    }


def _decode(data: Any, classes: bool) -> Any:
    tf = tensorflow()
    data.set_shape(())

    def read(data: Any) -> np.ndarray:  # bytes, or an array of them when run eagerly
        return decode(data if isinstance(data, bytes) else data.item(), classes)

    def pillow() -> Any:
        return tf.numpy_function(read, [data], tf.uint8, stateful=False)

    def jpeg() -> Any:
        # The accurate transform is the one that Pillow's decoder uses.
        return tf.io.decode_jpeg(data, dct_method="INTEGER_ACCURATE")

    if classes:
        return pillow()

    def unless_cmyk() -> Any:
        return tf.cond(tf.io.extract_jpeg_shape(data)[2] < 4, jpeg, pillow)

    return tf.cond(tf.io.is_jpeg(data), unless_cmyk, pillow)


def _prepared(
    reader: PlainReader,
    stream: str,
    group: dict[str, Column],
    decoded: dict[str, Any],
    index: Any,
    place: Any,
    refused: list[UserError],
) -> list[Any]:
    """The example that was usable and its pictures, in the graph.

    What decodes and yet is unusable, such as small pictures, is found out here, and
    another example stands in without the batches ahead being lost.
    """
    tf = tensorflow()
    source = reader.streams[stream].source

    def apply(index: np.int64, place: np.ndarray, *pictures: np.ndarray) -> list[Any]:
        named, at = dict(zip(decoded, pictures, strict=True)), _place(place)
        boxes = load_boxes(source, group, int(index))
        try:
            return [index, *(c.picture(named, at, boxes) for c in group.values())]
        except Unusable as why:
            try:
                reader.skips[stream].add(int(index), why)
                used, found = _read_usable(reader, stream, group, int(index), at)
            except UserError as error:  # TensorFlow would make another error of it
                refused.append(error)
                raise
            return [np.int64(used), *found]

    given = [index, place, *decoded.values()]
    types = [tf.int64] + [tf.uint8] * len(group)
    used, *out = tf.numpy_function(apply, given, types, stateful=False)
    used.set_shape(())
    for picture, column in zip(out, group.values(), strict=True):
        prepare = column.prepare
        assert prepare
        picture.set_shape((prepare.height, prepare.width, prepare.channels))
    return [used, *out]


def _place(values: np.ndarray) -> tuple[float, float]:
    return float(values[0]), float(values[1])


def _join(
    reader: PlainReader, rows: Rows, indices: np.ndarray, pictures: list[Any]
) -> Raw:
    """The raw batch: pictures as read, and the other fields of the same examples."""
    columns = _file_columns(reader)
    names = [name for group in columns.values() for name in group]
    raw = {name: p.numpy() for name, p in zip(names, pictures, strict=True)}
    for stream in reader.streams:
        used = rows.indices[stream]
        if stream in columns:
            used = indices[:, list(columns).index(stream)]
        raw |= reader.read_arrays(stream, used, rows.places[stream])
    return {name: raw[name] for name in reader.columns}


def _find_unusable(reader: PlainReader, rows: Rows) -> bool:
    """Tries every file of a batch by itself; says whether one was newly found out."""
    found = False
    for stream, group in _file_columns(reader).items():
        skips = reader.skips[stream]
        for index, place in zip(
            rows.indices[stream].tolist(), rows.places[stream], strict=True
        ):
            index = skips.stand_in(index)
            found |= (
                _read_usable(reader, stream, group, index, _place(place))[0] != index
            )
    return found


def _read_usable(
    reader: PlainReader,
    stream: str,
    group: dict[str, Column],
    index: int,
    place: tuple[float, float],
) -> tuple[int, list[np.ndarray]]:
    """An example, or the next usable one, and its pictures, without a graph."""
    tf = tensorflow()
    source, skips = reader.streams[stream].source, reader.skips[stream]
    while True:
        index = skips.stand_in(index)
        try:
            files, pictures = load_files(source, index), {}
            boxes = load_boxes(source, group, index)
            for column in group.values():
                assert column.prepare
                classes, data = column.prepare.classes, files[column.field]
                decode(data, classes)  # has better words
                pictures[column.field] = _decode(tf.constant(data), classes).numpy()
            return index, [c.picture(pictures, place, boxes) for c in group.values()]
        except Unusable as why:
            skips.add(index, why)
        except tf.errors.OpError as error:
            skips.add(index, Unusable(error.message or "TensorFlow refuses it"))
