"""The table of plans."""

import json
import subprocess

from benchmarks import plans
from jaxgan.planning import topologies

ROW = {
    "config": "dcgan",
    "topology": "v5e:2x4",
    "stage": "dcgan",
    "fits": True,
    "batch_size": 1024,
    "dtype": "bfloat16",
    "compile_seconds": 31.0,
    "flops": 2e12,
    "bytes_accessed": 5e9,
    "collectives": {"all-reduce": {"count": 5, "bytes": 4e7, "sent": 7e7}},
    "memory": {"temporary": 2_000_000_000, "parameters": 1_000_000_000},
    "memory_peak": 3_000_000_000,
    "seconds": {"compute": 0.01, "memory": 0.02, "network": 0.001},
    "bound": "memory",
}


def test_a_row_names_what_bounds_the_step():
    cells = dict(zip(plans.HEAD, plans._cells(ROW), strict=True))
    assert cells["bound by"] == "memory" and cells["collectives"] == "5 all-reduce"
    assert float(cells["examples/s at most"]) == 51200
    assert float(cells["memory GB"]) == 3 and float(cells["of it temporary"]) == 2
    assert "too much" in " ".join(plans._cells({**ROW, "fits": False}))
    without = {k: ROW[k] for k in ("config", "topology", "stage")} | {"fits": False}
    cells = plans._cells(without)
    assert len(cells) == len(plans.HEAD) and cells[-1] == "does not fit"


def test_batches_grow_with_the_devices_and_a_failure_is_a_row(monkeypatch):
    called = []

    def run(arguments, **options):
        called.append(arguments)
        text = json.dumps(ROW) if len(called) == 1 else ""
        return subprocess.CompletedProcess(arguments, 0, text, "error: no libtpu\n")

    monkeypatch.setattr(plans.subprocess, "run", run)
    machine = topologies.parse("v5e:2x4")
    assert plans.plan("dcgan", machine, 60) == [ROW]
    assert "--config.training.batch_size=1024" in called[0]
    (row,) = plans.plan("dcgan", machine, 60)
    assert row["error"] == "error: no libtpu"
