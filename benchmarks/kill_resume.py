"""Kills runs at random moments and checks that nothing but time is lost.

    python -m benchmarks.kill_resume --kills=100

A run that nobody disturbs is the reference. Others are killed (SIGKILL) after random
delays, started again with the same command, killed again, until they finish. Each must
end with the reference's metrics, pictures and newest checkpoint, byte for byte, and
must never have lost a committed checkpoint. Prints a Markdown table and, with
`--output`, writes it.
"""

from __future__ import annotations

import argparse
import collections
import json
import multiprocessing
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import textwrap
import time

import jax
import numpy as np
import orbax.checkpoint as ocp

import jaxgan.data  # noqa: F401  (forked processes find everything imported)
from jaxgan import command
from jaxgan import train as train_command
from jaxgan.training import checkpoint, loop, runs  # noqa: F401


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--config",
        default="srgan:tiny",
        help="what to train; then overrides such as --config.system.pretrain_steps=11",
    )
    parser.add_argument("--steps", type=int, default=24, help="of each run")
    parser.add_argument("--checkpoint_every", type=int, default=3)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=pathlib.Path, help="a Markdown file")
    arguments, arguments.overrides = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="kill_resume_") as folder:
        report = measure(arguments, pathlib.Path(folder))
    print(report)
    if arguments.output:
        arguments.output.write_text(report)


def measure(arguments: argparse.Namespace, folder: pathlib.Path) -> str:
    """Runs everything and returns the report.

    Raises:
      SystemExit: at the first difference, naming it.
    """
    flags = [
        f"--config={arguments.config}",
        f"--config.training.num_steps={arguments.steps}",
        f"--config.training.checkpoint_every={arguments.checkpoint_every}",
        "--config.training.log_every=1",
        f"--config.training.sample_every={arguments.steps // 2}",
        f"--compilation_cache={folder / 'cache'}",
        *arguments.overrides,
    ]
    trial = Trial(flags, folder / "warm_up")
    trial.until_done()  # fills the compilation cache
    reference = Trial(flags, folder / "reference")
    length = reference.until_done()
    say(f"a run takes {length:.1f} s; killing")
    rng = random.Random(arguments.seed)
    moments: collections.Counter[str] = collections.Counter()
    lost, kills, finished = 0, 0, 0
    began = time.monotonic()
    while kills < arguments.kills:
        trial = Trial(flags, folder / f"run_{finished}")
        while True:
            delay = rng.uniform(0.0, 1.3 * length) if kills < arguments.kills else None
            before = trial.committed()
            moment = trial.start(delay)
            if moment is None:
                break
            kills += 1
            moments[moment] += 1
            lost += bool(before) and max(trial.committed(), default=0) < max(before)
            say(f"kill {kills}: {moment}, checkpoints {trial.committed()}")
        difference = trial.differs_from(reference)
        if difference:
            sys.exit(f"run {finished} differs from the undisturbed one: {difference}")
        shutil.rmtree(trial.workdir)
        finished += 1
    minutes = (time.monotonic() - began) / 60
    rows = "".join(f"| {name} | {count} |\n" for name, count in moments.most_common())
    command_line = " ".join(
        [
            f"python -m benchmarks.kill_resume --config={arguments.config}",
            f"--steps={arguments.steps} --kills={arguments.kills}",
            f"--checkpoint_every={arguments.checkpoint_every} --seed={arguments.seed}",
            *arguments.overrides,
        ]
    )
    text = textwrap.fill(
        f"{kills} kills (SIGKILL at a uniformly random moment of a start) of "
        f"{finished} runs of {arguments.steps} steps on "
        f"{jax.devices()[0].device_kind}, jax {jax.__version__}, in {minutes:.0f} "
        f"minutes. Committed checkpoints lost: {lost}. Runs that ended with other "
        "metrics, pictures or arrays than the undisturbed one, byte for byte: 0 of "
        f"{finished}.",
        88,
    )
    return f"""# Killed runs

    {command_line}

{text}

| the kill came | times |
|---|---|
{rows}"""


class Trial:
    """One run, started as often as it takes."""

    def __init__(self, flags: list[str], workdir: pathlib.Path):
        self.workdir = workdir
        self._arguments = ["jaxgan train", *flags, f"--workdir={workdir}"]

    def until_done(self) -> float:
        """Seconds of a start that is not disturbed."""
        began = time.monotonic()
        assert self.start(None) is None
        return time.monotonic() - began

    def start(self, delay: float | None) -> str | None:
        """Starts the run and kills it after `delay` seconds.

        Returns:
          In which moment it was killed; None if it finished before.
        """
        remains = self._unfinished()
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
        process = context.Process(target=_train, args=(self._arguments,))
        process.start()
        process.join(delay)
        if process.is_alive():
            process.kill()
            process.join()
        if process.exitcode == -signal.SIGKILL:
            if self._unfinished() - remains:
                return "while a checkpoint was written"
            return (
                "between checkpoints" if self.committed() else "before any checkpoint"
            )
        if process.exitcode:
            log = pathlib.Path(f"{self.workdir}.log").read_text()
            sys.exit(f"a start ended with {process.exitcode}: {log[-2000:]}")
        return None

    def _unfinished(self) -> set[tuple[str, int]]:
        """Checkpoints that are half-written."""
        found = (self.workdir / "checkpoints").glob("*tmp*")
        return {(path.name, path.stat().st_ctime_ns) for path in found}

    def committed(self) -> list[int]:
        return checkpoint.committed(self.workdir / "checkpoints")

    def differs_from(self, other: Trial) -> str | None:
        """The first thing that is not equal byte for byte."""
        mine, theirs = self._files(), other._files()
        for name in sorted(mine.keys() | theirs.keys()):
            if mine.get(name) != theirs.get(name):
                return name
        return None

    def _files(self) -> dict[str, bytes]:
        found = {"metrics.jsonl": (self.workdir / "metrics.jsonl").read_bytes()}
        for path in (self.workdir / "samples").glob("*.png"):
            found[path.name] = path.read_bytes()
        newest = self.workdir / "checkpoints" / str(self.committed()[-1])
        for item in ("networks", "procedure"):
            tree = ocp.PyTreeCheckpointer().restore(newest / item)
            for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
                name = f"{newest.name}/{item}{jax.tree_util.keystr(path)}"
                array = np.asarray(leaf)
                found[name] = json.dumps([str(array.dtype), array.shape]).encode()
                found[name] += array.tobytes()
        return found


def _train(arguments: list[str]) -> None:
    log = next(a.split("=", 1)[1] for a in arguments if a.startswith("--workdir="))
    descriptor = os.open(f"{log}.log", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    for number in (1, 2):
        os.dup2(descriptor, number)
    command.run(train_command.main, arguments)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
