"""The other processes of a run: when one is lost, all others soon end, with a line.

Left to itself, a process waits for a lost one wherever it next needs it: in a compiled
step's collective, at a checkpoint's barrier, at its own exit. When the coordination
service of `jax.distributed` (it lives in process 0) gives the lost one up, its client
aborts the process from a C++ thread. So, beside what the main thread does:

    every process         sends heartbeats to the service's key-value store
    process 0             tells all which process has fallen silent
    one that ends early   tells all why
    one that is told      prints a line and exits, wherever its main thread waits
    one that is aborted   does so too: the service dies with process 0, and then the
                          runtime is faster than any thread of ours

A collective that fails at once (its connection is broken) raises in the main thread:
see `jaxgan.core.errors.lost_peer`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

_BEATS, _LOST = "jaxgan/beats", "jaxgan/lost"  # folders of the key-value store
_ADVICE = "start all processes again"
_handler: list[Any] = []  # of SIGABRT; C does not keep it alive
_watch: Watch | None = None  # one a process, as is the state of `jax.distributed`


@contextlib.contextmanager
def joining(problem: str) -> Iterator[None]:
    """While it is open, processes that do not find one another end with a line.

    Args:
      problem: the line; the runtime aborts a process that has waited too long.
    """

    def alone() -> None:
        _print(problem)
        os._exit(1)

    _on_abort(alone)
    try:
        yield
    finally:
        _on_abort(None)


def watch(timeout: float, advice: Callable[[], str] | None = None) -> None:
    """Begins to watch over the processes that `jax.distributed` has joined.

    Args:
      timeout: seconds after which the runtime gives a silent process up. Half of that
        is our own limit, so that we are first.
      advice: what to do then, the end of the line. It may look at files: an answer
        that takes long is left out.
    """
    global _watch
    try:
        from jax._src.distributed import global_state
    except ImportError:  # a later JAX: what the runtime does by itself must do
        return
    if global_state.client is not None:
        _watch = Watch(global_state, timeout, advice or (lambda: _ADVICE))
        _watch.start()


def watched() -> bool:
    """Whether this process is one of several, which `watch` watches over."""
    return _watch is not None


def finish(status: int) -> None:
    """Notes that this process has nothing left to do: its status depends on no other
    any more."""
    if _watch is not None:
        _watch.status = status


def leave(why: str, status: int = 1) -> None:
    """Tells the others why this process ends early, and ends it; does nothing in one
    on its own.

    Nothing is waited for that may need the others: not what is being written, not the
    runtime's own farewell.

    Args:
      why: in a line, which is already printed.
      status: to exit with.
    """
    if _watch is not None:
        _watch.leave(why, status)


def lost(why: str) -> None:
    """Prints that another process was lost, and ends this one; does nothing in one on
    its own.

    Args:
      why: what the main thread knows of it.
    """
    if _watch is not None:
        _watch.lost(why)


class Watch:
    """A process' watch over the others; see the functions of this module.

    Attributes:
      status: the exit status of a process that only waits for the others to finish.
    """

    def __init__(self, state: Any, timeout: float, advice: Callable[[], str]):
        self._state, self._client = state, state.client
        self._limit, self._period = timeout / 2, timeout / 100
        self._advice = advice
        self._ending = threading.Lock()  # held for ever by the thread that ends us
        self.status: int | None = None

    def start(self) -> None:
        threading.Thread(target=self._run, name="jaxgan-peers", daemon=True).start()
        _on_abort(self._aborted)

    def leave(self, why: str, status: int) -> None:
        self._tell(f"process {self._state.process_id}: {why}")
        self._end("", status)

    def lost(self, why: str) -> None:
        told = self._told()
        if not told:
            self._tell(why)
        self._end(f"another process was lost ({told or why})")

    def _run(self) -> None:
        now = time.monotonic()
        everyone = range(self._state.num_processes)
        heard = {f"{_BEATS}/{i}": ("", now) for i in everyone}
        own, beat = f"{_BEATS}/{self._state.process_id}", 0
        while self._state.client is not None:  # until `jax.distributed` is shut down
            beat += 1
            with contextlib.suppress(Exception):  # the service is gone, and we soon
                self._client.key_value_set(own, str(beat), allow_overwrite=True)
                if self._state.process_id == 0:
                    self._listen(heard)
            if why := self._told():
                # A mistake that all processes make is better told by each.
                time.sleep(2 * self._period)
                self._end(f"another process was lost ({why})")
            time.sleep(self._period)

    def _listen(self, heard: dict[str, tuple[str, float]]) -> None:
        """Notes whose heart has beaten again, and tells whose has not for long.

        Args:
          heard: a key's newest beat and when it came.
        """
        now = time.monotonic()
        for key, beat in self._client.key_value_dir_get(_BEATS):
            if beat != heard[key][0]:
                heard[key] = beat, now
        for key, (_, since) in heard.items():
            if now - since > self._limit:
                number = key.rpartition("/")[2]
                self._tell(f"process {number}: no heartbeat for {now - since:.0f} s")

    def _tell(self, why: str) -> None:
        with contextlib.suppress(Exception):  # another was first, or nobody listens
            self._client.key_value_set(f"{_LOST}/why", " ".join(why.split())[:300])

    def _told(self) -> str:
        """Why the first process to end early did so; empty while none has."""
        with contextlib.suppress(Exception):
            for _, why in self._client.key_value_dir_get(_LOST):
                return why
        return ""

    def _end(self, what: str, status: int = 1) -> None:
        """Ends this process, after a line if there is something to say and no other
        thread has begun to end us."""
        if not self._ending.acquire(blocking=False):
            time.sleep(3600)
        if self.status is not None:
            status = self.status
        elif what:
            self._say(what)
        if self._state.process_id == 0:  # what was told lives here: let it be read
            time.sleep(4 * self._period)
        os._exit(status)

    def _aborted(self) -> None:
        """A thread of the runtime's has given us up."""
        if self._coordinator_answers():
            self._end("the runtime gave this process up, as it does when another hangs")
        self._end("another process was lost (process 0, which coordinates the others)")

    def _coordinator_answers(self) -> bool:
        if self._state.process_id == 0:
            return True
        host, _, port = self._state.coordinator_address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=3).close()
        except OSError:
            return False
        return True

    def _say(self, what: str) -> None:
        found: list[str] = []

        def look() -> None:
            with contextlib.suppress(Exception):
                found.append(self._advice())

        looking = threading.Thread(target=look, daemon=True)
        looking.start()
        looking.join(5)
        _print(f"{what}: {found[0] if found else _ADVICE}")


def _print(line: str) -> None:
    """Prints an error in one piece, in any thread and even in a signal handler."""
    below_a_bar = "\n" if sys.stderr.isatty() else ""
    os.write(2, f"{below_a_bar}error: {line}\n".encode())


def _on_abort(action: Callable[[], None] | None) -> None:
    """Sets what SIGABRT does; None is nothing special.

    A handler of Python's `signal` would wait for the main thread. This one runs in the
    thread that aborts, and the process ends as usual when it returns.
    """
    if os.name != "posix":
        return
    handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda _: action and action())
    default = ctypes.c_void_p(signal.SIG_DFL)
    ctypes.CDLL(None).signal(signal.SIGABRT, handler if action else default)
    _handler[:] = [handler]
