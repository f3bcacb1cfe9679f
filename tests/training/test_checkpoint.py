"""Checkpoints are whole or absent, checked when read, and kept by policy."""

import json
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.core import TrainState, adam
from jaxgan.core.errors import UserError
from jaxgan.training import checkpoint
from jaxgan.training.checkpoint import Checkpoints


def weights(step):
    """Incompressible, so that they are the largest file of a checkpoint."""
    return jax.random.normal(jax.random.key(step), (64, 64))


def make_state(step):
    params = {"net": {"w": weights(step), "b": jnp.arange(3.0)}}
    return TrainState(
        step=jnp.asarray(step, jnp.int32),
        stage_step=jnp.zeros((), jnp.int32),
        params=params,
        stats={"net": {}},
        opt_state={"p": adam(("net",), 1e-3).init(params)},
        ema={},
        memory={"flag": jnp.asarray(True), "half": jnp.ones((3,), jnp.bfloat16)},
    )


def abstract(about):
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device),
        jax.eval_shape(lambda: make_state(0)),
    )


@pytest.fixture
def saved(tmp_path):
    """Checkpoints 1 and 2 in `tmp_path`."""
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        checkpoints.save(make_state(step), "a")
    checkpoints.wait()
    checkpoints.close()
    return tmp_path


def largest_file(folder):
    return max((p for p in folder.rglob("*") if p.is_file()), key=os.path.getsize)


def digest(tree):
    return checkpoint.survey(tree)[0]


def restore(folder):
    lines = []
    checkpoints = Checkpoints(folder)
    found = checkpoints.restore(abstract, lines.append)
    checkpoints.close()
    return found, lines


def test_what_is_saved_is_restored_bit_for_bit(saved):
    (state, about), lines = restore(saved)
    assert about.step == 2 and about.stage == "a" and not lines
    wanted = make_state(2)
    assert jax.tree.structure(state) == jax.tree.structure(wanted)
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(wanted), strict=True):
        assert a.dtype == b.dtype and np.array_equal(a, b)


def test_nothing_is_restored_where_nothing_was_saved(tmp_path):
    assert restore(tmp_path) == (None, [])


@pytest.mark.parametrize("item", ["networks", "procedure"])
@pytest.mark.parametrize("damage", ["truncated", "one_byte", "removed"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(damage, item, saved):
    victim = largest_file(saved / "2" / item)
    data = victim.read_bytes()
    if damage == "truncated":
        victim.write_bytes(data[: len(data) // 2])
    elif damage == "one_byte":
        middle = len(data) // 2
        flipped = bytes([data[middle] ^ 255])
        victim.write_bytes(data[:middle] + flipped + data[middle + 1 :])
    else:
        victim.unlink()
    networks, about = checkpoint.read_networks(saved)
    found, lines = restore(saved)
    assert found[1].step == 1
    assert len(lines) == 1 and "checkpoint 2 is damaged" in lines[0]
    assert "going back to checkpoint 1" in lines[0]
    assert checkpoint.committed(saved) == [1]  # so that step 2 can be saved again
    # A reader of the networks alone is only held up by damage to them.
    assert about.step == (1 if item == "networks" else 2)
    assert (networks["params"]["net"]["w"] == weights(about.step)).all()


def test_the_digest_sees_a_single_changed_bit_whatever_is_unpacked():
    tree = {"a": jnp.arange(10.0), "b": jnp.ones((3,), jnp.bfloat16)}
    changed = {**tree, "b": tree["b"].at[1].set(1.0078125)}  # the next bfloat16
    assert digest(tree) != digest(changed)
    swapped = {"a": tree["a"], "b": tree["b"] * 1}
    assert digest(tree) == digest(swapped)


def test_only_damaged_checkpoints_are_an_error(saved):
    for step in ("1", "2"):
        largest_file(saved / step / "networks").write_bytes(b"")
    with pytest.raises(UserError, match="no checkpoint in .* can be read"):
        restore(saved)
    with pytest.raises(UserError, match="no checkpoint in .* can be read"):
        checkpoint.read_networks(saved)


@pytest.mark.parametrize("where", ["params", "memory"])
def test_a_state_that_is_not_finite_is_not_saved(where, tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(make_state(1), "a")
    bad = make_state(2)
    if where == "params":
        bad = bad.replace(params={"net": {"w": jnp.array([1.0, jnp.nan])}})
    else:
        bad = bad.remember(half=jnp.array([jnp.inf], jnp.bfloat16))
    with pytest.raises(UserError, match=rf"step 2: {where}/\w+.* checkpoint is step 1"):
        checkpoints.save(bad, "a")
    checkpoints.close()
    assert checkpoint.committed(tmp_path) == [1]


def test_large_finite_values_are_finite(tmp_path):
    """Their sum overflows float32."""
    state = make_state(1).remember(large=jnp.full((100,), 3e38))
    assert checkpoint.survey(state)[1] == []


def test_the_last_and_every_kth_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep_last=2, keep_every=3)
    for step in range(1, 9):
        checkpoints.save(make_state(step), "a")
    checkpoints.wait()
    checkpoints.close()
    assert checkpoint.committed(tmp_path) == [3, 6, 7, 8]


def test_another_format_is_refused(saved):
    for path in saved.glob("*/about/metadata"):
        about = json.loads(path.read_text())
        path.write_text(json.dumps({**about, "format_version": 99}))
    with pytest.raises(UserError, match="has format 99, this version .* reads 1"):
        restore(saved)
    with pytest.raises(UserError, match="has format 99"):
        checkpoint.read_networks(saved)


def test_a_missing_step_is_named_with_those_that_exist(saved):
    with pytest.raises(UserError, match="no checkpoint 7 .*it has: 1, 2"):
        checkpoint.read_networks(saved, 7)
    with pytest.raises(UserError, match="no checkpoint in"):
        checkpoint.read_networks(saved / "elsewhere")


def test_saving_returns_before_donation_can_touch_what_is_written(tmp_path):
    """The write goes on in the background while the next step reuses the memory."""
    checkpoints = Checkpoints(tmp_path, keep_last=20)
    overwrite = jax.jit(
        lambda s: s.replace(params=jax.tree.map(lambda x: x * 0 - 1, s.params)),
        donate_argnums=0,
    )
    for step in range(1, 6):
        state = make_state(step)
        checkpoints.save(state, "a")
        for _ in range(3):
            state = overwrite(state)
        jax.block_until_ready(state)
    checkpoints.wait()
    checkpoints.close()
    for step in range(1, 6):
        networks, _ = checkpoint.read_networks(tmp_path, step)
        assert (networks["params"]["net"]["w"] == weights(step)).all()
