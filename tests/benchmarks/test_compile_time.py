"""The table of compile times."""

import json
import subprocess

import pytest

from benchmarks import compile_time
from jaxgan import config_files

FIRST = {"trace_s": 1.0, "lower_s": 0.5, "compile_s": 8.5}
SECOND = {"trace_s": 1.0, "lower_s": 0.5, "compile_s": 0.5}


def test_a_start_traces_lowers_and_compiles():
    seconds = compile_time.start(config_files.load("gan:tiny", []), "gan")
    assert set(seconds) == set(FIRST) and min(seconds.values()) > 0


def test_two_starts_share_a_cache_and_a_failure_is_a_row(monkeypatch):
    called = []

    def run(arguments, **options):
        called.append(arguments)
        ends = [(0, FIRST), (0, SECOND), (1, {})]
        code, found = ends[len(called) - 1]
        text = f"said by a library\n{json.dumps(found)}\n"
        return subprocess.CompletedProcess(arguments, code, text, "error: no GPU\n")

    monkeypatch.setattr(compile_time.subprocess, "run", run)
    compile_time.FLAGS(["test"])
    row = compile_time.both_starts("gan", ["--config.seed=1"], "gan")
    assert row == {"first": FIRST, "second": SECOND}
    assert called[0] == called[1] and "--config.seed=1" in called[0]
    row |= {"config": "gan", "part": "gan"}
    cells = compile_time._cells(row)
    assert len(cells) == len(compile_time.HEAD)
    assert (cells[4], cells[8]) == ("10.00", "2.00")
    assert float(cells[-1]) == pytest.approx(0.2)
    failed = compile_time.both_starts("gan", [], "gan")
    assert failed == {"error": "error: no GPU"}
