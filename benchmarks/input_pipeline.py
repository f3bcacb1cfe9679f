"""Images a second that each reader delivers, against what a step consumes.

    python -m benchmarks.input_pipeline --config=pix2pix:facades
    python -m benchmarks.input_pipeline --config=pix2pix:facades \\
        --source=folder:/data/facades --examples_per_second=9000 --output=rows.md

The config's own task prepares the pictures; only where they come from differs: JPEG and
PNG files, written to a temporary folder, through tf.data and through Pillow, the same
files decoded once and kept in memory, an embedded set drawn anew each time and kept in
memory, and --source, if there is one. A core's rate counts the processor time of all
threads. The step is timed as `step_throughput` does it, or its rate is given, that of
another device. See README.md beside this file.
"""

from __future__ import annotations

import pathlib
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from absl import flags
from PIL import Image

from benchmarks import feeding, report, step_throughput
from jaxgan import command, config_files, core, devices, huge_pages
from jaxgan.data import make_source, make_task
from jaxgan.training import configs

FLAGS = flags.FlagValues()
flags.DEFINE_string("config", None, config_files.HELP, flag_values=FLAGS)
flags.DEFINE_string(
    "source", None, "measure this source too, such as folder:/data", flag_values=FLAGS
)
flags.DEFINE_float(
    "examples_per_second",
    None,
    "what the step consumes; else it is timed here",
    flag_values=FLAGS,
)
flags.DEFINE_integer("size", 256, "least side of the files", 8, flag_values=FLAGS)
flags.DEFINE_integer(
    "count", 64, "how many files, and embedded examples", 2, flag_values=FLAGS
)
flags.DEFINE_float("seconds", 3.0, "for each reader", 0.0, flag_values=FLAGS)
flags.DEFINE_string("output", None, report.OUTPUT_HELP, flag_values=FLAGS)
devices.define_flags(FLAGS)

# Where files lie, by task; the others take one folder.
FOLDERS = {"paired": ("A", "B"), "unpaired": ("trainA", "trainB")}
DRAWN = {"labelled": "synthetic:digits", "voxels": "synthetic:voxels"}
FORMATS = {"JPEG": {"quality": 92}, "PNG": {}}
# What a config says of its own source, and no other source can follow.
OF_THE_SOURCE = (
    "fields",
    "source_options",
    "where",
    "label_pattern",
    "holdout",
    "holdout_by",
    "folders",
    "layout",
)


class Files(NamedTuple):
    """What is read besides embedded sets.

    Attributes:
      size: least side of the files that are written.
      number: of them, and of embedded examples.
      source: a source of the user's.
    """

    size: int = 256
    number: int = 64
    source: str | None = None


class Reader(NamedTuple):
    """A way to read.

    Attributes:
      name: what it is called.
      source: what it reads.
      data: the section `data` with which the task is made.
    """

    name: str
    source: str
    data: dict[str, Any]


def main(argv: Sequence[str]) -> int:
    """Measures the step, then reader by reader; prints the page at the end."""
    overrides = command.parse(FLAGS, argv, __doc__, required=("config",))
    devices.prepare(FLAGS)
    config = config_files.load(FLAGS.config, overrides)
    name = report.command("input_pipeline", argv)
    rows = report.Report(FLAGS.output, lambda rows: page(rows, name))
    for part in step_throughput.parts(config):
        about = {"config": " ".join([FLAGS.config, *overrides])}
        files = Files(FLAGS.size, FLAGS.count, FLAGS.source)
        consumed = FLAGS.examples_per_second
        for row in measure(config, part, files, FLAGS.seconds, consumed):
            rows.add(about | row)
    rows.close()
    return 0


def measure(
    config: Mapping[str, Any],
    part: str,
    files: Files,
    seconds: float,
    consumed: float | None = None,
) -> Iterator[dict[str, Any]]:
    """A row for every reader of a stage's (or mode's) data.

    Args:
      config: resolved, as `config_files.load` gives it.
      part: the stage or mode.
      files: see there.
      seconds: for each reader.
      consumed: examples a second of its step; None: it is timed.
    """
    about = {"part": part, "step_timed_here": consumed is None}
    images = 2 if configs.stage_data(config, part).get("task") in FOLDERS else 1
    if consumed is None:
        timed = step_throughput.measure(config, part, repetitions=3)
        step = float(timed["examples_per_second"])
    else:
        step = consumed
    size = config["training"]["batch_size"]
    with tempfile.TemporaryDirectory(prefix="jaxgan-input-") as folder:
        section = configs.stage_data(config, part)
        for reader in readers(section, files, pathlib.Path(folder)):
            row = report.machine() | about | {"reader": reader.name}
            row["source"] = reader.source
            try:
                task = make_task(reader.data, split="train", seed=config["seed"])
                rate = feeding.host_rate(task, size, seconds)
            except core.UserError as error:
                yield row | {"note": " ".join(str(error).split())}
                continue
            yield row | {
                "batch_size": size,
                "images_per_example": images,
                "images_per_second": images * rate.per_second,
                "images_per_cpu_second": images * rate.per_cpu_second,
                "step_images_per_second": images * step,
                "ratio": rate.per_cpu_second / step,
                "cores_needed": step / rate.per_cpu_second,
            }


def readers(
    section: Mapping[str, Any], files: Files, folder: pathlib.Path
) -> Iterator[Reader]:
    """The ways to read for a task.

    Args:
      section: `data`.
      files: see there; they are written when their turn comes.
      folder: where.
    """
    plain = {k: v for k, v in section.items() if k not in OF_THE_SOURCE}
    if section["task"] in ("images", "masked", "labelled", "low_high", *FOLDERS):
        for kind in FORMATS:
            size = write_files(section, files, folder / kind, kind)
            label = f"{kind} files of {size:.0f} kB"
            yield from _of(label, plain | {"source": f"folder:{folder / kind}"})
    own = str(section.get("source"))
    drawn = dict(section) if own.startswith("synthetic:") else _embedded(section, plain)
    few = {**(drawn.get("source_options") or {}), "count": files.number}
    drawn["source_options"] = few
    yield Reader("drawn", drawn["source"], drawn)
    yield Reader("in memory", drawn["source"], drawn | {"in_memory": True})
    if files.source:
        yield from _of(files.source, plain | {"source": files.source})


def _of(label: str, data: dict[str, Any]) -> Iterator[Reader]:
    """The ways to read image files."""
    data = data | {"holdout": 0.0}
    yield Reader("tf.data", label, data | {"reader": "tensorflow"})
    yield Reader("Pillow", label, data | {"reader": "pillow"})
    yield Reader("in memory", label, data | {"in_memory": True})


def _embedded(section: Mapping[str, Any], plain: Mapping[str, Any]) -> dict[str, Any]:
    """An embedded set of the same task and channels."""
    name = DRAWN.get(section["task"], "synthetic:shapes")
    if section.get("channels") == 1:
        name = "synthetic:digits"
    return {**plain, "source": name, "box": None}


def write_files(
    section: Mapping[str, Any], files: Files, folder: pathlib.Path, kind: str
) -> float:
    """Writes drawn scenes with a camera's noise, as a task looks for them.

    Args:
      section: `data`.
      files: how many, and how large at least.
      folder: is made.
      kind: `JPEG` or `PNG`.

    Returns:
      Kilobytes a file.
    """
    needed = [files.size]
    for key in ("image_size", "load_size", "box"):
        value = section.get(key)
        if isinstance(value, int):
            needed.append(value)
        elif value is not None:  # a box is (top, left, height, width)
            needed.append(max(value) if len(value) == 2 else sum(value))
    side = max(needed)
    scenes = make_source("synthetic:shapes", source_options={"size": side})
    pictures = scenes.read(np.arange(files.number), ["filled"])["filled"]
    noise = np.random.default_rng(0).normal(0.0, 4.0, pictures.shape)
    pictures = np.clip(pictures + noise, 0, 255).astype(np.uint8)
    total = 0
    for place in _places(section):
        (folder / place).mkdir(parents=True)
        for number, picture in enumerate(pictures):
            path = folder / place / f"{number:04d}.{kind.lower()}"
            Image.fromarray(picture).save(path, **FORMATS[kind])
            total += path.stat().st_size
    return total / 1000 / len(pictures) / len(_places(section))


def _places(section: Mapping[str, Any]) -> Sequence[str]:
    if section["task"] == "labelled":
        return [f"class_{i}" for i in range(section.get("num_classes") or 2)]
    return FOLDERS.get(section["task"], (".",))


def page(rows: Sequence[report.Row], name: str) -> str:
    """The rows as Markdown."""
    done = [row for row in rows if "note" not in row]
    left = [
        f"Not measured: {row['part']}, {row['reader']} of {row['source']}: "
        f"{row['note']}"
        for row in rows
        if "note" in row
    ]
    head = (
        "part",
        "reader",
        "source",
        "images/s a core",
        "images/s of all",
        "step images/s",
        "a core over the step",
        "cores needed",
    )
    lines = [
        (
            row["part"],
            row["reader"],
            row["source"],
            report.number(row["images_per_cpu_second"]),
            report.number(row["images_per_second"]),
            report.number(row["step_images_per_second"])
            + ("" if row["step_timed_here"] else " (given)"),
            report.number(row["ratio"]),
            report.number(row["cores_needed"]),
        )
        for row in done
    ]
    title = "# Input pipelines against the step that they feed"
    return "\n\n".join(
        [title, report.about(rows, name), report.table(head, lines), *left]
    )


if __name__ == "__main__":
    huge_pages.ask(sys.argv[1:])  # as the commands do
    command.run(main, sys.argv)
