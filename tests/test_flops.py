"""Every system's step does no work twice: flops within 5 % of the algorithm's least.

At width 64 or more, where the first layers no longer blur the count; depth and size are
cut down instead.
"""

from __future__ import annotations

import types
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from benchmarks import steps
from benchmarks.minimum import MINIMUM, Pieces
from benchmarks.small import SMALL
from jaxgan import systems
from jaxgan.networks.layers import Conv
from jaxgan.planning import hlo

STRUCTURES = [  # fields that differ from those of SMALL, and what they are called
    ("cyclegan/cyclegan", {"lambda_identity": 0.0}, "no_identity"),
    ("cyclegan/cyclegan", {"pool_size": 0}, "no_pool"),
    (
        "dcgan/dcgan",
        {"lineage": "tf", "n_critic": 2, "g_steps": 2, "reuse_noise": True},
        "tf_two_steps",
    ),
    ("pix2pix/pix2pix", {"norm": "instance"}, "instance"),
    ("srgan/srgan", {"content": "mse", "update_order": "g_first"}, "mse_g_first"),
]
CASES = {name: (name, {}) for name in MINIMUM} | {
    f"{name}-{title}": (name, changes) for name, changes, title in STRUCTURES
}


def test_every_stage_of_every_system_is_counted():
    stages = {
        f"{name}/{stage.name}"
        for name, cls in systems.SYSTEMS.items()
        for stage in cls().stages
    }
    assert set(MINIMUM) == stages


@pytest.mark.slow
@pytest.mark.picked
@pytest.mark.parametrize("case", CASES)
def test_the_step_executes_the_minimum_of_flops(case):
    name, changes = CASES[case]
    system_name, stage_name = name.split("/")
    small = SMALL[name]
    system = systems.get(system_name)(**{**small.fields, **changes})
    (stage,) = (s for s in system.stages if s.name == stage_name)
    arguments = steps.shapes(system, stage_name, small.batch_size)
    step = jax.jit(stage.step).lower(*arguments).compile()
    piece = Pieces(system, arguments.state, arguments.frozen)
    least = MINIMUM[name](system, piece, arguments.batch)
    assert 0.99 * least <= hlo.flops(step) <= 1.05 * least
    # The count of a CPU's program is blind to these, which a GPU pays for.
    assert not hlo.slow_convolutions(step, small.map_side)


@pytest.mark.parametrize("plain, products", [(True, 36), (False, 16)])
def test_a_step_elsewhere_is_held_to_the_plain_count(plain, products):
    """Four windows of 3x3, which Winograd's tiles make of 16 products on a CPU."""
    layer = Conv(256, padding=1, use_bias=False)
    x = jax.ShapeDtypeStruct((1, 32, 32, 256), jnp.float32)
    params = jax.eval_shape(layer.init, jax.random.key(0), x)["params"]
    call = types.SimpleNamespace(
        apply=lambda variables, x, **_: layer.apply(variables, x)
    )
    system: Any = types.SimpleNamespace(networks=lambda: {"layer": call})
    state: Any = types.SimpleNamespace(stats={"layer": {}}, params={"layer": params})
    counted = Pieces(system, state, plain=plain).forward("layer", x)
    tiles = 2 * products * 256 * 256 * 16 * 16
    assert 0.9 * tiles <= counted <= 1.15 * tiles  # borders, and what is added up
