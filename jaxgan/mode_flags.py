"""Flags that a run's modes declare: what `generate` and `export` have in common."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from absl import flags

from jaxgan import command, core, devices, ops
from jaxgan.core import Mode, System, UserError
from jaxgan.core.mode import Input
from jaxgan.inference.declared import item_of

_HELP = {"-h", "--help"}


@dataclasses.dataclass(frozen=True)
class Request:
    """A command about a mode of a run.

    Attributes:
      config: the run's.
      system: as the run configured it.
      name: the mode's.
      mode: its declaration.
      flags: all of the command's flags, those of the mode among them.
    """

    config: dict[str, Any]
    system: System
    name: str
    mode: Mode
    flags: flags.FlagValues

    @property
    def given(self) -> dict[str, Any]:
        """The values of the mode's own flags; None where nothing was given."""
        own = [*self.mode.inputs, *(["input"] if "input" in self.flags else [])]
        return {name: self.flags[name].value for name in own if name in self.flags}


def parse(
    base: flags.FlagValues,
    argv: Sequence[str],
    doc: str,
    required: Sequence[str],
    define: Callable[[flags.FlagValues, Mode], None],
) -> Request:
    """Parses a command whose flags depend on `--workdir` and `--mode`.

    Args:
      base: the flags that it always has; `workdir` and `mode` are among them.
      argv: the command's name and its arguments.
      doc: its help.
      required: flags that must be given.
      define: `define(values, mode)` adds those of a mode.

    Raises:
      UserError: for a mistake in any of them.
    """
    values = copy.deepcopy(base)
    values.set_gnu_getopt(True)
    wants_help = bool(_HELP & set(argv[1:]))
    try:
        values(list(argv), known_only=True)
    except flags.Error as error:
        words = command.plainer(error)
        raise UserError(f"{words}; see {argv[0]} --help") from error
    if not values.workdir:
        if wants_help:
            doc = (
                f"{doc.strip()}\n\nWith --workdir=RUN this help lists the run's modes."
            )
            command.parse(copy.deepcopy(base), argv, doc)
        raise UserError(f"--workdir is missing: {values['workdir'].help}")
    devices.prepare(values)

    from jaxgan.training import configs, runs  # after the devices are chosen

    config = runs.read_config(values.workdir)
    system = configs.build_system(config)
    if wants_help and not values.mode:
        listing = f"{doc.strip()}\n\nModes of {values.workdir}:\n{describe(system)}"
        command.parse(copy.deepcopy(base), argv, listing)
    name = find(system.inference, values.mode)
    mode = system.inference[name]
    values = copy.deepcopy(base)
    define(values, mode)
    overrides = command.parse(values, argv, doc, required)
    if overrides:
        raise UserError(
            f"{overrides[0]}: this command takes no config values; a run keeps its own"
        )
    return Request(config, system, name, mode, values)


def define_weights(values: flags.FlagValues) -> None:
    """Defines the flags that say which parameters a mode is run with."""
    flags.DEFINE_enum(
        "weights",
        "ema",
        ["ema", "raw"],
        "averaged parameters where the system keeps them, or the last ones",
        flag_values=values,
    )
    flags.DEFINE_integer("step", None, "of which checkpoint", flag_values=values)
    flags.DEFINE_string(
        "blend_with",
        None,
        "another run of the same networks, such as the one that this one started "
        "from: parameters lie between both runs', see --alpha",
        flag_values=values,
    )
    flags.DEFINE_float(
        "alpha",
        None,
        "the share of --blend_with (0.5 if not given)",
        0.0,
        1.0,
        flag_values=values,
    )


def load(request: Request) -> tuple[dict[str, Any], core.Frozen]:
    """What `define_weights`' flags ask for.

    Returns:
      `(variables, frozen)`, as the mode takes them.

    Raises:
      UserError: if a run has no such checkpoint, or the two runs' networks differ.
    """
    from jaxgan.training import runs  # after the devices are chosen

    values = request.flags
    if values.alpha is not None and not values.blend_with:
        raise UserError("--alpha goes with --blend_with, the run to take a share of")
    _, variables, frozen = runs.load(values.workdir, values.weights, values.step)
    if values.blend_with:
        alpha = 0.5 if values.alpha is None else values.alpha
        own = {name: variables[name] for name in request.mode.networks}
        variables = runs.blend(own, values.blend_with, alpha, values.weights)
    return variables, frozen


def find(modes: Mapping[str, Mode], name: str | None) -> str:
    """The mode of that name, or the only one that begins so.

    Raises:
      UserError: listing the modes.
    """
    known = ", ".join(modes)
    if not name:
        if len(modes) == 1:
            return next(iter(modes))
        raise UserError(f"--mode is missing: this run has {known}")
    if name in modes:
        return name
    begin = [mode for mode in modes if mode.startswith(name)]
    if len(begin) == 1:
        return begin[0]
    if begin:
        raise UserError(f"--mode={name} is ambiguous: choose one of {', '.join(begin)}")
    near = core.did_you_mean(name, modes)
    raise UserError(f"--mode={name}: this run has no such mode{near}; it has {known}")


def describe(system: System) -> str:
    """The modes with their arguments, as the help lists them."""
    lines = []
    for name, mode in system.inference.items():
        lines.append(f"  {name}: {mode.help}")
        for field, declared in mode.inputs.items():
            default = getattr(declared, "default", None)
            shown = "" if default is None else f" (default: {default})"
            lines.append(f"    --{field}: {describe_input(declared)}{shown}")
    return "\n".join(lines)


def define_inputs(values: flags.FlagValues, mode: Mode) -> None:
    """Defines a flag for each of a mode's inputs."""
    for name, declared in mode.inputs.items():
        text = describe_input(declared)
        if isinstance(declared, core.Int | core.Choice):
            define_static(values, name, declared)
        elif isinstance(declared, core.Float):
            low, high = (
                bound if math.isfinite(bound) else None
                for bound in (declared.low, declared.high)
            )
            flags.DEFINE_float(
                name, declared.default, text, low, high, flag_values=values
            )
        elif isinstance(declared, core.Labels):
            flags.DEFINE_list(name, None, text, flag_values=values)
        else:
            flags.DEFINE_string(name, None, text, flag_values=values)


def define_fixed(values: flags.FlagValues, mode: Mode) -> None:
    """Defines a flag for each input that is fixed where a mode is exported."""
    for name, declared in mode.inputs.items():
        if isinstance(declared, core.Int | core.Choice):
            define_static(values, name, declared)
        elif isinstance(declared, core.Set):
            text = "how many are in a set"
            flags.DEFINE_integer(
                name, declared.minimum, text, declared.minimum, flag_values=values
            )


def define_static(
    values: flags.FlagValues, name: str, declared: core.Int | core.Choice
) -> None:
    """Defines a flag for an input that is fixed where a mode is compiled."""
    text = describe_input(declared)
    if isinstance(declared, core.Choice):
        flags.DEFINE_enum(
            name, declared.default, list(declared.options), text, flag_values=values
        )
    else:
        flags.DEFINE_integer(
            name,
            declared.default,
            text,
            declared.low,
            declared.high,
            flag_values=values,
        )


def describe_input(declared: Input) -> str:
    """What a user gives for an input."""
    several = isinstance(declared, core.Set)
    item = item_of(declared)
    match item:
        case core.Image():
            size = "any size" if item.size is None else "{}x{}".format(*item.size)
            known = {1: "grey", 2: "colour (ab of Lab)", 3: "RGB"}
            colours = known.get(item.channels, f"{item.channels} channels")
            text = f"image files, used as {colours} of {size}"
        case core.Mask():
            text = f"image files, white is missing, or {'|'.join(ops.HOLE_MASKS)}"
        case core.Voxels():
            text = f"shapes of {item.resolution}^3: .npz, .npy, .binvox or meshes, z up"
        case core.Latent():
            text = (
                f"{item.size} numbers with commas, or .npy or .npz of so many each; "
                "drawn if left out"
            )
        case core.Labels():
            text = f"class numbers, 0 to {item.count - 1}, with commas"
        case core.Values():
            shape = ", ".join("any" if n == -1 else str(n) for n in item.shape)
            text = f"numbers [{shape}] with commas, or a .npy file"
        case core.Float():
            text = "a number"
        case core.Int():
            text = "a whole number"
        case core.Choice():
            text = f"one of {'|'.join(item.options)}"
        case _:
            raise TypeError(declared)
    if isinstance(declared, core.Set) and isinstance(item, core.Latent):
        text = f"how many to draw (default {declared.minimum}), or {text}"
    elif several:
        text = f"a folder for each set of {declared.minimum} or more {text}"
    return f"{declared.help}: {text}" if declared.help else text
