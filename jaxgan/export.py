"""Writes a mode as StableHLO and safetensors, which run without this library.

    jaxgan export --workdir=runs/facades --mode=translate --output=exported
    jaxgan export --workdir=runs/facades --mode=translate --output=exported \\
        --size=256x512 --platforms=cpu

The program takes any number of examples, and pictures of any size that the network
can take; a mode whose code must know these takes --batch_size or --size. A fresh
process that can import neither this library nor Flax loads it and compares, before
anything is written.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

import jax
from absl import flags

from jaxgan import command, devices, mode_flags
from jaxgan.core.errors import UserError

FLAGS = flags.FlagValues()
flags.DEFINE_string("workdir", None, "the run's directory", flag_values=FLAGS)
flags.DEFINE_string(
    "mode", None, "what to export; the beginning of its name will do", flag_values=FLAGS
)
flags.DEFINE_string("output", None, "the folder to write", flag_values=FLAGS)
flags.DEFINE_string(
    "size", None, "HEIGHTxWIDTH, instead of pictures of any size", flag_values=FLAGS
)
flags.DEFINE_integer(
    "batch_size", None, "instead of any number of examples", 1, flag_values=FLAGS
)
flags.DEFINE_list(
    "platforms", ["cpu", "cuda", "tpu"], "where it shall run", flag_values=FLAGS
)
flags.DEFINE_bool(
    "prove", True, "compare with the mode before writing", flag_values=FLAGS
)
mode_flags.define_weights(FLAGS)
devices.define_flags(FLAGS)


def main(argv: Sequence[str]) -> None:
    """Exports, and says how large the difference to the mode is."""
    request = mode_flags.parse(
        FLAGS, argv, __doc__ or "", ("workdir", "output"), mode_flags.define_fixed
    )
    values, mode = request.flags, request.mode
    size = _parse_size(values.size)

    # After the devices are chosen: these import everything.
    from jaxgan.inference import export, proof

    if not values.platforms:
        raise UserError("--platforms= names none: give some of cpu, cuda, rocm, tpu")
    proof.require(values.output)
    variables, frozen = mode_flags.load(request)
    exported = export.build(
        mode,
        variables,
        frozen,
        request.given,
        size=size,
        batch_size=values.batch_size,
        platforms=values.platforms,
    )
    about = {
        "system": request.config["name"],
        "mode": request.name,
        "help": mode.help,
        "static": request.given,
        "platforms": values.platforms,
        "dtype": request.system.dtype,
        "jax": jax.__version__,
    }
    difference, tried = proof.write(
        exported, values.output, about, request.system.dtype, values.prove
    )
    megabytes = sum(x.nbytes for x in exported.parameters.values()) / 1e6
    print(
        f"{request.name}: {Path(values.output)} (program {len(exported.program):,} "
        f"bytes, parameters {megabytes:.1f} MB)"
    )
    if values.prove:
        shapes = ", ".join(f"{name} {shape}" for name, shape in tried.items())
        print(f"proved in a fresh process: differs by {difference:.2g} for {shapes}")


def _parse_size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(r"([1-9]\d*)(?:[x,]([1-9]\d*))?", text)
    if match is None:
        raise UserError(f"--size={text}: write HEIGHTxWIDTH, such as 256x512")
    return int(match[1]), int(match[2] or match[1])


if __name__ == "__main__":
    command.run(main, sys.argv)
