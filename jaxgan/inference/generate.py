"""From a mode and its arguments to a folder of results."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from tqdm import tqdm

from jaxgan import core
from jaxgan.data.pictures import Unusable
from jaxgan.inference import arguments, contact_sheet, files, inputs, running
from jaxgan.inference.declared import item_of
from jaxgan.inference.examples import films, plan
from jaxgan.inference.results import Results

WRITERS = 4  # threads; a picture can take longer to compress than to compute


@dataclasses.dataclass(frozen=True)
class Task:
    """All that is known before the networks are read.

    Attributes:
      name: the mode's.
      mode: its declaration.
      arguments: its inputs.
      examples: what is to be run.
      results: where results go.
      say: is told what the user should know.
    """

    name: str
    mode: core.Mode
    arguments: arguments.Arguments
    examples: Sequence[inputs.Example]
    results: Results
    say: Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Done:
    """What became of a task.

    Attributes:
      asked: how many results there should have been.
      count: how many there are.
      problems: a line for each that was skipped.
      summaries: names of the files about all of them.
    """

    asked: int
    count: int
    problems: list[str]
    summaries: list[str]


def prepare(
    name: str,
    mode: core.Mode,
    given: Mapping[str, Any],
    *,
    output: str,
    say: Callable[[str], None],
    num: int | None = None,
    draws: int = 1,
    resize: str = "stretch",
    width: int | None = None,
    height: int | None = None,
    gif: bool = False,
    mesh: str | None = None,
) -> Task:
    """Finds every mistake that can be found before the networks are read.

    Args:
      name: the mode's.
      mode: its declaration.
      given: `{input: value}` and `input`, see `arguments.read`.
      output: the folder for the results.
      say: is told what the user should know, a line at a time.
      num: see `examples.plan`.
      draws: see `examples.plan`.
      resize: `stretch` or `cover`, see `inputs.Pictures`.
      width: of pictures that may have any size, before they are padded.
      height: the same; of one None, the other alone decides and the aspect is kept.
      gif: see `Results`.
      mesh: see `Results`.

    Raises:
      UserError: for arguments that do not fit the mode, and an unwritable folder.
    """
    folder = Path(output).expanduser()
    for field, value in given.items():
        if isinstance(value, str) and Path(value).resolve() == folder.resolve():
            raise core.UserError(
                f"--output and --{field} are both {value}: results could replace your "
                "files; choose another folder"
            )
    for flag, side in (("width", width), ("height", height)):
        if side is not None:
            _require_any_size(name, mode, flag)
    _require_colours(name, mode)
    reader = arguments.Reader(resize, folder.resolve(), say, (height, width))
    found = arguments.read(name, mode, given, reader)
    examples = plan(name, mode, found, num, draws)
    animated = films(found, examples)
    results = Results(folder, mode, gif=gif, mesh=mesh, films=animated)
    results.require_free([example.name for example in examples])
    return Task(name, mode, found, examples, results, say)


def _require_colours(name: str, mode: core.Mode) -> None:
    items = map(item_of, [*mode.inputs.values(), *mode.output.values()])
    most = max((i.channels for i in items if isinstance(i, core.Image)), default=0)
    if most > 3:
        raise core.UserError(
            f"mode {name!r} has images of {most} channels, and image files hold three: "
            "--split shows the first three of arrays; `jaxgan.load` and `jaxgan "
            "export` run it on them"
        )


def _require_any_size(name: str, mode: core.Mode, flag: str) -> None:
    items = map(item_of, mode.inputs.values())
    sizes = [item.size for item in items if isinstance(item, core.Image)]
    if not sizes:
        raise core.UserError(f"--{flag}: mode {name!r} takes no pictures; leave it out")
    fixed = [size for size in sizes if size is not None]
    if len(fixed) == len(sizes):
        size = "{1}x{0}".format(*fixed[0])
        raise core.UserError(
            f"--{flag}: mode {name!r} takes pictures of {size} alone; leave it out "
            "(--resize says how they come to that size)"
        )


def are_side_by_side(task: Task, data: Mapping[str, Any]) -> bool:
    """Whether a task's pictures look like pairs, A beside B, and not like A alone.

    Args:
      task: see `prepare`.
      data: the section `data` of the run's config.
    """
    made_of_one = data.get("colorization") or data.get("hole")
    lead = task.arguments.lead
    if data.get("task") != "paired" or made_of_one:
        return False
    if not isinstance(lead, inputs.Pictures):
        return False
    size = data.get("image_size")
    if isinstance(size, Sequence) and len(size) == 2 and _is_double(*size):
        return False  # of A alone as well
    found = False
    with files.large_pictures():
        for pick in {example.picks[lead.field]: None for example in task.examples}:
            with contextlib.suppress(Unusable):  # told of where it is read
                if not _is_double(*lead.extent(pick)):
                    return False
                found = True
    return found


def _is_double(height: int, width: int) -> bool:
    return width == 2 * height


def _tell_of_resizing(found: arguments.Arguments, say: Callable[[str], None]) -> None:
    """Says once which pictures lose their size or shape."""
    for field, source in found.sources.items():
        pictures = source.items if isinstance(source, inputs.Sets) else source
        if not isinstance(pictures, inputs.Pictures) or pictures.spec.size is None:
            continue
        height, width = pictures.spec.size
        how = {"stretch": "stretched", "cover": "shrunk until they cover it, and cut"}
        say(
            f"--{field}: this mode takes {width}x{height} pixels, so pictures of other "
            f"sizes are {how[pictures.resize]}"
        )


def run(
    task: Task,
    variables: Mapping[str, Any],
    frozen: core.Frozen,
    *,
    seed: int = 0,
    batch_size: int | None = None,
    max_shapes: int = running.SHAPES,
) -> Done:
    """Runs all examples and writes their results.

    Args:
      task: see `prepare`.
      variables: `{network: variables}`.
      frozen: pretrained networks.
      seed: of all that is drawn.
      batch_size: see `running.run`.
      max_shapes: see `running.run`.

    Raises:
      UserError: if memory or disk do not suffice.
    """
    problems: list[str] = []
    told: list[str] = []  # held back: where nothing comes of it, one line says all

    def say(line: str) -> None:
        if line.endswith("; skipped"):
            problems.append(line.removesuffix("; skipped"))
        told.append(line)
        if task.results.count:
            tell()

    def tell() -> None:
        while told:
            task.say(told.pop(0))

    _tell_of_resizing(task.arguments, say)
    runner = running.Runner(task.mode, variables, frozen, task.arguments)
    cards = []
    made = running.run(
        runner,
        task.examples,
        jax.random.key(seed),
        say,
        batch_size=batch_size,
        max_shapes=max_shapes,
    )
    quiet = not sys.stderr.isatty()
    writing: collections.deque[concurrent.futures.Future] = collections.deque()
    with files.large_pictures(), concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
        for result in tqdm(made, total=len(task.examples), unit="", disable=quiet):
            name = result.example.name
            writing.append(
                pool.submit(task.results.add, result.number, name, result.outputs)
            )
            if len(writing) > WRITERS:  # no more results are held than these
                writing.popleft().result()
                tell()
            if result.number < contact_sheet.LIMIT:
                cards.append(
                    contact_sheet.card(
                        result.number,
                        name,
                        task.name,
                        task.mode,
                        result.inputs,
                        result.outputs,
                    )
                )
        for written in writing:
            written.result()
    if task.results.count:
        tell()
    summaries = task.results.finish()
    sheet = contact_sheet.draw(cards)
    if sheet is not None:
        task.results.sheet(sheet)
        summaries.append(f"{task.results.sheet_name}.png")
    return Done(len(task.examples), task.results.count, problems, summaries)
