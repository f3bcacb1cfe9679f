"""What the tasks on pictures share: columns for the host, augmentation for the step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Array

from jaxgan.core.errors import UserError, did_you_mean
from jaxgan.core.types import Batch, Key
from jaxgan.data import augment
from jaxgan.data.options import Options
from jaxgan.data.pictures import Prepare
from jaxgan.data.sources import Field, Source
from jaxgan.data.streams import Column


def field_of(source: Source, name: str) -> Field:
    """A field of the source by name.

    Raises:
      UserError: naming the fields that there are.
    """
    if name not in source.fields:
        raise UserError(
            f"{source.name}: it has no field {name!r}, only "
            f"{', '.join(source.fields)}; name others with data.fields, or set it to "
            "None, which takes those that the task needs"
        )
    return source.fields[name]


def channels_of(
    options: Options, source: Source, name: str, channels: int | None = None
) -> int:
    """`channels` or `data.channels`; else an array's own, or 3 for image files.

    An array has 1 or 3, or as many as are named, from 4 on: a number that nobody named
    is likelier an axis in the wrong place.

    Raises:
      UserError: if an array is no picture, or a picture cannot have so many.
    """
    field, wanted = field_of(source, name), channels or options.channels
    known = [1, 3]
    if field.shape is not None:
        shape = field.shape if len(field.shape) == 3 else (*field.shape, 1)
        if wanted and wanted > 3 and wanted == shape[-1]:
            known.append(wanted)
        if len(shape) != 3 or shape[-1] not in known or field.dtype != "uint8":
            raise UserError(
                f"{source.name}: field {name!r} is {field.dtype}{list(field.shape)}; "
                "images are uint8 [height, width] or [height, width, 1 or 3], 0..255, "
                "or of 4 and more channels if data.channels says how many"
            )
        wanted = wanted or shape[-1]
    wanted = wanted or 3
    if wanted not in known:
        raise UserError(
            f"data.channels is {wanted}: choose 1 or 3; more are for arrays that have "
            "as many"
        )
    return wanted


def box_of(options: Options, source: Source) -> str | None:
    """The field that holds each picture's own box, where `data.box` names one.

    Raises:
      UserError: if the source has no such field, or it holds something else.
    """
    name = options.cut
    if not isinstance(name, str):
        return None
    known = [key for key, field in source.fields.items() if not field.encoded]
    if name not in known:
        raise UserError(
            f"{source.name}: data.box names the field {name!r}"
            f"{did_you_mean(name, known)}; it has {', '.join(known) or 'none'}: name "
            "another, or set data.box to None for pictures that are cut already"
        )
    field = source.fields[name]
    if field.shape != (4,) or np.dtype(field.dtype).kind != "f":
        raise UserError(
            f"{source.name}: data.box names the field {name!r}, which is "
            f"{field.dtype}{list(field.shape or ())}; a box is four fractions, top, "
            "left, bottom and right as shares of the height and the width"
        )
    return name


def picture_column(
    options: Options,
    source: Source,
    split: str,
    *,
    stream: str = "examples",
    field: str = "image",
    part: Any = None,
    classes: int = 0,
    channels: int | None = None,
    low_of: tuple[str, int] | None = None,
    align: int = 1,
) -> Column:
    """The column of a picture that the host brings to `load_size` or crops.

    Args:
      options: sizes and the way to reach them.
      source: where it comes from.
      split: random windows are for training only.
      stream: the walk it follows.
      field: the source's field.
      part: the half of a side-by-side picture.
      classes: it is a map of so many class numbers, if not 0.
      channels: see `channels_of`.
      low_of: see `Column`; the result is smaller by that factor too.
      align: windows begin at multiples of this.
    """
    training = split == "train"
    # The step cuts crops out of a stretched picture; other resizes end in a window of
    # pictures whose sizes differ, which only the host can cut.
    stretch = options.resize == "stretch"
    height, width = options.loaded if stretch and training else options.size
    shrink = low_of[1] if low_of else 1
    cut = options.cut
    prepare = Prepare(
        height=height // shrink,
        width=width // shrink,
        channels=1 if classes else channels_of(options, source, field, channels),
        resize=options.resize,
        scale_to=options.loaded,
        filter=options.filter,
        part=part,
        box=None if isinstance(cut, str) else cut,
        random=training
        and (options.resize == "crop" or options.loaded != options.size),
        align=align,
        classes=bool(classes),
    )
    own_box = box_of(options, source)
    return Column(stream, field, prepare, low_of=low_of, box=own_box)


def augmentation(
    options: Options, split: str, palettes: Mapping[str, int] | None = None
) -> Callable[[Mapping[str, Any], Any], dict[str, Any]]:
    """Crop, flip and normalisation; all fields of one call share their draws.

    Args:
      options: sizes, `flip`, `value_range`.
      split: anything but `train` is deterministic.
      palettes: `{field: classes}` of maps of class numbers, which are coloured.

    Returns:
      `apply(raw, key) -> images` in the value range.
    """
    height, width = options.size
    training = split == "train"
    low, high = (float(v) for v in options.value_range)

    def apply(raw: Mapping[str, Array], key: Key) -> Batch:
        crop_key, flip_key = jax.random.split(key)
        out = {}
        for name, images in raw.items():
            if training:
                images = augment.random_crop(images, height, width, crop_key)
                if options.flip:
                    images = augment.random_flip(images, flip_key)
            else:
                images = augment.center_crop(images, height, width)
            if palettes and palettes.get(name):
                images = augment.colour(images, palettes[name])
            out[name] = augment.normalize(images, low, high)
        return out

    return apply
