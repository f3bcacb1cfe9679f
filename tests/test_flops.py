"""Every system's step does no work twice: flops within 5 % of the algorithm's least.

At width 64 or more, where the first layers no longer blur the count; depth and size are
cut down instead.
"""

from __future__ import annotations

import jax
import pytest

from benchmarks import hlo, steps
from benchmarks.minimum import MINIMUM, Pieces
from jaxgan import systems

# <system>/<stage>: fields that differ from the defaults, batch size.
CASES = [
    ("cyclegan/cyclegan", {"image_size": 32, "num_blocks": 1, "num_layers": 2}, 2),
    (
        "cyclegan/cyclegan",
        {"image_size": 32, "num_blocks": 1, "num_layers": 2, "lambda_identity": 0.0},
        2,
    ),
    (
        "dcgan/dcgan",
        {"image_size": 16, "generator_channels": 64, "discriminator_channels": 64},
        4,
    ),
    (
        "dcgan/dcgan",
        {
            "image_size": 16,
            "generator_channels": 64,
            "discriminator_channels": 64,
            "lineage": "tf",
            "n_critic": 2,
            "g_steps": 2,
            "reuse_noise": True,
        },
        4,
    ),
    ("gan/gan", {}, 8),
    ("gan3d/gan3d", {"resolution": 16, "channels": (128, 64), "z_dim": 64}, 4),
    ("pix2pix/pix2pix", {"image_size": 64, "num_downs": 5}, 2),
    ("pix2pix/pix2pix", {"image_size": 64, "num_downs": 5, "norm": "instance"}, 2),
    ("srgan/srgan", {"image_size": 32, "num_blocks": 1, "dense_units": 64}, 2),
    (
        "srgan/srgan",
        {
            "image_size": 32,
            "num_blocks": 1,
            "dense_units": 64,
            "content": "mse",
            "update_order": "g_first",
        },
        2,
    ),
    ("srgan/srresnet", {"image_size": 32, "num_blocks": 1, "content": "mse"}, 2),
]
BIG_WINDOW = {"gan3d/gan3d": 8}  # a feature map's side, where 16 is too much


def test_every_stage_of_every_system_is_counted():
    stages = {
        f"{name}/{stage.name}"
        for name, cls in systems.SYSTEMS.items()
        for stage in cls().stages
    }
    assert set(MINIMUM) == stages == {name for name, _, _ in CASES}


@pytest.mark.parametrize(
    ("name", "changes", "batch_size"),
    CASES,
    ids=[
        "-".join(
            [name.replace("/", "_"), *(f"{k}={v}" for k, v in list(c.items())[-1:])]
        )
        for name, c, _ in CASES
    ],
)
def test_the_step_executes_the_minimum_of_flops(name, changes, batch_size):
    system_name, stage_name = name.split("/")
    system = systems.get(system_name)(**changes)
    (stage,) = (s for s in system.stages if s.name == stage_name)
    arguments = steps.shapes(system, stage_name, batch_size)
    step = jax.jit(stage.step).lower(*arguments).compile()
    piece = Pieces(system, arguments.state, arguments.frozen)
    least = MINIMUM[name](system, piece, arguments.batch)
    assert 0.99 * least <= hlo.flops(step) <= 1.05 * least
    assert not hlo.reversed_map_sized_windows(step, BIG_WINDOW.get(name, 16))
