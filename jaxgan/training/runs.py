"""A run's directory as others read it: its config, its networks, its figures.

config.json     the resolved config of the newest start
starts.jsonl    one row a start: step, devices, precision, versions, hashes of
                pretrained weights
checkpoints/    see `jaxgan.training.checkpoint`
metrics.jsonl   timing.jsonl   samples/   TensorBoard events: see `writer`

Who may write into it is `jaxgan.training.starts`'s to say.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import jax
import numpy as np
from etils import epath

from jaxgan.core.errors import UserError
from jaxgan.core.state import TrainState
from jaxgan.core.system import Frozen, System
from jaxgan.core.weights import interpolate_weights
from jaxgan.training import checkpoint, configs
from jaxgan.training.frozen import load_frozen
from jaxgan.training.writer import is_remote, read_rows

FREE_FIELDS = ("dtype", "microbatches", "remat")  # they say how to compute, not what


def read_config(workdir: epath.PathLike) -> dict[str, Any]:
    """The resolved config of a run.

    Raises:
      UserError: if the directory is not a run's.
    """
    path = epath.Path(workdir).expanduser() / "config.json"
    with reaching(path):
        there = path.exists()
    if not there:
        raise UserError(
            f"{workdir} is not a run directory (it has no config.json): give the "
            "--workdir of a `jaxgan train`"
        )
    try:
        found = json.loads(path.read_text())
    except ValueError as error:
        raise UserError(
            f"{path} is damaged ({error}): restore it, or choose another --workdir"
        ) from error
    if not isinstance(found, dict):
        raise UserError(
            f"{path} is no run's config: restore it, or choose another --workdir"
        )
    return configs.with_defaults(found)


def last_figures(workdir: epath.PathLike) -> dict[str, float]:
    """The newest evaluation of a run; empty if there is none."""
    prefix = "evaluation/"
    for row in reversed(read_rows(epath.Path(workdir) / "metrics.jsonl")):
        found = {k: v for k, v in row.items() if k.startswith(prefix)}
        if found:
            return {
                k.removeprefix(prefix): float("nan") if v is None else v
                for k, v in found.items()
            }
    return {}


def load(
    workdir: epath.PathLike, weights: str = "ema", step: int | None = None
) -> tuple[System, dict[str, Any], Frozen]:
    """What a run has trained, for use anywhere.

    Args:
      workdir: the run's directory.
      weights: `ema` takes averaged parameters where the system keeps them; `raw`
        takes the last ones.
      step: of which checkpoint; None is the newest.

    Returns:
      `(system, variables, frozen)`: the system as it was configured, `{network:
      variables}` and the pretrained networks that inference needs, as its Modes take
      them.

    Raises:
      UserError: if the directory is not a run's, or holds no readable checkpoint.
    """
    return load_with_step(workdir, weights, step)[1:]


def load_with_step(
    workdir: epath.PathLike, weights: str = "ema", step: int | None = None
) -> tuple[int, System, dict[str, Any], Frozen]:
    """As `load`, after the step of the checkpoint that was read: the newest may be
    damaged."""
    if weights not in ("ema", "raw"):
        raise UserError(f"weights {weights!r}: choose 'ema' or 'raw'")
    config = read_config(workdir)
    system = configs.build_system(config)
    directory = epath.Path(workdir) / "checkpoints"
    networks, about = checkpoint.read_networks(directory, step)
    params = networks["params"]
    if weights == "ema":
        params = {**params, **networks["ema"]}
    variables = {n: {"params": p, **networks["stats"][n]} for n, p in params.items()}
    frozen = load_frozen(system, config["pretrained"], stages=())
    return about.step, system, variables, frozen


def blend(
    variables: Mapping[str, Any],
    other: epath.PathLike,
    alpha: float,
    weights: str = "ema",
) -> dict[str, Any]:
    """Variables between those of two runs, see `core.interpolate_weights`.

    Args:
      variables: `{network: variables}` of one run; all are blended.
      other: the other run's directory; its newest checkpoint counts.
      alpha: the other's share, in [0, 1].
      weights: as `load`, of the other.

    Raises:
      UserError: naming the network that the other lacks or has in another shape.
    """
    _, theirs, _ = load(other, weights)
    for name, own in variables.items():
        lacks = "there is none of that name"
        problem = _mismatch(own, theirs[name]) if name in theirs else lacks
        if problem:
            raise UserError(
                f"--blend_with={other}: its {name} is not this run's ({problem}): name "
                "a run of the same networks"
            )
    return interpolate_weights(variables, {n: theirs[n] for n in variables}, alpha)


def take_networks(
    state: TrainState,
    source: epath.PathLike,
    partial: bool,
    say: Callable[[str], None],
    system: System,
) -> TrainState:
    """`state` with another run's networks, by name: parameters, statistics, averages.

    Args:
      state: a fresh state, of host or device arrays.
      source: the other run's directory.
      partial: leave what does not match as it is, instead of refusing.
      say: prints a line.
      system: whose state it is. One that trains nothing is what the other run made
        it: the fields that both have must be equal.

    Raises:
      UserError: if that is no run, and naming the networks that it lacks or has in
        another shape, and the fields that differ.
    """
    config = read_config(source)
    run = f"--init_from={source}, a run of {config.get('name')!r},"
    theirs, about = checkpoint.read_networks(epath.Path(source) / "checkpoints")
    params, stats, ema = dict(state.params), dict(state.stats), dict(state.ema)
    taken, missing = [], []
    for name in state.params:
        found = theirs["params"].get(name)
        problem = (
            "it has none of that name"
            if found is None
            else _mismatch(state.params[name], found)
            or _mismatch(state.stats[name], theirs["stats"][name])
        )
        if problem:
            missing.append(f"{name} ({problem})")
            continue
        params[name], stats[name] = _copy(found), _copy(theirs["stats"][name])
        average = theirs["ema"].get(name)
        # A run without a step of its own only uses what it took: averages too.
        if name in ema or (average is not None and not state.opt_state):
            ema[name] = _copy(found if average is None else average)
        taken.append(name)
    unused = [name for name in theirs["params"] if name not in state.params]
    say(f"from {source} (step {about.step}): took {', '.join(taken) or 'nothing'}")
    if unused:
        say(f"from {source}: no use for {', '.join(unused)}")
    differing = [] if state.opt_state else _differing_fields(config, system)
    if missing and not partial:
        advice = (
            "match the networks' fields in config.system, or pass "
            "--init_from_partial to start those afresh"
            if state.opt_state
            else f"or the same values here: {', '.join(differing) or 'config.system'}"
        )
        raise UserError(f"{run} lacks {'; '.join(missing)}: name another run, {advice}")
    if differing and not partial:
        raise UserError(
            f"{run} was trained with other values: {', '.join(differing)}: set the "
            "same here, or name another run"
        )
    if missing:
        say(f"from {source}: fresh start for {'; '.join(missing)}")
    if not taken:
        raise UserError(f"{run} has no network that this system uses: name another run")
    return state.replace(params=params, stats=stats, ema=ema)


def _differing_fields(config: Mapping[str, Any], system: System) -> list[str]:
    """The fields that a run's system and this one both have, with other values."""
    theirs = config.get("system", {})
    own = configs.plain(dataclasses.asdict(cast(Any, system)))
    return [
        f"system.{name} ({theirs[name]!r} there, {value!r} here)"
        for name, value in own.items()
        if name in theirs and name not in FREE_FIELDS and theirs[name] != value
    ]


def _copy(tree: Any) -> Any:
    """A donated state must not hold one buffer twice."""
    return jax.tree.map(lambda x: np.array(x), tree)


def _mismatch(mine: Any, theirs: Any) -> str:
    """How two trees of arrays differ in names or shapes; empty if they do not."""
    a, b = (
        {
            jax.tree_util.keystr(path, simple=True, separator="/"): leaf
            for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
        }
        for tree in (mine, theirs)
    )
    for key in sorted(a.keys() | b.keys()):
        if key not in a or key not in b:
            return f"{key} is only in {'ours' if key in a else 'theirs'}"
        if a[key].shape != b[key].shape:
            return f"{key} is {list(b[key].shape)} there, {list(a[key].shape)} here"
    return ""


@contextlib.contextmanager
def reaching(path: epath.Path) -> Iterator[None]:
    """Packages for buckets raise what they please where they are not let in."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if not is_remote(path):
            raise
        words = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(
            f"cannot open the run's directory: {words}; buckets need their package "
            "(gs://: pip install 'jaxgan[gcs]') and credentials"
        ) from error
