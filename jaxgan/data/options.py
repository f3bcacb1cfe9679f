"""The keys of a config's `data` section that every task knows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from jaxgan.core.errors import UserError, one_of

SPLITS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True)
class Options:
    """Where examples come from and how the host reads them.

    Attributes:
      source: a name (see `jaxgan.data.sources`), a source object, or two of either for
        the two domains of unpaired translation.
      source_options: further keywords of the source: `data_dir` of TFDS, or those of a
        synthetic set.
      holdout: the share of the training examples that is kept back for `validation`
        (and for `test` if there is none); None is 0.1 where the source has no other
        splits and 0 where it has.
      holdout_by: a field whose equal values stay together, such as `identity`. Which
        ones are kept back follows from these values, else from the files' names:
        another file moves none of the others. Arrays go by their order.
      where: `{field: values}` that an example must have, class names or numbers.
      label_pattern: a regular expression over file names whose named groups become
        fields: `(?P<age>\\d+)_(?P<gender>\\d)_` for UTKFace. Of pairs the names of A
        (or `hr`) count.
      layout: `auto`, `folders` or `side_by_side`, for pairs in folders.
      folders: the two folders that hold A and B; a tuple, or words with a comma
        between.
      fields: the source's fields that the task uses, in the task's order, given as
        `folders` are; None takes `image`, `a` and `b`, and the like, or what suits an
        embedded set.
      draws: several examples a row, along a second axis: raw arrays `[b, draws, ...]`.
      reader: `tensorflow` or `pillow` for image files, `auto` takes the first that is
        installed.
      in_memory: decode all files, or draw all examples, once and keep them.
      threads: for reading and decoding; 0 is the number of cores that the process may
        use, at most 16 for each of its devices.
      max_unreadable: the share of files that may be broken; they are named in the log
        and the next whole one takes their place.
      image_size: of the batch, `n` or `(height, width)`.
      load_size: what images are resized to before a random crop of `image_size`;
        None is `image_size`.
      resize: `stretch`, `cover`, `width` or `crop`, see `jaxgan.data.pictures.Prepare`.
      filter: `bicubic`, `bilinear`, `lanczos`, `area` or `nearest`; all antialiased
        but the last.
      box: cut from each picture first: a central square's side, `(top, left, height,
        width)`, or the field that holds each picture's own box, see
        `jaxgan.data.pictures.cut_own`: `bbox` of many TFDS sets.
      channels: 1 or 3, or the number of an array that has more; None keeps an array's
        own 1 or 3 and is 3 for files.
      flip: mirror half of the training images left to right.
      value_range: what 0 and 255 become; systems take (-1, 1).
    """

    source: Any = None
    source_options: Mapping[str, Any] | None = None
    holdout: int | float | None = None
    holdout_by: str | None = None
    where: Mapping[str, Any] | None = None
    label_pattern: str | None = None
    layout: str = "auto"
    folders: Sequence[str] | str | None = None
    fields: Sequence[str] | str | None = None
    draws: int = 1
    reader: str = "auto"
    in_memory: bool = False
    threads: int = 0
    max_unreadable: int | float = 0.01
    image_size: int | Sequence[int] | None = None
    load_size: int | Sequence[int] | None = None
    resize: str = "stretch"
    filter: str = "bicubic"
    box: int | Sequence[int] | str | None = None
    channels: int | None = None
    flip: bool = False
    value_range: Sequence[int | float] = (-1.0, 1.0)

    def __post_init__(self):
        one_of(self.layout, ("auto", "folders", "side_by_side"), "data.layout")
        one_of(self.reader, ("auto", "tensorflow", "pillow"), "data.reader")
        for name in ("folders", "fields"):
            words = getattr(self, name)
            if words is not None:  # from the command line: `one,other`
                words = (words,) if isinstance(words, str) else words
                split = tuple(part for word in words for part in word.split(","))
                object.__setattr__(self, name, split)
        if self.draws < 1:
            raise UserError(f"data.draws is {self.draws}: it must be at least 1")
        if self.threads < 0:
            raise UserError(
                f"data.threads is {self.threads}: a number of threads, or 0 for as "
                "many as there are cores"
            )
        low, high = self.value_range if len(self.value_range) == 2 else (0, 0)
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise UserError(
                f"data.value_range is {tuple(self.value_range)}: give two numbers, "
                "what 0 and what 255 become, such as (-1, 1)"
            )
        if self.holdout is not None and not 0 <= self.holdout < 1:
            raise UserError(f"data.holdout is {self.holdout}: a share in [0, 1)")
        if not 0 <= self.max_unreadable <= 1:
            raise UserError(
                f"data.max_unreadable is {self.max_unreadable}: a share in [0, 1]"
            )

    @property
    def size(self) -> tuple[int, int]:
        """`image_size` as `(height, width)`.

        Raises:
          UserError: if it is missing or not positive.
        """
        if self.image_size is None:
            raise UserError("data.image_size is not set; give the network's image size")
        return _pair(self.image_size, "data.image_size")

    @property
    def loaded(self) -> tuple[int, int]:
        """`load_size` as `(height, width)`, never below `image_size`."""
        if self.load_size is None:
            return self.size
        load = _pair(self.load_size, "data.load_size")
        if load[0] < self.size[0] or load[1] < self.size[1]:
            raise UserError(
                f"data.load_size {load} is smaller than data.image_size {self.size}; "
                "crops are cut from the loaded size, so make it at least as large"
            )
        return load

    @property
    def cut(self) -> int | tuple[int, int, int, int] | str | None:
        """`box`, checked; whether a source has such a field is left to the task.

        Raises:
          UserError: if it is neither a side nor a rectangle nor a name.
        """
        if self.box is None or isinstance(self.box, str):
            return self.box
        if isinstance(self.box, int) and self.box > 0:
            return self.box
        if isinstance(self.box, Sequence) and len(self.box) == 4:
            top, left, height, width = self.box
            if min(top, left) >= 0 and min(height, width) > 0:
                return top, left, height, width
        raise UserError(
            f"data.box is {self.box!r}: give a square's side, (top, left, height, "
            "width), or the field that holds each picture's own box"
        )


def _pair(value: int | Sequence[int], what: str) -> tuple[int, int]:
    sizes = (value, value) if isinstance(value, int) else tuple(value)
    if len(sizes) != 2 or not all(isinstance(n, int) and n > 0 for n in sizes):
        raise UserError(f"{what} is {value!r}: give a positive number, or two")
    return sizes[0], sizes[1]
