"""No data: for systems that train on what they draw themselves."""

from __future__ import annotations

import numpy as np

from jaxgan.data.options import Options
from jaxgan.data.sources import ArraySource
from jaxgan.data.streams import Column, walk
from jaxgan.data.task import Task


def latent(
    options: Options, split: str, seed: int, *, num_examples: int = 65_536
) -> Task:
    """`index`: int32 numbers of examples that a step turns into noise by its key."""
    source = ArraySource("latent", {"index": np.arange(num_examples, dtype=np.int32)})
    return Task(
        name="latent",
        split=split,
        num_examples=num_examples,
        streams={"examples": walk(source, split, seed)},
        columns={"index": Column("examples", "index", None, "int32")},
        transform=lambda raw, key: dict(raw),
        options=options,
    )
