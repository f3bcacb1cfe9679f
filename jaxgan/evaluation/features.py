"""Features of a stream of images: one compiled function, full batches, nothing dropped.

A feature network is any callable `network(params, images) -> [b, d]` over uint8 images
`[b, h, w, c]`; it does its own preprocessing. Images of the stream are regrouped into
batches of one size, the last of each image size is padded and its padding masked, and
each batch is split over a mesh if one is given.

A `fid.Preprocessed` network that resizes sees images of one size whatever theirs are:
its batches are filled across sizes, and what is compiled for each size is the resize
alone.

The compiled function is kept per network *object*: pass a module-level function, a
bound method or a frozen dataclass, not a lambda made anew for every evaluation.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int, UInt8

from jaxgan.core.errors import UserError
from jaxgan.core.types import Params
from jaxgan.evaluation import frechet, parallel
from jaxgan.evaluation.fid import Preprocessed
from jaxgan.evaluation.images import to_uint8

Network: TypeAlias = Callable[[Params, Any], Any]

# Batches in flight: the device works on one while the host reads another.
_AHEAD = 2
# Rows of a chunk of moments, and at least this many rows a dimension. Every chunk costs
# the host a [d, d] merge, and a stream that ends within the first is summed in float64.
_CHUNK_ROWS = 2048
_CHUNK_ROWS_PER_DIMENSION = 2


@dataclass(frozen=True)
class Batch:
    """A full batch: images, weight 0 for padding, positions in the stream."""

    images: UInt8[np.ndarray, "b h w c"]
    weight: Float[np.ndarray, " b"]
    position: Int[np.ndarray, " n"]  # of the rows with weight 1


def rebatch(images: Iterable[Any], batch_size: int) -> Iterator[Batch]:
    """Regroups batches of any length into full ones, one image size at a time.

    Args:
        images: batches `[n, h, w, c]`, uint8 or float in [-1, 1] (quantised); n may
            vary, and so may the size from batch to batch.
        batch_size: length of every batch that comes out.

    Yields:
        `Batch`es; ragged ends are filled with copies of their first image, weight 0.
    """
    waiting: dict[tuple[int, ...], list[tuple[np.ndarray, np.ndarray]]] = {}
    seen = 0

    def join(parts: list[tuple[np.ndarray, np.ndarray]]) -> Iterator[np.ndarray]:
        return (np.concatenate([part[i] for part in parts]) for i in (0, 1))

    for part in images:
        part = to_uint8(part)
        position = np.arange(seen, seen + len(part))
        seen += len(part)
        parts = waiting.setdefault(part.shape[1:], [])
        parts.append((part, position))
        if sum(len(position) for _, position in parts) < batch_size:
            continue
        pixels, position = join(parts)
        full = len(pixels) - len(pixels) % batch_size
        for low in range(0, full, batch_size):
            rows = slice(low, low + batch_size)
            weight = np.ones(batch_size, np.float32)
            yield Batch(pixels[rows], weight, position[rows])
        parts[:] = [(pixels[full:], position[full:])]
    for parts in waiting.values():
        pixels, position = join(parts)
        if len(pixels):
            missing = batch_size - len(pixels)
            padding = np.repeat(pixels[:1], missing, axis=0)
            weight = (np.arange(batch_size) < len(pixels)).astype(np.float32)
            yield Batch(np.concatenate([pixels, padding]), weight, position)


def _full_batches(images: Iterable[Any], batch_size: int) -> Iterator[list[np.ndarray]]:
    """Yields parts, each of one size, that are `batch_size` images or what is left."""
    waiting: list[np.ndarray] = []
    missing = batch_size
    for part in images:
        part = to_uint8(part)
        while len(part):
            waiting.append(part[:missing])
            part, missing = part[missing:], missing - len(waiting[-1])
            if not missing:
                yield waiting
                waiting, missing = [], batch_size
    if waiting:
        yield waiting


def _prepare(
    network: Preprocessed, parts: Sequence[np.ndarray], batch_size: int, split: Any
) -> Float[Array, "b h w c"]:
    """Images as the network takes them, padded with copies of the first.

    Equal sizes are resized together. Images of a mixed batch are resized one by one:
    at most two programs a size, and no work for padding.
    """
    missing = batch_size - sum(map(len, parts))
    if len({part.shape[1:] for part in parts}) == 1:
        padding = np.repeat(parts[0][:1], missing, axis=0)
        pixels = jax.device_put(np.concatenate([*parts, padding]), split)
        return jax.device_put(network.prepare(pixels), split)
    found = [
        network.prepare(part[i : i + 1]) for part in parts for i in range(len(part))
    ]
    return jax.device_put(jnp.concatenate([*found, *found[:1] * missing]), split)


@partial(jax.jit, static_argnums=0)
def _apply(network: Network, params: Params, images: Any) -> Float[Array, "b d"]:
    return network(params, images).astype(jnp.float32)


def _run(
    network: Network,
    params: Params,
    images: Iterable[Any],
    batch_size: int,
    mesh: Mesh | None,
) -> Iterator[tuple[Array, np.ndarray, np.ndarray]]:
    """Yields features on the device (still being computed), weights and positions."""
    split = None
    if mesh is not None:
        mesh = mesh.local_mesh  # each process judges images of its own
        split = NamedSharding(mesh, PartitionSpec(mesh.axis_names))
        params = parallel.whole(params, mesh)
        batch_size = parallel.rounded(batch_size, mesh)

    def batches() -> Iterator[tuple[Array, np.ndarray, np.ndarray]]:
        if not isinstance(network, Preprocessed) or network.keeps_sizes:
            for batch in rebatch(images, batch_size):
                pixels = jax.device_put(batch.images, split)
                found = _apply(network, params, pixels)
                yield found, batch.weight, batch.position
            return
        seen = 0
        for parts in _full_batches(images, batch_size):
            prepared = _prepare(network, parts, batch_size, split)
            count = sum(map(len, parts))
            weight = (np.arange(batch_size) < count).astype(np.float32)
            found = _apply(network.network, params, prepared)
            yield found, weight, np.arange(seen, seen + count)
            seen += count

    ready: deque[tuple[Array, np.ndarray, np.ndarray]] = deque()
    for batch in batches():
        ready.append(batch)
        if len(ready) > _AHEAD:
            yield ready.popleft()
    yield from ready


def collect(
    network: Network,
    params: Params,
    images: Iterable[Any],
    *,
    batch_size: int = 64,
    mesh: Mesh | None = None,
) -> Float[np.ndarray, "n d"]:
    """Features of every image, on the host, in the order of the stream.

    Args:
        network: `network(params, images) -> [b, d]` over uint8 `[b, h, w, c]`.
        params: its parameters.
        images: batches of any length, uint8 or float in [-1, 1]. In a multi-host run
            each process passes its own share and gets its own features.
        batch_size: images a compiled call, rounded up to a multiple of the mesh.
        mesh: splits each batch over all its (local) devices; parameters are replicated.

    Returns:
        float32, one row an image: 410 MB for 50,000 images of 2,048 features.

    Raises:
        UserError: if there is no image.
    """
    rows, positions = [], []
    for features, _, position in _run(network, params, images, batch_size, mesh):
        rows.append(np.asarray(features)[: len(position)])
        positions.append(position)
    if not rows:
        raise UserError("no images to evaluate: the folder or data set is empty")
    collected = np.empty((sum(map(len, rows)), rows[0].shape[1]), np.float32)
    collected[np.concatenate(positions)] = np.concatenate(rows)
    return collected


def moments(
    network: Network,
    params: Params,
    images: Iterable[Any],
    *,
    batch_size: int = 64,
    mesh: Mesh | None = None,
) -> frechet.Moments:
    """Mean and covariance of the features of a stream, which need not fit in memory.

    Sums run on the device in float32, chunk by chunk. A stream that is shorter than a
    chunk goes through `frechet.from_features`: it may hold fewer images than
    dimensions, and the null space of its covariance would turn float32 noise into an
    error of 1e-4 of the distance.

    Args: as `collect`.

    Returns:
        Moments over this process's images.

    Raises:
        UserError: if there is no image.
    """
    acc = None
    waiting: list[tuple[Array, np.ndarray]] = []

    def joined() -> tuple[Float[Array, "n d"], Float[np.ndarray, " n"]]:
        features = jnp.concatenate([part for part, _ in waiting])
        weight = np.concatenate([part for _, part in waiting])
        waiting.clear()
        return features, weight

    for features, weight, _ in _run(network, params, images, batch_size, mesh):
        waiting.append((features, weight))
        rows, dimension = len(waiting) * features.shape[0], features.shape[1]
        if rows >= max(_CHUNK_ROWS, _CHUNK_ROWS_PER_DIMENSION * dimension):
            acc = frechet.empty(dimension) if acc is None else acc
            acc = frechet.update(acc, *joined())
    if waiting and acc is None:
        features, weight = joined()
        return frechet.from_features(np.asarray(features)[weight > 0])
    if acc is None:
        raise UserError("no images to evaluate: the folder or data set is empty")
    return frechet.update(acc, *joined()) if waiting else acc
