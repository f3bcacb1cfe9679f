"""What a protocol is given, and how it walks over a data set."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Shaped

from jaxgan.core import Choice, Float, Int, Labels, Latent, Mode, System, draw_latent
from jaxgan.core.errors import UserError
from jaxgan.core.types import Key
from jaxgan.data import Task
from jaxgan.data.permutation import spread
from jaxgan.evaluation import fid, image_sets, parallel
from jaxgan.evaluation.feature_network import FeatureNetwork
from jaxgan.evaluation.image_sets import ImageSets
from jaxgan.evaluation.options import Options
from jaxgan.evaluation.perceptual import Perceptual

STATIC_KEY = 20_161_122  # protocols draw from a key of their own, whatever the run's
Segmenter = Callable[[Any], Any]  # uint8 [b, h, w, 3] -> class numbers [b, h, w]


class Rows(NamedTuple):
    """Examples that are processed together.

    Attributes:
      batch: preprocessed fields `[b, ...]`.
      weight: 0 for rows that pad the last batch, or whose file is unusable so that
        another example stands in; else 1.
      examples: their numbers.
    """

    batch: dict[str, jax.Array]
    weight: np.ndarray
    examples: np.ndarray


@dataclasses.dataclass(frozen=True)
class Setting:
    """A trained system and the data that it is judged on.

    Attributes:
      system: the system.
      variables: `{network: variables}`.
      frozen: pretrained networks.
      config: the run's resolved config.
      data: `data(split) -> Task`.
      split: the split to judge on.
      options: the config's section `evaluation`.
      feature_network: what FID and KID compare, or None.
      segmenter: what reads generated photographs for the FCN score, or None.
      perceptual: LPIPS, or None.
      mesh: of the devices that batches are split over; None is one device.
    """

    system: System
    variables: Mapping[str, Any]
    frozen: Mapping[str, Any]
    config: Mapping[str, Any]
    data: Callable[[str], Task]
    split: str = "test"
    options: Options = Options()
    feature_network: FeatureNetwork | None = None
    segmenter: Segmenter | None = None
    perceptual: Perceptual | None = None
    mesh: Mesh | None = None

    @property
    def batch_size(self) -> int:
        """Images that are processed together, which the devices share evenly; never
        changes a figure."""
        return parallel.rounded(self.options.batch_size, self.mesh)

    @functools.cached_property
    def key(self) -> Key:
        return jax.random.key(STATIC_KEY)

    def count(self, task: Task, limit: int | None = None) -> int:
        """How many examples of a task are used: `limit`, or `evaluation.num_examples`.

        Raises:
          UserError: if there is none.
        """
        if not task.num_examples:
            raise UserError(f"the {task.split} split is empty: nothing to evaluate on")
        limit = self.options.num_examples if limit is None else limit
        return min(limit or task.num_examples, task.num_examples)

    def batches(
        self, task: Task, count: int | None = None, total: int | None = None
    ) -> Iterator[Rows]:
        """Examples spread evenly over the task, in order, all batches of one size.

        What preprocessing draws belongs to the example, whatever its batch.

        Args:
          task: whose examples.
          count: how many; None is `count(task)`.
          total: of how many, from the first; None is all of the task's.
        """
        count = self.count(task) if count is None else count
        total = task.num_examples if total is None else total
        prepare = self._preprocess(task)
        for start in range(0, count, self.batch_size):
            rows = np.arange(start, start + self.batch_size)
            index = spread(np.minimum(rows, count - 1), count, total)
            batch = prepare(task.examples(index), index)
            kept = (rows < count) & task.usable(index)
            yield Rows(batch, kept.astype(np.float32), index)

    @functools.cached_property
    def _preprocess(self) -> Callable[[Task], Callable[..., dict[str, jax.Array]]]:
        key = parallel.whole(self.key, self.mesh)

        @functools.cache
        def of(task: Task) -> Callable[..., dict[str, jax.Array]]:
            def prepare(
                key: Key, raw: Mapping[str, jax.Array], index: Shaped[Array, " b"]
            ) -> dict[str, jax.Array]:
                def one(
                    raw: Mapping[str, jax.Array], index: Shaped[Array, ""]
                ) -> dict[str, jax.Array]:
                    alone = jax.tree.map(lambda x: x[None], raw)
                    batch = task.preprocess(alone, jax.random.fold_in(key, index))
                    return jax.tree.map(lambda x: x[0], batch)

                return jax.vmap(one)(raw, index)

            return functools.partial(parallel.by_rows(prepare, self.mesh), key)

        return of

    def run(
        self, mode: str, outputs: Sequence[str] | None = None, **static: Any
    ) -> Callable[[Mapping[str, Any], Any], dict[str, jax.Array]]:
        """A mode, compiled: `run(inputs, index) -> outputs`.

        What an example draws belongs to it, whatever its batch mates, except in a mode
        whose result depends on those anyway. A batch that the devices cannot share
        evenly runs on one of them.

        Args:
          mode: a name in `system.inference`.
          outputs: those that are wanted; None is all.
          **static: values of `Int`, `Float` and `Choice` inputs; defaults where not
            given.
        """
        declared: Mode = self.system.inference[mode]
        for name, spec in declared.inputs.items():
            if isinstance(spec, Float | Int | Choice):
                static.setdefault(name, spec.default)
        variables = {n: self.variables[n] for n in declared.networks}
        wanted = None if outputs is None else tuple(outputs)
        given = tuple(sorted(static.items()))

        @functools.cache
        def on(mesh: Mesh | None) -> Callable[..., dict[str, jax.Array]]:
            call = _compiled(self.system, mode, wanted, given, mesh)
            shared = (variables, self.frozen, self.key)
            return functools.partial(call, parallel.whole(shared, mesh))

        def call(arrays: Mapping[str, Any], index: Any) -> dict[str, jax.Array]:
            index, mesh = np.asarray(index), self.mesh
            if mesh is not None and len(index) % mesh.size:
                mesh = None
            return on(mesh)(dict(arrays), index)

        return call

    def draw(
        self, count: int, mode: str = "sample", output: str | None = None
    ) -> Iterator[jax.Array]:
        """`count` outputs of a mode that makes something of noise, in batches.

        Latents come from their prior and the example's number; labels take turns. Where
        batch mates matter (batch statistics), batches are as large as in training.

        Args:
          count: how many in all.
          mode: a name in `system.inference`.
          output: which one; None is the main one.
        """
        declared: Mode = self.system.inference[mode]
        output = next(iter(declared.output)) if output is None else output
        run = self.run(mode, (output,))
        size = self.batch_size
        if not declared.per_example:
            size = int(self.config["training"]["batch_size"])
        for start in range(0, count, size):
            index = np.arange(start, start + size)
            made = run(_draw_inputs(declared, self.key, index), index)[output]
            yield made[: count - start]

    def image_sets(self, references: Sequence[str] = ("reference",)) -> ImageSets:
        """Empty sets for FID and KID, with what `evaluation.reference` knows.

        Args:
          references: the reference sets; where there are several, the file's name
            carries theirs, `stats.npz` becoming `stats_b.npz`.
        """
        network, known = self.feature_network, {}
        if network is not None and self.options.reference:
            for name in references:
                known[name] = fid.load_statistics(
                    _own_file(self.options.reference, name, references),
                    variant=network.variant,
                    is_default=self.options.fid_variant is None,
                    network_sha256=network.sha256,
                )
        return image_sets.empty(network, self.batch_size, known, self.mesh)

    def distances(
        self, sets: ImageSets, pairs: Mapping[str, Sequence[str]]
    ) -> dict[str, float]:
        """FID and KID, and the file that `evaluation.write_reference` asks for.

        Args:
          sets: what was gathered.
          pairs: `{reference set: sets to judge}`.
        """
        figures: dict[str, float] = {}
        sets = image_sets.flushed(sets)
        for reference, judged in pairs.items():
            figures |= image_sets.result(sets, reference, judged)
        path = self.options.write_reference
        if path and sets.network is not None:
            for name in pairs:
                fid.save_statistics(
                    _own_file(path, name, list(pairs)),
                    image_sets.statistics(sets, name),
                )
        return figures


def shuffled(examples: np.ndarray) -> np.ndarray:
    """In a fixed random order, so that the first few are of all kinds."""
    return examples[np.random.default_rng(STATIC_KEY).permutation(len(examples))]


def _own_file(path: str, name: str, names: Sequence[str]) -> Path:
    if len(names) == 1:
        return Path(path)
    whole = Path(path)
    return whole.with_name(f"{whole.stem}_{name}{whole.suffix}")


@functools.lru_cache(maxsize=32)  # a run evaluates again and again
def _compiled(
    system: System,
    mode: str,
    outputs: tuple[str, ...] | None,
    static: tuple,
    mesh: Mesh | None,
) -> Callable[..., dict[str, jax.Array]]:
    """`call((variables, frozen, key), arrays, index)`, split over the mesh."""
    declared = system.inference[mode]

    def chosen(
        shared: tuple[Mapping[str, Any], Mapping[str, Any], Key],
        arrays: Mapping[str, jax.Array],
        index: jax.Array,
    ) -> dict[str, Any]:
        variables, frozen, key = shared
        own_key = jax.random.fold_in(key, index)
        made = declared.fn(variables, frozen, {**dict(static), **arrays}, own_key)
        return made if outputs is None else {name: made[name] for name in outputs}

    @jax.jit
    def together(
        shared: Any, arrays: Mapping[str, jax.Array], index: Shaped[Array, " b"]
    ) -> dict[str, Any]:
        return chosen(shared, arrays, index[0])

    def apart(
        shared: Any, arrays: Mapping[str, jax.Array], index: Shaped[Array, " b"]
    ) -> dict[str, Any]:
        def one(arrays: Mapping[str, jax.Array], index: jax.Array) -> dict[str, Any]:
            alone = jax.tree.map(lambda x: x[None], arrays)
            return jax.tree.map(lambda x: x[0], chosen(shared, alone, index))

        return jax.vmap(one)(arrays, index)

    if declared.per_example:
        return parallel.by_rows(apart, mesh)
    return lambda shared, *rows: together(shared, *parallel.over_batch(rows, mesh))


def _draw_inputs(
    mode: Mode, key: Key, index: Shaped[np.ndarray, " b"]
) -> dict[str, Any]:
    """Random latents and labels for a mode's inputs, by example."""
    inputs: dict[str, Any] = {}
    for i, (name, spec) in enumerate(mode.inputs.items()):
        if isinstance(spec, Latent):
            own = jax.random.fold_in(key, i)

            def latent(
                n: Any, own: Key = own, spec: Latent = spec
            ) -> Shaped[Array, " z"]:
                return draw_latent(spec.prior, jax.random.fold_in(own, n), (spec.size,))

            inputs[name] = jax.vmap(latent)(index)
        elif isinstance(spec, Labels):
            inputs[name] = jnp.asarray(index % spec.count, jnp.int32)
        elif not isinstance(spec, Float | Int | Choice):
            raise ValueError(f"input {name!r} cannot be drawn")
    return inputs


def images_of(
    setting: Setting, split: str, field: str, limit: int | None = None
) -> np.ndarray:
    """A field of a split's usable examples, `[n, ...]` on the host.

    Args:
      setting: whose data.
      split: which split.
      field: of the batch.
      limit: how many at most; None is `evaluation.num_examples`.
    """
    task = setting.data(split)
    count = setting.count(task, limit)
    parts = [
        np.asarray(rows.batch[field])[rows.weight > 0]
        for rows in setting.batches(task, count)
    ]
    return np.concatenate(parts)


def labels_of(task: Task, count: int) -> np.ndarray | None:
    """The class numbers of the usable examples that `batches(task, count)` has read.

    Returns:
      int `[n]`, as many as images, or None if the source has no labels.
    """
    source = next(iter(task.streams.values())).source
    field = source.fields.get("label")
    if field is None or field.shape != ():
        return None
    values = source.column("label")
    if values is None:  # as it lies on the disk
        values = source.read(np.arange(len(source)), ["label"])["label"]
    examples = spread(np.arange(count), count, task.num_examples)
    return np.asarray(values)[examples[task.usable(examples)]]


def mean_image(
    setting: Setting, field: str, limit: int = 1000
) -> Shaped[Array, "1 ..."]:
    """The mean training image `[1, h, w, c]`: what predicts without looking."""
    task = setting.data("train")
    total, seen = 0.0, 0.0
    for rows in setting.batches(task, min(limit, setting.count(task, 0))):
        kept = np.asarray(rows.batch[field], np.float64)[rows.weight > 0]
        total, seen = total + kept.sum(axis=0), seen + len(kept)
    return jnp.asarray(total / seen, jnp.float32)[None]
