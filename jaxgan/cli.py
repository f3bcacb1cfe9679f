"""The `jaxgan` command: `jaxgan <command> --help` explains each."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from jaxgan import __version__, command, huge_pages
from jaxgan.core.errors import did_you_mean

COMPUTE = ("train", "generate", "evaluate")  # much, where the command runs
COMMANDS = {  # command: (module, what it does)
    "train": ("jaxgan.train", "train a system, or resume a run"),
    "generate": ("jaxgan.generate", "run a trained system on files"),
    "evaluate": ("jaxgan.evaluate", "figures of a trained system on held-out data"),
    "export": ("jaxgan.export", "write a mode as StableHLO and safetensors"),
    "plan": ("jaxgan.plan", "time, memory and network of a step on other machines"),
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
        print(__version__)
        sys.exit(0)
    if name not in COMMANDS:
        near = did_you_mean(name, COMMANDS)
        command.fail(f"unknown command {name!r}{near}; see jaxgan --help")
    if argv is None and name in COMPUTE:
        huge_pages.ask(rest)
    module = importlib.import_module(COMMANDS[name][0])
    command.run(module.main, [f"jaxgan {name}", *rest])


def usage() -> str:
    """What `jaxgan --help` prints."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {does}" for name, (_, does) in COMMANDS.items()]
    end = "jaxgan <command> --help explains each."
    return "\n".join(["usage: jaxgan <command> [flags]", "", *lines, "", end])
