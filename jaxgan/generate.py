"""Runs a mode of a trained system on your own files, or on noise.

    jaxgan generate --workdir=runs/facades --mode=translate --input=photos --output=out
    jaxgan generate --workdir=runs/faces --mode=sample --num=64 --output=out
    jaxgan generate --workdir=runs/faces --mode=inpaint --input=me.jpg \\
        --hole_mask=center --output=out

Takes images of any format and size, in folders with folders, or in a .zip; of an
animated GIF or WebP every frame. Writes a file an output and contact_sheet.png, and an
animation for each animation. Needs no training data.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags, logging

from jaxgan import command, devices, mode_flags
from jaxgan.core.errors import UserError

FLAGS = flags.FlagValues()
flags.DEFINE_string("workdir", None, "the run's directory", flag_values=FLAGS)
flags.DEFINE_string(
    "mode", None, "what to do; the beginning of its name will do", flag_values=FLAGS
)
flags.DEFINE_string(
    "input", None, "your files: one, a folder or a .zip", flag_values=FLAGS
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
    "which changes results a little",
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
flags.DEFINE_bool("gif", False, "sets of pictures as animations", flag_values=FLAGS)
flags.DEFINE_enum(
    "mesh", None, ["obj", "ply", "stl"], "shapes as meshes too", flag_values=FLAGS
)
mode_flags.define_weights(FLAGS)
devices.define_flags(FLAGS)


def main(argv: Sequence[str]) -> None:
    """Generates, and says what was written."""
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
        gif=values.gif,
        mesh=values.mesh,
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
    if not done.count:
        raise UserError(
            f"nothing came of {done.asked} input{'s' * (done.asked != 1)}; the first: "
            f"{done.problems[0]}: repair it, or give others"
        )
    skipped = f", {done.asked - done.count} skipped" * (done.asked > done.count)
    results = f"{done.count} result{'s' * (done.count != 1)}"
    print(f"{results}{skipped}: {Path(values.output)}")
    for name in done.summaries:
        print(f"{Path(values.output) / name}")


if __name__ == "__main__":
    command.run(main, sys.argv)
