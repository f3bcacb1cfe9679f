"""True label maps at their own size, as the numbers of the classes that are scored.

Published FCN scores are held against Cityscapes' label files, not against what is left
of them in pictures of 256 pixels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import UInt8

from jaxgan.core.errors import UserError
from jaxgan.data import Task
from jaxgan.data.files import Files, open_files
from jaxgan.data.pictures import Unusable, decode
from jaxgan.data.sources import Source
from jaxgan.evaluation import segmentation
from jaxgan.evaluation.options import Options

FIELD = "segmentation_label"  # of tfds:cityscapes: label ids
# What Cityscapes appends to the name of a scene.
_ENDINGS = (
    *("_leftImg8bit", "_gtFine_labelIds", "_gtFine_labelTrainIds", "_gtFine_color"),
    *("_gtCoarse_labelIds", "_gtCoarse_labelTrainIds", "_gtCoarse_color"),
)
_TRAIN_IDS, _LABEL_IDS = "labelTrainIds", "labelIds"


@dataclasses.dataclass(frozen=True)
class FullLabels:
    """Label maps that lie beside the pictures.

    Attributes:
      origin: where they come from, for the row of figures.
      read: `read(example) -> [h, w]`, class numbers; 255 and the like are unlabelled.
    """

    origin: str
    read: Callable[[int], UInt8[np.ndarray, "h w"]]


def find(options: Options, task: Task, data: Mapping[str, Any]) -> FullLabels | None:
    """The label maps that `evaluation.label_maps` names, or that the data brings.

    Args:
      options: with `label_maps`, `palette` and `labels_in`.
      task: whose examples are judged.
      data: the section `data`.

    Returns:
      None where label pictures have to be read by their colours.

    Raises:
      UserError: if `label_maps` cannot be opened or lacks a map, or if pictures show
        another part of a scene than its map.
    """
    domain = options.label_domain(data)
    source = task.streams.get(domain, next(iter(task.streams.values()))).source
    whole = task.options.resize == "stretch" and task.options.cut is None
    is_whole = whole and task.split != "train"
    if options.label_maps:
        if not is_whole:
            raise UserError(
                "evaluation.label_maps shows whole scenes: judge on pictures that do "
                "so too, with data.resize=stretch, no data.box, and not on the train "
                "split"
            )
        return _of_files(options, source)
    is_cityscapes = options.palette == "cityscapes"
    if not is_cityscapes or not is_whole or FIELD not in source.fields:
        return None
    return FullLabels(f"{FIELD} of {source.name}", lambda i: _of_field(source, i))


def _of_field(source: Source, example: int) -> UInt8[np.ndarray, "h w"]:
    row = example % len(source)
    if source.fields[FIELD].encoded:
        stored = _decode(source.encoded(row)[FIELD], source.describe(row))
    else:
        stored = source.read(np.array([row]), [FIELD])[FIELD][0]
        stored = stored.reshape(stored.shape[:2])
    return segmentation.cityscapes_train_ids(stored)


def _of_files(options: Options, source: Source) -> FullLabels:
    name = str(options.label_maps)
    scheme, _, path = name.partition(":")
    if scheme not in ("folder", "zip"):
        raise UserError(f"evaluation.label_maps={name}: give folder:PATH or zip:FILE")
    try:
        files = open_files(scheme, path, (".png",), "label maps")
    except UserError as error:
        raise UserError(f"evaluation.label_maps={name}: {error}") from error
    by_scene = _by_scene(files)
    chosen = [_map_of(by_scene, files, source, i) for i in range(len(source))]

    def read(example: int) -> UInt8[np.ndarray, "h w"]:
        file = chosen[example % len(chosen)]
        stored = _decode(files.read(file), f"{name}/{file}")
        if options.palette != "cityscapes" or _TRAIN_IDS in file:
            return stored
        return segmentation.cityscapes_train_ids(stored)

    return FullLabels(name, read)


def _by_scene(files: Files) -> dict[str, str]:
    """`{scene: file}`; of Cityscapes' several files a scene, that of its label ids."""
    names = files.names
    for kind in (_LABEL_IDS, _TRAIN_IDS):
        if any(f"_{kind}." in n for n in names):
            names = tuple(n for n in names if f"_{kind}." in n)
            break
    found: dict[str, str] = {}
    for name in names:
        scene = _scene(name)
        if scene in found:
            raise UserError(
                f"{files.name}: {found[scene]} and {name} are both maps of {scene!r}; "
                "name the folder of one split"
            )
        found[scene] = name
    return found


def _map_of(by_scene: Mapping[str, str], files: Files, source: Source, i: int) -> str:
    names = source.file_names(i)
    for name in names:
        if _scene(name) in by_scene:
            return by_scene[_scene(name)]
    if not names:
        raise UserError(
            "evaluation.label_maps are found by the names of files, but the examples "
            f"of {source.name} have none; give the pictures as folder: or zip:"
        )
    raise UserError(
        f"{files.name}: there is no label map for {source.describe(i)}; names must "
        f"agree, such as {_scene(names[0])}_gtFine_labelIds.png or "
        f"{_scene(names[0])}.png"
    )


def _scene(name: str) -> str:
    stem = PurePosixPath(name).stem
    for ending in _ENDINGS:
        stem = stem.removesuffix(ending)
    return stem


def _decode(data: bytes, what: str) -> UInt8[np.ndarray, "h w"]:
    try:
        return decode(data, classes=True)[..., 0]
    except Unusable as error:
        raise UserError(f"{what}: no label map: {error}") from error
