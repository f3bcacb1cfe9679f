"""Checkpoints: the only file that knows orbax.

One checkpoint is one directory that appears whole or not at all. It holds everything a
run needs: `networks` (parameters, statistics, averages), `procedure` (counters,
optimisers, memory) and `about` (format, stage, digest).
"""

from __future__ import annotations

import dataclasses
import os
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging
from etils import epath

from jaxgan.core.errors import UserError, is_lost_peer
from jaxgan.core.state import TrainState
from jaxgan.training.writer import is_remote

FORMAT_VERSION = 1
_ITEMS = {
    "networks": ("params", "stats", "ema"),
    "procedure": ("step", "stage_step", "opt_state", "memory"),
}


@dataclasses.dataclass(frozen=True)
class About:
    """What a checkpoint says of itself.

    Attributes:
      step: updates done.
      stage: the stage that made the last of them.
      digests: of the arrays of `networks` and of `procedure`, see `survey`.
      format_version: of the layout.
    """

    step: int
    stage: str
    digests: dict[str, int]
    format_version: int = FORMAT_VERSION


class Checkpoints:
    """The checkpoints of one run, for its trainer."""

    def __init__(
        self,
        directory: epath.PathLike,
        *,
        keep_last: int = 2,
        keep_every: int = 0,
        best_metric: str | None = None,
        best_mode: str = "max",
    ):
        """Opens the directory; remains of interrupted writes are removed.

        Args:
          directory: where; made if absent.
          keep_last: keep this many of the newest.
          keep_every: also keep those of every so many steps; 0 is none.
          best_metric: also keep the best by this metric.
          best_mode: `max` or `min`.
        """
        policies = ocp.checkpoint_managers
        kept: list[Any] = [policies.LatestN(keep_last)]
        if keep_every:
            kept.append(policies.EveryNSteps(keep_every))
        if best_metric:
            kept.append(
                policies.BestN(
                    get_metric_fn=lambda metrics: metrics[best_metric],
                    reverse=best_mode == "min",
                    n=1,
                    keep_checkpoints_without_metrics=False,
                )
            )
        self._best_metric = best_metric
        self._directory = _absolute(directory)
        if not is_remote(self._directory):
            _remove_remains(self._directory)
        self._manager = ocp.CheckpointManager(
            self._directory,
            options=ocp.CheckpointManagerOptions(
                preservation_policy=policies.AnyPreservationPolicy(kept),
                cleanup_tmp_directories=is_remote(self._directory),
                async_options=ocp.AsyncOptions(barrier_sync_fn=_barrier),
            ),
        )
        self._pending: int | None = None

    def latest(self) -> int | None:
        """The newest step that is saved or being saved."""
        return self._manager.latest_step()

    def steps(self) -> list[int]:
        """All committed steps, ascending."""
        return committed(self._directory)

    def save(
        self,
        state: TrainState,
        stage: str,
        metrics: Mapping[str, float] | None = None,
    ) -> None:
        """Starts writing a checkpoint; returns as soon as `state` may be donated.

        Raises:
          UserError: if the state is not finite (nothing is written), or if this or the
            previous write failed.
        """
        step = int(state.step)
        self.wait()
        parts = {item: _part(state, names) for item, names in _ITEMS.items()}
        surveys = {item: survey(part) for item, part in parts.items()}
        for _, bad in surveys.values():
            if bad:
                raise UserError(
                    f"step {step}: {bad[0]} is not finite, so no checkpoint was "
                    f"written; {self._last()}; lower the learning rate or set "
                    "dtype=float32"
                )
        digests = {item: digest for item, (digest, _) in surveys.items()}
        about = About(step=step, stage=stage, digests=digests)
        if metrics is not None and self._best_metric not in metrics:
            metrics = None
        with self._disk(step):
            self._pending = step
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    about=ocp.args.JsonSave(dataclasses.asdict(about)),
                    **{
                        item: ocp.args.StandardSave(part)
                        for item, part in parts.items()
                    },
                ),
                metrics=None if metrics is None else dict(metrics),
            )

    def wait(self) -> None:
        """Waits until what was being written is committed."""
        if self._pending is not None:
            with self._disk(self._pending):
                self._manager.wait_until_finished()
            self._pending = None

    def restore(
        self, abstract: Callable[[About], TrainState], say: Callable[[str], None]
    ) -> tuple[TrainState, About] | None:
        """The newest checkpoint that can be read, or None if there is none at all.

        Unreadable newer ones are named and removed.

        Args:
          abstract: makes the tree of `jax.ShapeDtypeStruct` with shardings that a
            checkpoint is to be read into.
          say: prints a line.

        Raises:
          UserError: if none can be read, or one was written by another format.
        """
        problem, unreadable = "", []
        for step in reversed(self.steps()):
            try:
                about = read_about(self._directory, step)
                state = _read_state(self._directory, about, abstract(about))
            except UserError:
                raise
            except Exception as error:  # orbax raises whatever its layers raise
                if is_lost_peer(error):
                    raise
                problem = _cause(error)
                logging.info("checkpoint %d: %s", step, error)
                unreadable.append(step)
                continue
            for damaged in unreadable:
                say(
                    f"checkpoint {damaged} is damaged ({problem}); going back to "
                    f"checkpoint {step}"
                )
                self._manager.delete(damaged)
            return state, about
        if unreadable:
            raise UserError(
                f"no checkpoint in {self._directory} can be read ({problem}): "
                "remove the run's directory to start anew"
            )
        return None

    def close(self) -> None:
        """Ends the writer's threads; nothing may be pending."""
        self._manager.close()

    def _last(self) -> str:
        steps = self.steps()
        return f"the last checkpoint is step {steps[-1]}" if steps else "there is none"

    def _disk(self, step: int) -> _Disk:
        return _Disk(self, step)


class _Disk:
    """Turns what fails while writing into one line."""

    def __init__(self, checkpoints: Checkpoints, step: int):
        self._checkpoints, self._step = checkpoints, step

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, _: Any) -> None:
        if isinstance(error, UserError) or is_lost_peer(error):
            return  # it says it itself; or it is not the disk
        if isinstance(error, Exception):
            where = self._checkpoints._directory
            self._checkpoints._pending = None
            logging.info("checkpoint %d: %s", self._step, error)
            raise UserError(
                f"cannot write checkpoint {self._step} to {where} "
                f"({_cause(error)}): make room there, or give the run's directory to "
                f"this user; {self._checkpoints._last()}"
            ) from error


def _barrier(*, key: str, timeout_ms: int) -> None:
    """Where the processes wait for one another while they write.

    One whose write has failed says so at once. orbax would first have it wait for the
    others, who wait for what it could not write, until both give up.
    """
    if (error := sys.exception()) is not None:
        raise error
    ocp.multihost.get_barrier_sync_fn()(key=key, timeout_ms=timeout_ms)


def committed(directory: epath.PathLike) -> list[int]:
    """The steps of all whole checkpoints, ascending."""
    return sorted(ocp.utils.checkpoint_steps(_absolute(directory)))


def _absolute(directory: epath.PathLike) -> epath.Path:
    """orbax refuses relative paths."""
    if is_remote(directory):
        return epath.Path(directory)
    return epath.Path(os.path.abspath(os.path.expanduser(directory)))


def read_about(directory: epath.PathLike, step: int) -> About:
    """What checkpoint `step` says of itself.

    Raises:
      UserError: if another version of the library wrote it.
    """
    with ocp.Checkpointer(ocp.JsonCheckpointHandler()) as reader:
        found = reader.restore(_absolute(directory) / str(step) / "about")
    version = found["format_version"]
    if version != FORMAT_VERSION:
        raise UserError(
            f"checkpoint {step} in {directory} has format {version}, this version of "
            f"jaxgan reads {FORMAT_VERSION}: use the version that wrote it"
        )
    return About(**found)


def read_networks(
    directory: epath.PathLike, step: int | None = None
) -> tuple[dict[str, Any], About]:
    """`params`, `stats` and `ema` of a run, on this process' first device.

    Args:
      directory: the run's `checkpoints`.
      step: which; None is the newest that can be read.

    Raises:
      UserError: if there is none, or none that can be read.
    """
    steps = committed(directory)
    if not steps:
        raise UserError(f"no checkpoint in {directory}: has that run saved one yet?")
    if step is not None and step not in steps:
        known = ", ".join(map(str, steps))
        raise UserError(f"no checkpoint {step} in {directory}; it has: {known}")
    problem, damaged = "", []
    for candidate in reversed(steps if step is None else [step]):
        try:
            about = read_about(directory, candidate)
            found = _read_whole(_absolute(directory), about)
        except UserError:
            raise
        except Exception as error:  # orbax raises whatever its layers raise
            problem = problem or _cause(error)
            damaged.append(candidate)
            continue
        for newer in damaged:
            logging.warning(
                "checkpoint %d is damaged (%s): taking checkpoint %d",
                newer,
                problem,
                candidate,
            )
        return found, about
    if step is not None:
        known = ", ".join(str(s) for s in steps if s != step) or "no other"
        raise UserError(
            f"checkpoint {step} in {directory} is damaged ({problem}): name another; "
            f"there is {known}"
        )
    raise UserError(
        f"no checkpoint in {directory} can be read ({problem}): restore one from a "
        "copy, or train again"
    )


def _read_whole(directory: epath.Path, about: About) -> dict[str, Any]:
    """The networks without knowing their shapes: those that the checkpoint names."""
    path = directory / str(about.step) / "networks"
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    handler = ocp.StandardCheckpointHandler()
    abstract = jax.tree.map(
        lambda m: jax.ShapeDtypeStruct(m.shape, m.dtype, sharding=device),
        handler.metadata(path).tree,
    )
    with ocp.Checkpointer(handler) as reader:
        return _checked(reader.restore(path, abstract), about, "networks")


def _read_state(
    directory: epath.Path, about: About, abstract: TrainState
) -> TrainState:
    path, parts = directory / str(about.step), {}
    with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as reader:
        for item, names in _ITEMS.items():
            found = reader.restore(path / item, _part(abstract, names))
            parts |= _checked(found, about, item)
    return TrainState(**parts)


def _checked(found: Any, about: About, item: str) -> dict[str, Any]:
    if survey(found)[0] != about.digests[item]:
        raise ValueError(f"its {item} are not what was written")
    return dict(found)


def _remove_remains(directory: epath.Path) -> None:
    """Removes what a killed process left half-written. orbax' own way is a thread,
    which complains where the run ends before it does."""
    if jax.process_index() == 0 and directory.exists():
        for path in directory.iterdir():
            if ocp.utils.TMP_DIR_SUFFIX in path.name:
                path.rmtree()


def _part(state: TrainState, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(state, name) for name in names}


def _cause(error: BaseException) -> str:
    """The innermost cause in a few words."""
    text = str(error)
    code = re.search(r"os_error_code='(\d+)'", text)  # tensorstore's
    if code:
        return os.strerror(int(code[1]))
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    said, spec, _ = text.partition(" [tensorstore_spec")
    if spec:  # a chain of who called whom; the end says what is the matter
        text = said.rsplit(": ", 1)[-1]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:160]


def _own_parts(x: Any) -> list[np.ndarray]:
    """What this process holds of an array, every element on one process only."""
    if not isinstance(x, jax.Array):
        return [np.asarray(x)]
    # Read on the host: a reduction a leaf takes seconds to compile, and the bytes
    # come to the host in any case, to be written.
    return [np.asarray(s.data) for s in x.addressable_shards if s.replica_id == 0]


def survey(tree: Any) -> tuple[int, list[str]]:
    """A checksum that does not depend on the sharding, and what is not finite.

    Args:
      tree: arrays; on several processes each looks at its own shards.

    Returns:
      The checksum of all bits, and the names of the leaves that hold an infinity or a
      NaN.
    """
    total, bad = 0, []
    for i, (path, leaf) in enumerate(jax.tree_util.tree_leaves_with_path(tree)):
        for part in _own_parts(leaf):
            if part.dtype.kind not in "iub" and not np.isfinite(part).all():
                bad.append(jax.tree_util.keystr(path, simple=True, separator="/"))
            words = np.ascontiguousarray(part).reshape(-1).view(np.uint8)
            if words.size % 4:
                words = np.pad(words, (0, -words.size % 4))
            total += (2 * i + 1) * int(words.view(np.uint32).sum(dtype=np.uint64))
    if _over_processes(len(bad)) and not bad:
        bad = ["the state on another process"]
    return _over_processes(total), bad


def _over_processes(count: int) -> int:
    """The sum over all processes, modulo 2^31."""
    if jax.process_count() == 1:
        return count % (1 << 31)
    from jax.experimental import multihost_utils

    counts = multihost_utils.process_allgather(np.int32(count % (1 << 31)))
    return int(np.sum(counts, dtype=np.int64)) % (1 << 31)
