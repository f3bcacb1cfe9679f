"""Tasks on two images: aligned pairs, and two domains without pairs."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import numpy as np
from jaxtyping import Array

from jaxgan.core.errors import UserError, one_of
from jaxgan.core.types import Batch, Key
from jaxgan.data.layouts import SIDE_BY_SIDE
from jaxgan.data.opening import open_domains, open_images, open_pairs
from jaxgan.data.options import Options
from jaxgan.data.permutation import permute
from jaxgan.data.sources import Source, Subset
from jaxgan.data.streams import Column, walk
from jaxgan.data.task import Task
from jaxgan.data.tasks.pictures_in import augmentation, picture_column
from jaxgan.ops import masks
from jaxgan.ops.color import normalize_lab, rgb_to_lab

DIRECTIONS = ("AtoB", "BtoA")


def paired(
    options: Options,
    split: str,
    seed: int,
    *,
    direction: str = "AtoB",
    colorization: bool = False,
    hole: bool = False,
    palette_a: int = 0,
    palette_b: int = 0,
    channels_a: int | None = None,
    channels_b: int | None = None,
) -> Task:
    """`a` (condition) and `b` (target), aligned; one crop and flip for both.

    Args:
      options: see `Options`.
      split: which examples.
      seed: the run's.
      direction: `BtoA` exchanges the two after loading.
      colorization: from single colour images: `a` is lightness, `L / 50 - 1`, and `b`
        the colour, `ab / 110`, of CIE Lab.
      hole: from single images: `b` is the image, `a` the image with the central square
        of half the side set to 1.
      palette_a: the stored A is a map of so many class numbers; it is coloured.
      palette_b: the same of B.
      channels_a: channels of the stored A, if not `data.channels`.
      channels_b: the same of B.

    References: Isola et al., "Image-to-Image Translation with Conditional Adversarial
    Networks", CVPR 2017, sections 3.3 and 6.2 (jitter); the official data set classes.
    """
    one_of(direction, DIRECTIONS, "data.direction")
    if colorization or hole:
        extra = (palette_a, palette_b, channels_a or 0, channels_b or 0)
        if colorization and hole or any(extra):
            raise UserError(
                "data.colorization and data.hole each make pairs of single pictures: "
                "choose one, without palettes and channels of A and B"
            )
        return _from_single(options, split, seed, direction, colorization)
    source = open_pairs(options, split)
    a, b = _two_columns(
        options, split, source, ("examples", "examples"),
        (palette_a, palette_b), (channels_a, channels_b),
    )  # fmt: skip
    palettes = {"a": palette_a, "b": palette_b}
    apply = augmentation(options, split, palettes)
    swap = direction == "BtoA"

    def transform(raw: Mapping[str, Array], key: Key) -> Batch:
        batch = apply({"a": raw["a"], "b": raw["b"]}, key)
        return {"a": batch["b"], "b": batch["a"]} if swap else batch

    return Task(
        name="paired",
        split=split,
        num_examples=len(source),
        streams={"examples": walk(source, split, seed)},
        columns={"a": a, "b": b},
        transform=transform,
        options=options,
    )


def unpaired(
    options: Options,
    split: str,
    seed: int,
    *,
    serial_batches: bool = False,
    disjoint: bool = False,
    palette_a: int = 0,
    palette_b: int = 0,
    channels_a: int | None = None,
    channels_b: int | None = None,
) -> Task:
    """`a` and `b` of two domains, drawn and augmented independently.

    An epoch is as long as the larger domain. A is shuffled and starts again when it is
    used up; B is drawn uniformly with replacement.

    Args:
      options: see `Options`.
      split: which examples.
      seed: the run's.
      serial_batches: no shuffling: both in their own order, starting again at the end.
      disjoint: for pairs used as if they were none: A and B of the training split come
        from different halves of the pairs.
      palette_a: the stored A is a map of so many class numbers; it is coloured.
      palette_b: the same of B.
      channels_a: channels of A, if not `data.channels`.
      channels_b: the same of B.

    References: Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent
    Adversarial Networks", ICCV 2017; the official `unaligned` data set class.
    """
    first, second = open_domains(options, split)
    paired_fields = first is second or options.layout == "side_by_side"
    if disjoint and split == "train":
        first, second = _halves(first, second)
    length = max(len(first), len(second))
    a, b = (
        _two_columns(
            options, split, source, ("a", "b"),
            (palette_a, palette_b), (channels_a, channels_b),
            paired_fields=paired_fields,
        )[i]
        for i, source in enumerate((first, second))
    )  # fmt: skip
    orders = ("serial", "serial") if serial_batches else ("shuffled", "replacement")
    apply = augmentation(options, split, {"a": palette_a, "b": palette_b})

    def transform(raw: Mapping[str, Array], key: Key) -> Batch:
        keys = jax.random.split(key)
        return {
            **apply({"a": raw["a"]}, keys[0]),
            **apply({"b": raw["b"]}, keys[1]),
        }

    return Task(
        name="unpaired",
        split=split,
        num_examples=length,
        streams={
            "a": walk(first, split, seed, 0, orders[0], length),
            "b": walk(second, split, seed, 1, orders[1], length),
        },
        columns={"a": a, "b": b},
        transform=transform,
        options=options,
    )


def _two_columns(
    options: Options,
    split: str,
    source: Source,
    streams: tuple[str, str],
    palettes: tuple[int, int],
    channels: tuple[int | None, int | None],
    paired_fields: bool = True,
) -> tuple[Column, Column]:
    """The columns of A and B: two fields, the halves of one, or one field each."""
    parts = (None, None)
    if not paired_fields:
        field = options.fields[0] if options.fields else "image"
        fields = (field, field)
    elif options.fields:
        fields = tuple(options.fields)
        if len(fields) != 2:
            raise UserError(f"data.fields is {fields}: name two, those of A and of B")
        if fields[0] == fields[1]:
            raise UserError(
                f"data.fields names {fields[0]!r} twice, so A and B would be the same "
                "picture; leave data.fields at None, which parts side-by-side pictures"
            )
    elif "a" in source.fields and "b" in source.fields:
        fields = ("a", "b")
    else:
        fields, parts = ("image", "image"), ("left", "right")
        if "image" not in source.fields:
            raise UserError(
                f"{source.name}: it has no fields a and b; name two of "
                f"{', '.join(source.fields)} with data.fields"
            )
        shape = source.fields["image"].shape
        if options.layout == "auto" and shape and shape[1] < SIDE_BY_SIDE * shape[0]:
            raise UserError(
                f"{source.name}: its pictures are {shape[1]}x{shape[0]}, not two side "
                "by side; name two fields with data.fields, or set "
                "data.layout=side_by_side"
            )
    first, second = (
        picture_column(
            options, source, split, stream=streams[i], field=fields[i], part=parts[i],
            classes=palettes[i], channels=channels[i],
        )
        for i in range(2)
    )  # fmt: skip
    return first, second


def _halves(first: Source, second: Source) -> tuple[Source, Source]:
    def half(source: Source, which: int) -> Source:
        count = len(source)
        side = permute(np.arange(count), count, seed=1) % 2
        return Subset(source, np.flatnonzero(side == which))

    if len(first) != len(second) or len(first) < 2:
        raise UserError(
            f"data.disjoint is for pairs, but A has {len(first)} examples and B "
            f"{len(second)}; leave it off"
        )
    return half(first, 0), half(second, 1)


def _from_single(
    options: Options, split: str, seed: int, direction: str, colorization: bool
) -> Task:
    """Pairs made of one image each: its lightness and colour, or a hole in it."""
    if direction != "AtoB":
        raise UserError(
            "data.direction=BtoA: pairs made of single images have one direction, AtoB"
        )
    if colorization and tuple(options.value_range) != (-1.0, 1.0):
        raise UserError(
            f"data.value_range = {options.value_range}: colorization has ranges of its "
            "own, leave it at (-1, 1)"
        )
    source = open_images(options, split)
    field = options.fields[0] if options.fields else "image"
    channels = 3 if colorization else None
    column = picture_column(options, source, split, field=field, channels=channels)
    apply = augmentation(options, split)

    def lightness_and_colour(raw: Mapping[str, Array], key: Key) -> Batch:
        rgb = (apply(raw, key)["image"] + 1) / 2
        a, b = normalize_lab(rgb_to_lab(rgb))
        return {"a": a, "b": b}

    def with_hole(raw: Mapping[str, Array], key: Key) -> Batch:
        image = apply(raw, key)["image"]
        return {"a": masks.without_center(image), "b": image}

    return Task(
        name="paired",
        split=split,
        num_examples=len(source),
        streams={"examples": walk(source, split, seed)},
        columns={"image": column},
        transform=lightness_and_colour if colorization else with_hole,
        options=options,
    )
