"""The commands behind the figures on real data."""

import subprocess
import sys

import pytest

from benchmarks import real_data


@pytest.fixture
def calls(monkeypatch):
    made = []
    monkeypatch.setattr(subprocess, "run", lambda args, check: made.append(args))
    return made


def call(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["real_data", *arguments])
    real_data.main()


def test_a_run_is_a_training_and_its_evaluations(calls, monkeypatch):
    call(monkeypatch, "--data=/d", "--runs=r", "srresnet_urban")
    train, *evaluations = calls
    assert train[2] == "jaxgan.train" and len(evaluations) == 3
    assert "--config.data.source=zip:/d/sr/urban_crops320.zip" in train
    assert {"--workdir=r/srresnet_urban"} < set(evaluations[1])
    assert "--config.evaluation.source=zip:/d/sr/Set5.zip" in evaluations[1]


def test_further_flags_come_after_those_of_the_run(calls, monkeypatch):
    steps = "--config.system.num_steps"
    call(monkeypatch, "gan3d_chairs", f"{steps}=3")
    train, *evaluations = calls
    given = [flag for flag in train if flag.startswith(steps)]
    assert given == [f"{steps}=3200", f"{steps}=3"]  # the last one counts
    assert not any(flag.startswith(steps) for e in evaluations for flag in e)


@pytest.mark.parametrize("wrong", ["nothing", "--steps=3"])
def test_what_is_unknown_is_named(calls, monkeypatch, capsys, wrong):
    with pytest.raises(SystemExit):
        call(monkeypatch, wrong)
    assert wrong in capsys.readouterr().err and not calls
