"""A run's directory: one trainer, one config, and what others may take from it."""

import fcntl
import json
import os

import jax
import numpy as np
import pytest
from etils import epath

import jaxgan
from jaxgan.core.errors import UserError
from jaxgan.pretrained import LoadedWeights
from jaxgan.systems import registry
from jaxgan.training import checkpoint, configs, loop, runs, starts
from jaxgan.training.writer import read_rows
from tests.training import toy


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A short run of `Toy`; tests must not write into it."""
    workdir = tmp_path_factory.mktemp("runs") / "trained"
    toy.train(workdir, system__warmup_steps=2, system__adversarial_steps=2)
    return workdir


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setitem(registry.SYSTEMS, "toy", toy.Toy)
    monkeypatch.setitem(registry.SYSTEMS, "borrower", toy.Borrower)


def start(workdir, config, init_from=None, partial=False):
    cls = {"toy": toy.Toy, "borrower": toy.Borrower}[config["name"]]
    return loop.train(
        configs.build_system(config, cls),
        config,
        workdir,
        toy.make_task,
        init_from=init_from,
        init_from_partial=partial,
    )


def assert_equal(found, wanted):
    jax.tree.map(np.testing.assert_array_equal, found, wanted)


def test_the_directory_holds_what_the_design_lists(trained):
    names = {p.name for p in trained.iterdir()}
    assert {
        "config.json",
        "starts.jsonl",
        "checkpoints",
        "metrics.jsonl",
        "timing.jsonl",
        "samples",
    } <= names
    config = json.loads((trained / "config.json").read_text())
    assert config["name"] == "toy" and config["training"]["batch_size"] == 8
    (row,) = read_rows(trained / "starts.jsonl")
    assert row["versions"]["jax"] == jax.__version__
    assert row["training.checkpoint_every"] == 4


def test_a_second_trainer_is_refused_and_told_who_is_there(tmp_path):
    with starts.opened(tmp_path, toy.config()):
        with pytest.raises(UserError, match=f"in use by process {os.getpid()} on"):
            with starts.opened(tmp_path, toy.config()):
                pass
    with starts.opened(tmp_path, toy.config()):  # free again
        pass


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path):
    (tmp_path / ".lock").write_text("process 999999 on elsewhere\n")
    with starts.opened(tmp_path, toy.config()):
        assert f"process {os.getpid()} " in (tmp_path / ".lock").read_text()


def test_a_file_system_without_locks_is_used_without(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with starts.opened(tmp_path, toy.config()):
        pass


def test_a_directory_below_a_regular_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write to --workdir=.*Not a directory"):
        with starts.opened(tmp_path / "file" / "run", toy.config()):
            pass


def test_another_config_is_refused_with_the_differing_keys(trained):
    other = toy.config(
        system__warmup_steps=2, system__adversarial_steps=3, training__batch_size=16
    )
    with pytest.raises(UserError) as raised:
        start(trained, other)
    message = str(raised.value)
    assert "system.adversarial_steps (was 2, now 3)" in message
    assert "training.batch_size (was 8, now 16)" in message
    assert "warmup" not in message and "\n" not in message


def weights(sha256):
    variables = {"params": {"kernel": np.zeros((1, 2), np.float32)}}
    return LoadedWeights(variables, "vgg19", "torchvision", sha256, "vgg19.npz")


def test_pretrained_weights_are_recorded_and_must_stay_the_same(tmp_path):
    """A path says nothing of what is in the file."""

    def go_on(num_steps, **files):
        config = toy.config(training__num_steps=num_steps)
        frozen = {name: weights(sha256) for name, sha256 in files.items()}
        system = configs.build_system(config, toy.Toy)
        return loop.train(system, config, tmp_path, toy.make_task, frozen=frozen)

    go_on(1, eye="a" * 64)
    (row,) = read_rows(tmp_path / "starts.jsonl")
    assert row["pretrained"] == {"eye": "a" * 64}
    with pytest.raises(
        UserError,
        match=r"file of pretrained.eye \(was sha256 a{12}, now b{12}\); choose",
    ):
        go_on(2, eye="b" * 64)
    assert len(read_rows(tmp_path / "starts.jsonl")) == 1
    # Networks that another stage needs come and go.
    assert go_on(2, judge="c" * 64).step == 2
    with pytest.raises(UserError, match=r"pretrained.eye \(was sha256 a{12}"):
        go_on(3, eye="b" * 64, judge="c" * 64)
    assert go_on(3, eye="a" * 64, judge="c" * 64).step == 3
    # Runs of before there was a record go on.
    rows = read_rows(tmp_path / "starts.jsonl")
    text = "".join(
        json.dumps({k: v for k, v in row.items() if k != "pretrained"}) + "\n"
        for row in rows
    )
    (tmp_path / "starts.jsonl").write_text(text)
    assert go_on(4, eye="b" * 64).step == 4


def test_weights_of_a_start_that_saved_nothing_bind_nobody(tmp_path):
    fails = toy.config(system__explode_at=1, system__warmup_steps=0)
    with pytest.raises(UserError, match="not finite at step 1"):
        loop.train(
            configs.build_system(fails, toy.Toy),
            fails,
            tmp_path,
            toy.make_task,
            frozen={"eye": weights("a" * 64), "judge": weights("c" * 64)},
        )
    own = {"eye": weights("b" * 64)}
    for num_steps, frozen in ((1, own), (2, {**own, "judge": weights("d" * 64)})):
        config = toy.config(training__num_steps=num_steps)
        loop.train(
            configs.build_system(config, toy.Toy),
            config,
            tmp_path,
            toy.make_task,
            frozen=frozen,
        )
    rows = read_rows(tmp_path / "starts.jsonl")
    assert [row["pretrained"].get("eye") for row in rows] == ["a" * 64, *["b" * 64] * 2]


def test_another_system_is_refused(trained):
    with pytest.raises(UserError, match="holds a run of 'toy', not of 'borrower'"):
        start(trained, toy.config(name="borrower"))


def test_what_saved_nothing_may_be_started_again_with_another_config(tmp_path, caplog):
    """As the messages of a NaN and of lacking memory advise: nothing is lost."""
    fails = toy.config(system__explode_at=1, system__warmup_steps=0)
    with pytest.raises(UserError, match="not finite at step 1 .*nothing was saved"):
        start(tmp_path, fails)
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "step_00000099.png").write_bytes(b"of the first start")
    result = start(tmp_path, toy.config(training__num_steps=1))
    (told,) = [r.getMessage() for r in caplog.records if "anew" in r.getMessage()]
    assert "holds no checkpoint: starting anew with another config" in told
    assert "system.explode_at (was 1, now absent)" in told
    assert [row["step"] for row in read_rows(tmp_path / "metrics.jsonl")] == [1]
    assert result.last_grid == tmp_path / "samples" / "step_00000001.png"
    with pytest.raises(UserError, match="system.explode_at"):  # now there is something
        start(tmp_path, fails)


def test_checkpoints_without_a_config_are_not_touched(tmp_path):
    (tmp_path / "checkpoints" / "3").mkdir(parents=True)
    with pytest.raises(UserError, match="checkpoints but no config.json"):
        with starts.opened(tmp_path, toy.config()):
            pass


def test_load_gives_system_averages_and_raw_weights(trained, registered):
    system, variables, frozen = jaxgan.load(trained)
    assert system == toy.Toy(warmup_steps=2, adversarial_steps=2) and frozen == {}
    networks, about = checkpoint.read_networks(trained / "checkpoints")
    assert about.step == 4 and about.stage == "adversarial"
    raw = jaxgan.load(trained, weights="raw")[1]
    for found, source in ((variables, "ema"), (raw, "params")):
        assert_equal(found["generator"]["params"], networks[source]["generator"])
    assert "batch_stats" in variables["generator"]
    columns = system.sample_grid(
        variables, {}, {"image": np.zeros((2, 4, 4, 1))}, jax.random.key(0)
    )
    assert columns["made"].shape == (2, 4, 4, 1)


def test_load_refuses_what_is_no_run(tmp_path, trained, registered):
    with pytest.raises(UserError, match="is not a run directory"):
        jaxgan.load(tmp_path)
    with pytest.raises(UserError, match="choose 'ema' or 'raw'"):
        jaxgan.load(trained, weights="best")
    with pytest.raises(UserError, match="no checkpoint 3 .*it has: 2, 4"):
        jaxgan.load(trained, step=3)


def test_a_new_run_starts_from_the_networks_of_another(trained, tmp_path, capsys):
    config = toy.config(training__num_steps=1, system__learning_rate=0.0)
    start(tmp_path, config, init_from=trained)
    old, _ = checkpoint.read_networks(trained / "checkpoints")
    new, _ = checkpoint.read_networks(tmp_path / "checkpoints")
    assert_equal(new["params"], old["params"])
    expected = jax.tree.map(  # one step of an average with decay 0.9
        lambda e, p: 0.9 * e + 0.1 * p,
        old["ema"]["generator"],
        old["params"]["generator"],
    )
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5),
        new["ema"]["generator"],
        expected,
    )
    assert "took discriminator, generator" in capsys.readouterr().out


def test_networks_that_do_not_match_are_named_unless_told(trained, tmp_path, capsys):
    config = toy.config(system__width=16, training__num_steps=1)
    with pytest.raises(UserError) as raised:
        start(tmp_path / "a", config, init_from=trained)
    message = str(raised.value)
    assert "generator (" in message and "discriminator (" in message
    assert "--init_from_partial" in message
    with pytest.raises(UserError, match="no network that this system uses"):
        start(tmp_path / "b", config, init_from=trained, partial=True)
    config = toy.config(name="borrower", system__width=8)
    start(tmp_path / "c", config, init_from=trained)
    assert "no use for discriminator" in capsys.readouterr().out


def test_a_system_without_stages_is_made_of_another_run(trained, tmp_path, registered):
    config = toy.config(name="borrower")
    result = start(tmp_path, config, init_from=trained)
    assert result.last_grid == tmp_path / "samples" / "step_00000000.png"
    assert result.step == 0 and checkpoint.committed(tmp_path / "checkpoints") == [0]
    _, averaged, _ = jaxgan.load(trained)
    _, variables, _ = jaxgan.load(tmp_path)
    assert variables.keys() == {"generator"}
    assert_equal(variables["generator"], averaged["generator"])  # statistics too
    again = start(tmp_path, config, init_from=trained)
    assert again.step == 0


def test_a_system_without_stages_needs_another_run(tmp_path):
    with pytest.raises(UserError, match="trains nothing of its own: pass --init_from"):
        start(tmp_path, toy.config(name="borrower"))


def test_a_system_without_stages_takes_over_the_fields_of_the_run(trained, tmp_path):
    other = tmp_path / "other"
    toy.train(other, system__width=8, training__num_steps=1)
    config = toy.config(name="borrower", system__width=16)
    with pytest.raises(UserError) as raised:
        start(tmp_path / "a", config, init_from=other)
    assert "lacks generator" in str(raised.value)
    assert str(raised.value).endswith(
        "same values here: system.width (8 there, 16 here)"
    )
    path = other / "config.json"
    path.write_text(path.read_text().replace('"width": 8', '"width": 4'))
    config = toy.config(name="borrower", system__width=8)
    with pytest.raises(UserError, match=r"other values: system.width \(4 there, 8 h"):
        start(tmp_path / "a", config, init_from=other)
    start(tmp_path / "a", config, init_from=trained)


def test_a_relative_directory_is_one_like_any_other(tmp_path, monkeypatch, registered):
    monkeypatch.chdir(tmp_path)
    toy.train("runs/a", training__num_steps=1)
    assert toy.train("runs/a", training__num_steps=2).step == 2
    assert checkpoint.committed("runs/a/checkpoints") == [1, 2]
    assert jaxgan.load("runs/a")[0] == toy.Toy()


def test_another_number_of_examples_is_told_of(tmp_path, caplog):
    one = {"adversarial": 100, "warmup": 100}
    config = configs.with_defaults({"name": "toy", "system": {}, "data": {}})
    starts.record(epath.Path(tmp_path), config, 0, one)
    starts.record(epath.Path(tmp_path), config, 5, one)
    assert not caplog.records
    starts.record(epath.Path(tmp_path), config, 5, {**one, "warmup": 90})
    assert "'warmup' has 90 training examples, at the start before 100" in caplog.text
    rows = read_rows(epath.Path(tmp_path) / "starts.jsonl")
    assert [row["examples"]["warmup"] for row in rows] == [100, 100, 90]


def test_a_bucket_that_does_not_open_is_one_line(monkeypatch):
    def refuse(self):
        raise ImportError("no module named gcsfs")

    monkeypatch.setattr(type(epath.Path("gs://bucket/run")), "exists", refuse)
    config = configs.with_defaults({"name": "toy", "system": {}, "data": {}})
    with pytest.raises(UserError, match="no module named gcsfs; buckets need"):
        with starts.opened("gs://bucket/run", config):
            pass
    with pytest.raises(UserError, match="no module named gcsfs; buckets need"):
        runs.read_config("gs://bucket/run")
