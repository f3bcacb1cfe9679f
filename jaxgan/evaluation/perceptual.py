"""LPIPS of images against their originals, with weights that the user brings."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
from jaxtyping import Array, Float

from jaxgan.evaluation.images import AnyImage, level_pair
from jaxgan.evaluation.options import Options
from jaxgan.evaluation.weights import Needed
from jaxgan.pretrained import LPIPS, LPIPSWeights


@dataclasses.dataclass(frozen=True)
class Perceptual:
    """An LPIPS with its weights.

    Attributes:
      lpips: the distance.
      weights: of its trunk and its heads.
    """

    lpips: LPIPS
    weights: LPIPSWeights

    @property
    def name(self) -> str:
        """Of its figures: `lpips/alex`, `random_lpips/alex` if weights are random."""
        parts = (self.weights.trunk, self.weights.heads)
        prefix = "random_" if any(part.is_random for part in parts) else ""
        return f"{prefix}lpips/{self.lpips.trunk}"

    def __call__(self, images: AnyImage, targets: AnyImage) -> Float[Array, " b"]:
        """The distance of each pair of RGB images, uint8 or in [-1, 1] (quantised).

        Raises:
          UserError: for images that are too small for the trunk.
        """
        return _distance(self.lpips, self.weights, images, targets)


@functools.partial(jax.jit, static_argnums=0)
def _distance(
    lpips: LPIPS, weights: LPIPSWeights, images: AnyImage, targets: AnyImage
) -> Float[Array, " b"]:
    x, y = (levels / 127.5 - 1.0 for levels in level_pair(images, targets))
    return lpips(weights, x, y)


def load(options: Options, pretrained: Mapping[str, Any]) -> Perceptual | None:
    """The distance that `evaluation.lpips` names; None for `none`.

    Args:
      options: the section `evaluation`.
      pretrained: the section `pretrained`, with the files of trunk and heads, such as
        `alexnet` and `lpips_alex`.

    Raises:
      UserError: if weights are missing, damaged, or random without leave.
    """
    if options.lpips == "none":
        return None
    return _load(options.lpips, *_needed(options).sources(options, pretrained))


def require(options: Options, pretrained: Mapping[str, Any]) -> None:
    """Makes sure that `load` will find what it needs, without loading it.

    Raises:
      UserError: as `load`.
    """
    if options.lpips != "none":
        _needed(options).require(options, pretrained)


def provenance(distance: Perceptual | None) -> dict[str, Any]:
    """What a row says of LPIPS: trunk, version and the weights' files."""
    if distance is None:
        return {}
    return {
        "lpips/trunk": distance.lpips.trunk,
        "lpips/version": "0.1",
        "lpips/trunk_sha256": distance.weights.trunk.sha256,
        "lpips/heads_sha256": distance.weights.heads.sha256,
    }


def _needed(options: Options) -> Needed:
    lpips = LPIPS(options.lpips)
    trunk, heads = lpips.files
    return Needed(
        "LPIPS",
        {trunk: lpips.network(), heads: None},
        "LPIPS of random weights compares with no published figure; pass "
        "--allow_random_features to have it as random_lpips",
    )


@functools.lru_cache(maxsize=1)  # a run evaluates again and again
def _load(trunk: str, source: Any, heads: Any) -> Perceptual:
    lpips = LPIPS(trunk)
    return Perceptual(lpips, lpips.load(source, heads))
