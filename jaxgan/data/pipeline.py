"""Batches on the host, and from the host to the devices."""

from __future__ import annotations

import collections
import importlib.util
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import jax
import numpy as np

from jaxgan.core.errors import UserError
from jaxgan.data.plain_reader import PlainReader
from jaxgan.data.streams import Raw, Rows

_AHEAD = 2  # batches that are read while the caller is busy with another


def uses_tensorflow(reader: PlainReader) -> bool:
    """Whether image files are read through tf.data.

    Raises:
      UserError: if the config asks for TensorFlow and it is not installed.
    """
    files = any(
        reader.streams[c.stream].source.fields[c.field].encoded
        for c in reader.columns.values()
    )
    options = reader.options
    if not files or options.in_memory or options.reader == "pillow":
        return False
    installed = importlib.util.find_spec("tensorflow") is not None
    if options.reader == "tensorflow" and not installed:
        raise UserError(
            "data.reader=tensorflow, but TensorFlow is not installed; "
            "pip install 'jaxgan[train]' or set data.reader=pillow"
        )
    return installed


def batches(
    reader: PlainReader, rows: Callable[[int], Rows], start_step: int
) -> Iterator[Raw]:
    """The raw batches `rows(start_step)`, `rows(start_step + 1)`, ..., read ahead."""
    draws = reader.options.draws
    read = _plain
    if uses_tensorflow(reader):
        from jaxgan.data import tf_reader

        read = tf_reader.batches
    for raw in read(reader, rows, start_step):
        if draws > 1:
            raw = {k: v.reshape(-1, draws, *v.shape[1:]) for k, v in raw.items()}
        yield raw


def _plain(
    reader: PlainReader, rows: Callable[[int], Rows], step: int
) -> Iterator[Raw]:
    worker = ThreadPoolExecutor(1, "jaxgan-batch")
    ahead: collections.deque[Future[Raw]] = collections.deque()
    try:
        while True:
            while len(ahead) <= _AHEAD:
                ahead.append(worker.submit(lambda s=step: reader.read(rows(s))))
                step += 1
            yield ahead.popleft().result()
    finally:
        # One by one: `cancel_futures` fails in an interpreter that is ending.
        for future in ahead:
            future.cancel()
        worker.shutdown(wait=False)


def prefetch_to_device(
    iterator: Iterable[Raw], sharding: jax.sharding.Sharding, depth: int = 2
) -> Iterator[dict[str, jax.Array]]:
    """Keeps `depth` batches on their way to the devices.

    Copying is asynchronous, so that a step never waits for a transfer. Each process
    gives its own slice and gets global arrays.

    Args:
      iterator: dicts of arrays `[b, ...]`, this process's slices.
      sharding: of the batch axis, such as `NamedSharding(mesh, P(("data", "model")))`.
      depth: batches in flight besides the one in use.

    Yields:
      Dicts of global arrays.
    """
    queue: collections.deque[dict[str, jax.Array]] = collections.deque()
    try:
        for item in iterator:
            queue.append(
                {
                    name: jax.make_array_from_process_local_data(
                        sharding, np.asarray(value)
                    )
                    for name, value in item.items()
                }
            )
            if len(queue) > depth:
                yield queue.popleft()
        yield from queue
    finally:  # the threads of `Task.batches` end with this
        close = getattr(iterator, "close", None)
        if close:
            close()
