"""The one exception for everything that a user can put right."""

import contextlib
import difflib
import logging
from collections.abc import Iterable, Iterator

import jax


class UserError(Exception):
    """A mistake in a command, a config, a file or a folder.

    The message is one line: it names the thing that is wrong and says what to do. The
    command line prints it without a traceback and exits with 1.
    """


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
