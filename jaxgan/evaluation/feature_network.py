"""The network whose features FID and KID compare, and where its weights come from.

The Inception score takes its logits from the same features: they are linear in them.
"""

from __future__ import annotations

import dataclasses
import functools
import glob
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxgan.core.errors import UserError
from jaxgan.evaluation import features, fid
from jaxgan.evaluation.options import FEATURES, Options
from jaxgan.evaluation.weights import Needed
from jaxgan.pretrained import InceptionV3, Tap, loading

_INCEPTION = InceptionV3(taps=("pool3",))
_CLASSIFIER = InceptionV3(taps=("logits_unbiased",))


@dataclasses.dataclass(frozen=True)
class FeatureNetwork:
    """A feature network with its weights.

    Attributes:
      network: `network(params, images) -> [b, d]` over uint8 RGB.
      params: its weights.
      variant: the name of its figures, `fid/<variant>`.
      sha256: of the weights' file.
      is_random: whether the weights are random; its figures compare with no others.
      classifier: `features @ classifier` are the logits of the Inception score; None
        where there is no such score.
    """

    network: features.Network
    params: Any
    variant: str
    sha256: str
    is_random: bool = False
    classifier: Float[np.ndarray, "d k"] | None = None

    @property
    def prefix(self) -> str:
        """What the names of all its figures begin with."""
        return "random_" if self.is_random else ""


def load(options: Options, pretrained: Mapping[str, Any]) -> FeatureNetwork | None:
    """The network that `evaluation.features` names; None for `none`.

    Args:
      options: the section `evaluation`.
      pretrained: the section `pretrained`: `{name: file or "random"}`.

    Raises:
      UserError: if the weights are missing, damaged, or random without leave.
    """
    if options.features == "none":
        return None
    (source,) = _needed(options).sources(options, pretrained)
    variant = options.fid_variant or fid.DEFAULT_VARIANT
    return _load(FEATURES[options.features], source, variant, options.fid_size)


def require(options: Options, pretrained: Mapping[str, Any]) -> None:
    """Makes sure that `load` will find what it needs, without loading it.

    Raises:
      UserError: as `load`, and if `reference` or the folder of `write_reference` is
        missing.
    """
    if options.features == "none":
        return
    _needed(options).require(options, pretrained)
    path = options.reference
    if path:
        whole = Path(path)  # where there are two reference sets, x_a.npz and x_b.npz
        if not any(whole.parent.glob(f"{glob.escape(whole.stem)}*{whole.suffix}")):
            raise UserError(
                f"FID statistics {path} not found: make them with --write_reference"
            )
    path = options.write_reference
    if path and not Path(path).parent.is_dir():
        raise UserError(f"evaluation.write_reference={path}: there is no such folder")


def provenance(options: Options, network: FeatureNetwork | None) -> dict[str, Any]:
    """What a row says of its feature network: name, variant, weights, reference."""
    if network is None:
        return {}
    row = {
        "features": options.features,
        "features/variant": network.variant,
        "features/sha256": network.sha256,
    }
    if options.reference:
        row["features/reference"] = options.reference
    return row


def _needed(options: Options) -> Needed:
    return Needed(
        "FID and KID",
        {FEATURES[options.features]: _INCEPTION},
        "FID and KID of random features compare with no published figure; pass "
        "--allow_random_features to have them as random_fid and random_kid",
    )


@functools.lru_cache(maxsize=1)  # a run evaluates again and again
def _load(name: str, source: Any, variant: str, size: int) -> FeatureNetwork:
    try:
        weights = loading.load_weights(name, source, network=_CLASSIFIER)
        # Published scores leave the bias out.
        classifier = np.asarray(weights.variables["params"]["fc"]["kernel"])
    except UserError:  # a file without the classifier serves FID and KID
        weights = loading.load_weights(name, source, network=_INCEPTION)
        classifier = None
    return FeatureNetwork(
        fid.Preprocessed(
            Tap(_INCEPTION, "pool3"), variant, (size, size) if size else None
        ),
        weights,
        f"{variant}_{size}" if size else variant,  # figures of two sizes do not compare
        weights.sha256,
        weights.is_random,
        classifier,
    )
