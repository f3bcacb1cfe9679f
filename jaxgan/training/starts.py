"""A run's directory as its trainer takes it: made or taken up again, locked, checked.

What a start writes first; reading a run is `jaxgan.training.runs`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from typing import Any

import jax
import numpy as np
from absl import logging
from etils import epath

from jaxgan.core.errors import UserError
from jaxgan.training import checkpoint, configs
from jaxgan.training.runs import reaching, read_config
from jaxgan.training.writer import is_remote, read_rows, replace_text

VERSIONS = ("jaxgan", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


@contextlib.contextmanager
def opened(
    workdir: epath.PathLike,
    config: Mapping[str, Any],
    pretrained: Mapping[str, str] | None = None,
) -> Iterator[epath.Path]:
    """A run's directory, made or taken up again, for its one trainer.

    A start that fails before `record` leaves nothing behind.

    Args:
      workdir: the directory; local, or `gs://...`.
      config: the resolved config of this start.
      pretrained: `{name: sha256}` of the frozen networks' files.

    Yields:
      The directory.

    Raises:
      UserError: if it cannot be written, another trainer is in it, or it holds a run
        of another config or of other pretrained weights.
    """
    path = epath.Path(workdir).expanduser()
    new = False
    with contextlib.ExitStack() as stack:

        def claim() -> None:
            nonlocal new
            with reaching(path):
                new = _make(path)
                if not is_remote(path):
                    stack.enter_context(_locked(path))
                _check_same_run(path, config, pretrained or {})

        _on_first_process(claim)
        try:
            yield path
        except BaseException:
            if jax.process_index() == 0 and not is_remote(path):
                _remove_traces(path, new)
            raise


def record(
    workdir: epath.Path,
    config: Mapping[str, Any],
    step: int,
    examples: Mapping[str, int] | None = None,
    pretrained: Mapping[str, str] | None = None,
) -> None:
    """Notes what this start may have changed, and under what it runs.

    Args:
      workdir: the run's directory.
      config: the resolved config.
      step: from which the run goes on.
      examples: how many there are to train on, by stage. Where they are others than at
        the start before, a warning says so.
      pretrained: `{name: sha256}` of the frozen networks' files.
    """
    row = {
        "step": step,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "host": socket.gethostname(),
        "processes": jax.process_count(),
        "device": jax.devices()[0].device_kind,
        "device_count": jax.device_count(),
        "examples": dict(examples or {}),
        "pretrained": dict(pretrained or {}),
        **configs.changeable(config),
        "versions": {name: _version(name) for name in VERSIONS},
    }
    if step == 0:
        _tell_of_new_config(workdir, config)
    path = workdir / "starts.jsonl"
    earlier = read_rows(path)
    if step and earlier:
        _tell_of_other_data(earlier[-1].get("examples", {}), row["examples"], workdir)
    rows = [*earlier, row]
    replace_text(path, "".join(json.dumps(r) + "\n" for r in rows))
    replace_text(workdir / "config.json", configs.to_json(config))


def _tell_of_other_data(
    before: Mapping[str, int], now: Mapping[str, int], workdir: epath.Path
) -> None:
    """The order of examples, and which are held out, depend on how many there are."""
    for stage, count in now.items():
        if before.get(stage, count) != count:
            logging.warning(
                "%s: stage %r has %d training examples, at the start before %d: from "
                "here on it is another run, and what was held out may be trained on",
                workdir,
                stage,
                count,
                before[stage],
            )


def _tell_of_new_config(workdir: epath.Path, config: Mapping[str, Any]) -> None:
    """Says that a start which saved nothing is not gone on with; see
    `_check_same_run`."""
    with contextlib.suppress(UserError):  # there is no old config, or none to read
        changed = configs.differences(read_config(workdir), config)
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        if changed:
            logging.warning(
                "%s holds no checkpoint: starting anew with another config: %s%s",
                workdir,
                ", ".join(changed[:3]),
                more,
            )


def _make(path: epath.Path) -> bool:
    """Makes the directory, if it is not there, and tries to write in it."""
    new = not path.exists()
    if not new and not path.is_dir():
        raise UserError(f"--workdir={path} is a file: choose a directory")
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not is_remote(path):
            probe = path / ".lock"
            probe.touch()
    except OSError as error:
        raise UserError(
            f"cannot write to --workdir={path}: {error.strerror or error}; choose a "
            "directory that you may write to"
        ) from error
    return new


def _remove_traces(path: epath.Path, new: bool) -> None:
    """Removes what a start makes before it begins to write."""
    if (path / "config.json").exists():
        return
    with contextlib.suppress(OSError):  # something of the user's is in it
        if (path / "checkpoints").exists():
            os.rmdir(path / "checkpoints")
        os.unlink(path / ".lock")
        if new:
            os.rmdir(path)


@contextlib.contextmanager
def _locked(path: epath.Path) -> Iterator[None]:
    """Holds the directory for this process; the system frees it when we die."""
    with open(path / ".lock", "r+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = file.read().strip() or "another process"
            raise UserError(
                f"{path} is in use by {holder}: wait for it, stop it, or choose "
                "another --workdir"
            ) from None
        except OSError:  # a file system without locks
            yield
            return
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield


def _check_same_run(
    path: epath.Path, config: Mapping[str, Any], pretrained: Mapping[str, str]
) -> None:
    """Refuses to go on with what another config, or other weights, have trained.

    Where nothing has been saved yet there is nothing to go on with: a start that ran
    out of memory or met a NaN may be repeated with what its message advises.
    """
    if not (path / "config.json").exists():
        old = path / "checkpoints"
        if old.exists() and any(p.name.isdigit() for p in old.iterdir()):
            raise UserError(
                f"{path} holds checkpoints but no config.json: choose another --workdir"
            )
        return
    if not checkpoint.committed(path / "checkpoints"):
        return
    old = read_config(path)
    if old.get("name") != config.get("name"):
        raise UserError(
            f"{path} holds a run of {old.get('name')!r}, not of "
            f"{config.get('name')!r}: choose another --workdir"
        )
    different = configs.differences(old, config)
    before = _hashes(path)
    different += [
        f"the file of pretrained.{name} (was sha256 {before[name][:12]}, now "
        f"{sha256[:12]})"
        for name, sha256 in pretrained.items()
        if before.get(name, sha256) != sha256
    ]
    if different:
        raise UserError(
            f"{path} holds a run with another config: {', '.join(different)}; choose "
            f"the old values, or another --workdir (--init_from={path} starts it from "
            "the networks in this one)"
        )


def _hashes(path: epath.Path) -> dict[str, str]:
    """The newest hash of each pretrained network; a stage may have its own."""
    found: dict[str, str] = {}
    for row in read_rows(path / "starts.jsonl"):
        if row.get("step") == 0:  # what was before has trained nothing
            found = {}
        found |= row.get("pretrained", {})
    return found


def _on_first_process(action: Callable[[], None]) -> None:
    """Runs `action` on one process; its mistake ends all of them."""
    problem: UserError | None = None
    if jax.process_index() == 0:
        try:
            action()
        except UserError as error:
            problem = error
        except OSError as error:  # or the other processes would wait for ever
            problem = UserError(f"cannot open the run's directory: {error}")
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        failed = multihost_utils.broadcast_one_to_all(np.int32(problem is not None))
        if failed and problem is None:
            problem = UserError("the first process could not open the run directory")
    if problem is not None:
        raise problem


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
