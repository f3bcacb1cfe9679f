"""Judges a trained run by its paper's protocol, beside trivial baselines.

    jaxgan evaluate --workdir=runs/pix2pix
    jaxgan evaluate --workdir=runs/pix2pix --split=validation --num_examples=100
    jaxgan evaluate --workdir=runs/cyclegan --config.data.source=folder:/data/horses

Prints a table and appends a row to evaluation.jsonl in the run's directory. Values of
the run's config can be overridden for this evaluation, such as its data.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from absl import flags

from jaxgan import command, config_files, devices
from jaxgan.core.errors import UserError

FLAGS = flags.FlagValues()
flags.DEFINE_string("workdir", None, "the run's directory", flag_values=FLAGS)
flags.DEFINE_enum(
    "split", "test", ["test", "validation", "train"], "what to judge", flag_values=FLAGS
)
flags.DEFINE_integer(
    "num_examples", None, "how many examples at most", flag_values=FLAGS, lower_bound=1
)
flags.DEFINE_enum(
    "weights",
    "ema",
    ["ema", "raw"],
    "averaged parameters where the system keeps them, or the last ones",
    flag_values=FLAGS,
)
flags.DEFINE_integer("step", None, "of which checkpoint", flag_values=FLAGS)
flags.DEFINE_bool(
    "write", True, "append the figures to evaluation.jsonl", flag_values=FLAGS
)
devices.define_flags(FLAGS)


def main(argv: Sequence[str]) -> None:
    """Evaluates, prints, and notes the figures in the run's directory."""
    overrides = command.parse(FLAGS, argv, __doc__, required=("workdir",))
    devices.prepare(FLAGS)

    # After the devices are chosen: these import everything.
    from etils import epath

    from jaxgan.evaluation.protocols import evaluate
    from jaxgan.training import checkpoint, runs

    config = runs.read_config(FLAGS.workdir)
    if overrides:
        config = config_files.override(config, overrides)
    if FLAGS.num_examples:
        config["evaluation"] = {
            **config["evaluation"],
            "num_examples": FLAGS.num_examples,
        }
    system, variables, frozen = runs.load(FLAGS.workdir, FLAGS.weights, FLAGS.step)
    figures = evaluate(system, variables, frozen, config, split=FLAGS.split)

    width = max(map(len, figures))
    for name, value in figures.items():
        print(f"{name:{width}}  {value:.6g}")
    if FLAGS.write:
        steps = checkpoint.committed(epath.Path(FLAGS.workdir) / "checkpoints")
        row = {
            "step": steps[-1] if FLAGS.step is None else FLAGS.step,
            "split": FLAGS.split,
            "weights": FLAGS.weights,
            **figures,
        }
        path = epath.Path(FLAGS.workdir) / "evaluation.jsonl"
        try:
            rows = path.read_text() if path.exists() else ""
            path.write_text(rows + json.dumps(row) + "\n")
        except OSError as error:
            raise UserError(
                f"cannot write {path}: {error.strerror}; pass --nowrite to only print"
            ) from error


if __name__ == "__main__":
    command.run(main, sys.argv)
