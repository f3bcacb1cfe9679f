"""Several updates of one compiled call are what as many calls would be."""

import dataclasses
import os
import signal

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from jaxgan.core.errors import UserError
from jaxgan.planning import hlo
from jaxgan.training import checkpoint, feeds, programs, sharding, signals
from jaxgan.training.progress import Stopwatch
from jaxgan.training.writer import read_rows
from tests import cases
from tests.training import children, toy
from tests.training.test_loop import by_hand, saved
from tests.training.test_resume import assert_same_bytes, state_of

# Stages of six steps: calls end at 4 and 6, 7 and 8, 12, those in pairs step by step.
FOUR = {
    "training__steps_per_call": 4,
    "training__log_every": 4,
    "training__sample_every": 8,
}
ONE = {**FOUR, "training__steps_per_call": 1}


@pytest.mark.parametrize(
    ("step", "end", "steps", "expected"),
    [
        (0, 8, 1, [(1, 8)]),
        (3, 8, 1, [(1, 8)]),
        (0, 8, 4, [(4, 8)]),
        (0, 10, 4, [(4, 8), (1, 10)]),
        (3, 10, 4, [(1, 4), (4, 8), (1, 10)]),
        (3, 6, 4, [(1, 4), (1, 6)]),
        (1, 3, 4, [(1, 3)]),
        (0, 3, 4, [(1, 3)]),
        (4, 8, 4, [(4, 8)]),
        (8, 8, 4, []),
    ],
)
def test_calls_of_several_steps_begin_at_multiples(step, end, steps, expected):
    assert programs.stretches(step, end, steps) == expected


def assert_same(found, wanted):
    """Bit for bit: a CPU compiles a loop's body as it compiles a program."""
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    leaves = zip(jax.tree.leaves_with_path(found), jax.tree.leaves(wanted), strict=True)
    for (path, a), b in leaves:
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes(), path


def assert_same_state(found, wanted):
    """Of two runs' newest checkpoints."""
    a, b = state_of(found), state_of(wanted)
    assert_same(a, b)


@pytest.fixture(scope="module")
def step_by_step(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "one"
    toy.train(workdir, **ONE)
    return workdir


@pytest.fixture(scope="module")
def four_a_call(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "four"
    toy.train(workdir, **FOUR)
    return workdir


def test_a_run_of_several_steps_a_call_is_the_run_step_by_step(
    step_by_step, four_a_call
):
    assert_same_state(four_a_call, step_by_step)
    rows = {r["step"]: r for r in read_rows(step_by_step / "metrics.jsonl")}
    found = read_rows(four_a_call / "metrics.jsonl")
    # The first call, every fourth step, the ends of stages; values of these very steps.
    assert [r["step"] for r in found] == [4, 6, 8, 12]
    assert found == [rows[r["step"]] for r in found]
    timing = read_rows(four_a_call / "timing.jsonl")
    assert [r["step"] for r in timing] == [4, 6, 8, 12]
    grids = sorted(p.name for p in (four_a_call / "samples").iterdir())
    assert grids == ["step_00000008.png", "step_00000012.png"]
    for name in grids:
        a, b = (run / "samples" / name for run in (four_a_call, step_by_step))
        assert a.read_bytes() == b.read_bytes()


def test_the_first_call_is_logged_though_nothing_is_due(tmp_path):
    toy.train(
        tmp_path,
        system__warmup_steps=8,
        training__num_steps=8,
        **{**FOUR, "training__log_every": 100, "training__steps_per_call": 2},
    )
    assert [r["step"] for r in read_rows(tmp_path / "metrics.jsonl")] == [2, 8]


def compiled(monkeypatch):
    """The steps a call of whatever is compiled from here on."""
    real, seen = programs.Programs.update, []

    def update(self, leg, task, state, raw, steps=1):
        seen.append((leg.stage.name, steps))
        return real(self, leg, task, state, raw, steps)

    monkeypatch.setattr(programs.Programs, "update", update)
    return seen


def test_only_programs_that_are_needed_are_compiled(tmp_path, monkeypatch):
    seen = compiled(monkeypatch)
    lengths = {"system__warmup_steps": 8, "system__adversarial_steps": 4}
    toy.train(tmp_path / "even", **lengths, **FOUR)
    assert seen == [("warmup", 4), ("adversarial", 4)]
    seen.clear()
    toy.train(tmp_path / "odd", **FOUR)
    assert seen == [("warmup", 4), ("warmup", 1), ("adversarial", 1)] + [
        ("adversarial", 4)
    ]


@pytest.mark.parametrize("step", [3, 7])
def test_a_run_goes_on_from_a_step_that_is_no_multiple(step, tmp_path, four_a_call):
    toy.train(tmp_path, training__num_steps=step, **FOUR)
    assert checkpoint.committed(tmp_path / "checkpoints")[-1] == step
    toy.train(tmp_path, **FOUR)
    assert_same_state(tmp_path, four_a_call)


def test_a_killed_run_resumes_byte_identical(tmp_path):
    each = "--config.training."
    flags = (f"{each}steps_per_call=4", f"{each}log_every=4", f"{each}keep_last=9")
    whole = children.jaxgan_train(tmp_path / "whole", *flags)
    assert whole.code == 0, whole.err
    killed = children.jaxgan_train(
        tmp_path / "run", *flags, fault=children.Fault("batch", 13)
    )
    assert killed.code == -signal.SIGKILL, killed.err
    saved_at = checkpoint.committed(tmp_path / "run" / "checkpoints")
    assert 0 < len(saved_at) < len(checkpoint.committed(tmp_path / "whole/checkpoints"))
    resumed = children.jaxgan_train(tmp_path / "run", *flags)
    assert f"at step {saved_at[-1]} of 16" in resumed.out, resumed.err
    assert_same_bytes(tmp_path / "run", tmp_path / "whole")


def test_steps_a_call_may_change_between_starts(tmp_path, step_by_step):
    for end, steps in ((5, 1), (9, 4), (12, 2)):
        options = {**FOUR, "training__steps_per_call": steps}
        toy.train(tmp_path, training__num_steps=end, **options)
    starts = read_rows(tmp_path / "starts.jsonl")
    assert [s["training.steps_per_call"] for s in starts] == [1, 4, 2]
    assert_same_state(tmp_path, step_by_step)


def test_termination_saves_at_the_end_of_a_call_and_the_run_goes_on(
    tmp_path, monkeypatch, four_a_call
):
    stop = lambda step: step == 2 and os.kill(os.getpid(), signal.SIGTERM)  # noqa: E731
    monkeypatch.setattr(toy, "on_batch", stop)
    longer = {"system__warmup_steps": 12, "training__num_steps": 12}
    rarely = {**FOUR, "training__checkpoint_every": 0}
    with pytest.raises(signals.Stopped) as stopped:
        toy.train(tmp_path / "run", **longer, **rarely)
    monkeypatch.undo()
    step = stopped.value.step
    assert step % 4 == 0 and step < 12
    if step:
        saved_at = checkpoint.committed(tmp_path / "run" / "checkpoints")
        assert saved_at[-1] == step
    toy.train(tmp_path / "run", **longer, **FOUR)
    toy.train(tmp_path / "whole", **longer, **FOUR)
    assert_same_state(tmp_path / "run", tmp_path / "whole")
    rows = [tmp_path / name / "metrics.jsonl" for name in ("run", "whole")]
    assert rows[0].read_bytes() == rows[1].read_bytes()


@pytest.mark.parametrize("bad", [1, 3, 5])
def test_a_step_that_is_not_finite_is_named_inside_of_a_call(bad, tmp_path):
    """Update 6 + `bad` of a stage that begins at 6, in a call, its last or a rest."""
    with pytest.raises(UserError) as raised:
        toy.train(tmp_path, system__explode_at=bad, **FOUR)
    assert f"loss/generator is not finite at step {6 + bad} " in str(raised.value)
    last = max(s for s in (6, 8) if s < 6 + bad)
    assert f"checkpoint {last}:" in str(raised.value)


@pytest.mark.parametrize("devices", [(8, 1), (2, 4)], ids=["data8", "data2_model4"])
def test_eight_devices_make_several_steps_a_call(devices, tmp_path, monkeypatch):
    if devices[1] > 1:  # split everything that can be
        monkeypatch.setattr(sharding.shardings, "__defaults__", (1,))
    mesh = dict(zip(("data", "model"), devices, strict=True))
    toy.train(tmp_path, devices=mesh, **FOUR)
    state, metrics = by_hand(toy.Toy())
    rows = read_rows(tmp_path / "metrics.jsonl")
    assert [r["step"] for r in rows] == [4, 6, 8, 12]
    for row in rows:
        for name, value in metrics[row["step"] - 1].items():
            np.testing.assert_allclose(row[name], value, atol=1e-4, err_msg=name)
    found, wanted = saved(tmp_path)["params"], state.params
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_raw_batches_are_stacked_and_split_along_the_batch():
    mesh = sharding.make_mesh({"data": 8, "model": 1})
    config = toy.config(devices={"data": 8, "model": 1})
    (leg, *_) = programs.legs(toy.Toy().stages, 6)
    found = feeds.Feeds(toy.make_task, config, mesh).stream(leg, 2, Stopwatch(), 3)
    batches = toy.ToyTask("train", 0).batches(2, 8)
    for _ in range(2):
        raw = next(found)["image"]
        assert raw.sharding.spec == P(None, ("data", "model"))
        assert raw.addressable_shards[0].data.shape == (3, 1, 4, 4, 1)
        np.testing.assert_array_equal(raw, [next(batches)["image"] for _ in range(3)])


class AsItIs:
    """A task whose raw batches are batches."""

    def preprocess(self, raw, key):
        return raw


def programs_of(name, variant, **changes):
    """A system's first stage: programs, leg, a batch and the state at its beginning."""
    system = dataclasses.replace(cases.build(name, variant), **changes)
    leg = programs.Leg(system.stages[0], 0, 10)
    mesh = sharding.make_mesh({"data": 1, "model": 1})
    found = programs.Programs(system, 0, mesh, cases.random_frozen(system))
    raws = [
        jax.device_put(
            cases.random_batch(leg.stage, cases.batch_size(name, variant), seed),
            sharding.over_batch(mesh),
        )
        for seed in range(3)
    ]
    return found, leg, raws


def test_three_steps_of_pix2pix_in_a_call_are_three_calls():
    found, leg, raws = programs_of("pix2pix", "tiny")
    task = AsItIs()
    state = found.initial(task, raws[0])
    one, health = found.update(leg, task, state, raws[0])
    three, _ = found.update(leg, task, state, raws[0], 3)
    own = lambda tree: jax.tree.map(  # noqa: E731  both calls take what they are given
        lambda x: jax.device_put(np.array(x), x.sharding), tree
    )
    by_one, metrics = (own(state), own(health)), None
    for raw in raws:
        *by_one, metrics = one(*by_one, found.frozen, raw)
    where = sharding.over_batches(sharding.make_mesh({"data": 1, "model": 1}))
    stacked = jax.tree.map(lambda *x: jax.device_put(np.stack(x), where), *raws)
    assert_same(
        three(own(state), own(health), found.frozen, stacked), (*by_one, metrics)
    )
    assert int(by_one[0].step) == 3


@pytest.mark.parametrize(
    ("name", "variant"),
    [("gan", "tiny"), ("pix2pix", "tiny_resnet")],
    ids=["gan", "pix2pix"],
)
def test_a_call_computes_no_more_than_its_steps(name, variant):
    """These have dropout in a forward pass that two updates share."""
    found, leg, raws = programs_of(name, variant)
    task = AsItIs()
    state = found.abstract([], task, raws[0])
    one, three = (
        hlo.flops(found.lower(leg, task, state, raws[0], steps).compile())
        for steps in (1, 3)
    )
    assert three == pytest.approx(3 * one, rel=0.01)
