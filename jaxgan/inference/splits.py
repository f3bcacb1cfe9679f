"""A system's sample grid over a whole split, each column as pictures of their own."""

from __future__ import annotations

import collections
import concurrent.futures
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, UInt8
from tqdm import tqdm

from jaxgan import core, ops
from jaxgan.core.types import Key
from jaxgan.data import Task, make_task
from jaxgan.data.opening import NothingHeldOut
from jaxgan.data.sources import Source
from jaxgan.inference import contact_sheet, files
from jaxgan.inference.examples import apart
from jaxgan.inference.generate import WRITERS, Done
from jaxgan.inference.inputs import Example
from jaxgan.inference.results import Results
from jaxgan.inference.running import BATCH_SIZE, PIXELS

_NO_MEMORY = "the device has not enough memory: lower --batch_size"


def of_source(data: Mapping[str, Any], source: str) -> dict[str, Any]:
    """A run's section `data` with another source, of which everything may be shown."""
    own = ("fields", "folders", "holdout_by", "label_pattern", "source_options")
    return {
        **data,
        **dict.fromkeys((*own, "where")),
        "source": source,
        "holdout": 0.0,
    }


def open_split(
    data: Mapping[str, Any], split: str, seed: int, or_all: bool = False
) -> Task:
    """The task of a config's data, without augmentation.

    Args:
      data: the section `data`, as the system's last stage sees it.
      split: which examples.
      seed: the run's.
      or_all: take all examples where there is no such split.

    Raises:
      UserError: if there is no such split, and for all that is wrong with the data.
    """
    # Of a critic's several draws a step one is shown.
    opened = partial(make_task, {**data, "draws": None}, seed=seed, augment=False)
    try:
        return opened(split=split)
    except NothingHeldOut as error:
        if or_all:
            return opened(split="train")
        raise core.UserError(
            f"--split={split}: {data['source']} has no such split, and data.holdout is "
            "0: take --split=train, or name other data with --source"
        ) from error


def require_outside(output: str, source: Any) -> None:
    """Refuses results that the next command would take for data.

    Raises:
      UserError: if the folder lies in that of a source.
    """
    scheme, _, path = str(source).partition(":")
    inside = scheme == "folder" and Path(output).resolve().is_relative_to(
        Path(path).expanduser().resolve()
    )
    if inside:
        raise core.UserError(
            f"--output={output} lies in the data, {scheme}:{path}, where results would "
            "be read as examples: choose another folder"
        )


class _Batch(NamedTuple):
    """What became of some examples, `[n]` of them first; the others fill up a batch.

    Attributes:
      first: the number of the first.
      usable: `[n]`, whether they could be read.
      columns: of the whole batch.
      finite: the same.
    """

    first: int
    usable: Bool[np.ndarray, " n"]
    columns: list[UInt8[Array, "b _ _ _"]]
    finite: Bool[Array, " b"]


class Columns:
    """The columns of a system's sample grid, compiled for one size of batch."""

    def __init__(
        self,
        system: core.System,
        variables: Mapping[str, Any],
        frozen: core.Frozen,
        task: Task,
    ):
        """Looks at what the system shows of the task's examples; compiles nothing.

        Args:
          system: whose grid it is.
          variables: `{network: variables}`.
          frozen: pretrained networks.
          task: whose examples are shown.

        Raises:
          UserError: if the task's examples are not of the system's size.
        """
        self._system, self._task = system, task
        self._given = dict(variables), dict(frozen)
        self._titles: list[str] = []  # compiled code would return them sorted
        raw = {
            name: jax.ShapeDtypeStruct((1, *spec.shape), spec.dtype)
            for name, spec in task.raw_spec.items()
        }
        key = jax.random.key(0)
        core.check_modes(jax.eval_shape(task.preprocess, raw, key), system.inference)
        shown, _ = jax.eval_shape(self._draw, *self._given, raw, key)
        self.pixels = max(x.shape[1] * x.shape[2] for x in shown)
        outputs = {
            re.sub(r"\W+", "_", title): core.Image(x.shape[-1])
            for title, x in zip(self._titles, shown, strict=True)
        }
        self.mode = core.Mode(_not_run, {}, outputs, networks=())
        self._call = jax.jit(self._draw)

    def __call__(
        self, raw: Mapping[str, np.ndarray], key: Key
    ) -> tuple[list[UInt8[Array, "b _ _ _"]], Bool[Array, " b"]]:
        """The pictures of a raw batch, in the order of `mode.output`, and which of its
        examples are finite throughout."""
        return self._call(*self._given, dict(raw), key)

    def _draw(
        self,
        variables: Mapping[str, Any],
        frozen: core.Frozen,
        raw: Mapping[str, Any],
        key: Key,
    ) -> tuple[list[UInt8[Array, "b _ _ _"]], Bool[Array, " b"]]:
        data_key, own_key = jax.random.split(key)
        batch = self._task.preprocess(raw, data_key)
        columns = self._system.sample_grid(variables, frozen, batch, own_key)
        self._titles[:] = columns
        finite = [jnp.all(jnp.isfinite(x), axis=(1, 2, 3)) for x in columns.values()]
        # Of more channels than three the first are shown.
        pictures = [ops.to_uint8(x[..., :3]) for x in columns.values()]
        return pictures, jnp.all(jnp.stack(finite), axis=0)


def _not_run(*_: Any) -> dict[str, Any]:
    raise NotImplementedError  # a mode to declare outputs by


def run(
    columns: Columns,
    task: Task,
    output: str,
    say: Callable[[str], None],
    *,
    num: int | None = None,
    seed: int = 0,
    batch_size: int | None = None,
) -> Done:
    """Writes `<example>_<column>.png` for every example, and the contact sheet.

    Examples keep their order; each is named after its files, or else by its number.
    What could not be read is left out, and so is what is not finite.

    Args:
      columns: of the system.
      task: as `columns` has it.
      output: the folder for the results.
      say: is told what was left out.
      num: the first so many examples; None is all of them.
      seed: of all that is drawn, batch by batch: other sizes of batches draw otherwise.
      batch_size: examples at once; None: 16, or fewer if they are large. The last batch
        is filled up with the first examples, for systems with statistics of a batch.

    Raises:
      UserError: for an unwritable folder, one with files of the results' names, and if
        memory or disk do not suffice.
    """
    count = min(num or task.num_examples, task.num_examples)
    names = example_names(task, count)
    results = Results(output, columns.mode)
    results.require_free(names)
    size = batch_size or max(1, min(BATCH_SIZE, PIXELS // columns.pixels))
    made = _batches(columns, task, count, min(size, count), jax.random.key(seed))
    problems: list[str] = []
    cards = []
    bar = tqdm(total=count, unit="", disable=not sys.stderr.isatty())
    writing: collections.deque[concurrent.futures.Future] = collections.deque()
    with bar, concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
        for batch in made:
            with core.out_of_memory(_NO_MEMORY):
                pictures, finite = jax.device_get((batch.columns, batch.finite))
            for row, usable in enumerate(batch.usable):
                number = batch.first + row
                name = names[number]
                bar.update()
                if not usable:  # the reader has told why
                    problems.append(f"{name}: its files cannot be used")
                    continue
                if not finite[row]:
                    problems.append(f"{name}: the result is not finite")
                    say(f"{problems[-1]}; skipped")
                    continue
                values = [x[row] for x in pictures]
                outputs = dict(zip(columns.mode.output, values, strict=True))
                writing.append(pool.submit(results.add, number, name, outputs))
                if len(writing) > WRITERS:
                    writing.popleft().result()
                if number < contact_sheet.LIMIT:
                    cards.append(
                        contact_sheet.card(number, name, "", columns.mode, {}, outputs)
                    )
        for written in writing:
            written.result()
    sheet = contact_sheet.draw(cards)
    summaries = []
    if sheet is not None:
        results.sheet(sheet)
        summaries.append(f"{results.sheet_name}.png")
    return Done(count, results.count, problems, summaries)


def _batches(
    columns: Columns, task: Task, count: int, size: int, root: Key
) -> Iterator[_Batch]:
    """All examples; one batch is computed while the next is read."""
    started = None
    for first in range(0, count, size):
        indices = np.arange(first, first + size)
        raw = task.examples(indices % count)
        usable = task.usable(indices[indices < count])
        with core.out_of_memory(_NO_MEMORY):
            drawn = columns(raw, jax.random.fold_in(root, first))
        if started is not None:
            yield started
        started = _Batch(first, usable, *drawn)
    if started is not None:
        yield started


def example_names(task: Task, count: int) -> list[str]:
    """What the first examples are called: after their files, else by number.

    Of two unpaired files it is `a+b`, of a pair in two folders what both names have in
    common. No two are called alike.
    """
    streams = []
    for stream in task.streams.values():
        source = stream.source
        known = _file_names(source, min(count, len(source)))
        if not known:
            return [f"{i:04d}" for i in range(count)]
        streams.append([known[i % len(source)] for i in range(count)])
    examples = []
    for first, *others in zip(*streams, strict=True):
        ends = [PurePosixPath(other).name for other in others if other != first]
        examples.append(Example("+".join([first, *ends]), {}))
    return [example.name for example in apart(examples)]


def _file_names(source: Source, count: int) -> list[str]:
    """Names without suffix, one an example; none where they are no files."""
    found = []
    for i in range(count):
        names = source.file_names(i)
        if not names:
            return []
        found.append(_common(names))
    return files.stems(found)


def _common(names: tuple[str, ...]) -> str:
    """The end of its path that an example's files share: of `A/x/1.png` and
    `B/x/1.png` that is `x/1`, of one file its name."""
    if len(names) == 1:
        return names[0]
    ends = [PurePosixPath(name).with_suffix("").parts[::-1] for name in names]
    shared = 0
    for parts in zip(*ends, strict=False):
        if len(set(parts)) > 1:
            break
        shared += 1
    own = PurePosixPath(names[0]).parts
    return PurePosixPath(*own[len(own) - max(shared, 1) :]).as_posix()
