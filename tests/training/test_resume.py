"""A killed run that is started again leaves the bytes of an uninterrupted one."""

import signal

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from jaxgan.training.writer import read_rows
from tests.training import children
from tests.training.children import Fault

WARMUP, TOTAL = 7, 16  # steps of `toy_config:tiny`; checkpoints at 4, 7, 8, 12, 16


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("resume") / "reference"
    ended = children.jaxgan_train(workdir)
    assert ended.code == 0, ended.err
    return workdir


def read_part(path):
    """On the host, whatever devices wrote it."""
    reader = ocp.PyTreeCheckpointer()
    names = reader.metadata(path).item_metadata.tree
    on_host = ocp.RestoreArgs(restore_type=np.ndarray)
    return reader.restore(path, restore_args=jax.tree.map(lambda _: on_host, names))


def state_of(workdir):
    """Every array of the newest checkpoint, by its path."""
    steps = [int(p.name) for p in (workdir / "checkpoints").iterdir()]
    path = workdir / "checkpoints" / str(max(steps))
    trees = {part: read_part(path / part) for part in ("networks", "procedure")}
    leaves = jax.tree_util.tree_leaves_with_path(trees)
    return {jax.tree_util.keystr(p): np.asarray(x) for p, x in leaves}


def assert_same_bytes(workdir, reference):
    samples = sorted(path.name for path in (reference / "samples").iterdir())
    assert samples == [f"step_{step:08d}.png" for step in (8, TOTAL)]
    assert sorted(path.name for path in (workdir / "samples").iterdir()) == samples
    for name in ("metrics.jsonl", *(f"samples/{name}" for name in samples)):
        assert (workdir / name).read_bytes() == (reference / name).read_bytes(), name
    found, wanted = state_of(workdir), state_of(reference)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert found[name].dtype == value.dtype
        assert found[name].tobytes() == value.tobytes(), name


def seeded_step(name, low, high):
    rng = np.random.default_rng([ord(c) for c in name])
    return int(rng.integers(low, high))


KILLS = {
    "between_checkpoints": Fault("batch", seeded_step("between", 2, WARMUP)),
    "while_one_is_written": Fault("writing", 4),
    "after_its_commit": Fault("committed", 8),
    "in_second_stage": Fault("batch", seeded_step("second", WARMUP + 4, TOTAL)),
    "at_hand_over": Fault("hand_over"),
}


@pytest.mark.parametrize("name", KILLS)
def test_killed_run_resumes_byte_identical(name, tmp_path, uninterrupted):
    workdir, fault = tmp_path / "run", KILLS[name]
    killed = children.jaxgan_train(workdir, fault=fault)
    assert killed.code == -signal.SIGKILL, killed.err
    committed = [p.name for p in (workdir / "checkpoints").glob("[0-9]*")]
    if fault.kind == "writing":
        assert str(fault.step) not in committed
    if fault.kind == "committed":
        assert str(fault.step) in committed
    resumed = children.jaxgan_train(workdir)
    assert resumed.code == 0, resumed.err
    assert_same_bytes(workdir, uninterrupted)
    left = [p.name for p in (workdir / "checkpoints").iterdir()]
    assert not [name for name in left if "tmp" in name]


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)]
)
def test_signal_saves_and_resumes_byte_identical(signum, code, tmp_path, uninterrupted):
    workdir = tmp_path / "run"
    rarely = "--config.training.checkpoint_every=0"  # so that the signal's is new
    stopped = children.jaxgan_train(workdir, rarely, fault=Fault("batch", 5, signum))
    assert stopped.code == code, stopped.err
    assert "stopped at step" in stopped.out
    step = int(stopped.out.split("stopped at step ")[1].split(";")[0])
    assert 0 < step < WARMUP
    assert (workdir / "checkpoints" / str(step)).exists()
    resumed = children.jaxgan_train(workdir)
    assert f"resuming {workdir} at step {step} of {TOTAL}" in resumed.out
    assert_same_bytes(workdir, uninterrupted)


def test_rows_beyond_the_checkpoint_are_cut(tmp_path):
    workdir = tmp_path / "run"
    children.jaxgan_train(workdir, fault=Fault("batch", 11))
    rows = workdir / "metrics.jsonl"
    with open(rows, "a") as file:
        file.write('{"step": 99, "stage": "adversarial"}\n{"step": 10')  # torn
    assert children.jaxgan_train(workdir).code == 0
    assert [row["step"] for row in read_rows(rows)] == list(range(1, TOTAL + 1))
