"""What rests in the hosts' memory between steps changes where, not what."""

import jax
import numpy as np
import pytest

from jaxgan import config_files
from jaxgan.core.errors import UserError
from jaxgan.training import programs, sharding
from tests import cases
from tests.training import toy
from tests.training.test_steps_per_call import AsItIs, assert_same, assert_same_state

BOTH = ("pools", "optimizer")
HOST, DEVICE = sharding.HOST_MEMORY, jax.devices()[0].default_memory().kind


def kinds(tree):
    return {
        x.sharding.memory_kind
        for x in jax.tree.leaves(tree)
        if x.size >= sharding.SMALL
    }


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("steps", [1, 2])
def test_updates_are_the_same_and_leave_it_there(devices, steps):
    system = cases.build("cyclegan", "tiny")
    leg = programs.Leg(system.stages[0], 0, 10)
    mesh = sharding.make_mesh({"data": devices, "model": 1})
    batch = cases.random_batch(leg.stage, 2, 0)
    raw = jax.device_put(batch, sharding.over_batch(mesh))
    results = {}
    for host in ((), BOTH):
        found = programs.Programs(system, 0, mesh, {}, host)
        state = found.initial(AsItIs(), raw)
        update, health = found.update(leg, AsItIs(), state, raw, steps)
        raws = raw
        if steps > 1:
            several = jax.tree.map(lambda x: np.stack([x] * steps), batch)
            raws = jax.device_put(several, sharding.over_batches(mesh))
        for _ in range(2):
            state, health, metrics = update(state, health, {}, raws)
        rests = {HOST} if host else {DEVICE}
        assert kinds(state.opt_state) == kinds(state.memory) == rests
        assert kinds((state.params, metrics)) == {DEVICE}
        results[host] = state, health, metrics
    assert_same(results[BOTH], results[()])


def test_a_run_is_the_same_with_hand_over_checkpoints_and_resume(tmp_path, monkeypatch):
    monkeypatch.setattr(sharding, "SMALL", 1)
    toy.train(tmp_path / "devices")
    toy.train(tmp_path / "host", devices__host=BOTH, training__num_steps=8)
    toy.train(tmp_path / "host", devices__host=("pools",))
    assert_same_state(tmp_path / "host", tmp_path / "devices")
    a, b = (tmp_path / run / "metrics.jsonl" for run in ("host", "devices"))
    assert a.read_bytes() == b.read_bytes()


def test_the_key_takes_words_and_refuses_others():
    both = "--config.devices.host=pools,optimizer"
    assert config_files.load("cyclegan:tiny", [both])["devices"]["host"] == BOTH
    with pytest.raises(UserError, match="devices.host 'pool' .*'pools'"):
        config_files.load("cyclegan:tiny", ["--config.devices.host=pool"])
