"""Segmentation scores of translations between photographs and pictures of label maps.

Photograph to labels: each pixel of the result is of the class with the nearest colour.
Labels to photograph: a segmenter that users bring reads the results (the FCN score);
scores are comparable only between results that the same network read. The truth is the
true label map, read by its colours at the size of the result; what it leaves unlabelled
counts nowhere.

References:
    Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks",
    2017, section 4.1 (FCN score) and table 5 (photograph to labels).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Int, UInt8

from jaxgan.core.errors import UserError
from jaxgan.data.augment import palette as data_palette
from jaxgan.evaluation import images, segmentation
from jaxgan.evaluation.options import Options
from jaxgan.evaluation.protocols.setting import Segmenter, Setting

BLACK = ((0, 0, 0),)


@dataclasses.dataclass(frozen=True)
class LabelMaps:
    """Confusion counts of several sets of translations; none where nothing is scored.

    Attributes:
      palette: a colour a class.
      ignored: colours of unlabelled regions.
      segmenter: reads photographs; None where the results are label maps themselves.
      majority: the class that is most frequent in training.
      counts: `{set: confusion}`.
    """

    palette: UInt8[np.ndarray, "k 3"] | None = None
    ignored: UInt8[np.ndarray, "j 3"] | None = None
    segmenter: Segmenter | None = None
    majority: int = 0
    counts: Mapping[str, Int[np.ndarray, "k k+1"]] = dataclasses.field(
        default_factory=dict
    )

    def truth(self, pictures: Any) -> jax.Array:
        """Class numbers of true label maps; 255 where they are unlabelled."""
        return segmentation.nearest_palette(pictures, self.palette, self.ignored)

    def read(self, pictures: Any) -> jax.Array:
        """Class numbers of results, which have a class everywhere."""
        return segmentation.nearest_palette(pictures, self.palette)


def start(setting: Setting, source: str, target: str, wanted: bool = True) -> LabelMaps:
    """The accumulator for translations from one domain to another.

    Args:
      setting: with `evaluation.palette` and, for photographs, a segmenter.
      source: `a` or `b`.
      target: the other.
      wanted: whether there is a truth at all.
    """
    options = setting.options
    if not wanted or not options.palette:
        return LabelMaps()
    to_labels = target == options.labels_in
    if not to_labels and setting.segmenter is None:
        return LabelMaps()
    palette, ignored = colours(options, setting.config["data"])
    empty = LabelMaps(palette, ignored)
    if not to_labels:
        return dataclasses.replace(empty, segmenter=setting.segmenter)
    task, classes = setting.data("train"), len(palette)
    seen = np.zeros(classes, np.int64)
    for rows in setting.batches(task, min(1000, setting.count(task, 0))):
        found = np.asarray(empty.truth(rows.batch[target]))[rows.weight > 0]
        seen += np.bincount(found.ravel(), minlength=256)[:classes]
    return dataclasses.replace(empty, majority=int(np.argmax(seen)))


def update(
    acc: LabelMaps,
    shown: Mapping[str, Any],
    source: Any,
    truth: Any,
    weight: np.ndarray,
) -> LabelMaps:
    """Adds a batch.

    Args:
      acc: what was counted so far.
      shown: `{set: images}`: translations, and baselines in their place.
      source: what was translated.
      truth: the true images of the target domain.
      weight: 0 for padding.
    """
    if acc.palette is None:
        return acc
    if acc.segmenter is None:
        labels = acc.truth(truth)
        read: dict[str, Any] = {
            n: acc.read(x) for n, x in shown.items() if n != "/mean_image"
        }
        read["/majority"] = np.full(labels.shape, acc.majority, np.int32)
    else:
        labels = acc.truth(source)
        pictures = {**shown, "/real_images": truth}
        read = {n: _segment(acc.segmenter, x, labels) for n, x in pictures.items()}
    counts = dict(acc.counts)
    for name, found in read.items():
        before = counts.get(name, segmentation.empty(len(acc.palette)))
        counts[name] = segmentation.update(before, labels, found, weight)
    return dataclasses.replace(acc, counts=counts)


def result(acc: LabelMaps) -> dict[str, float]:
    """`{pixel_accuracy<set>, class_accuracy<set>, iou<set>}` of every set.

    The share of results outside all classes, and the number of pixels, are those of
    the translations.
    """
    row: dict[str, float] = {}
    for name, counts in acc.counts.items():
        for key, value in segmentation.result(counts).items():
            if not name or key in ("pixel_accuracy", "class_accuracy", "iou"):
                row[f"{key}{name}"] = value
    return row


def parts(row: Mapping[str, float]) -> Iterator[tuple[str, str, float]]:
    """Each figure's metric, `/<baseline>` or nothing, and value."""
    for key, value in row.items():
        metric, slash, rest = key.partition("/")
        yield metric, slash + rest, value


def colours(
    options: Options, data: Mapping[str, Any]
) -> tuple[UInt8[np.ndarray, "k 3"], UInt8[np.ndarray, "j 3"] | None]:
    """The classes' colours and those of unlabelled regions.

    Args:
      options: with `palette`, `ignored_colours` and `labels_in`.
      data: the section `data`, which may colour maps of class numbers.

    Raises:
      UserError: for an unknown palette, or colours that are none.
    """
    palette, ignored = options.palette, options.ignored_colours
    if palette == "cityscapes":
        palette = segmentation.CITYSCAPES_PALETTE
        ignored = ignored or segmentation.CITYSCAPES_IGNORED
    elif palette == "data":
        stored = options.labels_in
        if data.get("direction") == "BtoA":
            stored = "ab".replace(stored, "")
        classes = data.get(f"palette_{stored}")
        if not classes:
            raise UserError(
                f"evaluation.palette=data: data.palette_{stored} is not set; give the "
                "colours themselves, or set evaluation.labels_in"
            )
        palette, ignored = data_palette(int(classes)), ignored or BLACK
    known = _rgb(palette, "palette")
    return known, _rgb(ignored, "ignored_colours") if len(ignored) else None


def _rgb(values: Any, key: str) -> UInt8[np.ndarray, "k 3"]:
    try:
        found = np.asarray(values, np.int64)
    except (TypeError, ValueError):
        found = np.zeros((0, 0), np.int64)
    shape = found.shape
    if len(shape) != 2 or shape[1] != 3 or found.min() < 0 or found.max() > 255:
        raise UserError(
            f"evaluation.{key} = {values!r}: give ((r, g, b), ...) with 0..255"
            + (", 'cityscapes' or 'data'" if key == "palette" else "")
        )
    return found.astype(np.uint8)


def _segment(segmenter: Segmenter, pictures: Any, labels: Any) -> np.ndarray:
    found = np.asarray(segmenter(images.to_uint8(np.asarray(pictures))))
    if found.shape != labels.shape:
        raise UserError(
            f"the segmenter returned {found.shape} for pictures of {labels.shape[1:]}: "
            "it has to return a class number a pixel, [b, h, w]"
        )
    return found.astype(np.int32)
