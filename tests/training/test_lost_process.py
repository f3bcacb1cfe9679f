"""One process of several is lost: the others end soon, each with a line, and the run
goes on from its last checkpoint, on as many processes and devices as there are."""

import re
import shutil
import signal
import time

import jax
import numpy as np
import pytest

from jaxgan.training import checkpoint
from jaxgan.training.writer import read_rows
from tests.training import children
from tests.training.children import Fault
from tests.training.test_resume import TOTAL, assert_same_bytes, state_of

TIMEOUT = 20  # seconds, of --peer_timeout
FLAGS = ("--config.devices.data=-1", f"--peer_timeout={TIMEOUT}")
SLOW = pytest.mark.slow
ABORTS = pytest.mark.skipif(
    jax.__version_info__ < (0, 10), reason="there the runtime exits, in its own words"
)


def end(started, workdir, i, timeout=100):
    return children.wait(started[i], f"{workdir}.{i}", timeout)


def train(workdir, *flags, **more):
    """A run of several processes to its end."""
    with children.together(workdir, *FLAGS, *flags, **more) as started:
        ended = [end(started, workdir, i) for i in range(len(started))]
    assert [e.code for e in ended] == [0] * len(ended), [e.err for e in ended]
    return ended


def the_line(ended):
    """What a process says at its end, once, and no traceback. The runtime's own words
    may surround it: its threads abort the process while ours ends it."""
    (line,) = [x for x in ended.err.splitlines() if x.startswith("error: ")]
    assert "Traceback" not in ended.err, ended.err
    return line


def lose(workdir, victim, fault, *flags):
    """Two processes, one of which is killed: what the other says."""
    special = {victim: {"fault": fault}}
    with children.together(workdir, *FLAGS, *flags, special=special) as started:
        started[victim].join(100)
        assert started[victim].exitcode == -signal.SIGKILL
        since = time.monotonic()
        other = end(started, workdir, 1 - victim, 2 * TIMEOUT)
        assert time.monotonic() - since < TIMEOUT
    assert other.code == 1, other.err
    line = the_line(other)
    assert line.startswith("error: another process was lost ("), line
    assert victim == 1 or "(process 0, which coordinates the others)" in line
    return line


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("lost") / "reference"
    train(workdir)
    return workdir


def test_only_the_first_process_prints(uninterrupted):
    first, second = (
        uninterrupted.with_name(f"reference.{i}.out").read_text() for i in (0, 1)
    )
    for ours in ("stage warmup: compiled", "step 16/16", f"run: {uninterrupted}"):
        assert ours in first and ours not in second
    for i in (0, 1):
        assert not uninterrupted.with_name(f"reference.{i}.err").read_text()


KILLS = {"in_a_step": Fault("batch", 14), "in_a_save": Fault("writing", 12)}


@pytest.mark.parametrize(
    ("victim", "when"),
    [
        (1, "in_a_step"),
        pytest.param(0, "in_a_save", marks=ABORTS),
        pytest.param(0, "in_a_step", marks=(SLOW, ABORTS)),
        pytest.param(1, "in_a_save", marks=SLOW),
    ],
)
def test_the_others_end_and_a_restart_goes_on(victim, when, tmp_path, uninterrupted):
    workdir = tmp_path / "run"
    line = lose(workdir, victim, KILLS[when])
    advice = r"the last checkpoint is step (\d+); start all processes again with the "
    saved = int(re.search(advice, line)[1])
    assert saved == checkpoint.committed(workdir / "checkpoints")[-1]
    assert saved == 8 or when == "in_a_step"
    with open(workdir / "metrics.jsonl", "a") as file:  # of no checkpoint, and torn
        file.write('{"step": 15, "stage": "adversarial"}\n{"step": 16')
    first, _ = train(workdir)
    assert f"resuming {workdir} at step {saved} of {TOTAL}" in first.out
    assert_same_bytes(workdir, uninterrupted)
    assert not list((workdir / "checkpoints").glob("*tmp*"))


@pytest.mark.parametrize(
    "victim", [pytest.param(0, marks=ABORTS), pytest.param(1, marks=SLOW)]
)
def test_a_loss_before_the_first_step(victim, tmp_path):
    line = lose(tmp_path / "run", victim, Fault("batch", 0))
    assert line.endswith(": no checkpoint was written yet; start all processes again")


@pytest.mark.slow
@pytest.mark.parametrize("victim", [pytest.param(0, marks=ABORTS), 1])
def test_a_process_that_hangs_is_lost_too(victim, tmp_path):
    """The other waits for it inside a collective."""
    workdir = tmp_path / "run"
    special = {victim: {"fault": Fault("batch", 14, signal.SIGSTOP)}}
    with children.together(workdir, *FLAGS, special=special) as started:
        other = end(started, workdir, 1 - victim)
    assert other.code == 1, other.err
    why = ("as it does when another hangs", "(process 1: no heartbeat for ")[victim]
    assert why in the_line(other)


@pytest.mark.parametrize("victim", [1, pytest.param(0, marks=SLOW)])
def test_the_mistake_of_one_process_ends_all_and_each_knows_it(victim, tmp_path):
    workdir = tmp_path / "run"
    special = {victim: {"fault": Fault("mistake", 14)}}
    with children.together(workdir, *FLAGS, special=special) as started:
        ended = [end(started, workdir, i, 60) for i in (0, 1)]
    assert [e.code for e in ended] == [1, 1], [e.err for e in ended]
    assert the_line(ended[victim]) == "error: no picture 17: restore it"
    why = f"(process {victim}: no picture 17: restore it): the last checkpoint is step"
    assert why in the_line(ended[1 - victim])


@pytest.mark.slow
def test_a_mistake_that_all_make_is_told_by_each(tmp_path):
    workdir = tmp_path / "run"
    fault = Fault("mistake", 14)
    with children.together(workdir, *FLAGS, fault=fault) as started:
        ended = [end(started, workdir, i, 60) for i in (0, 1)]
    assert [e.code for e in ended] == [1, 1], [e.err for e in ended]
    assert {the_line(e) for e in ended} == {"error: no picture 17: restore it"}


def test_a_full_disk_of_one_process_ends_all(tmp_path):
    workdir = tmp_path / "run"
    with children.together(
        workdir, *FLAGS, special={0: {"file_size": 3000}}
    ) as started:
        ended = [end(started, workdir, i, 60) for i in (0, 1)]
    assert [e.code for e in ended] == [1, 1], [e.err for e in ended]
    assert "cannot write checkpoint" in the_line(ended[0])
    assert "(process 0: cannot write checkpoint" in the_line(ended[1])


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_who_has_finished_does_not_mind_a_loss(victim, tmp_path):
    workdir = tmp_path / "run"
    special = {victim: {"fault": Fault("end")}}
    with children.together(workdir, *FLAGS, special=special) as started:
        other = end(started, workdir, 1 - victim)
        assert started[victim].exitcode == -signal.SIGKILL
    assert other.code == 0 and "error: " not in other.err
    assert checkpoint.committed(workdir / "checkpoints")[-1] == TOTAL


@pytest.mark.slow
@ABORTS
def test_processes_that_do_not_find_one_another(tmp_path):
    workdir = tmp_path / "run"
    faults = {i: {"fault": Fault("alone")} for i in (0, 1)}
    with children.together(workdir, *FLAGS, special=faults) as started:
        started[1].kill()
        ended = end(started, workdir, 0, 60)
    assert ended.code == 1, ended.err
    assert "did not find one another (one waited" in the_line(ended)


SPLIT = {"flags": ("--config.devices.model=2",), "split": True}
LAYOUTS = {  # processes, devices of each
    "2x2_split": (2, 2, SPLIT),
    "2x1": (2, 1, {}),
    "1x4_split": (1, 4, SPLIT),
    "1x1": (1, 1, {}),
}


def run_on(layout, workdir, steps, **more):
    """Trains to `steps` on that many processes and devices."""
    count, devices, settings = LAYOUTS[layout]
    train(
        workdir,
        f"--config.training.num_steps={steps}",
        *settings.get("flags", ()),
        count=count,
        devices=devices,
        split=settings.get("split", False),
        **more,
    )


def arrays(named):
    """Names are a matter of who reads."""
    return sorted((str(x.dtype), x.shape, x.tobytes()) for x in named.values())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("2x2_split", ("1x4_split", "1x1", "2x1")),
        pytest.param("1x1", ("2x2_split", "1x4_split"), marks=SLOW),
    ],
)
def test_a_restart_on_other_processes_and_devices(
    before, after, tmp_path, uninterrupted
):
    run_on(before, tmp_path / "before", 9)
    saved = arrays(state_of(tmp_path / "before"))
    assert len(saved) > 20
    wanted = {row["step"]: row for row in read_rows(uninterrupted / "metrics.jsonl")}
    for layout in after:
        workdir = tmp_path / layout
        shutil.copytree(tmp_path / "before", workdir)
        run_on(layout, workdir, 12, dump=tmp_path / f"{layout}.npz")
        assert arrays(np.load(tmp_path / f"{layout}.npz")) == saved
        rows = read_rows(workdir / "metrics.jsonl")
        assert [row["step"] for row in rows] == list(range(1, 13))
        for row in rows:
            for name in row.keys() - {"step", "stage"}:
                np.testing.assert_allclose(row[name], wanted[row["step"]][name], 1e-4)
