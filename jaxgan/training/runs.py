"""A run's directory: who may write into it, how it goes on, how it is read.

config.json     the resolved config of the newest start
starts.jsonl    one row a start: step, devices, precision, versions, hashes of
                pretrained weights
checkpoints/    see `jaxgan.training.checkpoint`
metrics.jsonl   timing.jsonl   samples/   TensorBoard events: see `writer`
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from typing import Any, cast

import jax
import numpy as np
from absl import logging
from etils import epath

from jaxgan.core.errors import UserError
from jaxgan.core.state import TrainState
from jaxgan.core.system import Frozen, System
from jaxgan.training import checkpoint, configs
from jaxgan.training.frozen import load_frozen
from jaxgan.training.writer import is_remote, read_rows, replace_text

FREE_FIELDS = ("dtype", "microbatches")  # they say how to compute, not what
VERSIONS = ("jaxgan", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


@contextlib.contextmanager
def opened(
    workdir: epath.PathLike,
    config: Mapping[str, Any],
    pretrained: Mapping[str, str] | None = None,
) -> Iterator[epath.Path]:
    """A run's directory, made or taken up again, for its one trainer.

    A start that fails before `record_start` leaves nothing behind.

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
            with _reaching(path):
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


def record_start(
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


def read_config(workdir: epath.PathLike) -> dict[str, Any]:
    """The resolved config of a run.

    Raises:
      UserError: if the directory is not a run's.
    """
    path = epath.Path(workdir).expanduser() / "config.json"
    with _reaching(path):
        there = path.exists()
    if not there:
        raise UserError(
            f"{workdir} is not a run directory (it has no config.json): give the "
            "--workdir of a `jaxgan train`"
        )
    try:
        found = json.loads(path.read_text())
    except ValueError as error:
        raise UserError(
            f"{path} is damaged ({error}): restore it, or choose another --workdir"
        ) from error
    if not isinstance(found, dict):
        raise UserError(
            f"{path} is no run's config: restore it, or choose another --workdir"
        )
    return configs.with_defaults(found)


def last_figures(workdir: epath.PathLike) -> dict[str, float]:
    """The newest evaluation of a run; empty if there is none."""
    prefix = "evaluation/"
    for row in reversed(read_rows(epath.Path(workdir) / "metrics.jsonl")):
        found = {k: v for k, v in row.items() if k.startswith(prefix)}
        if found:
            return {
                k.removeprefix(prefix): float("nan") if v is None else v
                for k, v in found.items()
            }
    return {}


def load(
    workdir: epath.PathLike, weights: str = "ema", step: int | None = None
) -> tuple[System, dict[str, Any], Frozen]:
    """What a run has trained, for use anywhere.

    Args:
      workdir: the run's directory.
      weights: `ema` takes averaged parameters where the system keeps them; `raw`
        takes the last ones.
      step: of which checkpoint; None is the newest.

    Returns:
      `(system, variables, frozen)`: the system as it was configured, `{network:
      variables}` and the pretrained networks that inference needs, as its Modes take
      them.

    Raises:
      UserError: if the directory is not a run's, or holds no readable checkpoint.
    """
    return load_with_step(workdir, weights, step)[1:]


def load_with_step(
    workdir: epath.PathLike, weights: str = "ema", step: int | None = None
) -> tuple[int, System, dict[str, Any], Frozen]:
    """As `load`, after the step of the checkpoint that was read: the newest may be
    damaged."""
    if weights not in ("ema", "raw"):
        raise UserError(f"weights {weights!r}: choose 'ema' or 'raw'")
    config = read_config(workdir)
    system = configs.build_system(config)
    directory = epath.Path(workdir) / "checkpoints"
    networks, about = checkpoint.read_networks(directory, step)
    params = networks["params"]
    if weights == "ema":
        params = {**params, **networks["ema"]}
    variables = {n: {"params": p, **networks["stats"][n]} for n, p in params.items()}
    frozen = load_frozen(system, config["pretrained"], stages=())
    return about.step, system, variables, frozen


def take_networks(
    state: TrainState,
    source: epath.PathLike,
    partial: bool,
    say: Callable[[str], None],
    system: System,
) -> TrainState:
    """`state` with another run's networks, by name: parameters, statistics, averages.

    Args:
      state: a fresh state, of host or device arrays.
      source: the other run's directory.
      partial: leave what does not match as it is, instead of refusing.
      say: prints a line.
      system: whose state it is. One that trains nothing is what the other run made
        it: the fields that both have must be equal.

    Raises:
      UserError: if that is no run, and naming the networks that it lacks or has in
        another shape, and the fields that differ.
    """
    config = read_config(source)
    run = f"--init_from={source}, a run of {config.get('name')!r},"
    theirs, about = checkpoint.read_networks(epath.Path(source) / "checkpoints")
    params, stats, ema = dict(state.params), dict(state.stats), dict(state.ema)
    taken, missing = [], []
    for name in state.params:
        found = theirs["params"].get(name)
        problem = (
            "it has none of that name"
            if found is None
            else _mismatch(state.params[name], found)
            or _mismatch(state.stats[name], theirs["stats"][name])
        )
        if problem:
            missing.append(f"{name} ({problem})")
            continue
        params[name], stats[name] = _copy(found), _copy(theirs["stats"][name])
        average = theirs["ema"].get(name)
        # A run without a step of its own only uses what it took: averages too.
        if name in ema or (average is not None and not state.opt_state):
            ema[name] = _copy(found if average is None else average)
        taken.append(name)
    unused = [name for name in theirs["params"] if name not in state.params]
    say(f"from {source} (step {about.step}): took {', '.join(taken) or 'nothing'}")
    if unused:
        say(f"from {source}: no use for {', '.join(unused)}")
    differing = [] if state.opt_state else _differing_fields(config, system)
    if missing and not partial:
        advice = (
            "match the networks' fields in config.system, or pass "
            "--init_from_partial to start those afresh"
            if state.opt_state
            else f"or the same values here: {', '.join(differing) or 'config.system'}"
        )
        raise UserError(f"{run} lacks {'; '.join(missing)}: name another run, {advice}")
    if differing and not partial:
        raise UserError(
            f"{run} was trained with other values: {', '.join(differing)}: set the "
            "same here, or name another run"
        )
    if missing:
        say(f"from {source}: fresh start for {'; '.join(missing)}")
    if not taken:
        raise UserError(f"{run} has no network that this system uses: name another run")
    return state.replace(params=params, stats=stats, ema=ema)


def _differing_fields(config: Mapping[str, Any], system: System) -> list[str]:
    """The fields that a run's system and this one both have, with other values."""
    theirs = config.get("system", {})
    own = configs.plain(dataclasses.asdict(cast(Any, system)))
    return [
        f"system.{name} ({theirs[name]!r} there, {value!r} here)"
        for name, value in own.items()
        if name in theirs and name not in FREE_FIELDS and theirs[name] != value
    ]


def _copy(tree: Any) -> Any:
    """A donated state must not hold one buffer twice."""
    return jax.tree.map(lambda x: np.array(x), tree)


def _mismatch(mine: Any, theirs: Any) -> str:
    """How two trees of arrays differ in names or shapes; empty if they do not."""
    a, b = (
        {
            jax.tree_util.keystr(path, simple=True, separator="/"): leaf
            for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
        }
        for tree in (mine, theirs)
    )
    for key in sorted(a.keys() | b.keys()):
        if key not in a or key not in b:
            return f"{key} is only in {'ours' if key in a else 'theirs'}"
        if a[key].shape != b[key].shape:
            return f"{key} is {list(b[key].shape)} there, {list(a[key].shape)} here"
    return ""


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


@contextlib.contextmanager
def _reaching(path: epath.Path) -> Iterator[None]:
    """Packages for buckets raise what they please where they are not let in."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if not is_remote(path):
            raise
        words = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(
            f"cannot open the run's directory: {words}; buckets need their package "
            "(gs://: pip install 'jaxgan[gcs]') and credentials"
        ) from error


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
