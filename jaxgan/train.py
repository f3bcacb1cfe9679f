"""Trains a system, or resumes the run in --workdir.

    jaxgan train --config=pix2pix:demo --workdir=runs/pix2pix
    jaxgan train --config=pix2pix:facades --workdir=runs/facades \\
        --config.data.source=folder:/data/facades --config.training.batch_size=4

Any value of the config can be set with --config.<section>.<key>=<value>. The same
command again goes on where the run stopped; SIGTERM and Ctrl-C save first.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import jax
from absl import flags

from jaxgan import command, config_files, devices

FLAGS = flags.FlagValues()
flags.DEFINE_string("config", None, config_files.HELP, flag_values=FLAGS)
flags.DEFINE_string("workdir", None, "the run's directory", flag_values=FLAGS)
flags.DEFINE_string(
    "init_from", None, "start from the networks of this run", flag_values=FLAGS
)
flags.DEFINE_bool(
    "init_from_partial",
    False,
    "with --init_from: take what matches, start the rest afresh",
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "profile",
    0,
    "write a trace of so many updates of this start to <workdir>/profile",
    lower_bound=0,
    flag_values=FLAGS,
)
devices.define_flags(FLAGS)


def main(argv: Sequence[str]) -> None:
    """Trains, then says where the results are; exits as the run ended."""
    overrides = command.parse(FLAGS, argv, _help(argv), required=("config", "workdir"))
    # Before the config, whose `dtype: auto` already looks at the devices.
    devices.prepare(FLAGS, after_loss=lambda: _how_to_go_on(FLAGS.workdir))
    config = config_files.load(FLAGS.config, overrides)

    # After the devices are chosen: these import everything.
    from jaxgan.data import make_task
    from jaxgan.evaluation.protocols import PROTOCOLS, evaluate, provenance, require
    from jaxgan.training import configs, loop, programs, signals
    from jaxgan.training.frozen import load_frozen

    system = configs.build_system(config)
    has_protocol, judges = config["name"] in PROTOCOLS, {}
    if has_protocol and config["training"]["evaluate_every"]:
        require(config, "test")  # before the first step, not at the first evaluation
        judges = provenance(config)
    planned = programs.legs(system.stages, config["training"]["num_steps"])
    names = {leg.stage.name for leg in planned}
    frozen = load_frozen(system, config["pretrained"], names)
    try:
        result = loop.train(
            system,
            config,
            FLAGS.workdir,
            make_task,
            evaluate_fn=evaluate if has_protocol else None,
            judges=judges,
            frozen=frozen,
            init_from=FLAGS.init_from,
            init_from_partial=FLAGS.init_from_partial,
            profile=FLAGS.profile,
        )
    except signals.Stopped as stopped:
        sys.exit(stopped.code)
    if jax.process_index() != 0:
        return
    print(f"run: {result.workdir}")
    if result.last_grid is not None:
        print(f"samples: {result.last_grid}")
    if result.evaluation:
        print(f"evaluation: {loop.format_figures(result.evaluation)}")


def _how_to_go_on(workdir: str) -> str:
    from jaxgan.training import checkpoint

    steps = checkpoint.committed(f"{workdir}/checkpoints")
    if not steps:
        return "no checkpoint was written yet; start all processes again"
    return (
        f"the last checkpoint is step {steps[-1]}; start all processes again with the "
        "same command and the run goes on from there"
    )


def _help(argv: Sequence[str]) -> str:
    """What `--help` says above the flags; with a config, also its values."""
    doc = (__doc__ or "").strip()
    given = [a.partition("=")[2] for a in argv if a.startswith("--config=")]
    if not command.HELP & set(argv):
        return doc
    if not given:
        return f"{doc}\n\nWith --config=NAME this help lists its values."
    return f"{doc}\n\nThe values of {given[-1]}:\n{config_files.describe(given[-1])}"


if __name__ == "__main__":
    command.run(main, sys.argv)
