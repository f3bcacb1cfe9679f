"""The one exception for everything that a user can put right."""

import contextlib
import difflib
import logging
import re
from collections.abc import Iterable, Iterator

import jax


class UserError(Exception):
    """A mistake in a command, a config, a file or a folder.

    The message is one line: it names the thing that is wrong and says what to do. The
    command line prints it without a traceback and exits with 1.
    """


class PeerLost(UserError):
    """Another process of this run is gone, and nothing that needs it can succeed.

    Nor can what is under way be brought to an end: a checkpoint that is being written
    waits for that process too. A restart goes on from the last whole one.

    Attributes:
      why: what is known of it.
    """

    def __init__(self, why: str):
        super().__init__(f"another process was lost ({why})")
        self.why = why


_told: set[str] = set()


def warn_once(message: str) -> None:
    """Logs a warning once a process: a set is opened for each split, and anew for
    each evaluation."""
    if message not in _told:
        _told.add(message)
        logging.getLogger("jaxgan").warning("%s", message)


@contextlib.contextmanager
def out_of_memory(message: str) -> Iterator[None]:
    """Says in one line what can be done when a device's memory is full.

    Args:
      message: the line; `{reason}` in it becomes the device's own words.

    Raises:
      UserError: instead of the runtime's error; other errors pass.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        reason = str(error).splitlines()[0].removeprefix("RESOURCE_EXHAUSTED: ")
        raise UserError(message.format(reason=reason[:120])) from error


_BROKEN = re.compile(  # by a library of collectives, or by the runtime's own service
    r"gloo|[nr]ccl.*(remote|connection|abort)|coordination.?service|heartbeat|barrier",
    re.IGNORECASE | re.DOTALL,
)


def is_lost_peer(error: BaseException | None) -> bool:
    """Whether an error of several processes says that one of them is out of reach, and
    not that something is wrong with this one's own files or arrays."""
    while error is not None:
        if isinstance(error, PeerLost):
            return True
        runtime = isinstance(error, (RuntimeError, ValueError, TimeoutError))
        if runtime and _BROKEN.search(str(error)) and jax.process_count() > 1:
            return True
        error = error.__cause__
    return False


@contextlib.contextmanager
def lost_peer() -> Iterator[None]:
    """Says in one line that what needs all processes failed for want of one.

    Raises:
      PeerLost: instead of the runtime's error; other errors pass.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, UserError) or not is_lost_peer(error):
            raise
        raise PeerLost(" ".join(str(error).split())[:160]) from error


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns ` (did you mean 'x'?)` for the known name nearest to `name`, or ``."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (did you mean {near[0]!r}?)" if near else ""


def one_of(value: str, options: Iterable[str], what: str) -> str:
    """Returns `value` if it is among `options`.

    Raises:
      UserError: naming `what`, the value, and the options.
    """
    options = list(options)
    if value not in options:
        hint = did_you_mean(value, options)
        raise UserError(f"{what} {value!r}{hint}: choose one of {', '.join(options)}")
    return value
