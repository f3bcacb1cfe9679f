"""Polite ends: SIGTERM (preemption) and SIGINT (Ctrl-C) become a saved checkpoint."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import jax


class Stopped(Exception):
    """The run was told to stop and has saved; exit with `code`."""

    def __init__(self, signum: int, step: int):
        super().__init__(f"stopped at step {step}")
        self.code, self.step = 128 + signum, step


class StopRequests:
    """Listens for SIGTERM and SIGINT while it is open.

    A second SIGINT ends the program at once. With several processes jax.distributed
    itself catches SIGTERM and lets all agree on a step; SIGINT is passed on to it.
    """

    def __init__(self):
        self._signum: int | None = None
        self._asked = 0
        self._together = jax.process_count() > 1
        self._old: dict[int, Any] = {}

    def __enter__(self) -> StopRequests:
        if threading.current_thread() is threading.main_thread():
            heard = [signal.SIGINT] + [signal.SIGTERM] * (not self._together)
            self._old = {s: signal.signal(s, self._receive) for s in heard}
        return self

    def __exit__(self, *_: Any) -> None:
        for signum, handler in self._old.items():
            signal.signal(signum, handler)

    def _receive(self, signum: int, _: Any) -> None:
        if signum == signal.SIGINT and self._signum == signal.SIGINT:
            raise KeyboardInterrupt
        self._signum = signum
        if self._together:
            os.kill(os.getpid(), signal.SIGTERM)

    def now(self) -> int | None:
        """The signal to obey before the next call, the same call on all processes.

        All ask equally often. They agree on the number of a question yet to come, so
        steps would not do: with several a call, that number might never be asked.
        """
        self._asked += 1
        if not self._together:
            return self._signum
        from jax.experimental import multihost_utils

        if multihost_utils.reached_preemption_sync_point(self._asked):
            return self._signum or signal.SIGTERM
        return None
