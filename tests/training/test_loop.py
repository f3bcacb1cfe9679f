"""What the loop computes, against the contract written out by hand, and its errors."""

import dataclasses
import functools
import os
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.core import ArraySpec, Stage
from jaxgan.core.errors import UserError
from jaxgan.core.state import fold_name
from jaxgan.data.opening import NothingHeldOut
from jaxgan.training import checkpoint, configs, loop, programs, sharding, signals
from jaxgan.training.writer import read_rows
from tests.training import toy


def stage(name, length):
    return Stage(name, lambda *_: None, length, {"image": ArraySpec((1,))}, ())


def plan(lengths, total):
    stages = tuple(stage(str(i), n) for i, n in enumerate(lengths))
    return [(x.stage.name, x.begin, x.end) for x in programs.legs(stages, total)]


@pytest.mark.parametrize(
    ("lengths", "total", "expected"),
    [
        ((3, 4), None, [("0", 0, 3), ("1", 3, 7)]),
        ((3, 4), 2, [("0", 0, 2)]),
        ((3, 4), 3, [("0", 0, 3)]),
        ((3, 4), 5, [("0", 0, 3), ("1", 3, 5)]),
        ((3, 4), 20, [("0", 0, 3), ("1", 3, 20)]),  # the last stage goes on
        ((0, 4), None, [("0", 0, 0), ("1", 0, 4)]),
        ((), None, []),
    ],
)
def test_a_run_is_cut_into_stages(lengths, total, expected):
    assert plan(lengths, total) == expected


@functools.cache
def by_hand(system, seed=0, batch_size=8):
    """The states and metrics that DESIGN's contract prescribes, without the trainer."""
    task = toy.ToyTask("train", seed)
    root = jax.random.key(seed, impl="threefry2x32")
    batches = task.batches(0, batch_size)
    preprocess = jax.jit(task.preprocess)
    state, metrics, step = None, [], 0
    for stage in system.stages:
        run = jax.jit(stage.step)
        for i in range(stage.num_steps):
            raw = next(batches)
            key = jax.random.fold_in(root, step)
            batch = preprocess(raw, jax.random.fold_in(key, 0))
            if state is None:
                init_key = fold_name(root, "init")
                state = jax.jit(system.init)(init_key, batch, {})
            if i == 0:
                if stage.enter:
                    enter_key = jax.random.fold_in(key, 2)
                    state = jax.jit(stage.enter)(state, {}, batch, enter_key)
                state = state.replace(stage_step=jnp.zeros((), jnp.int32))
            state, values = run(state, {}, batch, jax.random.fold_in(key, 1))
            metrics.append(jax.device_get(values))
            step += 1
    return jax.device_get(state), metrics


def saved(workdir, step=None):
    return checkpoint.read_networks(workdir / "checkpoints", step)[0]


def assert_close(found, wanted, **tolerance):
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, **tolerance)


def test_training_does_what_the_contract_says(tmp_path):
    toy.train(tmp_path)
    state, metrics = by_hand(toy.Toy())
    rows = read_rows(tmp_path / "metrics.jsonl")
    assert [r["step"] for r in rows] == list(range(1, 13))
    assert [r["stage"] for r in rows] == ["warmup"] * 6 + ["adversarial"] * 6
    for row, values in zip(rows, metrics, strict=True):
        assert row.keys() == {"step", "stage", *values}
        for name, value in values.items():
            np.testing.assert_allclose(row[name], value, rtol=1e-5, err_msg=name)
    networks = saved(tmp_path)
    assert_close(networks["params"], state.params, rtol=1e-4, atol=1e-6)
    assert_close(networks["ema"], state.ema, rtol=1e-4, atol=1e-6)
    assert_close(networks["stats"], state.stats, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("devices", [(8, 1), (2, 4)], ids=["data8", "data2_model4"])
def test_eight_devices_train_as_one(devices, tmp_path, monkeypatch):
    if devices[1] > 1:  # split everything that can be
        monkeypatch.setattr(sharding.shardings, "__defaults__", (1,))
    mesh = {"data": devices[0], "model": devices[1]}
    toy.train(tmp_path, devices=mesh)
    state, metrics = by_hand(toy.Toy())
    rows = read_rows(tmp_path / "metrics.jsonl")
    for row, values in zip(rows, metrics, strict=True):
        for name, value in values.items():
            np.testing.assert_allclose(row[name], value, atol=1e-4, err_msg=name)
    assert_close(saved(tmp_path)["params"], state.params, atol=1e-4)


def test_a_run_moves_to_other_devices(tmp_path):
    """The restored state is the same on any number of devices; the mesh may change."""
    toy.train(tmp_path / "a", training__num_steps=8)
    for name, mesh in (("one", (1, 1)), ("eight", (4, 2))):
        # Each continues a copy of the same run.
        os.system(f"cp -r {tmp_path / 'a'} {tmp_path / name}")
        devices = dict(zip(("data", "model"), mesh, strict=True))
        toy.train(tmp_path / name, devices=devices)
    assert_close(
        saved(tmp_path / "eight")["params"],
        saved(tmp_path / "one")["params"],
        atol=1e-5,
    )
    starts = read_rows(tmp_path / "eight" / "starts.jsonl")
    assert [s["devices.data"] for s in starts] == [1, 4]
    assert [s["step"] for s in starts] == [0, 8]


def test_a_finished_run_is_extended_to_what_a_longer_run_gives(tmp_path):
    toy.train(tmp_path / "short", training__num_steps=9)
    extended = toy.train(tmp_path / "short", training__num_steps=14)
    toy.train(tmp_path / "long", training__num_steps=14)
    assert extended.step == 14
    a, b = (saved(tmp_path / name, 14) for name in ("short", "long"))
    assert_close(a, b, rtol=0)


def test_a_finished_run_has_nothing_left_to_do(tmp_path, capsys):
    options = {"training__num_steps": 2, "training__evaluate_every": 1}
    first = toy.train(tmp_path, lambda *_: {"psnr": 2.0}, **options)
    again = toy.train(tmp_path, lambda *_: {"psnr": 3.0}, **options)
    assert "nothing is left to do" in capsys.readouterr().out
    assert again == first and again.step == 2 and again.evaluation == {"psnr": 2.0}
    shorter = toy.train(tmp_path, **{**options, "training__num_steps": 1})
    assert shorter.step == 2
    assert "1 steps are asked for, and the run has 2;" in capsys.readouterr().out


def test_a_run_whose_rates_have_fallen_to_nothing_says_so(tmp_path, capsys):
    falls = {"system__decay_steps": 6}
    toy.train(tmp_path, **falls)
    assert "nothing is learned" not in capsys.readouterr().out
    toy.train(tmp_path, **falls)
    said = capsys.readouterr().out
    assert "nothing is left to do" in said and "--init_from=RUN" in said
    assert "raise training.num_steps" not in said
    toy.train(tmp_path, training__num_steps=14, **falls)
    assert "beyond step 12 nothing is learned: the learning" in capsys.readouterr().out


def test_the_grid_shows_the_same_inputs_all_run_long(tmp_path):
    toy.train(tmp_path, training__sample_every=3)
    from PIL import Image

    grids = sorted((tmp_path / "samples").glob("*.png"))
    assert [g.name for g in grids] == [f"step_{i:08d}.png" for i in (3, 6, 9, 12)]
    pictures = [np.asarray(Image.open(g)) for g in grids]
    half = pictures[0].shape[1] // 2 - 1
    for picture in pictures[1:]:
        np.testing.assert_array_equal(picture[:, :half], pictures[0][:, :half])
        assert (picture[:, half:] != pictures[0][:, half:]).any()


def test_steps_between_logs_are_not_waited_for_and_leave_no_rows(tmp_path):
    toy.train(tmp_path, training__log_every=5)
    steps = [r["step"] for r in read_rows(tmp_path / "metrics.jsonl")]
    assert steps == [1, 5, 6, 10, 12]  # the first, every fifth, ends of stages
    timing = read_rows(tmp_path / "timing.jsonl")
    assert [r["step"] for r in timing] == steps
    assert all(r["images_per_second"] > 0 and r["ms_per_step"] > 0 for r in timing)
    assert all(0 <= r["waiting_for_data"] <= 1 for r in timing)


def test_a_stage_s_advice_is_said_once_and_at_logged_steps(
    tmp_path, monkeypatch, capsys
):
    real = toy.Toy.stages.fget

    def watch(step, metrics):
        assert isinstance(metrics["loss/generator"], float)
        return {4: "a hint", 6: "a hint", 5: "unseen"}.get(step)

    def stages(self):
        first, *rest = real(self)
        return (dataclasses.replace(first, watch=watch), *rest)

    monkeypatch.setattr(toy.Toy, "stages", property(stages))
    toy.train(tmp_path, training__log_every=2)
    out = capsys.readouterr().out
    assert out.count("a hint") == 1 and "step 4  a hint" in out
    assert "unseen" not in out


def test_the_best_checkpoint_by_a_metric_is_kept(tmp_path):
    figures = iter([0.0, 1.0, 5.0, 2.0, 3.0, 2.5, 2.0])  # the first, of no step,
    # tells the names
    seen = []

    def evaluate(system, variables, frozen, config, mesh):
        seen.append(variables)
        assert list(mesh.devices.flat) == jax.devices()[:2]  # those of the run
        return {"psnr": next(figures)}

    result = toy.train(
        tmp_path,
        evaluate,
        devices__data=2,
        training__evaluate_every=2,
        training__best_metric="psnr",
        training__keep_last=1,
        training__checkpoint_every=0,
    )
    kept = sorted(int(p.name) for p in (tmp_path / "checkpoints").iterdir())
    assert kept == [4, 12]
    assert result.evaluation == {"psnr": 2.0}
    rows = [r for r in read_rows(tmp_path / "metrics.jsonl") if "evaluation/psnr" in r]
    assert [r["evaluation/psnr"] for r in rows] == [1.0, 5.0, 2.0, 3.0, 2.5, 2.0]
    # What it was given is the average, on one device.
    last = seen[-1]["generator"]["params"]
    assert_close(last, saved(tmp_path)["ema"]["generator"], rtol=0)


def test_rows_of_figures_name_the_weights_that_they_depend_on(tmp_path):
    settings = toy.config(training__num_steps=2, training__evaluate_every=2)
    result = loop.train(
        configs.build_system(settings, toy.Toy),
        settings,
        tmp_path,
        toy.make_task,
        evaluate_fn=lambda *_: {"fid": 1.0},
        judges={"features/sha256": "0af3", "seed": 0},
    )
    (row,) = (r for r in read_rows(tmp_path / "metrics.jsonl") if "evaluation/fid" in r)
    assert row["evaluated_by/features/sha256"] == "0af3"
    assert row["evaluated_by/seed"] == 0
    assert result.evaluation == {"fid": 1.0}


def test_the_lowest_is_the_best_where_the_config_says_so(tmp_path):
    figures = iter([0.0, 3.0, 1.0, 2.0])  # the first, of no step, tells the names
    toy.train(
        tmp_path,
        lambda *_: {"fid": next(figures)},
        training__evaluate_every=4,
        training__best_metric="fid",
        training__best_mode="min",
        training__keep_last=1,
        training__keep_every=4,
        training__checkpoint_every=0,
    )
    kept = sorted(int(p.name) for p in (tmp_path / "checkpoints").iterdir())
    assert kept == [4, 8, 12]


def test_an_unknown_best_metric_is_named(tmp_path):
    options = {"training__evaluate_every": 2, "training__best_metric": "fid"}
    with pytest.raises(UserError, match="'fid' is not among .*: psnr"):
        toy.train(tmp_path, lambda *_: {"psnr": 1.0}, **options)
    assert not (tmp_path / "metrics.jsonl").exists()  # before the first step
    with pytest.raises(UserError, match="needs training.evaluate_every"):
        toy.train(tmp_path / "b", training__best_metric="fid")


def test_a_non_finite_loss_names_term_and_step_though_it_is_not_logged(tmp_path):
    """It happens at step 9 = 6 + 3; only step 10 is looked at."""
    with pytest.raises(
        UserError, match="loss/generator is not finite at step 9 .*checkpoint 8"
    ):
        toy.train(
            tmp_path,
            system__explode_at=3,
            training__log_every=5,
            training__checkpoint_every=4,
        )
    assert checkpoint.read_networks(tmp_path / "checkpoints")[1].step == 8
    rows = read_rows(tmp_path / "metrics.jsonl")
    assert max(r["step"] for r in rows) < 9


def test_out_of_memory_names_the_levers(tmp_path):
    with pytest.raises(UserError) as raised:
        toy.train(tmp_path, system__waste=1 << 42)
    message = str(raised.value)
    for lever in ("batch_size", "image_size", "microbatches", "bfloat16", "model"):
        assert lever in message
    assert "\n" not in message


def test_a_batch_of_another_size_is_named_before_anything_compiles(tmp_path):
    with pytest.raises(UserError, match="stage 'warmup'.*'image'.*4"):
        toy.train(tmp_path, data__image_size=5)
    assert not list((tmp_path / "checkpoints").glob("*"))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda x: 127.5 * x, r"from -12\d to 12\d, it takes -1 to 1"),
        (lambda x: jnp.log(x - 2), "from nan to nan"),
    ],
    ids=["not scaled", "not a number"],
)
def test_a_batch_outside_of_its_range_is_refused(tmp_path, monkeypatch, change, found):
    whole = toy.ToyTask.preprocess
    monkeypatch.setattr(
        toy.ToyTask,
        "preprocess",
        lambda *given: jax.tree.map(change, whole(*given)),
    )
    with pytest.raises(UserError, match=f"stage 'warmup': .* 'image' goes {found}"):
        toy.train(tmp_path)


def test_a_batch_that_devices_cannot_share_is_refused(tmp_path):
    with pytest.raises(UserError, match="batch_size 12 .* 8 devices: choose 8 or 16"):
        toy.train(tmp_path, training__batch_size=12, devices={"data": 8, "model": 1})


def test_termination_in_this_process_saves(tmp_path, monkeypatch):
    """The handlers are put back, whatever happened."""
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(
        toy, "on_batch", lambda step: step == 4 and os.kill(os.getpid(), 15)
    )
    with pytest.raises(signals.Stopped) as stopped:
        toy.train(tmp_path, training__checkpoint_every=0)
    assert stopped.value.code == 143
    assert checkpoint.read_networks(tmp_path / "checkpoints")[1].step == (
        stopped.value.step
    )
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_stage_can_have_data_of_its_own():
    config = toy.config()
    config["data"] |= {"image_size": 4, "stages": {"adversarial": {"image_size": 8}}}
    assert configs.stage_data(config, "warmup") == {"task": "toy", "image_size": 4}
    assert configs.stage_data(config, "adversarial")["image_size"] == 8


def test_without_held_out_examples_the_grid_shows_those_of_training(tmp_path):
    def make_task(data, *, split, seed):
        if split != "train":
            raise NothingHeldOut("nothing is held out")
        return toy.make_task(data, split=split, seed=seed)

    settings = toy.config(training__num_steps=1)
    system = configs.build_system(settings, toy.Toy)
    result = loop.train(system, settings, tmp_path, make_task)
    assert result.last_grid is not None and result.last_grid.exists()
