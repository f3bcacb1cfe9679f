"""Segmentation scores of translations between photographs and pictures of label maps.

Photograph to labels: each pixel of the result is of the class with the nearest colour.
Labels to photograph: a segmenter reads the results (the FCN score); scores are
comparable only between results that the same network read. What the truth leaves
unlabelled counts nowhere.

As published, where there are label maps at full size (`full_labels`): results of 8 bits
are enlarged to the map's size by Pillow's bilinear filter, read there, and held against
the map. Elsewhere label pictures are read by their colours at the size of the result,
where a segmenter of the caller's reads it; a pretrained one, which expects large
pictures, reads enlarged results against enlarged labels.

References:
    Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks",
    2017, section 4.1 (FCN score) and table 5 (photograph to labels).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from jaxtyping import Array, Int, UInt8

from jaxgan.core.errors import UserError, warn_once
from jaxgan.data import Task
from jaxgan.data.augment import palette as data_palette
from jaxgan.data.pictures import resize
from jaxgan.evaluation import images, segmentation, segmenter
from jaxgan.evaluation.options import Options
from jaxgan.evaluation.protocols import full_labels
from jaxgan.evaluation.protocols.full_labels import FullLabels
from jaxgan.evaluation.protocols.setting import Segmenter, Setting
from jaxgan.evaluation.segmenter import PretrainedSegmenter

BLACK = ((0, 0, 0),)


@dataclasses.dataclass(frozen=True)
class LabelMaps:
    """Confusion counts of several sets of translations; none where nothing is scored.

    Attributes:
      palette: a colour a class.
      ignored: colours of unlabelled regions.
      segmenter: reads photographs; None where the results are label maps themselves.
      full: label maps at full size, or None.
      majority: the class that is most frequent in training.
      counts: `{set: confusion}`.
    """

    palette: UInt8[np.ndarray, "k 3"] | None = None
    ignored: UInt8[np.ndarray, "j 3"] | None = None
    segmenter: Segmenter | None = None
    full: FullLabels | None = None
    majority: int = 0
    counts: Mapping[str, Int[np.ndarray, "k k+1"]] = dataclasses.field(
        default_factory=dict
    )

    @property
    def pretrained(self) -> PretrainedSegmenter | None:
        """The segmenter, where it is none of the caller's own."""
        own = self.segmenter
        return own if isinstance(own, PretrainedSegmenter) else None

    def truth(self, pictures: Any) -> Int[Array, "b h w"]:
        """Class numbers of true label maps; 255 where they are unlabelled."""
        return segmentation.nearest_palette(pictures, self.palette, self.ignored)

    def read(self, pictures: Any) -> Int[Array, "b h w"]:
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
    data = setting.config["data"]
    to_labels = target == options.label_domain(data)
    if not to_labels and setting.segmenter is None:
        warn_once(
            "photographs made of label maps are not scored: that needs a segmenter, "
            "such as --segmenter=fcn8s"
        )
        return LabelMaps()
    palette, ignored = colours(options, data)
    empty = LabelMaps(palette, ignored)
    if not to_labels:
        full = full_labels.find(options, setting.data(setting.split), data)
        return dataclasses.replace(empty, segmenter=setting.segmenter, full=full)
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
    examples: np.ndarray | None = None,
) -> LabelMaps:
    """Adds a batch.

    Args:
      acc: what was counted so far.
      shown: `{set: images}`: translations, and baselines in their place.
      source: what was translated.
      truth: the true images of the target domain.
      weight: 0 for padding.
      examples: their numbers, by which label maps at full size are found.
    """
    if acc.palette is None:
        return acc
    read_photographs = acc.segmenter
    if read_photographs is None:
        labels = acc.truth(truth)
        read: dict[str, Any] = {
            n: acc.read(x) for n, x in shown.items() if n != "/mean_image"
        }
        read["/majority"] = np.full(labels.shape, acc.majority, np.int32)
        return _count(acc, labels, read, weight)
    pictures = {
        n: images.to_uint8(np.asarray(x))
        for n, x in {**shown, "/real_images": truth}.items()
    }
    if acc.full is None and acc.pretrained is None:
        labels = acc.truth(source)
        read = {n: _segment(read_photographs, x, labels) for n, x in pictures.items()}
        return _count(acc, labels, read, weight)
    by_colours = None if acc.full else np.asarray(acc.truth(source), np.uint8)
    for i in np.flatnonzero(weight):  # each may have a size of its own
        if acc.full:
            assert examples is not None
            labels = acc.full.read(int(examples[i]))[None]
        else:
            assert by_colours is not None and acc.pretrained
            enlarged = resize(by_colours[i][..., None], *acc.pretrained.size, "nearest")
            labels = enlarged[None, ..., 0]
        large = {
            n: resize(x[i], *labels.shape[1:], "bilinear")[None]
            for n, x in pictures.items()
        }
        if acc.pretrained:  # all sets at once: the devices share them
            together = np.concatenate(list(large.values()))
            several = np.repeat(labels, len(large), axis=0)
            found = _segment(read_photographs, together, several)
            read = {n: found[j : j + 1] for j, n in enumerate(large)}
        else:
            read = {n: _segment(read_photographs, x, labels) for n, x in large.items()}
        acc = _count(acc, labels, read)
    return acc


def _count(
    acc: LabelMaps,
    labels: Any,
    read: Mapping[str, Any],
    weight: np.ndarray | None = None,
) -> LabelMaps:
    assert acc.palette is not None
    counts = dict(acc.counts)
    for name, found in read.items():
        before = counts.get(name, segmentation.empty(len(acc.palette)))
        counts[name] = segmentation.update(before, labels, found, weight)
    return dataclasses.replace(acc, counts=counts)


def result(acc: LabelMaps) -> dict[str, float]:
    """`{pixel_accuracy<set>, class_accuracy<set>, iou<set>}` of every set.

    The share of results outside all classes, and the number of pixels, are those of
    the translations. All names begin with `random_` where the segmenter is random.

    Raises:
      UserError: if label maps at full size label nothing.
    """
    row: dict[str, float] = {}
    prefix = acc.pretrained.prefix if acc.pretrained else ""
    if acc.full and not any(counts.any() for counts in acc.counts.values()):
        raise UserError(
            f"no pixel of {acc.full.origin} is labelled: Cityscapes keeps the labels "
            "of its test split to itself; judge with --split=validation"
        )
    for name, counts in acc.counts.items():
        for key, value in segmentation.result(counts).items():
            if not name or key in ("pixel_accuracy", "class_accuracy", "iou"):
                row[f"{prefix}{key}{name}"] = value
    return row


def require(name: str, options: Options, config: Mapping[str, Any]) -> None:
    """Refuses a segmenter that has nothing to read, or whose weights are missing.

    Args:
      name: the system's.
      options: with `segmenter`.
      config: the run's, with the sections `data` and `pretrained`.

    Raises:
      UserError: if so.
    """
    if options.segmenter == "none":
        return
    what = f"evaluation.segmenter={options.segmenter}: "
    if name not in ("pix2pix", "cyclegan"):
        raise UserError(f"{what}{name} does not translate label maps to photographs")
    if name == "pix2pix" and options.label_domain(config["data"]) != "a":
        raise UserError(
            f"{what}this run translates photographs to label maps, which are scored by "
            "their colours; leave the segmenter out (or see evaluation.labels_in)"
        )
    if name == "cyclegan" and not options.paired:
        raise UserError(
            f"{what}the true label map of a photograph is not known; set "
            "evaluation.paired=True if example i is one scene in both domains"
        )
    segmenter.require(options, config.get("pretrained", {}))


def provenance(
    options: Options, pretrained: Mapping[str, Any], data: Mapping[str, Any], task: Task
) -> dict[str, str]:
    """What a row says of its FCN score: the segmenter, its weights, and the truth.

    Args:
      options: the section `evaluation`.
      pretrained: the section `pretrained`.
      data: the section `data`.
      task: what was judged on.
    """
    network = segmenter.load(options, pretrained)
    if network is None:
        return {}
    full = full_labels.find(options, task, data)
    if full:
        truth = f"{full.origin}, at full size"
    else:
        height, width = task.options.size
        truth = f"colours of label pictures of {height}x{width}, enlarged"
    return {
        "segmenter": network.name,
        "segmenter/sha256": network.weights.sha256,
        "segmenter/truth": truth,
    }


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
        stored = options.label_domain(data, stored=True)
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


def _segment(read: Segmenter, pictures: np.ndarray, labels: Any) -> np.ndarray:
    found = np.asarray(read(pictures))
    if found.shape != labels.shape:
        raise UserError(
            f"the segmenter returned {found.shape} for pictures of {labels.shape[1:]}: "
            "it has to return a class number a pixel, [b, h, w]"
        )
    return found.astype(np.int32)
