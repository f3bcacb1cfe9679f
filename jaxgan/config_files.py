"""Config files by name, and overrides from the command line.

The one place where ml_collections meets the library: what leaves it is a plain mapping.
"""

from __future__ import annotations

import importlib.resources
import inspect
import re
import runpy
import typing
from collections.abc import Sequence
from pathlib import Path
from types import NoneType
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_dict, config_flags

from jaxgan.core.errors import UserError, did_you_mean
from jaxgan.systems import registry
from jaxgan.training import configs

HELP = "<system>[:<variant>] or a config file's path[:<variant>]"
_OVERRIDE = re.compile(r"--?(no)?config\.")


def folder() -> Path:
    """Where the configs are: inside the installed package, or beside it in a clone."""
    inside = Path(str(importlib.resources.files("jaxgan"))) / "configs"
    return inside if inside.is_dir() else inside.parent.parent / "configs"


def names() -> list[str]:
    """The systems that have a config."""
    return sorted(p.stem for p in folder().glob("*.py") if p.stem != "__init__")


def variants(name: str) -> tuple[str, ...]:
    """The variants of a config, such as `pix2pix`."""
    return tuple(_module(name)["VARIANTS"])


def load(spec: str, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The resolved config of `pix2pix:demo` (or of a path), defaults filled in.

    Args:
      spec: `<system>[:<variant>]` or `<path>.py[:<variant>]`.
      overrides: such as `--config.training.batch_size=32`.

    Raises:
      UserError: for an unknown config, variant or key, each with the nearest one, and
        for values of the wrong type or out of range.
    """
    name, _, variant = spec.partition(":")
    module = _module(name)
    known = module.get("VARIANTS", ())
    if variant and known and variant not in known:
        raise UserError(
            f"unknown variant {variant!r} of {name}{did_you_mean(variant, known)}; "
            f"known: {', '.join(known)}"
        )
    get_config = module["get_config"]
    if not variant and inspect.signature(get_config).parameters:
        first = next(iter(inspect.signature(get_config).parameters.values()))
        if first.default is inspect.Parameter.empty and not known:
            raise UserError(f"--config={spec}: name a variant, {spec}:<variant>")
        arguments = () if first.default is not inspect.Parameter.empty else known[:1]
    else:
        arguments = (variant,) if variant else ()
    config = configs.with_defaults(get_config(*arguments).to_dict())
    if overrides:
        config = override(config, overrides)
    configs.check_values(config)
    return config


def _module(name: str) -> dict[str, Any]:
    """The globals of a config file."""
    path = Path(name) if name.endswith(".py") else folder() / f"{name}.py"
    if not path.is_file():
        if name.endswith(".py"):
            raise UserError(f"--config={name}: no such file")
        raise UserError(
            f"unknown config {name!r}{did_you_mean(name, names())}; known: "
            f"{', '.join(names())}, or a path to a .py file"
        )
    module = runpy.run_path(str(path))
    if "get_config" not in module:
        raise UserError(f"--config={path}: the file has no function get_config")
    return module


def split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separates the overrides `--config.<key>=<value>` from all other arguments."""
    overrides, others = [], []
    rest = list(argv)
    while rest:
        argument = rest.pop(0)
        if not _OVERRIDE.match(argument):
            others.append(argument)
            continue
        overrides.append(argument)
        if "=" not in argument and rest and not rest[0].startswith("--"):
            overrides.append(rest.pop(0))  # `--config.seed 3`
    return overrides, others


def override(config: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """`config` with values from the command line; types are those of the config.

    Raises:
      UserError: for an unknown key, with the nearest one, or a value of another type.
    """
    types = _optional_types(config)
    for argument in overrides:
        match = _OVERRIDE.match(argument)
        if match:
            _check_key(argument[match.end() :].partition("=")[0], config, types)
    values = flags.FlagValues()
    tree = ConfigDict(config)
    for key, kind in types.items():
        *sections, last = key.split(".")
        section = tree
        for name in sections:
            section = section[name]
        if section.get(last) is None:
            section[last] = config_dict.placeholder(kind)
    try:
        config_flags.DEFINE_config_dict(
            "config", tree, flag_values=values, sys_argv=["", *overrides]
        )
        values(["jaxgan", *overrides])
    except (flags.Error, ValueError, TypeError) as error:
        raise UserError(" ".join(str(error).split())) from error
    return configs.plain(values["config"].value.to_dict())


def _check_key(key: str, config: dict[str, Any], types: dict[str, type]) -> None:
    flat = configs.flatten(config)
    sections = {k.rsplit(".", n)[0] for k in flat for n in range(1, k.count(".") + 1)}
    base = key.split("[")[0]  # `key[0]` sets one entry of a tuple
    if base not in sections:
        configs.check_known(base, [*flat, *types])


def _optional_types(config: dict[str, Any]) -> dict[str, type]:
    """The types of the keys that may be None, or that a config may leave out."""
    types: dict[str, type] = dict(configs.OPTIONAL)
    cls = registry.SYSTEMS.get(config.get("name", ""))
    if cls is not None:
        hints = typing.get_type_hints(cls)
        for name, value in config.get("system", {}).items():
            kinds = [t for t in typing.get_args(hints.get(name)) if t is not NoneType]
            if value is None and kinds:
                types[f"system.{name}"] = typing.get_origin(kinds[0]) or kinds[0]
        system = configs.build_system(config, cls)
        types.update({f"pretrained.{name}": str for name in system.pretrained()})
    return types
