"""Each stage at width 64 or more, but cut down in depth and size.

So the first layers do not blur the flops, and a program compiles in seconds. A new
system adds a row; `tests/test_flops.py` and `benchmarks.guard` take it from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Small(NamedTuple):
    """A system cut down.

    Attributes:
      fields: that differ from the defaults.
      batch_size: least that is worth counting.
      map_side: side of a window that must be a feature map, see
        `hlo.slow_convolutions`.
    """

    fields: Mapping[str, Any]
    batch_size: int
    map_side: int = 16


# <system>/<stage>, or <system>/<mode> of a system without stages.
SMALL: dict[str, Small] = {
    "cyclegan/cyclegan": Small({"image_size": 32, "num_blocks": 1, "num_layers": 2}, 2),
    "dcgan/dcgan": Small(
        {"image_size": 16, "generator_channels": 64, "discriminator_channels": 64}, 4
    ),
    "gan/gan": Small({}, 8),
    "gan3d/gan3d": Small(
        {"resolution": 16, "channels": (128, 64), "z_dim": 64}, 4, map_side=8
    ),
    "pix2pix/pix2pix": Small(
        {"image_size": 64, "num_downs": 5, "dropout_layers": (1, 2)}, 2
    ),
    "semantic_inpainting/inpaint": Small(
        {"image_size": 16, "num_iters": 4, "curve_every": 2, "restarts": 2}, 2
    ),
    "srgan/srgan": Small({"image_size": 32, "num_blocks": 1, "dense_units": 64}, 2),
    "srgan/srresnet": Small({"image_size": 32, "num_blocks": 1, "content": "mse"}, 2),
}
