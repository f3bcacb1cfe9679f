"""How far a run is: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

from tqdm import tqdm


class Progress:
    """Shows steps, images/s, the time that remains and the losses."""

    def __init__(self, first: int, last: int, batch_size: int, shown: bool = True):
        """Starts at `first` of `last` steps; nothing is printed unless `shown`."""
        self._last, self._batch_size, self._shown = last, batch_size, shown
        self._bar = None
        if shown and last > first and sys.stderr.isatty():
            self._bar = tqdm(
                initial=first,
                total=last,
                unit="step",
                dynamic_ncols=True,
                bar_format="{l_bar}{bar}| {n}/{total} [{elapsed}<{remaining}{postfix}]",
            )

    def say(self, line: str) -> None:
        """Prints a line, above the bar if there is one."""
        if self._shown:
            if self._bar is not None:
                tqdm.write(line)
            else:
                print(line, flush=True)

    def advance(self, steps: int = 1) -> None:
        """So many more steps are under way."""
        if self._bar is not None:
            self._bar.update(steps)

    def report(
        self, step: int, stage: str, metrics: Mapping[str, float], seconds: float
    ) -> None:
        """The values of a logged step.

        Args:
          step: the step.
          stage: its stage.
          metrics: of which the players' losses are shown.
          seconds: how long one step takes.
        """
        losses = {
            name.removeprefix("loss/"): value
            for name, value in metrics.items()
            if name.startswith("loss/") and name.count("/") == 1
        }
        shown = "  ".join(f"{name} {value:.4g}" for name, value in losses.items())
        rate = f"{self._batch_size / seconds:.1f} images/s"
        if self._bar is not None:
            self._bar.set_description(stage, refresh=False)
            self._bar.set_postfix_str(f"{rate}  {shown}")
        else:
            left = clock(seconds * (self._last - step))
            self.say(
                f"step {step}/{self._last}  {stage}  {shown}  {rate}  {left} remaining"
            )

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


class Stopwatch:
    """Wall time of steps alone: pictures, evaluation and checkpoints are left out."""

    def __init__(self):
        self.start()

    def start(self) -> None:
        """Begins a window of steps."""
        self._since, self._steps, self._waited = time.perf_counter(), 0, 0.0

    def waited(self, seconds: float) -> None:
        """Adds time in which the loop waited for data."""
        self._waited += seconds

    def step(self, steps: int = 1) -> None:
        """So many more steps are under way."""
        self._steps += steps

    def stop(self) -> tuple[float, float]:
        """Seconds a step and the share of them spent waiting for data; starts anew."""
        elapsed, steps = time.perf_counter() - self._since, max(self._steps, 1)
        result = elapsed / steps, self._waited / elapsed
        self.start()
        return result


def clock(seconds: float) -> str:
    """`1:02:03` or `2:03`."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
