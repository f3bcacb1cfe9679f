"""What every command shares: flags, help, one line for a mistake, the exit status.

A command is a module with a docstring, `FLAGS` of its own (so that several can be
imported side by side) and `main(argv)`; `argv[0]` is the command's name.
"""

from __future__ import annotations

import logging as python_logging
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from absl import flags, logging

from jaxgan import peers
from jaxgan.core.errors import PeerLost, UserError, did_you_mean

_PLAINER = {  # than Python's own words
    r"invalid literal for int\(\) with base 10: '.*'$": "it must be a whole number",
    r"could not convert string to float: '.*'$": "it must be a number",
    r"\('Non-boolean argument to boolean flag', .*\)$": "it must be true or false",
}
OVERRIDE = re.compile(r"--?(no)?config\.")
HELP = {"-h", "--help", "-help", "--helpfull"}


def run(main: Callable[[Sequence[str]], int | None], argv: Sequence[str]) -> NoReturn:
    """Runs a command and exits: 0, or 1 after one line that says what is wrong."""
    _show_warnings()
    try:
        status = main(argv)
    except SystemExit as error:  # a run that was stopped, or `--help`
        peers.finish(error.code if isinstance(error.code, int) else bool(error.code))
        raise
    except PeerLost as error:
        peers.lost(error.why)
        fail(str(error))
    except UserError as error:
        fail(str(error))
    except KeyboardInterrupt:  # the second Ctrl-C, or one before training began
        peers.leave("it was interrupted", 130)
        sys.exit(130)
    except BrokenPipeError:  # `jaxgan systems | head`
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:
        if peers.watched():
            traceback.print_exc()
            peers.leave(f"{type(error).__name__}: {error}")
        raise
    peers.finish(status or 0)
    sys.exit(status or 0)


def fail(message: str) -> NoReturn:
    """Prints one line of error and exits with 1."""
    line = " ".join(message.split())
    print(f"error: {line}", file=sys.stderr, flush=True)
    peers.leave(line)
    sys.exit(1)


def _show_warnings() -> None:
    """Our own warnings, a line each. Other libraries' threads log tracebacks of what
    our errors say in one line; those are left out."""
    flags.FLAGS.mark_as_parsed()  # absl's own; else it complains with every line
    logging.use_absl_handler()
    logging.set_verbosity(logging.WARNING)
    handler = logging.get_absl_handler()
    handler.setFormatter(python_logging.Formatter("%(levelname)s: %(message)s"))
    ours = str(Path(__file__).parent)
    handler.addFilter(lambda record: record.pathname.startswith(ours))
    # C++ threads of array writers complain of every write that nobody waits for any
    # more once one has failed.
    sys.unraisablehook = lambda ignored: logging.debug("%s", ignored.exc_value)


def parse(
    values: flags.FlagValues,
    argv: Sequence[str],
    doc: str | None,
    required: Sequence[str] = (),
) -> list[str]:
    """Parses a command's flags into `values`; prints the help if that was asked.

    Args:
      values: the command's flags.
      argv: the command's name and its arguments.
      doc: the command's docstring, its help.
      required: flags that must be given.

    Returns:
      The overrides `--config.<key>=<value>`, unparsed.

    Raises:
      UserError: for an unknown flag, with the nearest one, for a value it cannot
        have, and for an argument that is no flag.
    """
    name = argv[0] if argv[0].startswith("jaxgan ") else Path(argv[0]).stem
    overrides, others = split(argv[1:])
    if HELP & set(others):
        print(describe(name, values, doc))
        sys.exit(0)
    values.unparse_flags()
    values.mark_as_parsed()  # the values of an earlier parse give way to the defaults
    for flag_name in values:
        values[flag_name].unparse()
    see = f"see {name} --help"
    try:
        rest = values([name, *others])[1:]
    except flags.UnrecognizedFlagError as error:
        near = did_you_mean(error.flagname, _own(values))
        raise UserError(f"unknown flag --{error.flagname}{near}; {see}") from error
    except flags.Error as error:
        raise UserError(f"{plainer(error)}; {see}") from error
    for flag_name in _own(values):
        value = values[flag_name].value
        if isinstance(value, str) and value.startswith("~"):
            values[flag_name].value = str(Path(value).expanduser())
    if rest:
        raise UserError(f"unexpected argument {rest[0]!r}: flags begin with --; {see}")
    for flag_name in required:
        if not values[flag_name].value:
            raise UserError(f"--{flag_name} is missing: {values[flag_name].help}")
    return overrides


def plainer(error: Exception) -> str:
    """The words of an error of absl's or of Python's about a flag's value."""
    words = " ".join(str(error).split())
    for pattern, plain in _PLAINER.items():
        words = re.sub(pattern, plain, words)
    return words


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separates the overrides `--config.<key>=<value>` from all other arguments."""
    overrides, others = [], []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if not OVERRIDE.match(argument):
            others.append(argument)
            continue
        overrides.append(argument)
        if "=" not in argument and rest and not rest[0].startswith("--"):
            overrides.append(rest.pop(0))  # `--config.seed 3`
    return overrides, others


def describe(name: str, values: flags.FlagValues, doc: str | None) -> str:
    """What `<name> --help` prints."""
    lines = [f"usage: {name} [flags]", "", (doc or "").strip(), ""]
    for flag_name in _own(values):
        flag: Any = values[flag_name]
        default = "" if flag.default in (None, "") else f" (default: {flag.default})"
        choices = "|".join(getattr(flag.parser, "enum_values", ()) or ["..."])
        value = "" if flag.boolean else f"={choices}"
        lines.append(f"  --{flag_name}{value}")
        words = re.sub(r"^<.*>: ", "", flag.help)  # absl repeats the choices
        lines.append(f"        {words}{default}")
    return "\n".join(lines)


def _own(values: flags.FlagValues) -> list[str]:
    """The flags in the order of their definition."""
    found = []
    for listed in values.flags_by_module_dict().values():
        found += [f.name for f in listed]
    return found
