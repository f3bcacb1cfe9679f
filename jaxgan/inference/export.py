"""A mode as a program that runs without Flax and without this library.

program.stablehlo        StableHLO in `jax.export`'s form, with open sizes
parameters.safetensors   what the program reads, under flat names
signature.json           inputs and outputs, their shapes and ranges
README.txt               how to load and call them
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from jaxgan import core
from jaxgan.core.errors import UserError
from jaxgan.core.types import Key
from jaxgan.inference import signature
from jaxgan.inference.signature import Argument, Size

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
SIDES = (16, 64)  # least pixels a side that a program of any size is tried with
FROZEN = "frozen"


@dataclasses.dataclass(frozen=True)
class Exported:
    """A mode, ready to be written.

    Attributes:
      program: the serialized program, `program(parameters, inputs) -> outputs`.
      parameters: `{flat name: array}` that it reads.
      inputs: what it takes.
      outputs: `{name: shape}`.
      least: the least value of each named size.
      platforms: those that it runs on.
      live: `live(inputs, device) -> outputs`, the mode itself, not exported; None is
        the device where its variables are.
    """

    program: bytes
    parameters: dict[str, np.ndarray]
    inputs: dict[str, Argument]
    outputs: dict[str, tuple[Size, ...]]
    least: dict[str, int]
    platforms: tuple[str, ...]
    live: Callable[[Mapping[str, np.ndarray], Any], dict[str, jax.Array]]


def build(
    mode: core.Mode,
    variables: Mapping[str, Any],
    frozen: core.Frozen,
    static: Mapping[str, Any],
    *,
    size: tuple[int, int] | None = None,
    batch_size: int | None = None,
    platforms: Sequence[str] = ("cpu", "cuda", "tpu"),
) -> Exported:
    """Traces a mode and serializes it.

    Args:
      mode: its declaration.
      variables: `{network: variables}`.
      frozen: pretrained networks.
      static: values of `Int` and `Choice`, and the number of members of each `Set`.
      size: height and width of pictures of any size; None leaves them open.
      batch_size: None leaves it open.
      platforms: those that the program shall run on.

    Raises:
      UserError: if it cannot be exported for open sizes, and which to fix.
    """
    for platform in platforms:
        core.one_of(platform, PLATFORMS, "--platforms:")

    def attempt(batch_size: int | None) -> Exported:
        """Each example by itself where the mode's code allows it."""
        given = mode, variables, frozen, static, size, batch_size, platforms
        if mode.per_example:
            with contextlib.suppress(_Unsuited):
                return _build(*given, separate=True)
        return _build(*given, separate=False)

    try:
        return attempt(batch_size)
    except _Unsuited as error:
        what, fix = "size of pictures", "--size=HEIGHTxWIDTH, such as --size=256x256"
        if not error.spatial or (batch_size is None and _works(attempt, 1)):
            what, fix = "number of examples", "--batch_size=NUMBER, such as 1"
        raise UserError(
            f"this mode cannot be exported for any {what}, which its code must know: "
            f"fix it with {fix}"
        ) from error


def _works(attempt: Callable[[int], Exported], batch_size: int) -> bool:
    try:
        attempt(batch_size)
    except _Unsuited:
        return False
    return True


class _Unsuited(Exception):
    """Code that needs to know its sizes; `spatial` if those of pictures are open."""

    def __init__(self, reason: str, spatial: bool):
        super().__init__(reason)
        self.spatial = spatial


def _build(
    mode: core.Mode,
    variables: Mapping[str, Any],
    frozen: core.Frozen,
    static: Mapping[str, Any],
    size: tuple[int, int] | None,
    batch_size: int | None,
    platforms: Sequence[str],
    separate: bool,
) -> Exported:
    wanted = signature.of_mode(
        mode, static, size=size, batch_size=batch_size, separate=separate
    )
    tree = {name: variables[name] for name in mode.networks}, dict(frozen)
    parameters = flatten(*tree)
    apply = functools.partial(_apply, mode, static, separate)
    restore = functools.partial(_unflatten, jax.eval_shape(lambda: tree))

    def call(parameters: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
        return apply(*restore(parameters), inputs)

    read = _read(call, parameters, wanted)
    parameters = {name: x for name, x in parameters.items() if name in read}
    inputs = {name: a for name, a in wanted.items() if name != "key" or name in read}
    exported, least = _export(call, parameters, inputs, platforms)
    outputs = jax.tree.unflatten(exported.out_tree, exported.out_avals)
    compiled = jax.jit(apply)

    def live(inputs: Mapping[str, np.ndarray], device: Any) -> dict[str, jax.Array]:
        there = tree if device is None else jax.device_put(tree, device)
        return compiled(*there, dict(inputs))

    return Exported(
        bytes(exported.serialize()),
        parameters,
        inputs,
        {name: _sizes(x.shape) for name, x in outputs.items()},
        least,
        tuple(platforms),
        live,
    )


def _sizes(shape: Sequence[Any]) -> tuple[Size, ...]:
    return tuple(n if isinstance(n, int) else str(n) for n in shape)


def _apply(
    mode: core.Mode,
    static: Mapping[str, Any],
    separate: bool,
    variables: Mapping[str, Any],
    frozen: core.Frozen,
    inputs: Mapping[str, Any],
) -> dict[str, Any]:
    """The mode with raw keys; `separate`: one an example, as `generate` runs it."""
    scalars = {
        name: x
        for name, x in inputs.items()
        if isinstance(mode.inputs.get(name), core.Float)
    }
    arrays = {name: x for name, x in inputs.items() if name not in {*scalars, "key"}}
    given = {**_static_of(mode, static), **scalars}
    key = inputs.get("key")
    if not separate:
        key = _random_key(jnp.zeros(2, jnp.uint32) if key is None else key)
        return mode.fn(variables, frozen, {**given, **arrays}, key)

    def one(arrays: dict[str, Any], key: Any) -> dict[str, Any]:
        batch = {name: x[None] for name, x in arrays.items()}
        out = mode.fn(variables, frozen, {**given, **batch}, _random_key(key))
        return {name: x[0] for name, x in out.items()}

    if key is None:  # nothing is drawn
        none = jnp.zeros(2, jnp.uint32)
        return jax.vmap(lambda arrays: one(arrays, none))(arrays)
    return jax.vmap(one)(arrays, key)


def _static_of(mode: core.Mode, static: Mapping[str, Any]) -> dict[str, Any]:
    kinds = core.Int | core.Choice
    return {k: v for k, v in static.items() if isinstance(mode.inputs[k], kinds)}


def _random_key(raw: Any) -> Key:
    return jax.random.wrap_key_data(raw, impl="threefry2x32")


def flatten(variables: Mapping[str, Any], frozen: core.Frozen) -> dict[str, np.ndarray]:
    """`{"generator/params/stem/kernel": array, "frozen/vgg19/...": array}`."""
    return {name: np.asarray(x) for name, x in _named((dict(variables), dict(frozen)))}


def _named(tree: tuple[dict, dict]) -> list[tuple[str, Any]]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    named = []
    for (which, *path), x in leaves:
        parts = [jax.tree_util.keystr((part,), simple=True) for part in path]
        named.append(("/".join([FROZEN] * which.idx + parts), x))
    return named


def _unflatten(form: tuple[dict, dict], flat: Mapping[str, Any]) -> tuple[dict, dict]:
    """Undoes `flatten`; what was left out, because nothing reads it, is zero."""
    leaves = [
        flat[name] if name in flat else jnp.zeros(x.shape, x.dtype)
        for name, x in _named(form)
    ]
    return jax.tree.unflatten(jax.tree.structure(form), leaves)


def _forms(arrays: Mapping[str, Any]) -> dict[str, jax.ShapeDtypeStruct]:
    return {k: jax.ShapeDtypeStruct(x.shape, x.dtype) for k, x in arrays.items()}


def _read(
    call: Callable, parameters: Mapping[str, Any], inputs: Mapping[str, Argument]
) -> set[str]:
    """The names of the arrays that the program reads."""
    sizes = signature.least(inputs.values(), SIDES[-1])
    forms = _forms(parameters), {k: a.fixed(sizes) for k, a in inputs.items()}
    exported = jax.export.export(jax.jit(call))(*forms)
    paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(forms)]
    return {paths[i][-1].key for i in exported.module_kept_var_idx}


def _export(
    call: Callable,
    parameters: Mapping[str, Any],
    inputs: Mapping[str, Argument],
    platforms: Sequence[str],
) -> tuple[jax.export.Exported, dict[str, int]]:
    """The program, and the least value of each size that it leaves open."""
    problem, least = None, {}
    for side in SIDES:
        least = signature.least(inputs.values(), side)
        bounds = [f"{name} >= {n}" for name, n in least.items() if n > 1]
        scope = jax.export.SymbolicScope(bounds)
        forms = _forms(parameters), {k: a.open(scope) for k, a in inputs.items()}
        try:
            program = jax.export.export(jax.jit(call), platforms=tuple(platforms))
            return program(*forms), least
        except UserError:
            raise
        except Exception as error:  # tracing raises whatever the code does with sizes
            if not least:
                raise
            problem = error
    reason = str(problem).strip().splitlines()[0].rstrip(".")
    raise _Unsuited(reason, any(name[0] in "hw" for name in least)) from problem
