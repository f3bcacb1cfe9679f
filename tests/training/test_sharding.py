"""Where arrays lie."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from jaxgan.core import pool
from jaxgan.core.errors import UserError
from jaxgan.core.state import TrainState
from jaxgan.planning import hlo
from jaxgan.training import sharding


def mesh(data, model):
    return sharding.make_mesh({"data": data, "model": model})


def specs(tree, *shape, large=1):
    found = sharding.shardings(mesh(*shape), tree, large)
    return jax.tree.map(lambda s: s.spec, found)


def test_all_devices_are_used_unless_told():
    assert mesh(-1, 1).shape == {"data": 8, "model": 1}
    assert mesh(-1, 4).shape == {"data": 2, "model": 4}
    assert mesh(2, 1).shape == {"data": 2, "model": 1}


@pytest.mark.parametrize(("data", "model"), [(16, 1), (4, 4), (-1, 3)])
def test_devices_that_do_not_exist_are_refused(data, model):
    with pytest.raises(UserError, match="devices.model = 3|there are 8 devices"):
        mesh(data, model)


def test_a_batch_the_devices_cannot_share_is_refused_with_choices():
    sharding.check_batch_size(16, mesh(4, 2))
    with pytest.raises(UserError, match="12 .*over 8 devices: choose 8 or 16"):
        sharding.check_batch_size(12, mesh(4, 2))
    with pytest.raises(UserError, match="over 8 devices: choose 8,"):
        sharding.check_batch_size(3, mesh(4, 2))
    sharding.check_batch_size(32, mesh(4, 2), 4)
    parts = r"16 in 4 parts \(system.microbatches\) .*over 8 devices: choose 32,"
    with pytest.raises(UserError, match=parts):
        sharding.check_batch_size(16, mesh(4, 2), 4)


def test_large_parameters_are_split_along_their_longest_axis():
    tree = {
        "out": jnp.zeros((3, 3, 64, 128)),
        "square": jnp.zeros((64, 64)),
        "odd": jnp.zeros((3, 7)),
        "scalar": jnp.zeros(()),
    }
    found = specs(tree, 2, 4)
    assert found["out"] == P(None, None, None, "model")
    assert found["square"] == P(None, "model")  # of equal axes the output's
    assert found["odd"] == P() and found["scalar"] == P()
    assert set(specs(tree, 8, 1).values()) == {P()}
    assert specs(tree, 2, 4, large=5000)["square"] == P()
    assert specs(tree, 2, 4, large=5000)["out"] == P(None, None, None, "model")


def test_pools_lie_where_their_part_of_the_batch_lies():
    grouped = pool.create(16, (2, 2, 1), groups=8)
    single = pool.create(16, (2, 2, 1))
    found = specs({"grouped": grouped, "single": single}, 4, 2)
    assert found["grouped"].images == P(("data", "model"))
    assert found["grouped"].count == P(("data", "model"))
    assert found["single"].images == P()


def test_split_arrays_come_back_whole_on_one_device():
    tree = {"w": jnp.arange(32.0).reshape(4, 8)}
    where = sharding.shardings(mesh(2, 4), tree, 1)
    placed = jax.device_put(tree, where)
    assert placed["w"].addressable_shards[0].data.shape == (4, 2)
    local = sharding.on_this_process(placed, mesh(2, 4))
    assert len(local["w"].devices()) == 1
    assert (local["w"] == tree["w"]).all()


def test_a_run_is_judged_on_as_many_devices_as_there_are_and_it_asks_for():
    for data, model, count in ((-1, 1, 8), (-1, 3, 8), (2, 2, 4), (16, 2, 8)):
        found = sharding.mesh_to_judge({"data": data, "model": model})
        assert dict(found.shape) == {"data": count, "model": 1}
    assert sharding.own_part(mesh(2, 2)).devices.shape == (4, 1)


@pytest.mark.parametrize("groups", [1, 2, 8, 16])
def test_on_a_mesh_a_pool_exchanges_the_same_and_at_most_gathers_the_batch(groups, key):
    devices, images = mesh(4, 2), jax.random.normal(key, (16, 2, 2, 1))

    def step(state, images, key):  # with work that must stay where the batch lies
        new, mixed = pool.query(state.memory["pool"], jnp.sin(images), key)
        return state.remember(pool=new), jnp.cos(mixed)

    zero = jnp.zeros((), jnp.int32)
    memory = {"pool": pool.create(32, (2, 2, 1), groups)}
    one = TrainState(zero, zero, {}, {}, {}, {}, memory)
    where = sharding.shardings(devices, one)
    split = sharding.over_batch(devices)
    eight, spread = jax.device_put((one, images), (where, split))
    alone = jax.jit(step)
    on_mesh = jax.jit(sharding.gathered(step, devices), out_shardings=(where, split))
    for i in range(6):
        own = jax.random.fold_in(key, i)
        one, wanted = alone(one, images, own)
        eight, found = on_mesh(eight, spread, own)
        for x, y in zip(
            jax.tree.leaves((eight, found)), jax.tree.leaves((one, wanted)), strict=True
        ):
            assert np.asarray(x).tobytes() == np.asarray(y).tobytes()
    text = hlo.text_of(on_mesh.lower(eight, spread, own).compile())
    moved = [(c.kind, c.size) for c in hlo.collective_list(text)]
    assert moved == ([] if groups % 8 == 0 else [("all-gather", images.nbytes)])
