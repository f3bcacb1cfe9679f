"""The `jaxgan` command: `jaxgan <command> --help` explains each."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Sequence
from types import ModuleType

from absl import flags, logging

from jaxgan import config_files
from jaxgan.core.errors import UserError, did_you_mean

COMMANDS = {  # command: (module with FLAGS and main(argv), what it does)
    "train": ("jaxgan.train", "train a system, or resume a run"),
    "generate": ("jaxgan.generate", "run a trained system on files"),
    "evaluate": ("jaxgan.evaluate", "figures of a trained system on held-out data"),
    "export": ("jaxgan.export", "write a mode as StableHLO and safetensors"),
    "systems": ("jaxgan.systems_cli", "list systems, stages, modes and variants"),
    "prepare": ("jaxgan.prepare", "convert data sets so that they read by index"),
    "import-weights": ("jaxgan.import_weights", "convert pretrained networks' files"),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Runs one command of the command line and exits."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        sys.exit(0 if arguments else 1)
    name, *rest = arguments
    if name == "--version":
        from jaxgan import __version__

        print(__version__)
        sys.exit(0)
    if name not in COMMANDS:
        _fail(f"unknown command {name!r}{did_you_mean(name, COMMANDS)}; see jaxgan -h")
    run(importlib.import_module(COMMANDS[name][0]), rest, f"jaxgan {name}")


def run(module: ModuleType, argv: Sequence[str], name: str | None = None) -> None:
    """Parses a command's flags, runs it and exits: 0, or 1 after one line of error.

    Args:
      module: with `FLAGS` (an `absl.flags.FlagValues`) and `main(argv)`; its docstring
        is the help. Overrides `--config.<key>=<value>` are not parsed but handed to
        `main` after the positional arguments.
      argv: the arguments after the command's name.
      name: of the command, for its help.
    """
    name = name or f"python -m {module.__name__}"
    logging.use_absl_handler()
    logging.set_verbosity(logging.WARNING)
    overrides, others = config_files.split(argv)
    if {"-h", "--help", "-help", "--helpfull"} & set(others):
        print(describe(module, name))
        sys.exit(0)
    try:
        positional = module.FLAGS([name, *others])
        module.main([*positional, *overrides])
    except UserError as error:
        _fail(str(error))
    except flags.UnrecognizedFlagError as error:
        near = did_you_mean(error.flagname, _own_flags(module))
        _fail(f"unknown flag --{error.flagname}{near}; see {name} --help")
    except flags.Error as error:
        _fail(f"{error}; see {name} --help")
    sys.exit(0)


def usage() -> str:
    """What `jaxgan --help` prints."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {does}" for name, (_, does) in COMMANDS.items()]
    return "\n".join(
        ["usage: jaxgan <command> [flags]", "", *lines, "", "jaxgan <command> --help"]
    )


def describe(module: ModuleType, name: str) -> str:
    """What `jaxgan <command> --help` prints."""
    lines = [f"usage: {name} [flags]", "", inspect.cleandoc(module.__doc__ or ""), ""]
    for flag_name in _own_flags(module):
        flag = module.FLAGS[flag_name]
        default = "" if flag.default in (None, "") else f" (default: {flag.default})"
        value = "" if flag.boolean else "=..."
        lines.append(f"  --{flag_name}{value}  {flag.help}{default}")
    return "\n".join(lines)


def _own_flags(module: ModuleType) -> list[str]:
    """The command's flags in the order of their definition, without absl's own."""
    own = ("absl.", "jax.", "jax_")
    found = []
    for defined_in, listed in module.FLAGS.flags_by_module_dict().items():
        if not defined_in.startswith(own):
            found += [f.name for f in listed]
    return found


def _fail(message: str) -> None:
    print(f"error: {' '.join(message.split())}", file=sys.stderr, flush=True)
    sys.exit(1)
