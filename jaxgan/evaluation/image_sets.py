"""FID, KID and Inception scores of sets of images, gathered while a protocol runs.

Features of every set are kept on the host (410 MB for 50,000 images), because KID draws
subsets of them; moments are float64. Reference statistics from a file serve FID alone.
Images wait until there is a full batch of them, of whichever sets and sizes.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float, Shaped, UInt8

from jaxgan.core.errors import UserError
from jaxgan.evaluation import features, fid, frechet, parallel
from jaxgan.evaluation.feature_network import FeatureNetwork
from jaxgan.evaluation.images import AnyArray, AnyImage, to_uint8
from jaxgan.evaluation.inception_score import inception_score
from jaxgan.evaluation.kid import kid

_BLOCK = 8192  # rows whose float64 copy exists at a time
_SPLITS = 10  # of the Inception score; fewer where there are fewer images


@dataclasses.dataclass(frozen=True)
class ImageSets:
    """Features of named sets of images; gathers nothing without a network.

    Attributes:
      network: what computes them, or None.
      batch_size: images a compiled call.
      known: statistics of reference sets that need no images.
      rows: `{set: features}` in the order of arrival.
      waiting: `(set, uint8 images)` without features yet, less than a batch together.
      mesh: of the devices that batches, and KID's subsets, are split over; None is one
        device.
    """

    network: FeatureNetwork | None = None
    batch_size: int = 64
    known: Mapping[str, fid.Statistics] = dataclasses.field(default_factory=dict)
    rows: Mapping[str, tuple[Float[np.ndarray, "_ d"], ...]] = dataclasses.field(
        default_factory=dict
    )
    waiting: tuple[tuple[str, UInt8[np.ndarray, "_ _ _ 3"]], ...] = ()
    mesh: Mesh | None = None


def empty(
    network: FeatureNetwork | None,
    batch_size: int,
    known: Mapping[str, fid.Statistics],
    mesh: Mesh | None = None,
) -> ImageSets:
    """The accumulator before the first batch, its network's weights on all devices.

    Args:
      network: what computes features, or None.
      batch_size: images a compiled call, rounded up to a multiple of the devices.
      known: statistics of reference sets that need no images.
      mesh: of devices of this process; None is one device.
    """
    if network is not None:
        params = parallel.whole(network.params, mesh)
        network = dataclasses.replace(network, params=params)
    batch_size = parallel.rounded(batch_size, mesh)
    return ImageSets(network, batch_size, known, mesh=mesh)


def update(
    acc: ImageSets,
    images: Mapping[str, AnyImage],
    weight: Shaped[AnyArray, " b"] | None = None,
) -> ImageSets:
    """Adds a batch to some sets.

    Args:
      acc: what was gathered so far.
      images: `{set: batch}`, uint8 or float in [-1, 1], grey or RGB.
      weight: 1 for images that count, 0 for padding; None counts all.

    Raises:
      UserError: for images that are neither grey nor RGB, or not finite.
    """
    if acc.network is None:
        return acc
    for name, batch in images.items():
        if name in acc.known:
            continue
        kept = np.asarray(batch)
        if weight is not None:
            kept = kept[np.asarray(weight) > 0]
        if len(kept):
            waiting = (*acc.waiting, (name, to_uint8(_rgb(kept))))
            acc = dataclasses.replace(acc, waiting=waiting)
            acc = _computed(acc, _count(acc) // acc.batch_size * acc.batch_size)
    return acc


def flushed(acc: ImageSets) -> ImageSets:
    """The same without images that wait; the last batch is padded."""
    return _computed(acc, _count(acc))


def _count(acc: ImageSets) -> int:
    return sum(len(part) for _, part in acc.waiting)


def _computed(acc: ImageSets, count: int) -> ImageSets:
    """Features of the first `count` images that wait, in full batches."""
    if acc.network is None or not count:
        return acc
    chosen, later, missing = [], [], count
    for name, part in acc.waiting:
        if missing:
            chosen.append((name, part[:missing]))
        if len(part) > missing:  # a copy, which does not hold the whole set
            later.append((name, part[missing:].copy()))
        missing -= min(missing, len(part))
    found = features.collect(
        acc.network.network,
        acc.network.params,
        [part for _, part in chosen],
        batch_size=acc.batch_size,
        mesh=acc.mesh,
    )
    new: dict[str, list[np.ndarray]] = {}
    start = 0
    for name, part in chosen:
        new.setdefault(name, []).append(found[start : start + len(part)])
        start += len(part)
    rows = dict(acc.rows)
    for name, parts in new.items():
        rows[name] = (*rows.get(name, ()), np.concatenate(parts))
    return dataclasses.replace(acc, rows=rows, waiting=tuple(later))


def merge(a: ImageSets, b: ImageSets) -> ImageSets:
    """The union, the images of `a` first."""
    a, b = flushed(a), flushed(b)
    names = dict.fromkeys((*a.rows, *b.rows))
    rows = {name: (*a.rows.get(name, ()), *b.rows.get(name, ())) for name in names}
    return dataclasses.replace(a, rows=rows)


def alias(acc: ImageSets, names: Mapping[str, str]) -> ImageSets:
    """Gives sets further names, `{new: old}`."""
    acc = flushed(acc)
    rows = {new: acc.rows[old] for new, old in names.items() if old in acc.rows}
    return dataclasses.replace(acc, rows={**acc.rows, **rows})


def result(
    acc: ImageSets, reference: str, sets: Sequence[str] = ("",)
) -> dict[str, float]:
    """FID and KID of some sets against a reference set.

    Args:
      acc: what was gathered.
      reference: the name of the reference set.
      sets: names of the sets to judge, which end the names of their figures.

    Returns:
      `{fid/<variant><set>, kid/<variant><set>, .../std, .../num_samples,
      .../num_reference, ...}`, all with `random_` in front if the weights are random;
      nothing without a network, and no KID where only statistics are known.

    Raises:
      UserError: with fewer than two images in a set.
    """
    network = acc.network
    if network is None:
        return {}
    acc = flushed(acc)
    truth = statistics(acc, reference)
    figures: dict[str, float] = {}
    for name in sets:
        found = joined(acc, name)
        for key, value in fid.result(moments(found), truth).items():
            kind, _, rest = key.removeprefix("fid/").partition("/")
            figures[f"fid/{kind}{name}{'/' if rest else ''}{rest}"] = value
        if reference in acc.known:
            continue
        for key, value in kid(found, joined(acc, reference), mesh=acc.mesh).items():
            figures[f"kid/{network.variant}{name}{key.removeprefix('kid')}"] = value
    return {network.prefix + key: value for key, value in figures.items()}


def inception_scores(acc: ImageSets, sets: Sequence[str] = ("",)) -> dict[str, float]:
    """The Inception score of some sets, in ten splits as torch-fidelity draws them.

    Args:
      acc: what was gathered.
      sets: names of the sets to judge, which end the names of their figures.

    Returns:
      `{is/<variant><set>, .../std, .../num_samples, .../splits, .../seed}`, with
      `random_` in front if the weights are random; nothing without a network that
      classifies.

    Raises:
      UserError: for a set without images.
    """
    network = acc.network
    if network is None or network.classifier is None:
        return {}
    acc = flushed(acc)
    figures: dict[str, float] = {}
    for name in sets:
        found = _logits(joined(acc, name), network.classifier)
        for key, value in inception_score(
            found, splits=min(_SPLITS, len(found))
        ).items():
            figures[f"is/{network.variant}{name}{key.removeprefix('is')}"] = value
    return {network.prefix + key: value for key, value in figures.items()}


def _logits(
    rows: Float[np.ndarray, "n d"], classifier: Float[np.ndarray, "d k"]
) -> Float[np.ndarray, "n k"]:
    highest = jax.lax.Precision.HIGHEST
    blocks = (rows[i : i + _BLOCK] for i in range(0, len(rows), _BLOCK))
    found = (jnp.matmul(block, classifier, precision=highest) for block in blocks)
    return np.concatenate([np.asarray(block) for block in found])


def statistics(acc: ImageSets, name: str) -> fid.Statistics:
    """The statistics of a set: those of the file, or of its images."""
    if acc.network is None:
        raise ValueError("there is no feature network")
    if name in acc.known:
        return acc.known[name]
    return fid.statistics(
        moments(joined(acc, name)),
        variant=acc.network.variant,
        network_sha256=acc.network.sha256,
    )


def joined(acc: ImageSets, name: str) -> Float[np.ndarray, "n d"]:
    """The features of a set.

    Raises:
      UserError: if it holds no image.
    """
    acc = flushed(acc)
    if name not in acc.rows:
        raise UserError("FID and KID need images, but a set of them is empty")
    return np.concatenate(acc.rows[name])


def moments(rows: Float[np.ndarray, "n d"]) -> frechet.Moments:
    """Moments in float64, block by block."""
    blocks = (rows[i : i + _BLOCK] for i in range(0, len(rows), _BLOCK))
    return functools.reduce(frechet.merge, map(frechet.from_features, blocks))


def _rgb(images: Any) -> Any:
    """Grey images as RGB."""
    if images.shape[-1] == 3:
        return images
    if images.shape[-1] != 1:
        raise UserError(
            f"FID and KID need grey or RGB images, got {images.shape[-1]} channels: "
            "set evaluation.features=none"
        )
    repeat = jnp.repeat if isinstance(images, jax.Array) else np.repeat
    return repeat(images, 3, axis=-1)
