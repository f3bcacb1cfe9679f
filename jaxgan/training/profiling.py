"""A profile of some updates of a start: what the devices and the host did when."""

from __future__ import annotations

import pathlib
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import jax
from etils import epath

from jaxgan.training.programs import Leg, stretches

WARM_UP = 2  # updates after a compilation that are not profiled

Stretch = tuple[int, int, int]  # updates of a call, first step, last step


def calls(legs: Sequence[Leg], step: int, steps_per_call: int) -> list[Stretch]:
    """What is left of a run, cut where another compiled program takes over.

    Args:
      legs: the run's stages.
      step: updates done.
      steps_per_call: see `stretches`.
    """
    found = []
    for leg in legs:
        since = max(step, leg.begin)
        for steps, to in stretches(since, leg.end, steps_per_call):
            found.append((steps, since, to))
            since = to
    return found


def window(planned: Sequence[Stretch], updates: int) -> tuple[int, int] | None:
    """The steps between which the profile begins and ends, whole calls of one program.

    That of the first stretch which has enough of them, else of the longest.

    Args:
      planned: of `calls`.
      updates: as many, or the least number of calls that makes more.
    """

    def inside(stretch: Stretch) -> tuple[int, int]:
        steps, since, to = stretch
        begin = since + steps * -(-WARM_UP // steps)
        return begin, max(begin, min(to, begin + steps * -(-updates // steps)))

    length = lambda span: span[1] - span[0]  # noqa: E731
    spans = [inside(stretch) for stretch in planned if updates]
    enough = [span for span in spans if length(span) >= updates]
    chosen = next(iter(enough), max(spans, key=length, default=(0, 0)))
    return chosen if length(chosen) else None


class Profiler:
    """Profiles the updates of a window, and says where the profile is.

    Attributes:
      folder: where it goes.
    """

    def __init__(
        self, folder: epath.Path, updates: int, say: Callable[[str], None] = print
    ):
        """Nothing is profiled before `plan`.

        Args:
          folder: where it goes, of any kind that `epath` knows.
          updates: how many; 0: none.
          say: tells the user a line.
        """
        self.folder, self._updates, self._say = folder, updates, say
        self._window: tuple[int, int] | None = None
        self._written: tempfile.TemporaryDirectory[str] | None = None

    def plan(self, legs: Sequence[Leg], step: int, steps_per_call: int) -> None:
        """Chooses the window in what is left of a run after `step`."""
        self._window = window(calls(legs, step, steps_per_call), self._updates)
        if not self._updates:
            return
        begin, end = self._window or (0, 0)
        if end - begin < self._updates:
            self._say(
                f"--profile={self._updates}: {end - begin} updates are profiled; not "
                f"more of one program are left after {WARM_UP} of warm-up"
            )

    def before(self, step: int, pending: Any) -> None:
        """Begins, if the window does at this step.

        Args:
          step: updates done.
          pending: what the last of them returned; waited for.
        """
        if self._window is not None and step == self._window[0]:
            jax.block_until_ready(pending)
            self._written = tempfile.TemporaryDirectory()
            jax.profiler.start_trace(self._written.name, create_perfetto_trace=True)

    def after(self, step: int, pending: Any) -> None:
        """Ends, if the window does at this step; arguments as of `before`."""
        if self._written is None or self._window is None or step < self._window[1]:
            return
        jax.block_until_ready(pending)
        self.close()
        begin, end = self._window
        self._say(
            f"profile of steps {begin + 1} to {end}: {self.folder}; look at it with "
            f"`tensorboard --logdir={self.folder}` (pip install tensorboard xprof), or "
            "open its perfetto_trace.json.gz at https://ui.perfetto.dev"
        )

    def close(self) -> None:
        """Writes what there is, if a profile has begun."""
        if self._written is None:
            return
        with self._written as name:
            self._written = None
            jax.profiler.stop_trace()
            for path in pathlib.Path(name).rglob("*"):
                if path.is_file():
                    target = self.folder / path.relative_to(name).as_posix()
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(path.read_bytes())
