"""The tasks, by the name that a config's `data.task` holds."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Mapping
from typing import Any

from jaxgan.core.errors import UserError, did_you_mean, one_of
from jaxgan.core.hints import fits
from jaxgan.data.options import SPLITS, Options
from jaxgan.data.task import Task
from jaxgan.data.tasks.images import images, labelled, masked
from jaxgan.data.tasks.latent import latent
from jaxgan.data.tasks.low_high import low_high
from jaxgan.data.tasks.translation import paired, unpaired
from jaxgan.data.tasks.voxels import voxels

TASKS = {
    "images": images,
    "labelled": labelled,
    "latent": latent,
    "low_high": low_high,
    "masked": masked,
    "paired": paired,
    "unpaired": unpaired,
    "voxels": voxels,
}
_NOT_OURS = ("task", "stages")  # read here, and by the trainer
# What a task takes from an embedded set, unless data.fields says otherwise.
_DRAWN_FIELDS = {
    ("synthetic:digits", "images"): ("grey",),
    ("synthetic:digits", "labelled"): ("grey",),
    ("synthetic:digits", "unpaired"): ("grey", "colour"),
    ("synthetic:shapes", "images"): ("filled",),
    ("synthetic:shapes", "low_high"): ("flat",),
    ("synthetic:shapes", "masked"): ("filled",),
    ("synthetic:shapes", "paired"): ("edges", "filled"),
    ("synthetic:shapes", "unpaired"): ("style_a", "style_b"),
}


def make_task(
    data: Mapping[str, Any],
    *,
    split: str = "train",
    seed: int = 0,
    augment: bool = True,
) -> Task:
    """Builds the task of a config's `data` section.

    Args:
      data: `task`, `source`, `image_size` and whatever else `Options` and the task's
        function document; None means the default.
      split: `train`, `validation` or `test`.
      seed: of the order and of the host's random windows.
      augment: False: training examples too are read as those of the other splits are,
        whole and in order.

    Raises:
      UserError: for an unknown task, split or key, with the nearest known one, and for
        everything that is wrong with the source.
    """
    one_of(split, SPLITS, "split")
    if "task" not in data:
        raise UserError(f"data.task is not set; choose one of {', '.join(TASKS)}")
    build = TASKS[one_of(data["task"], TASKS, "data.task")]
    common = {f.name: str(f.type) for f in dataclasses.fields(Options)}
    own = {
        name: str(p.annotation)
        for name, p in inspect.signature(build).parameters.items()
        if p.kind is p.KEYWORD_ONLY
    }
    hints = typing.get_type_hints(build) | typing.get_type_hints(Options)
    given = {k: v for k, v in data.items() if k not in _NOT_OURS and v is not None}
    for key, value in given.items():
        if key not in common | own:
            raise UserError(
                f"data.{key}: the task {data['task']!r} knows no such key"
                f"{did_you_mean(key, common | own)}; its own are "
                f"{', '.join(sorted(own)) or 'none'}"
            )
        if not fits(value, hints[key]):
            wanted = (common | own)[key]
            raise UserError(f"data.{key} = {value!r} is not of type {wanted}")
    drawn = _DRAWN_FIELDS.get((str(given.get("source")), data["task"]))
    if drawn and not (given.get("colorization") or given.get("hole")):
        given.setdefault("fields", drawn)
    options = Options(**{k: v for k, v in given.items() if k in common})
    more = {k: v for k, v in given.items() if k in own}
    if augment or split != "train":
        return build(options, split, seed, **more)
    more.pop("disjoint", None)  # divides pairs for training alone
    sources = [s.source for s in build(options, split, seed, **more).streams.values()]
    chosen = sources[0] if len(sources) == 1 else sources
    whole = dataclasses.replace(options, source=chosen, holdout=None, where=None)
    return dataclasses.replace(build(whole, "test", seed, **more), split=split)
