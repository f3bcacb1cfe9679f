"""What a step needs, before it runs."""

import importlib.util
import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from jaxgan import config_files
from jaxgan.core.errors import UserError
from jaxgan.data import make_task
from jaxgan.planning import pages, plans, topologies
from jaxgan.planning.estimate import Estimate, on_one_device


def planner(config="pix2pix:tiny", *overrides, topology="cpu:8"):
    config = config_files.load(config, list(overrides))
    return plans.Planner(config, topologies.parse(topology), make_task)


def command(*arguments, timeout=300):
    return subprocess.run(
        [sys.executable, "-m", "jaxgan.plan", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "XLA_FLAGS": ""},
    )


def rows(*arguments):
    done = command(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def tiny():
    return planner("pix2pix:tiny", "--config.training.batch_size=8").stage(0, 8)


def test_memory_by_kind_is_what_the_state_and_the_program_hold(tiny):
    found = tiny.estimate.memory
    own = planner("pix2pix:tiny")
    system = own.system
    sizes = jax.eval_shape(
        lambda: system.init(
            jax.random.key(0), {"a": jnp.zeros((8, 32, 32, 3))} | _b(), {}
        )
    )
    count = sum(x.size for x in jax.tree.leaves(sizes.params))
    assert found["parameters"] == 4 * count
    assert found["optimiser"] == 2 * 4 * count + 4 * 4  # and two counts a player
    assert found["temporary"] > 0
    assert tiny.estimate.peak_memory == sum(found.values()) and tiny.fits


def _b():
    return {"b": jnp.zeros((8, 32, 32, 3))}


def test_every_device_reduces_the_gradients_of_all_parameters_once(tiny):
    (kind,) = tiny.estimate.sent
    count, size, sent = tiny.estimate.sent[kind]
    assert kind == "all-reduce" and count >= 2
    assert size >= tiny.estimate.memory["parameters"]
    assert sent == pytest.approx(2 * 7 / 8 * size)


def test_a_processor_has_no_data_sheet(tiny):
    assert tiny.estimate.seconds == {} and tiny.estimate.bound is None
    assert "no data sheet" in pages.stage("pix2pix", tiny)


def test_the_step_begins_with_raw_examples_where_the_data_are(tiny, tmp_path):
    assert tiny.without_data is None
    away = f"--config.data.source=folder:{tmp_path / 'none'}"
    ready = planner("pix2pix:tiny", away).stage(0, 8)
    assert "planned from ready batches on: " in (page := pages.stage("pix2pix", ready))
    assert str(tmp_path / "none") in page
    typo = planner("pix2pix:tiny", "--config.data.task=paird").stage(0, 8)
    assert "paird" in pages.stage("pix2pix", typo)


def test_split_parameters_take_less_of_a_device():
    whole = planner("dcgan:tiny", "--config.system.generator_channels=256")
    split = planner(
        *("dcgan:tiny", "--config.system.generator_channels=256"),
        "--config.devices.model=8",
    )
    before, after = (
        p.stage(0, 8).estimate.memory["parameters"] for p in (whole, split)
    )
    assert after < 0.6 * before


def test_every_stage_is_planned():
    own = planner("srgan:tiny", topology="cpu:1")
    stages = [own.stage(number, 8) for number in range(len(own.legs))]
    assert [s.stage for s in stages] == ["srresnet", "srgan"]
    first, second = (s.estimate.memory for s in stages)
    assert second["optimiser"] == first["optimiser"]  # one checkpoint holds all
    assert second["temporary"] > first["temporary"]


def test_bytes_on_one_device():
    where = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    tree = {
        "a": jax.ShapeDtypeStruct((3, 5), jnp.float32, sharding=where),
        "b": jax.ShapeDtypeStruct((4,), jnp.bfloat16, sharding=where),
    }
    assert on_one_device(tree) == 68


def test_what_rests_on_a_cpu_s_host_rests_on_the_cpu(tiny):
    own = planner("pix2pix:tiny", "--config.devices.host=optimizer").stage(0, 8)
    assert own.estimate.memory["optimiser"] == tiny.estimate.memory["optimiser"]
    assert own.estimate.host_memory == tiny.estimate.host_memory == 0


class Searched(plans.Planner):
    """A planner whose memory is made up."""

    def __init__(self, unit, base, slope, limit, refuses):
        self.unit, self.base, self.slope = unit, base, slope
        self.limit, self.refuses, self.tried = limit, refuses, []

    def _unit(self):
        return self.unit

    def stage(self, number, size):
        self.tried.append(size)
        used = self.base + self.slope * size**1.05
        if self.refuses and used > self.limit:
            raise plans.TooLarge
        need = Estimate(None, None, {}, {"temporary": int(used)}, 0, {})
        return plans.StagePlan(
            *("made up", size, 1, "none", "float32", 0.0, None, need, int(self.limit)),
        )


@pytest.mark.parametrize("refuses", [True, False], ids=["refused", "over the limit"])
@pytest.mark.parametrize("base", [0, 5e8])
@pytest.mark.parametrize(("unit", "slope"), [(1, 3e8), (1, 1e6), (8, 1e5), (256, 1e6)])
def test_the_largest_batch_is_found_in_a_few_programs(unit, slope, base, refuses):
    search = Searched(unit, base, slope, 1e9, refuses)
    found = search.largest_batch(0).batch_size
    assert len(search.tried) <= 12 and found % unit == 0
    assert search.stage(0, found).fits
    try:
        assert not search.stage(0, found + max(unit, found // 16)).fits
    except plans.TooLarge:
        pass


def test_no_batch_fits():
    assert Searched(8, 2e9, 1e6, 1e9, False).largest_batch(0) is None


def test_the_largest_batch_keeps_to_groups_and_parts():
    own = planner(
        "cyclegan:tiny",
        *("--config.system.pool_groups=2", "--config.system.pool_size=4"),
        *("--config.system.microbatches=3", "--config.training.batch_size=24"),
    )
    assert own._unit() == 24


def test_a_batch_that_the_devices_cannot_share_is_refused():
    with pytest.raises(UserError, match="12 cannot be divided over 8 devices"):
        planner().stage(0, 12)


def test_a_system_that_trains_nothing_has_no_plan():
    with pytest.raises(UserError, match="trains nothing"):
        planner("semantic_inpainting:tiny")


def test_the_command_on_simulated_devices():
    done = command(
        *("--config=pix2pix:tiny", "--topology=cpu:2"),
        "--config.training.batch_size=2",
    )
    assert done.returncode == 0, done.stderr
    assert "2 x cpu, float32" in done.stdout and "all-reduce" in done.stdout
    assert "temporary" in done.stdout and "GFLOP" in done.stdout


def test_the_command_refuses_an_unknown_stage():
    done = command("--config=pix2pix:tiny", "--topology=cpu:1", "--stage=srgan")
    assert done.returncode == 1
    assert done.stderr.strip().endswith("--stage=srgan: there are pix2pix")


needs_libtpu = pytest.mark.skipif(
    not importlib.util.find_spec("libtpu"), reason="libtpu is not installed"
)
needs_cuda = pytest.mark.skipif(
    not importlib.util.find_spec("jax_cuda13_plugin"),
    reason="JAX's CUDA plugin is not installed",
)


@needs_libtpu
@pytest.mark.parametrize("topology", ["v5e:2x4", "v5e:16x16"])
def test_a_tpu_slice_that_is_not_here(topology):
    size = topologies.parse(topology).size
    (row,) = rows(
        *("--config=dcgan:tiny", f"--topology={topology}"),
        f"--config.training.batch_size={size}",
    )
    assert row["devices"] == size and row["device_kind"] == "TPU v5 lite"
    assert row["dtype"] == "bfloat16" and set(row["collectives"]) == {"all-reduce"}
    assert row["flops"] > 0 and row["bound"] in ("compute", "memory", "network")
    assert row["memory"]["temporary"] > 0 and row["fits"]


@needs_libtpu
def test_what_rests_on_a_tpu_s_host_leaves_the_device():
    common = ("--config=dcgan:tiny", "--topology=v5e:1x1")
    (near,) = rows(*common)
    (host,) = rows(*common, "--config.devices.host=optimizer")
    gone = near["memory"]["optimiser"] - host["memory"]["optimiser"]
    assert host["memory_host"] == gone > 0  # of arrays that are not small
    assert near["memory_host"] == 0


@needs_cuda
def test_what_a_compiler_does_not_know_is_said():
    common = ("--config=dcgan:tiny", "--topology=h200:1")
    assert "devices.host is unknown" not in command(*common).stdout
    host = command(*common, "--config.devices.host=optimizer").stdout
    assert "devices.host is unknown to this compiler" in host.splitlines()[0]


@needs_cuda
@pytest.mark.parametrize("topology", ["h200:1", "h200:8", "h100:16"])
def test_gpus_that_are_not_here(topology):
    size = topologies.parse(topology).size
    (row,) = rows(
        *("--config=dcgan:tiny", f"--topology={topology}"),
        f"--config.training.batch_size={size}",
    )
    assert row["devices"] == size and row["device_kind"].startswith("NVIDIA H")
    assert bool(row["collectives"]) == (size > 1)
    assert row["flops"] > 0 and row["bytes_accessed"] > 0 and row["fits"]


@needs_cuda
@pytest.mark.parametrize(
    ("config", "batch", "seen"),
    [("cyclegan", 16, 9109e6), ("dcgan", 128, 960.1e6), ("gan3d", 100, 3766e6)],
)
@pytest.mark.slow
def test_the_plan_is_within_a_tenth_of_what_an_h200_used(config, batch, seen):
    """`seen`: the allocator's peak, benchmarks/results/gpu.md (jax 0.11.2)."""
    (row,) = rows(
        *(f"--config={config}", "--topology=h200:1"),
        f"--config.training.batch_size={batch}",
    )
    assert row["memory_peak"] == pytest.approx(seen, rel=0.1)
