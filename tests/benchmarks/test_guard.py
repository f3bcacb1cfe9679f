"""The guard passes on what is recorded, and says what differs where it does not."""

import copy
import json
import os
import pathlib
import subprocess
import sys

import pytest

from benchmarks import guard
from benchmarks.small import SMALL
from jaxgan.core import UserError

KNOWN = json.loads(guard.RECORD.read_text())
COMPILER = KNOWN["versions"]
GAN = KNOWN["stages"]["gan/gan"]


def changed(**changes):
    """A fake record of one program, with other figures."""
    record = {"versions": COMPILER, "stages": {"a/a": dict(GAN)}}
    fake = copy.deepcopy(record)
    for name, value in changes.items():
        fake["stages"]["a/a"][name.replace("_", " ")] = value
    return record, fake


@pytest.fixture
def as_recorded(monkeypatch):
    """Whatever the installed compiler makes of it."""
    monkeypatch.setattr(guard, "figures", KNOWN["stages"].get)


def run(tmp_path, record, *arguments) -> int:
    path = tmp_path / "guard.json"
    path.write_text(json.dumps(record))
    return guard.main(["guard", f"--record={path}", "--only=gan", *arguments])


def test_every_program_is_recorded_and_nothing_is_slow():
    assert set(KNOWN["stages"]) == set(SMALL) == set(guard.chosen([]))
    for name, figures in KNOWN["stages"].items():
        assert figures["slow convolution"] == 0, name
        least = figures.get("flop of the minimum")
        assert least is None or figures["flop"] <= guard.MAX_RATIO * least, name


def test_the_committed_record_holds():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.guard", "--only=gan"],
        env={**os.environ, "XLA_FLAGS": ""},  # it was recorded without the tests' own
        cwd=pathlib.Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert "1 programs, deviations from the record: 0" in done.stdout, done.stderr
    assert done.returncode == 0


def test_a_broken_record_is_noticed_and_named(as_recorded, tmp_path, capsys):
    record = copy.deepcopy(KNOWN) | {"versions": guard.versions()}
    record["stages"]["gan/gan"]["all-reduce"] -= 2
    assert run(tmp_path, record) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any("gan/gan: 2 all-reduces more than recorded" in line for line in lines)
    assert lines[-1] == "guard: 1 programs, deviations from the record: 1"
    assert run(tmp_path, record, "--update") == 0
    updated = json.loads((tmp_path / "guard.json").read_text())
    assert updated["versions"] == guard.versions()
    assert updated["stages"].keys() == KNOWN["stages"].keys()  # the others are kept
    assert updated["stages"]["gan/gan"]["all-reduce"] == (
        record["stages"]["gan/gan"]["all-reduce"] + 2
    )


def test_without_a_record_the_command_says_how_to_make_one(tmp_path):
    with pytest.raises(UserError, match=f"run {guard.UPDATE}"):
        guard.main(["guard", f"--record={tmp_path / 'none.json'}", "--only=gan"])


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"fusion": 100}, f"{GAN['fusion'] - 100} fusions more than recorded"),
        ({"slow_convolution": 3}, "3 slow convolutions fewer than recorded"),
        ({"flop": 3e8, "flop_of_the_minimum": 3e8}, "flops of the minimum fewer"),
        ({"all-gather": 1}, "1 all-gather fewer than recorded (0, recorded 1)"),
        ({"temporary_byte": 1}, "temporary bytes more than recorded"),
    ],
)
def test_each_kind_of_figure_is_held(changes, line):
    found, known = changed(**changes)
    lines = guard.compare(known, found)
    assert any(line in d.line and guard.UPDATE in d.line for d in lines), lines
    assert all(d.fails for d in lines)


def test_small_differences_pass_but_no_further_collective():
    near = {name: round(0.96 * GAN[name]) for name in ("fusion", "byte accessed")}
    found, known = changed(**near)
    assert guard.compare(known, found) == []
    found, known = changed(**{"all-reduce": 3})
    assert len(guard.compare(known, found)) == 1


def test_another_compiler_is_only_reported_unless_work_is_done_twice():
    found, known = changed(fusion=100, convolution=9, **{"all-reduce": 9})
    known["versions"] = {**COMPILER, "jaxlib": "0.99.0"}
    lines = guard.compare(known, found)
    assert len(lines) == 4 and "jaxlib 0.99.0" in lines[0].line
    assert not any(d.fails for d in lines)
    found["stages"]["a/a"]["flop"] *= 1.06
    failed = [d.line for d in guard.compare(known, found) if d.fails]
    assert len(failed) == 2 and "1.060 of the algorithm's minimum" in failed[0]


def test_programs_without_a_record_and_records_without_a_program_fail():
    found, known = changed()
    known["stages"]["b/b"] = known["stages"].pop("a/a")
    lines = [d.line for d in guard.compare(known, found) if d.fails]
    assert lines == [
        f"a/a: not recorded; run {guard.UPDATE}",
        f"b/b: recorded, but it is no more; run {guard.UPDATE}",
    ]


def test_a_system_without_a_row_is_named(monkeypatch):
    monkeypatch.delitem(SMALL, "gan/gan")
    with pytest.raises(UserError, match="small.py has no row: gan/gan"):
        guard.chosen([])
    with pytest.raises(UserError, match="did you mean 'gan3d'"):
        guard.chosen(["gan3"])
