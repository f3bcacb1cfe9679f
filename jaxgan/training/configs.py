"""A run's configuration as a plain mapping: defaults, checks, the system it describes.

Sections: `system` (the dataclass's fields), `data`, `training`, `evaluation`,
`pretrained` (`{name: path or "random"}`), `devices` (the mesh's shape, and what rests
in the hosts' memory), and `name`, `seed`, `dtype` at the top.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import json
import math
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from jaxgan.core.dtypes import resolve
from jaxgan.core.errors import UserError, did_you_mean, one_of
from jaxgan.core.hints import fits
from jaxgan.core.system import System
from jaxgan.data.options import Options
from jaxgan.systems import registry
from jaxgan.training.sharding import HOST

# What every config has; a config's own values come on top.
DEFAULTS: dict[str, Any] = {
    "seed": 0,
    "dtype": "auto",  # bfloat16 on accelerators, float32 on CPUs
    "devices": {
        "data": -1,  # -1: all devices that `model` leaves
        "model": 1,  # over how many devices large parameters are split
        "host": (),  # what rests in the hosts' memory: "pools", "optimizer"
    },
    "training": {
        "batch_size": 1,  # global
        "num_steps": None,  # total; None: the sum of the stages' lengths
        "steps_per_call": 1,  # updates of one compiled call; divides all `*_every`
        "log_every": 100,
        "checkpoint_every": 1000,  # 0: only where a stage ends
        "sample_every": 1000,  # 0: never
        "sample_count": 8,  # rows of a sample grid
        "evaluate_every": 0,  # 0: never
        "keep_last": 2,  # checkpoints
        "keep_every": 0,  # keep those of every so many steps for good; 0: none
        "best_metric": None,  # keep the best by this evaluation metric, "psnr"
        "best_mode": "max",  # or "min"
    },
    "evaluation": {},
    "pretrained": {},
}
OPTIONAL = {"training.num_steps": int, "training.best_metric": str}  # None or this
MAY_CHANGE = (
    *("training.num_steps", "training.steps_per_call", "training.*_every"),
    "training.keep_last",
    *("data.threads", "data.in_memory", "devices.*", "dtype"),
    *("system.remat", "system.vgg_dtype"),
)


def with_defaults(config: Mapping[str, Any]) -> dict[str, Any]:
    """`config` over `DEFAULTS`, as plain dicts, lists as tuples.

    Raises:
      UserError: for an unknown key of a section that the trainer owns.
    """
    for name, value in config.items():
        check_known(name, (*DEFAULTS, "name", "system", "data"))
        if name in ("devices", "training"):
            for key in value:
                check_known(f"{name}.{key}", (f"{name}.{k}" for k in DEFAULTS[name]))
    return _over(DEFAULTS, config)


def _over(defaults: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    merged = plain(defaults)
    for name, value in plain(config).items():
        if isinstance(value, dict) and isinstance(merged.get(name), dict):
            value = {**merged[name], **value}
        merged[name] = value
    return merged


def plain(value: Any) -> Any:
    """Mappings as dicts and lists as tuples, all the way down."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    return tuple(plain(v) for v in value) if isinstance(value, list | tuple) else value


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"training.batch_size": 1, ...}`; an empty section leaves no trace."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def check_known(key: str, known: Iterable[str]) -> None:
    """Refuses a key that is not among `known`, with the nearest one."""
    names = list(known)
    if key not in names:
        near = did_you_mean(key, names)
        # Levels may have been left out: `--config.batch_size`.
        last = [n for n in names if n.rsplit(".", 1)[-1] == key.rsplit(".", 1)[-1]]
        if last:
            near = f" (did you mean {last[0]!r}?)"
        raise UserError(f"unknown config key {key!r}{near}")


def check_values(config: Mapping[str, Any]) -> None:
    """Refuses impossible values.

    Raises:
      UserError: naming the key, its value and what it must be.
    """
    training, devices = config["training"], config["devices"]

    def at_least(key: str, value: Any, low: int, unset: Any = 0) -> None:
        whole = isinstance(value, int) and not isinstance(value, bool)
        if value is not None and value != unset and not (whole and value >= low):
            raise UserError(
                f"{key} = {value!r} is impossible: it must be a whole number of at "
                f"least {low}"
            )

    at_least("training.batch_size", training["batch_size"], 1, unset=None)
    at_least("training.num_steps", training["num_steps"], 1, unset=None)
    at_least("training.log_every", training["log_every"], 1, unset=None)
    at_least("training.keep_last", training["keep_last"], 1, unset=None)
    for key in ("checkpoint", "sample", "evaluate", "keep"):
        at_least(f"training.{key}_every", training[f"{key}_every"], 0)
    at_least("training.sample_count", training["sample_count"], 1, unset=None)
    at_least("training.steps_per_call", training["steps_per_call"], 1, unset=None)
    _check_multiples(training)
    at_least("devices.data", devices["data"], 1, unset=-1)
    at_least("devices.model", devices["model"], 1, unset=None)
    for name in devices["host"]:
        one_of(name, tuple(HOST), "devices.host")
    at_least("seed", config["seed"], 0)
    if config["seed"] >= 2**32:
        raise UserError(f"seed = {config['seed']} is impossible: it must be below 2^32")
    resolve(config["dtype"])
    if training["best_mode"] not in ("max", "min"):
        raise UserError(
            f"training.best_mode = {training['best_mode']!r}: choose 'max' or 'min'"
        )
    parts = config.get("system", {}).get("microbatches", 1)
    at_least("system.microbatches", parts, 1, unset=None)
    if training["batch_size"] % parts:
        raise UserError(
            f"training.batch_size {training['batch_size']} cannot be split into "
            f"system.microbatches {parts}: choose a multiple"
        )
    shares = {
        "norm_groups": training["batch_size"] // parts,
        "pool_groups": training["batch_size"],
    }
    for key, examples in shares.items():
        groups = config.get("system", {}).get(key) or 1  # 0: one an example
        if isinstance(groups, int) and groups > 0 and examples % groups:
            raise UserError(
                f"system.{key} = {groups} does not divide a batch of {examples}: "
                "choose a divisor"
            )
    image_size = config.get("data", {}).get("image_size", 1)
    if isinstance(image_size, int):
        at_least("data.image_size", image_size, 1, unset=None)


def _check_multiples(training: Mapping[str, Any]) -> None:
    """Refuses a `*_every` that falls inside a call of several steps."""
    steps = training["steps_per_call"]
    names = [name for name in DEFAULTS["training"] if name.endswith("_every")]
    every = {name: training[name] or 0 for name in names}
    wrong = {n: value for n, value in every.items() if value % steps}
    if wrong:
        have = ", ".join(f"training.{n} = {value}" for n, value in wrong.items())
        want = " ".join(
            f"training.{n}={-(-value // steps) * steps}" for n, value in wrong.items()
        )
        raise UserError(
            f"{have}: no multiple of training.steps_per_call = {steps}; set {want}, "
            f"or training.steps_per_call={math.gcd(steps, *every.values())}"
        )


def build_system(config: Mapping[str, Any], cls: type | None = None) -> System:
    """The system that `config` describes.

    Args:
      config: with `name`, `dtype` and the section `system`.
      cls: the system's class; None looks `config["name"]` up in the registry.

    Raises:
      UserError: for an unknown system or field, with the nearest one, and for a value
        that the system refuses.
    """
    if cls is None and not config.get("name"):
        known = ", ".join(registry.SYSTEMS)
        raise UserError(f"config.name is not set: name a system, one of {known}")
    cls = registry.get(config["name"]) if cls is None else cls
    values = plain(config.get("system", {}))
    fields = {f.name: f for f in dataclasses.fields(cls)}
    for key in values:
        check_known(f"system.{key}", (f"system.{name}" for name in fields))
    if "dtype" in values:
        raise UserError("set the compute dtype as config.dtype, not in config.system")
    hints = typing.get_type_hints(cls)
    for key, value in values.items():
        if not fits(value, hints[key]):
            wanted = str(fields[key].type).removeprefix("typing.")
            raise UserError(f"system.{key} = {value!r} is not of type {wanted}")
    try:
        system = cls(**values, dtype=resolve(config["dtype"]))
    except (TypeError, ValueError) as error:
        raise UserError(f"system {config['name']}: {error}") from error
    for stage in system.stages:
        if stage.num_steps < 0:
            raise UserError(
                f"stage {stage.name!r} would last {stage.num_steps} steps: set the "
                "field of its length in config.system to 0 or more"
            )
    check_stages(config, system)
    return system


def check_stages(config: Mapping[str, Any], system: System) -> None:
    """Refuses data of a stage that the system does not have."""
    for name in config.get("data", {}).get("stages", {}):
        known = (f"data.stages.{stage.name}" for stage in system.stages)
        check_known(f"data.stages.{name}", known)


def stage_data(config: Mapping[str, Any], stage: str) -> dict[str, Any]:
    """The section `data` as this stage sees it: `data.stages.<stage>` on top."""
    data = dict(config.get("data", {}))
    own = data.pop("stages", {}).get(stage, {})
    return {**data, **own}


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Readable differences between two configs that a resumed run must not have.

    A key that one of them lacks has its default there: of a run that is older than it.
    """
    # JSON knows no tuples and no NaN; both sides go through it.
    before, after = (
        flatten(json.loads(to_json(_completed(config)))) for config in (old, new)
    )
    lines = []
    for key in sorted(before.keys() | after.keys()):
        if any(fnmatch.fnmatchcase(key, pattern) for pattern in MAY_CHANGE):
            continue
        if before.get(key) != after.get(key) or (key in before) != (key in after):
            was, now = (repr(c[key]) if key in c else "absent" for c in (before, after))
            lines.append(f"{key} (was {was}, now {now})")
    return lines


def _completed(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config over the defaults of the trainer, its system and its data."""
    defaults = dict(DEFAULTS)
    cls = registry.SYSTEMS.get(config.get("name", ""))
    if cls is not None:
        defaults |= {"system": _defaults(cls), "data": _defaults(Options)}
    return _over(defaults, config)


def _defaults(cls: type) -> dict[str, Any]:
    """Of a dataclass's fields that have one; `dtype` is said elsewhere."""
    return {
        field.name: field.default
        for field in dataclasses.fields(cls)
        if field.default is not dataclasses.MISSING and field.name != "dtype"
    }


def changeable(config: Mapping[str, Any]) -> dict[str, Any]:
    """The values that may differ between starts, to be recorded with each."""
    return {
        key: value
        for key, value in flatten(config).items()
        if any(fnmatch.fnmatchcase(key, pattern) for pattern in MAY_CHANGE)
    }


def to_json(config: Mapping[str, Any]) -> str:
    """The text of `config.json`."""
    return json.dumps(config, indent=2, sort_keys=True) + "\n"
