"""Config files by name, and overrides from the command line.

The one place where ml_collections meets the library: what leaves it is a plain mapping.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.resources
import inspect
import re
import runpy
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_dict, config_flags

from jaxgan.command import OVERRIDE, plainer
from jaxgan.core.errors import UserError, did_you_mean
from jaxgan.data import TASKS
from jaxgan.data.options import Options
from jaxgan.evaluation import options as evaluation_options
from jaxgan.pretrained.registry import NETWORKS
from jaxgan.systems import registry
from jaxgan.training import configs

_SECTIONS = ("system", "data", "training", "evaluation", "devices")
_WORDS = re.compile(r"[A-Za-z]\w*(,[A-Za-z]\w*)+")
HELP = "<system>[:<variant>] or a config file's path[:<variant>]"


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
    config = configs.with_defaults(_plain(spec, lambda: get_config(*arguments)))
    if overrides:
        config = override(config, overrides)
    configs.check_values(config)
    evaluation_options.Options.of(config["evaluation"])  # refused now, not at its use
    return config


def describe(spec: str) -> str:
    """The values of a config, a line each, as they are set on the command line.

    Args:
      spec: `<system>[:<variant>]` or a path.

    Raises:
      UserError: if there is no such config.
    """
    config = load(spec)
    unset = {key: None for key in _hints(config) if not key.startswith("pretrained.")}
    needs = configs.build_system(config).pretrained().values()
    unset |= {f"pretrained.{need.network}": None for need in needs}
    unset |= {f"data.{f.name}": f.default for f in dataclasses.fields(Options)}
    own = _own_keys(config["data"]).items()
    unset |= {f"data.{name}": p.default for name, p in own if p.default is not p.empty}
    unset |= {
        f"evaluation.{f.name}": f.default
        for f in dataclasses.fields(evaluation_options.Options)
    }
    known = {**unset, **configs.flatten(config)}
    sections = [*config, "pretrained"]
    keys = sorted(known, key=lambda key: sections.index(key.split(".")[0]))
    return "\n".join(f"  --config.{key}={known[key]}" for key in keys)


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
    with _naming(path):
        module = runpy.run_path(str(path))
    if "get_config" not in module:
        raise UserError(f"--config={path}: the file has no function get_config")
    return module


def _plain(spec: str, get: Callable[[], Any]) -> dict[str, Any]:
    """What a config file's function returns, as dicts."""
    with _naming(spec):
        config = get()
    if not isinstance(config, ConfigDict):
        raise UserError(
            f"--config={spec}: get_config returned a {type(config).__name__}; let it "
            "return an ml_collections.ConfigDict"
        )
    return config.to_dict()


@contextlib.contextmanager
def _naming(spec: str | Path) -> Iterator[None]:
    """Says in one line what is wrong with a config file of one's own."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # it is Python, and may raise anything
        raise UserError(
            f"--config={spec}: the file cannot be run ({type(error).__name__}: "
            f"{error}); correct it"
        ) from error


def override(config: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """`config` with values from the command line; types are those of the config.

    Raises:
      UserError: for an unknown key, with the nearest one, or a value of another type.
    """
    hints = _hints(config)
    flat = configs.flatten(config)
    named = {
        argument[match.end() :].partition("=")[0]
        for argument in overrides
        if (match := OVERRIDE.match(argument))
    }
    unset = {}
    for key, hint in hints.items():
        value = _value(config, key)
        # What may be of several types, and a mapping that is named as a whole, is
        # replaced; a mapping's keys may be named too.
        several = isinstance(value, Mapping) or _kind(hint) is object
        if value is None or (key in named and several):
            unset[key] = _kind(hint)
    parsed, cleared = [], []
    for argument in overrides:
        match = OVERRIDE.match(argument)
        if match:
            key, _, value = argument[match.end() :].partition("=")
            _check_key(key, config, unset)
            if key in _SECTIONS:
                raise UserError(
                    f"--config.{key} is a section: set its keys one by one, "
                    f"--config.{key}.KEY=VALUE"
                )
            if value == "None" and type(None) in typing.get_args(hints.get(key)):
                cleared.append(key)  # ml_collections would read a name or (None,)
                continue
            tuples = tuple in (type(_value(config, key)), _kind(hints.get(key)))
            if tuples and _WORDS.fullmatch(value):  # which it would take for one
                argument = f"{argument.partition('=')[0]}={tuple(value.split(','))}"
        parsed.append(argument)
    tree = ConfigDict(config)
    for key, kind in unset.items():
        section, name = _section(tree, key)
        section[name] = config_dict.placeholder(kind)
    values = flags.FlagValues()
    try:
        config_flags.DEFINE_config_dict(
            "config", tree, flag_values=values, sys_argv=["", *parsed]
        )
        values(["jaxgan", *parsed])
    except IndexError as error:
        indexed = " ".join(a for a in parsed if "[" in a.partition("=")[0])
        raise UserError(
            f"{indexed}: there is no such entry: set the whole tuple instead"
        ) from error
    except (flags.Error, ValueError, TypeError) as error:
        raise UserError(plainer(error)) from error
    for key in unset:
        section, name = _section(tree, key)
        if key not in flat and section[name] is None:
            with tree.unlocked():
                del section[name]
    found = configs.plain(tree.to_dict())
    drawn, source = (str(c.get("data", {}).get("source")) for c in (config, found))
    if drawn.startswith("synthetic:") and not source.startswith("synthetic:"):
        # What is known of an embedded set is not known of one's own data.
        cleared += {"data.fields", "data.source_options"} - named
        if _value(found, "evaluation.paired") and "evaluation.paired" not in named:
            found["evaluation"]["paired"] = False
    for key in cleared:
        section, name = _section(found, key)
        if name in section:
            section[name] = None
    return found


def _section(tree: Any, key: str) -> tuple[Any, str]:
    *sections, name = key.split(".")
    for section in sections:
        tree = tree[section]
    return tree, name


def _value(config: Mapping[str, Any], key: str) -> Any:
    """What a key has; None where it or its section is left out."""
    value: Any = config
    for name in key.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _check_key(key: str, config: dict[str, Any], unset: dict[str, type]) -> None:
    flat = configs.flatten(config)
    sections = {k.rsplit(".", n)[0] for k in flat for n in range(1, k.count(".") + 1)}
    base = key.split("[")[0]  # `key[0]` sets one entry of a tuple
    if base not in sections:
        configs.check_known(base, [*flat, *unset])


def _hints(config: dict[str, Any]) -> dict[str, Any]:
    """The annotations of the keys that may be None in a config, or be left out."""
    kinds: dict[str, Any] = {k: kind | None for k, kind in configs.OPTIONAL.items()}
    cls = registry.SYSTEMS.get(config.get("name", ""))
    if cls is not None:
        hints = typing.get_type_hints(cls)
        kinds |= {f"system.{f.name}": hints[f.name] for f in dataclasses.fields(cls)}
        kinds.pop("system.dtype")
    # Which of these the system needs may depend on other overrides.
    kinds |= {f"pretrained.{name}": str | None for name in NETWORKS}
    data = config.get("data", {})
    kinds |= {f"data.{key}": kind for key, kind in _data_keys(data).items()}
    judged = typing.get_type_hints(evaluation_options.Options)
    return kinds | {f"evaluation.{key}": kind for key, kind in judged.items()}


def _data_keys(data: dict[str, Any]) -> dict[str, Any]:
    """What the section `data` of a task may hold, with types."""
    if data.get("task") not in TASKS:
        return {}
    hints = typing.get_type_hints(TASKS[data["task"]])
    own = {name: hints[name] for name in _own_keys(data)}
    return typing.get_type_hints(Options) | own


def _own_keys(data: dict[str, Any]) -> dict[str, inspect.Parameter]:
    """The keys that the task of a section `data` adds to those of every task."""
    parameters = inspect.signature(TASKS[data["task"]]).parameters
    return {k: p for k, p in parameters.items() if p.kind is p.KEYWORD_ONLY}


def _kind(hint: Any) -> type:
    """The type that parses a value of `hint` (or None); `object` takes any literal."""
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    options = typing.get_args(hint) if union else (hint,)
    kinds = {typing.get_origin(o) or o for o in options if o is not types.NoneType}
    kind = kinds.pop() if len(kinds) == 1 else object
    return kind if kind in (int, float, bool, str, tuple) else object
