"""What the devices exchange in every system's step: gradients, batch statistics, metric
scalars, and the batch for an image pool that is whole on each; no other activation.

Read from the program compiled for eight devices. XLA's CPU compiler reduces the
gradient of every pass through a network by itself; its GPU compiler adds them first.
Wide layers stay the convolutions that they are on accelerators: each CPU of a mesh
would transform the kernels of `ops.winograd` for itself.
"""

from __future__ import annotations

import math

import jax
import pytest
from jax.stages import Compiled

from benchmarks import steps
from benchmarks.small import SMALL
from jaxgan import core, systems
from jaxgan.core.pool import ImagePool
from jaxgan.ops import conv_as_dots
from jaxgan.planning import hlo
from jaxgan.training import sharding

DEVICES = 8
# The passes through a player's networks that a step differentiates.
PASSES = {
    "cyclegan/cyclegan": {"generators": 3, "discriminators": 2},
    "dcgan/dcgan": {"discriminator": 2, "generator": 1},
    "gan/gan": {"discriminator": 2, "generator": 1},
    "gan3d/gan3d": {"discriminator": 2, "generator": 1},
    "pix2pix/pix2pix": {"discriminator": 2, "generator": 1},
    "srgan/srgan": {"discriminator": 2, "generator": 1},
    "srgan/srresnet": {"srresnet": 1},
    "semantic_inpainting/inpaint": {},
}
# SRGAN runs its generator once for each update. On one device XLA merges the two; on
# several each has reductions of its own for batch norm, and they stay apart.
REPEATED = {"srgan/srgan": 1.04}
STRUCTURES = [  # fields that differ from those of SMALL, and what they are called
    ("cyclegan/cyclegan", {"pool_size": 16, "pool_groups": 2}, "two_groups"),
    ("cyclegan/cyclegan", {"pool_size": 16, "pool_groups": DEVICES}, "eight_groups"),
    ("cyclegan/cyclegan", {"pool_size": 0, "microbatches": 2}, "microbatches"),
]
CASES = {name: (name, {}) for name in SMALL} | {
    f"{name}-{title}": (name, changes) for name, changes, title in STRUCTURES
}


def compiled(case: str, devices: int) -> tuple[core.System, steps.Program, Compiled]:
    name, changes = CASES[case]
    system_name, part = name.split("/")
    system = systems.get(system_name)(**{**SMALL[name].fields, **changes})
    mesh = sharding.make_mesh({"data": devices, "model": 1})
    size = DEVICES * changes.get("microbatches", 1)
    program = steps.program(system, part, size, mesh, abstract=True)
    return system, program, program.call.lower(*program.arguments).compile(hlo.QUICK)


@pytest.fixture(autouse=True)
def convolutions_as_on_accelerators(monkeypatch):
    jax.clear_caches()  # a layer of one shape is traced once
    monkeypatch.setattr(conv_as_dots, "_tiled", lambda *_: False)
    yield
    jax.clear_caches()


def test_every_program_is_looked_at():
    assert set(PASSES) == set(SMALL)


@pytest.mark.slow
@pytest.mark.picked
@pytest.mark.parametrize("case", CASES)
def test_devices_share_the_work_and_exchange_no_activation(case):
    system, program, alone = compiled(case, 1)
    *_, shared = compiled(case, DEVICES)
    # What is drawn within a step is split like the batch, so nothing is done twice.
    most = REPEATED.get(case, 1.02) * hlo.flops(alone)
    assert DEVICES * hlo.flops(shared) <= most
    found = hlo.collective_list(hlo.text_of(shared))
    others = sorted((c.kind, c.size) for c in found if c.kind != "all-reduce")
    assert others == [("all-gather", size) for size in _gathered(program)]
    _check_reduced(system, program, [c for c in found if c.kind == "all-reduce"], case)


@pytest.mark.parametrize("name", ["dcgan/dcgan", "pix2pix/pix2pix"])
def test_split_parameters_are_gathered_to_be_applied_and_moments_never(name):
    system_name, part = name.split("/")
    system = systems.get(system_name)(**SMALL[name].fields)
    mesh = sharding.make_mesh({"data": 1, "model": DEVICES})
    program = steps.program(system, part, DEVICES, mesh, abstract=True)
    state, *others = program.arguments
    where = sharding.shardings(mesh, state, large=64)
    (stage,) = system.stages
    step = jax.jit(
        sharding.gathered(stage.step, mesh),
        out_shardings=(where, sharding.replicated(mesh)),
    )
    lowered = step.lower(sharding.placed(state, where), *others)
    found = hlo.collective_list(hlo.text_of(lowered.compile(hlo.QUICK)))
    sizes = {
        n: 4 * sum(x.size for x in jax.tree.leaves(p)) for n, p in state.params.items()
    }
    # The discriminator as it was, for its own update, and as it is then.
    once_each = 2 * sizes["discriminator"] + sizes["generator"]
    gathered = sum(c.size for c in found if c.kind == "all-gather")
    assert 0.9 * once_each <= gathered <= 1.05 * once_each


def _gathered(program: steps.Program) -> list[int]:
    """Bytes of what a pool gathers: the batch, if the pool is whole on every device."""
    if not program.is_step:
        return []
    state, _, batch, _ = program.arguments
    pools = [
        pool
        for pool in state.memory.values()
        if isinstance(pool, ImagePool) and pool.images is not None
    ]
    count = next(iter(batch.values())).shape[0]
    return sorted(
        count * math.prod(pool.images.shape[2:]) * pool.images.dtype.itemsize
        for pool in pools
        if pool.images.shape[0] % DEVICES
    )


def _check_reduced(system, program, found, case: str) -> None:
    passes = PASSES[CASES[case][0]]
    parts = CASES[case][1].get("microbatches", 1)
    state = program.arguments[0]
    leaves = jax.tree.leaves((state.params, state.stats) if program.is_step else ())
    # Biases and statistics are vectors of a few channels; kernels are larger.
    vectors = {x.size for x in leaves if x.ndim < 2}
    largest, small = max(vectors, default=1), {1, *(x.size for x in leaves)}
    sizes = [[math.prod(shape) for _, shape in c.results] for c in found]
    reduced = sum(size for each in sizes for size in each if size > largest)
    players = system.optimizers() if program.is_step else {}
    wanted = parts * sum(
        number * leaf.size
        for player, number in passes.items()
        for network in players[player].networks
        for leaf in jax.tree.leaves(state.params[network])
        if leaf.size > largest
    )
    odd = {s for each in sizes for s in each if s <= largest} - small
    groups = sum(max(each) > largest for each in sizes)
    wide = {dtype for c in found for dtype, shape in c.results if shape}
    assert (reduced, odd, wide - {"f32"}) == (wanted, set(), set())
    assert groups <= parts * sum(passes.values())  # at most one a pass
