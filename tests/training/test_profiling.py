"""`--profile`: when it begins and ends, and what it writes."""

from __future__ import annotations

import gzip
import json

import pytest

from jaxgan.core import UserError
from jaxgan.training import configs, loop
from jaxgan.training.profiling import window
from tests.training import toy


@pytest.mark.parametrize(
    ("planned", "updates", "wanted"),
    [
        ([(1, 0, 100)], 5, (2, 7)),
        ([(1, 40, 100)], 5, (42, 47)),
        ([(1, 0, 4)], 5, (2, 4)),
        ([(1, 0, 2)], 5, None),
        ([], 5, None),
        ([(1, 0, 100)], 0, None),
        ([(1, 7, 10), (10, 10, 100), (1, 100, 105)], 15, (20, 40)),
        ([(1, 0, 6), (1, 6, 106)], 20, (8, 28)),
        ([(1, 0, 6), (1, 6, 20)], 20, (8, 20)),
    ],
)
def test_the_window_follows_two_updates_of_one_program(planned, updates, wanted):
    assert window(planned, updates) == wanted


def train(workdir, profile, **overrides):
    settings = toy.config(**overrides)
    system = configs.build_system(settings, toy.Toy)
    return loop.train(system, settings, workdir, toy.make_task, profile=profile)


def test_a_profile_names_players_and_networks_also_on_resume(tmp_path, capsys):
    train(tmp_path, 0)
    assert not (tmp_path / "profile").exists()
    train(tmp_path, 2, training__num_steps=20)
    (trace,) = (tmp_path / "profile").rglob("*.xplane.pb")
    content = trace.read_bytes()
    for name in (b"update_generator", b"generator/"):
        assert name in content, name
    (events,) = (tmp_path / "profile").rglob("perfetto_trace.json.gz")
    assert json.loads(gzip.decompress(events.read_bytes()))["traceEvents"]
    assert str(tmp_path / "profile") in capsys.readouterr().out


def test_fewer_steps_than_asked_for_are_said(tmp_path, capsys):
    train(tmp_path, 1000)
    assert "--profile=1000: " in capsys.readouterr().out
    assert list((tmp_path / "profile").rglob("*.xplane.pb"))


def test_a_negative_number_is_refused(tmp_path):
    with pytest.raises(UserError, match="profile = -1"):
        train(tmp_path, -1)
