"""How the pieces of the train steps are written, and how they could have been.

A choice is a layer of one of the systems in several forms: the library's own, called as
it is, and alternatives that exist here alone. `benchmarks.formulations` times them. A
choice is a function of a `Setting`; the first line of its docstring says which layer it
is.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.choices import convolutions, layers, networks, updates
from benchmarks.choices.base import Choice, Form, Setting

__all__ = ["CHOICES", "Choice", "Form", "Setting"]

CHOICES: dict[str, Callable[[Setting], Choice]] = {
    make.__name__: make
    for make in (
        convolutions.transposed_k3,
        convolutions.transposed_k4,
        convolutions.transposed_3d,
        convolutions.strided_2d,
        convolutions.strided_in_cond,
        convolutions.strided_small_map,
        convolutions.residual,
        convolutions.residual_128,
        convolutions.innermost,
        convolutions.onto_colours,
        convolutions.strided_3d,
        convolutions.strided_3d_one_channel,
        layers.padding,
        layers.instance_norm,
        layers.batch_norm,
        layers.bias_before_norm,
        layers.upsampling_nearest,
        layers.upsampling_sub_pixel,
        networks.twins,
        networks.real_and_fake,
        networks.condition,
        networks.layout,
        networks.residual_blocks,
        updates.optimiser,
        updates.image_pool,
    )
}
