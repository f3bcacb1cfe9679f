"""Tasks on single images: real ones, with labels, with holes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxgan.core.errors import UserError, one_of
from jaxgan.core.types import Batch, Key
from jaxgan.data.opening import open_images, whole_field
from jaxgan.data.options import Options
from jaxgan.data.plain_reader import check_labels
from jaxgan.data.streams import Column, walk
from jaxgan.data.task import Task
from jaxgan.data.tasks.pictures_in import augmentation, field_of, picture_column
from jaxgan.ops.masks import HOLE_MASKS, draw_hole_mask


def images(options: Options, split: str, seed: int) -> Task:
    """`image`: real images, for systems that draw their inputs themselves."""
    source = open_images(options, split)
    field = options.fields[0] if options.fields else "image"
    return Task(
        name="images",
        split=split,
        num_examples=len(source),
        streams={"examples": walk(source, split, seed)},
        columns={"image": picture_column(options, source, split, field=field)},
        transform=augmentation(options, split),
        options=options,
    )


def labelled(
    options: Options,
    split: str,
    seed: int,
    *,
    label: str = "label",
    num_classes: int | None = None,
    bins: Sequence[int | float] | None = None,
) -> Task:
    """`image` and `label`, int32 in [0, num_classes).

    Args:
      options: see `Options`.
      split: which examples.
      seed: the run's.
      label: the source's field: a label folder's number, a group of
        `data.label_pattern`, an array.
      num_classes: None takes it from the source.
      bins: turns a number into its group: the greatest value of each group but the
        last. CAAE's ages: (5, 10, 15, 20, 30, 40, 50, 60, 70).

    Raises:
      UserError: if there is no such field, or a label is out of range.
    """
    source = open_images(options, split)
    field = field_of(source, label)
    if field.encoded or field.shape != ():
        raise UserError(
            f"{source.name}: field {label!r} is not a number an example; set data.label"
        )
    bounds = None if bins is None else tuple(float(b) for b in bins)
    if bounds and not all(a < b for a, b in itertools.pairwise(bounds)):
        raise UserError(
            f"data.bins is {tuple(bins or ())}: give the greatest value of each group "
            "but the last, in ascending order"
        )
    if num_classes is None:
        if bounds is not None:
            num_classes = len(bounds) + 1
        elif field.names:
            num_classes = len(field.names)
        else:
            num_classes = int(whole_field(source, label, "data.label").max()) + 1
    known = source.column(label)
    if known is not None and bounds is None:
        check_labels(known, num_classes, f"{source.name}, field {label!r}")
    name = options.fields[0] if options.fields else "image"
    apply = augmentation(options, split)
    return Task(
        name="labelled",
        split=split,
        num_examples=len(source),
        streams={"examples": walk(source, split, seed)},
        columns={
            "image": picture_column(options, source, split, field=name),
            "label": Column("examples", label, None, "int32", num_classes, bounds),
        },
        transform=lambda raw, key: {
            **apply({"image": raw["image"]}, key),
            "label": raw["label"],
        },
        options=options,
    )


def masked(options: Options, split: str, seed: int, *, mask: str = "center") -> Task:
    """`image` and `hole_mask` (1 = missing), drawn from the step's key.

    Args:
      options: see `Options`.
      split: which examples.
      seed: the run's.
      mask: a key of `jaxgan.ops.masks.HOLE_MASKS`.
    """
    one_of(mask, HOLE_MASKS, "data.mask")
    plain = images(options, split, seed)
    height, width = options.size

    def transform(raw: Mapping[str, Array], key: Key) -> Batch:
        mask_key, image_key = jax.random.split(key)
        image = plain.transform(raw, image_key)["image"]
        holes = draw_hole_mask(mask, mask_key, image.shape[0], height, width)
        return {"image": image, "hole_mask": jnp.asarray(holes, jnp.float32)}

    return Task(
        name="masked",
        split=split,
        num_examples=plain.num_examples,
        streams=plain.streams,
        columns=plain.columns,
        transform=transform,
        options=options,
    )
