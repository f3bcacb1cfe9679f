"""Two real processes of `jax.distributed` train as one, and stop together."""

import os
import signal
import time

import numpy as np
import pytest

from jaxgan.training import checkpoint
from jaxgan.training.writer import read_rows
from tests.training import children


def two_processes(workdir, *flags, split=False):
    """Two children of two devices each; a dead peer cannot hang the test."""
    return children.together(workdir, *flags, split=split)


def wait(started, workdir):
    return [
        children.wait(process, f"{workdir}.{i}", timeout=150)
        for i, process in enumerate(started)
    ]


def test_two_processes_train_cyclegan_as_one(tmp_path):
    flags = (
        "--config=cyclegan:tiny",
        "--config.system.pool_groups=4",  # one a device
        "--config.training.num_steps=2",
        "--config.training.sample_every=2",
    )
    with two_processes(tmp_path / "two", *flags) as started:
        for ended in wait(started, tmp_path / "two"):
            assert ended.code == 0, ended.err
    one = children.jaxgan_train(tmp_path / "one", *flags, devices=4)
    assert one.code == 0, one.err
    rows = [read_rows(tmp_path / name / "metrics.jsonl") for name in ("two", "one")]
    assert [r["step"] for r in rows[0]] == [1, 2]
    for two, single in zip(*rows, strict=True):
        for name in two.keys() - {"step", "stage"}:
            np.testing.assert_allclose(two[name], single[name], atol=2e-4, rtol=2e-4)
    assert (tmp_path / "two" / "samples" / "step_00000002.png").exists()
    start = read_rows(tmp_path / "two" / "starts.jsonl")[-1]
    assert start["processes"] == 2 and start["device_count"] == 4
    # The checkpoint of two processes is read by one.
    networks, _ = checkpoint.read_networks(tmp_path / "two" / "checkpoints")
    assert networks["params"].keys() >= {"generator_ab", "discriminator_b"}


@pytest.mark.parametrize("steps_per_call", [1, 8])
def test_a_signal_to_one_process_stops_both_and_the_run_goes_on(
    steps_per_call, tmp_path
):
    """Its state is split over both; one process reads it all the same."""
    workdir = tmp_path / "run"
    flags = (
        f"--config.training.steps_per_call={steps_per_call}",
        "--config.devices.data=-1",
        "--config.devices.model=2",
        "--config.training.checkpoint_every=0",
    )
    many = "--config.training.num_steps=1000000"
    rarely = "--config.training.log_every=1000"
    with two_processes(workdir, *flags, many, rarely, split=True) as started:
        metrics = workdir / "metrics.jsonl"
        deadline = time.time() + 100
        while not metrics.exists() or not read_rows(metrics):
            assert time.time() < deadline and started[0].is_alive()
            time.sleep(0.05)
        os.kill(started[1].pid, signal.SIGTERM)
        ended = wait(started, workdir)
    assert [e.code for e in ended] == [143, 143], [e.err for e in ended]
    step = int(ended[0].out.split("stopped at step ")[1].split(";")[0])
    assert step < 8 or step % steps_per_call == 0
    assert checkpoint.committed(workdir / "checkpoints")[-1] == step
    more = f"--config.training.num_steps={step + 2}"
    alone = children.jaxgan_train(workdir, *flags, more, rarely, devices=2)
    assert alone.code == 0 and f"at step {step} of {step + 2}" in alone.out, alone.err


def test_two_processes_make_several_steps_a_call(tmp_path):
    """Each stacks its part of the batches."""
    flags = (
        "--config.devices.data=-1",
        "--config.training.log_every=4",
        "--config.training.sample_every=0",
    )
    several = "--config.training.steps_per_call=4"
    with two_processes(tmp_path / "two", *flags, several) as started:
        for ended in wait(started, tmp_path / "two"):
            assert ended.code == 0, ended.err
    one = children.jaxgan_train(tmp_path / "one", *flags, devices=4)
    assert one.code == 0, one.err
    two, single = (
        {r["step"]: r for r in read_rows(tmp_path / name / "metrics.jsonl")}
        for name in ("two", "one")
    )
    assert list(two) == [4, 7, 8, 12, 16]
    for step, row in two.items():
        for name in row.keys() - {"step", "stage"}:
            np.testing.assert_allclose(row[name], single[step][name], atol=1e-4)


def test_a_mistake_ends_both_processes(tmp_path):
    workdir = tmp_path / "run"
    workdir.write_text("a file")
    with two_processes(workdir, "--config.devices.data=-1") as started:
        ended = wait(started, workdir)
    assert [e.code for e in ended] == [1, 1], [e.err for e in ended]
    assert "is a file: choose a directory" in ended[0].err
    assert "the first process could not open the run directory" in ended[1].err
