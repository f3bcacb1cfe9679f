"""What a training run will need, on hardware that need not be here.

    jaxgan plan --config=cyclegan:horse2zebra --topology=v5e:2x4
    jaxgan plan --config=pix2pix:facades --topology=h200:1 --largest_batch
    jaxgan plan --config=dcgan:celeba --topology=cpu:2 --config.training.batch_size=64

Compiles the step of every stage for the devices of --topology and prints for one of
them: flops, bytes, the least time that these take and which of them bounds it, memory
by kind, collectives. Nothing is run and no data are needed, but data that are here make
the step begin with raw examples, as training does.

The least time is a bound from data sheets, not a forecast: kernels reach a part of it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from absl import flags

from jaxgan import command, config_files
from jaxgan.core.errors import UserError
from jaxgan.planning import topologies

FLAGS = flags.FlagValues()
flags.DEFINE_string("config", None, config_files.HELP, flag_values=FLAGS)
flags.DEFINE_string("topology", None, topologies.HELP, flag_values=FLAGS)
flags.DEFINE_bool(
    "largest_batch", False, "look for the largest batch that fits", flag_values=FLAGS
)
flags.DEFINE_string("stage", None, "only this stage", flag_values=FLAGS)
flags.DEFINE_bool("json", False, "print JSON, a line a stage", flag_values=FLAGS)


def main(argv: Sequence[str]) -> int:
    """Prints the plans; 1 if a stage does not fit."""
    overrides = command.parse(FLAGS, argv, __doc__, required=("config", "topology"))
    topology = topologies.parse(FLAGS.topology)
    topologies.prepare(topology)
    config = config_files.load(FLAGS.config, overrides)

    # After the devices are chosen: these import everything.
    from jaxgan.data import make_task
    from jaxgan.planning import pages, plans

    planner = plans.Planner(config, topology, make_task)
    names = [leg.stage.name for leg in planner.legs]
    if FLAGS.stage and FLAGS.stage not in names:
        raise UserError(f"--stage={FLAGS.stage}: there are {', '.join(names)}")
    if not FLAGS.json:
        print(pages.head(FLAGS.config, topology, planner))
    fits = True
    for number, name in enumerate(names):
        if FLAGS.stage and name != FLAGS.stage:
            continue
        if FLAGS.largest_batch:
            tell = lambda line, name=name: print(f"{name}: {line}", file=sys.stderr)  # noqa: E731
            plan = planner.largest_batch(number, tell)
        else:
            try:
                plan = planner.stage(number, config["training"]["batch_size"])
            except plans.TooLarge:
                plan = None
        fits &= plan is not None and plan.fits
        if FLAGS.json:
            print(json.dumps(pages.row(FLAGS.config, topology, name, plan)))
        else:
            print(pages.stage(name, plan), flush=True)
    return 0 if fits else 1


if __name__ == "__main__":
    command.run(main, sys.argv)
