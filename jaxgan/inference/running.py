"""A mode over many examples: few compilations, whole batches, results as they come."""

from __future__ import annotations

import concurrent.futures
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from jaxgan import core, ops
from jaxgan.core.types import Key
from jaxgan.data.pictures import Unusable
from jaxgan.inference import sizes
from jaxgan.inference.arguments import Arguments
from jaxgan.inference.declared import is_lab, item_of
from jaxgan.inference.inputs import Example, Shape, Source

BATCH_SIZE = 16
# Of a batch's inputs, or of larger outputs, where the user does not choose its size.
PIXELS = 2**22
SHAPES = 8  # sizes beyond which like ones are padded to one, to compile less often


@dataclasses.dataclass(frozen=True)
class Result:
    """What became of one example.

    Attributes:
      number: its place among all examples.
      example: itself.
      inputs: `{input: array}` as it was read, pictures uint8 and not padded.
      outputs: `{output: array}` without a batch axis, pictures uint8 and cropped.
    """

    number: int
    example: Example
    inputs: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]


class Runner:
    """A mode, compiled once for every shape of its inputs."""

    def __init__(
        self,
        mode: core.Mode,
        variables: Mapping[str, Any],
        frozen: core.Frozen,
        arguments: Arguments,
    ):
        self.mode, self.arguments = mode, arguments
        self._variables = {name: variables[name] for name in mode.networks}
        self._frozen = dict(frozen)
        self._lab = is_lab(mode)
        self._call = jax.jit(self._all if mode.per_example else self._together)

    def __call__(
        self, arrays: Mapping[str, np.ndarray], keys: Sequence[Key]
    ) -> dict[str, jax.Array]:
        """Runs a batch.

        Args:
          arrays: `{input: [b, ...]}`, pictures uint8.
          keys: one an example.

        Returns:
          `{output: [b, ...]}`, pictures uint8, and `finite` `[b]`.
        """
        stacked = jnp.stack(list(keys))
        scalars = self.arguments.scalars
        return self._call(self._variables, self._frozen, scalars, dict(arrays), stacked)

    def _all(
        self,
        variables: Mapping[str, Any],
        frozen: core.Frozen,
        scalars: Mapping[str, Any],
        arrays: Mapping[str, jax.Array],
        keys: Shaped[Array, "b ..."],
    ) -> dict[str, jax.Array]:
        """Every example by itself: its noise does not depend on its place in a batch.
        The compiler makes one batched program of it."""

        def one(arrays: Mapping[str, jax.Array], key: Key) -> dict[str, jax.Array]:
            batch = {name: x[None] for name, x in arrays.items()}
            out = self._run(variables, frozen, scalars, batch, key)
            return {name: x[0] for name, x in out.items()}

        return jax.vmap(one)(arrays, keys)

    def _together(
        self,
        variables: Mapping[str, Any],
        frozen: core.Frozen,
        scalars: Mapping[str, Any],
        arrays: Mapping[str, jax.Array],
        keys: Shaped[Array, "b ..."],
    ) -> dict[str, jax.Array]:
        """Examples that share statistics."""
        return self._run(variables, frozen, scalars, arrays, keys[0])

    def _run(
        self,
        variables: Mapping[str, Any],
        frozen: core.Frozen,
        scalars: Mapping[str, Any],
        arrays: Mapping[str, jax.Array],
        key: Key,
    ) -> dict[str, jax.Array]:
        inputs = {
            name: _to_network(x, self.mode.inputs[name], self._lab)
            for name, x in arrays.items()
        }
        given = {**self.arguments.static, **scalars, **inputs}
        outputs = self.mode.fn(variables, frozen, given, key)
        finite = [
            jnp.all(jnp.isfinite(x), axis=tuple(range(1, x.ndim)))
            for x in outputs.values()
        ]
        lightness = next(
            (inputs[n] for n, d in self.mode.inputs.items() if _is_picture(d, 1)), None
        )
        shown = {
            name: _to_picture(x, self.mode.output[name], lightness)
            for name, x in outputs.items()
        }
        return {**shown, "finite": jnp.all(jnp.stack(finite), axis=0)}


def _is_picture(declared: Any, channels: int) -> bool:
    return isinstance(declared, core.Image) and declared.channels == channels


def _to_network(
    x: Shaped[Array, "*n"], declared: Any, lab: bool
) -> Shaped[Array, " ..."]:
    """Pictures uint8 to [-1, 1], or to the planes of Lab."""
    item = item_of(declared)
    if not isinstance(item, core.Image):
        return x
    image = ops.from_uint8(x)
    if lab and item.channels < 3:
        lightness, ab = ops.normalize_lab(ops.rgb_to_lab((image + 1) / 2))
        return lightness if item.channels == 1 else ab
    return image


def _to_picture(
    x: Shaped[Array, "*n c"], declared: Any, lightness: Float[Array, "*m 1"] | None
) -> Shaped[Array, "*n _"]:
    """Pictures to uint8, ab planes with the lightness that they belong to."""
    item = item_of(declared)
    if not isinstance(item, core.Image):
        return x.astype(jnp.float32)
    if item.channels == 2:
        if lightness is None:
            lightness = jnp.zeros_like(x[..., :1])  # middle grey
        x = 2 * ops.lab_to_rgb(ops.denormalize_lab(lightness, x)) - 1
    return ops.to_uint8(x)


def run(
    runner: Runner,
    examples: Sequence[Example],
    root: Key,
    say: Callable[[str], None],
    *,
    batch_size: int | None = None,
    max_shapes: int = SHAPES,
) -> Iterator[Result]:
    """Runs all examples, those of one size together.

    What cannot be read is named and left out; so is a result that is not finite.

    Args:
      runner: the mode.
      examples: see `jaxgan.inference.examples.plan`.
      root: the key from which each example's comes.
      say: is told what was left out, and of padding that differs.
      batch_size: None: `BATCH_SIZE`, or fewer if they are large.
      max_shapes: how many sizes may be compiled before those of like size and shape
        are padded to one; see `sizes.merge`. There may still be more.

    Raises:
      UserError: if memory does not suffice.
    """
    sources = runner.arguments.sources
    with concurrent.futures.ThreadPoolExecutor() as pool:
        groups = _groups(examples, sources, pool, say, max_shapes)
        running = None
        for padded, members in groups.items():
            size = batch_size or _fitting(padded, sources, runner.mode)
            size = min(size, len(members))
            for first in range(0, len(members), size):
                kept = _read(members[first : first + size], sources, pool, say, root)
                if not kept:
                    continue
                started = kept, _start(runner, kept, dict(padded), size, root)
                if running is not None:  # fetched while this one computes
                    yield from _finish(runner.mode, sources, *running, say)
                running = started
        if running is not None:
            yield from _finish(runner.mode, sources, *running, say)


Kept = list[tuple[int, Example, dict[str, np.ndarray]]]
Padded = tuple[tuple[str, Shape], ...]  # input: shape of an example as the network sees


def _groups(
    examples: Sequence[Example],
    sources: Mapping[str, Source],
    pool: concurrent.futures.Executor,
    say: Callable[[str], None],
    max_shapes: int,
) -> dict[Padded, list[tuple[int, Example]]]:
    """The examples that can be read, by the shapes of their padded inputs."""

    def look(example: Example) -> dict[str, Shape]:
        return {field: source.shape(example) for field, source in sources.items()}

    shapes: dict[int, dict[str, Shape]] = {}
    for number, found in enumerate(pool.map(_attempt(look), examples)):
        if isinstance(found, Unusable):
            say(f"{found}; skipped")
        else:
            shapes[number] = found
    merged: dict[str, dict[sizes.Extent, sizes.Extent]] = {}
    for field, source in sources.items():
        if source.multiple:
            extents = {found[field][-3:-1] for found in shapes.values()}
            merged[field] = sizes.merge(extents, source.multiple, max_shapes)
            exact = {sizes.round_up(e, source.multiple) for e in extents}
            count = len({*merged[field].values()})
            if count < len(exact):
                say(
                    f"--{field}: pictures of {len(extents)} sizes are padded to "
                    f"{count}, by at most {sizes.GROWTHS[-1] - 1:.0%}, for a program "
                    "each; statistics of a picture (instance norm) see the margins, "
                    f"and their results change; --max_shapes={len(exact)} pads none so"
                )

    def pad(field: str, shape: Shape) -> Shape:
        if field not in merged:
            return shape
        *lead, height, width, channels = shape
        return (*lead, *merged[field][height, width], channels)

    groups: dict[Padded, list[tuple[int, Example]]] = {}
    for number, found in shapes.items():
        padded = tuple((field, pad(field, shape)) for field, shape in found.items())
        groups.setdefault(padded, []).append((number, examples[number]))
    return groups


def _fitting(padded: Padded, sources: Mapping[str, Source], mode: core.Mode) -> int:
    """How many examples make a batch."""
    pixels = sum(
        int(np.prod(shape[:-1])) for field, shape in padded if sources[field].multiple
    )
    items = [item_of(declared) for declared in mode.output.values()]
    scale = max((i.scale for i in items if isinstance(i, core.Image)), default=1)
    return max(1, min(BATCH_SIZE, PIXELS // max(scale**2 * pixels, 1)))


def _attempt(action: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Returns what cannot be used instead of raising it: an executor would stop."""

    def attempt(argument: Any) -> Any:
        try:
            return action(argument)
        except Unusable as error:
            return error

    return attempt


def _read(
    members: Sequence[tuple[int, Example]],
    sources: Mapping[str, Source],
    pool: concurrent.futures.Executor,
    say: Callable[[str], None],
    root: Key,
) -> Kept:
    """The inputs of a batch, as far as they can be read."""

    def read(member: tuple[int, Example]) -> dict[str, np.ndarray]:
        example = member[1]
        return {f: s.read(example, example.key(root)) for f, s in sources.items()}

    kept = []
    for member, values in zip(members, pool.map(_attempt(read), members), strict=True):
        if isinstance(values, Unusable):
            say(f"{values}; skipped")
        else:
            kept.append((*member, values))
    return kept


def _start(
    runner: Runner,
    kept: Kept,
    padded: Mapping[str, Shape],
    size: int,
    root: Key,
) -> dict[str, jax.Array]:
    """Stacks a batch and sends it off."""
    rows = list(range(len(kept)))
    if runner.mode.per_example:  # the last batch too is one of the compiled size
        rows += [len(kept) - 1] * (size - len(kept))
    arrays = {}
    for field, shape in padded.items():
        source = runner.arguments.sources[field]
        values = [kept[row][2][field] for row in rows]
        if source.multiple:
            values = [sizes.pad(v, shape[-3:-1]) for v in values]
        arrays[field] = np.stack(values)
    keys = [kept[row][1].key(root) for row in rows]
    with core.out_of_memory(_NO_MEMORY):
        return runner(arrays, keys)


_NO_MEMORY = (
    "the device has not enough memory: lower --batch_size, give smaller pictures, "
    "or use a mode that works in tiles if this system has one"
)


def _finish(
    mode: core.Mode,
    sources: Mapping[str, Source],
    kept: Kept,
    outputs: Mapping[str, jax.Array],
    say: Callable[[str], None],
) -> Iterator[Result]:
    with core.out_of_memory(_NO_MEMORY):
        host = jax.device_get(dict(outputs))
    finite = host.pop("finite")
    grows = next((f for f, s in sources.items() if s.multiple), None)
    for row, (number, example, values) in enumerate(kept):
        if not finite[row]:
            say(f"{example.name}: the result is not finite; skipped")
            continue
        own = {name: np.asarray(host[name][row]) for name in mode.output}
        if grows is not None:
            extent = values[grows].shape[-3:-1]
            own = {n: _crop(x, mode.output[n], extent) for n, x in own.items()}
        yield Result(number, example, values, own)


def _crop(x: np.ndarray, declared: Any, extent: Sequence[int]) -> np.ndarray:
    """The part of a picture of any size that belongs to the unpadded input."""
    item = item_of(declared)
    if not isinstance(item, core.Image) or item.size is not None:
        return x
    return x[..., : item.scale * extent[0], : item.scale * extent[1], :]
