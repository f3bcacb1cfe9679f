"""The network that reads photographs for the FCN score, and where its weights lie."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Int, UInt8

from jaxgan.evaluation import parallel
from jaxgan.evaluation.options import SEGMENTERS, Options
from jaxgan.evaluation.weights import Needed
from jaxgan.pretrained import FCN8s, LoadedWeights, extract, loading

_NETWORK = FCN8s(precision=jax.lax.Precision.HIGHEST)


@dataclasses.dataclass(frozen=True)
class PretrainedSegmenter:
    """A pretrained network as a function of pictures.

    Attributes:
      name: as `evaluation.segmenter` names it.
      weights: its weights.
      size: height and width of the pictures that it was trained on.
      mesh: of the devices that read a picture each; None is one device.
    """

    name: str
    weights: LoadedWeights
    size: tuple[int, int]
    mesh: Mesh | None = None

    def over(self, mesh: Mesh | None) -> PretrainedSegmenter:
        """The same on the devices of a mesh."""
        weights = parallel.whole(self.weights, mesh)
        return dataclasses.replace(self, weights=weights, mesh=mesh)

    @property
    def prefix(self) -> str:
        """What the names of all its figures begin with."""
        return "random_" if self.weights.is_random else ""

    def __call__(
        self, images: UInt8[np.ndarray, "b h w 3"]
    ) -> Int[np.ndarray, "b h w"]:
        """The class with the greatest score, one picture a device after the other: at
        1024x2048 a single one fills gigabytes."""
        read, size = _reader(self.mesh), parallel.rounded(1, self.mesh)
        found = []
        for start in range(0, len(images), size):
            rows = np.minimum(np.arange(start, start + size), len(images) - 1)
            part = read(self.weights, images[rows])
            found.append(np.asarray(part)[: len(images) - start])
        return np.concatenate(found)


def load(options: Options, pretrained: Mapping[str, Any]) -> PretrainedSegmenter | None:
    """The network that `evaluation.segmenter` names; None for `none`.

    Args:
      options: the section `evaluation`.
      pretrained: the section `pretrained`: `{name: file or "random"}`.

    Raises:
      UserError: if the weights are missing, damaged, or random without leave.
    """
    if options.segmenter == "none":
        return None
    return _load(options.segmenter, *_needed(options).sources(options, pretrained))


def require(options: Options, pretrained: Mapping[str, Any]) -> None:
    """Makes sure that `load` will find what it needs, without loading it.

    Raises:
      UserError: as `load`.
    """
    if options.segmenter != "none":
        _needed(options).require(options, pretrained)


def _needed(options: Options) -> Needed:
    return Needed(
        "the FCN score",
        {options.segmenter: _NETWORK},
        "scores of a random segmenter compare with no published figure; pass "
        "--allow_random_features to have them as random_iou",
    )


@functools.lru_cache(maxsize=1)  # a run evaluates again and again
def _load(name: str, source: Any) -> PretrainedSegmenter:
    weights = loading.load_weights(name, source, network=_NETWORK)
    return PretrainedSegmenter(name, weights, SEGMENTERS[name])


@functools.cache
def _reader(mesh: Mesh | None) -> Callable[[LoadedWeights, Any], Array]:
    return parallel.by_rows(lambda weights, images: _classes(weights, images), mesh)


def _classes(
    weights: LoadedWeights, images: UInt8[Array | np.ndarray, "b h w 3"]
) -> Int[Array, "b h w"]:
    scores = extract(_NETWORK, weights, jnp.asarray(images))["scores"]
    return jnp.argmax(scores, axis=-1).astype(jnp.int32)
