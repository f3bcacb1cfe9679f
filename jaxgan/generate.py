"""Runs a mode of a trained system on your own files, on noise, or on a run's data.

    jaxgan generate --workdir=runs/facades --mode=translate --input=photos --output=out
    jaxgan generate --workdir=runs/faces --mode=sample --num=64 --output=out
    jaxgan generate --workdir=runs/faces --mode=inpaint --input=me.jpg \\
        --hole_mask=center --output=out
    jaxgan generate --workdir=runs/facades --split=test --output=out

Takes images of any format and size, in folders with folders, or in a .zip; of an
animated GIF or WebP every frame. Writes a file an output and contact_sheet.png, and an
animation for each animation. Needs no training data.

With --split instead of --mode it reads the run's own data, or that of --source, and
writes all columns of the sample grids that training draws, each picture as
<example>_<column>.png: pairs with their truth, translations there and back. Values of
the section `data` can be overridden then: --config.data.source=folder:/data/facades.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags, logging

from jaxgan import command, devices, mode_flags
from jaxgan.core.errors import UserError

if TYPE_CHECKING:
    from jaxgan.inference.generate import Done

FLAGS = flags.FlagValues()
flags.DEFINE_string("workdir", None, "the run's directory", flag_values=FLAGS)
flags.DEFINE_string(
    "mode", None, "what to do; the beginning of its name will do", flag_values=FLAGS
)
flags.DEFINE_string(
    "input", None, "your files: one, a folder or a .zip", flag_values=FLAGS
)
flags.DEFINE_enum(
    "split",
    None,
    ["test", "validation", "train"],
    "instead of a mode: the run's own data, whole and without augmentation",
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "source",
    None,
    "with --split: another data source, such as zip:pairs.zip; all of it where it has "
    "no such split",
    flag_values=FLAGS,
)
flags.DEFINE_string("output", None, "the folder for the results", flag_values=FLAGS)
flags.DEFINE_integer(
    "num",
    None,
    "how many results of noise (16 if not given), or how many of your files and their "
    "frames (all)",
    flag_values=FLAGS,
    lower_bound=1,
)
flags.DEFINE_integer(
    "draws",
    1,
    "results of each file, where chance plays a part",
    flag_values=FLAGS,
    lower_bound=1,
)
flags.DEFINE_integer("seed", 0, "of all that is drawn", 0, flag_values=FLAGS)
flags.DEFINE_integer(
    "batch_size",
    None,
    "examples at once (16, or fewer if they are large)",
    flag_values=FLAGS,
    lower_bound=1,
)
flags.DEFINE_integer(
    "max_shapes",
    8,
    "sizes to compile for; of more, like ones are padded to one, by at most 30%, "
    "which changes results where a network takes statistics of a picture (CycleGAN)",
    flag_values=FLAGS,
    lower_bound=1,
)
flags.DEFINE_enum(
    "resize",
    "stretch",
    ["stretch", "cover"],
    "how pictures come to a fixed size; cover cuts what sticks out",
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "width",
    None,
    "where a mode takes any size: bring pictures to this width first, and their height "
    "with it",
    flag_values=FLAGS,
    lower_bound=1,
)
flags.DEFINE_integer(
    "height",
    None,
    "the same of the height; with both, pictures are stretched to that size",
    flag_values=FLAGS,
    lower_bound=1,
)
flags.DEFINE_bool("gif", False, "sets of pictures as animations", flag_values=FLAGS)
flags.DEFINE_enum(
    "mesh", None, ["obj", "ply", "stl"], "shapes as meshes too", flag_values=FLAGS
)
mode_flags.define_weights(FLAGS)
devices.define_flags(FLAGS)
# What only modes know.
_OF_MODES = (
    *("mode", "input", "draws", "max_shapes", "resize", "width", "height"),
    *("gif", "mesh", "blend_with", "alpha"),
)


def main(argv: Sequence[str]) -> None:
    """Generates, and says what was written."""
    if _wants_split(argv):
        _of_split(argv)
    else:
        _of_mode(argv)


def _of_mode(argv: Sequence[str]) -> None:
    request = mode_flags.parse(
        FLAGS, argv, __doc__ or "", ("workdir", "output"), mode_flags.define_inputs
    )
    values = request.flags

    # After the devices are chosen: these import everything.
    from jaxgan.inference import generate

    task = generate.prepare(
        request.name,
        request.mode,
        request.given,
        output=values.output,
        say=logging.warning,
        num=values.num,
        draws=values.draws,
        resize=values.resize,
        width=values.width,
        height=values.height,
        gif=values.gif,
        mesh=values.mesh,
    )
    if generate.are_side_by_side(task, request.config["data"]):
        logging.warning(
            "all pictures of --input are twice as wide as high, as pairs side by side "
            "are, and each is translated as one: for pairs take --split=test, with "
            "--source for others than the run's, or cut them into A and B"
        )
    variables, frozen = mode_flags.load(request)
    done = generate.run(
        task,
        variables,
        frozen,
        seed=values.seed,
        batch_size=values.batch_size,
        max_shapes=values.max_shapes,
    )
    _report(done, values.output)


def _wants_split(argv: Sequence[str]) -> bool:
    """Whether a command is about a run's data; mistakes are told by what parses it."""
    values = copy.deepcopy(FLAGS)
    values.set_gnu_getopt(True)
    try:
        values(list(argv), known_only=True)
    except flags.Error:
        return False
    return bool(values["split"].value or values["source"].value)


def _of_split(argv: Sequence[str]) -> None:
    values = copy.deepcopy(FLAGS)
    required = ("workdir", "split", "output")
    overrides = command.parse(values, argv, __doc__, required)
    for name in _OF_MODES:
        if values[name].present:
            raise UserError(
                f"--{name} goes with a mode, --split with a run's own data: leave one "
                "of them out"
            )
    devices.prepare(values)

    # After the devices are chosen: these import everything.
    from jaxgan import config_files
    from jaxgan.inference import saving, splits
    from jaxgan.training import configs, runs

    own = runs.read_config(values.workdir)
    stages = configs.build_system(own).stages
    data = configs.stage_data(own, stages[-1].name if stages else "")
    if values.source:
        data = splits.of_source(data, values.source)
    config = config_files.override({**own, "data": data}, overrides)
    for key, value in config.items():
        if key != "data" and value != own.get(key):
            raise UserError(
                f"--config.{key} cannot be changed: a run keeps its own; what can, "
                "with --split, is its data"
            )
    saving.require_folder(Path(values.output))
    splits.require_outside(values.output, config["data"].get("source"))
    task = splits.open_split(
        config["data"], values.split, config["seed"], or_all=bool(values.source)
    )
    system, variables, frozen = runs.load(values.workdir, values.weights, values.step)
    done = splits.run(
        splits.Columns(system, variables, frozen, task),
        task,
        values.output,
        logging.warning,
        num=values.num,
        seed=values.seed,
        batch_size=values.batch_size,
    )
    _report(done, values.output)


def _report(done: Done, output: str) -> None:
    """Says what was written.

    Raises:
      UserError: if that is nothing.
    """
    if not done.count:
        raise UserError(
            f"nothing came of {done.asked} input{'s' * (done.asked != 1)}; the first: "
            f"{done.problems[0]}: repair it, or give others"
        )
    skipped = f", {done.asked - done.count} skipped" * (done.asked > done.count)
    results = f"{done.count} result{'s' * (done.count != 1)}"
    print(f"{results}{skipped}: {Path(output)}")
    for name in done.summaries:
        print(f"{Path(output) / name}")


if __name__ == "__main__":
    command.run(main, sys.argv)
