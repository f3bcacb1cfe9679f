"""How each system is judged: the papers' protocols, beside trivial baselines."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
from jax.sharding import Mesh

from jaxgan.core import System, UserError, check_modes
from jaxgan.data import Task, make_task
from jaxgan.data.opening import NothingHeldOut, open_high, open_images
from jaxgan.data.options import Options as DataOptions
from jaxgan.evaluation import feature_network, parallel, perceptual
from jaxgan.evaluation import segmenter as segmenters
from jaxgan.evaluation.options import Options
from jaxgan.evaluation.protocols import (
    generation,
    inpainting,
    label_maps,
    shapes,
    super_resolution,
    translation,
)
from jaxgan.evaluation.protocols.setting import STATIC_KEY, Segmenter, Setting

PROTOCOLS: dict[str, Callable[[Setting], dict[str, float]]] = {
    "cyclegan": translation.unpaired,
    "dcgan": generation.dcgan,
    "gan": generation.gan,
    "gan3d": shapes.gan3d,
    "pix2pix": translation.paired,
    "semantic_inpainting": inpainting.inpainting,
    "srgan": super_resolution.super_resolution,
}
_OF_PAIRS = ("paired", "unpaired")


def evaluate(
    system: System,
    variables: Mapping[str, Any],
    frozen: Mapping[str, Any],
    config: Mapping[str, Any],
    mesh: Mesh | None = None,
    *,
    split: str = "test",
    segmenter: Segmenter | None = None,
) -> dict[str, float]:
    """The figures of a system's protocol.

    Args:
      system: the system.
      variables: `{network: variables}`, averaged ones where the system keeps them.
      frozen: its pretrained networks.
      config: the run's resolved config; its section `evaluation` holds
        `jaxgan.evaluation.options.Options`.
      mesh: of devices of this process, which share every batch; None is one device.
        Figures stay, to rounding.
      split: `test`, `validation` or `train`.
      segmenter: for translations into photographs: `segmenter(uint8 [b, h, w, 3])`
        returns class numbers `[b, h, w]`. The FCN score is that of this network; None
        takes the one that `evaluation.segmenter` names.

    Raises:
      UserError: if the system has no protocol, its data is missing, or so are the
        weights of the feature network.
    """
    require(config)
    options = Options.of(config["evaluation"])

    @functools.cache
    def data(wanted: str) -> Task:
        task = _task(config, options, wanted, wanted == split)
        _check_sizes(system, task)
        return task

    mesh = parallel.several(mesh)
    if segmenter is None:
        known = segmenters.load(options, config.get("pretrained", {}))
        segmenter = known and known.over(mesh)
    setting = Setting(
        system,
        variables,
        frozen,
        config,
        data,
        split,
        options,
        feature_network.load(options, config.get("pretrained", {})),
        segmenter,
        perceptual.load(options, config.get("pretrained", {})),
        mesh,
    )
    return PROTOCOLS[config["name"]](setting)


def require(config: Mapping[str, Any], split: str | None = None) -> None:
    """Refuses what `evaluate` would refuse, before anything is computed.

    Args:
      config: the run's resolved config.
      split: whose data is to be there; None does not look.

    Raises:
      UserError: if there is no protocol, an option is wrong, or weights or data are
        missing.
    """
    name = config["name"]
    if name not in PROTOCOLS:
        known = ", ".join(PROTOCOLS)
        raise UserError(f"no evaluation protocol for {name!r}; there are: {known}")
    options = Options.of(config["evaluation"])
    feature_network.require(options, config.get("pretrained", {}))
    perceptual.require(options, config.get("pretrained", {}))
    label_maps.require(name, options, config)
    if split is not None:
        _task(config, options, split, is_judged=True)


def provenance(config: Mapping[str, Any], split: str = "test") -> dict[str, Any]:
    """What a row of figures names beside them: its key, networks and their weights.

    Args:
      config: the run's resolved config.
      split: what was judged on.
    """
    options = Options.of(config["evaluation"])
    row: dict[str, Any] = {"seed": STATIC_KEY}
    if options.source:
        row["source"] = options.source
    network = feature_network.load(options, config.get("pretrained", {}))
    row |= feature_network.provenance(options, network)
    given = config.get("pretrained", {})
    row |= perceptual.provenance(perceptual.load(options, given))
    if options.segmenter != "none":
        task = _task(config, options, split, is_judged=True)
        row |= label_maps.provenance(options, given, config["data"], task)
    return row


def _task(
    config: Mapping[str, Any], options: Options, split: str, is_judged: bool
) -> Task:
    # A critic's several draws a step are nothing to judge.
    data = {**config["data"], "draws": None}
    if not options.source or not is_judged:
        return make_task(data, split=split, seed=config["seed"])
    if data["task"] in _OF_PAIRS:
        raise UserError(
            "evaluation.source is for single images; judge pairs of another source "
            "with --config.data.source"
        )
    of_pairs_of_sizes = data["task"] == "low_high"
    given = DataOptions(
        source=options.source, holdout=0.0, image_size=data.get("image_size")
    )
    open_source = open_high if of_pairs_of_sizes else open_images
    try:
        source = open_source(given, "test")
    except NothingHeldOut:
        source = open_source(given, "train")
    whole = {**data, "source": source, "fields": None, "holdout": None, "where": None}
    return make_task(whole, split="test", seed=config["seed"])


def _check_sizes(system: System, task: Task) -> None:
    """Refuses data of another size than the system's."""
    raw = {
        name: jax.ShapeDtypeStruct((1, *spec.shape), spec.dtype)
        for name, spec in task.raw_spec.items()
    }
    batch = jax.eval_shape(task.preprocess, raw, jax.random.key(0))
    check_modes(batch, system.inference)


__all__ = [
    "PROTOCOLS",
    "Options",
    "Setting",
    "evaluate",
    "provenance",
    "require",
]
