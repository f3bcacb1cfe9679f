"""Small questions about a mode's declaration."""

from __future__ import annotations

from typing import Any

from jaxgan import core
from jaxgan.core.mode import Input, Output


def item_of(declared: Input | Output) -> Any:
    """The member's declaration, where it is a set; else itself."""
    return declared.item if isinstance(declared, core.Set) else declared


def takes_files(declared: Input) -> bool:
    """Whether it is made of the users' pictures or shapes."""
    return isinstance(item_of(declared), core.Image | core.Voxels)


def is_numbers(declared: Output) -> bool:
    """Whether it goes into tables rather than into files of its own."""
    return isinstance(item_of(declared), core.Values | core.Latent)


def is_lab(mode: core.Mode) -> bool:
    """Whether pictures are split into lightness and the ab planes of Lab."""
    items = map(item_of, [*mode.inputs.values(), *mode.output.values()])
    return any(isinstance(item, core.Image) and item.channels == 2 for item in items)
