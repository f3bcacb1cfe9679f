"""Converts a published weights file of a pretrained network to .safetensors, once.

    jaxgan import-weights --network=vgg19 --source=vgg19-dcbb9e9d.pth \\
        --output=vgg19.safetensors

Nothing in the source is run. The output holds the parameters in this library's layout
and states the network, its input convention and the source's hash; pass it as
`--config.pretrained.vgg19=PATH`, or put it as vgg19.safetensors into the folder that
$JAXGAN_WEIGHTS names.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import jax
from absl import flags

from jaxgan import command
from jaxgan.core.errors import UserError
from jaxgan.pretrained import NETWORKS, import_file
from jaxgan.pretrained.readers import SOURCE_READERS

FLAGS = flags.FlagValues()
flags.DEFINE_string("network", None, f"one of {', '.join(NETWORKS)}", flag_values=FLAGS)
flags.DEFINE_string(
    "source", None, f"published file: {' '.join(SOURCE_READERS)}", flag_values=FLAGS
)
flags.DEFINE_string("output", None, "the .safetensors file to write", flag_values=FLAGS)
flags.DEFINE_string(
    "convention",
    None,
    "what the network expects as input; needed for files of unknown hash",
    flag_values=FLAGS,
)
flags.DEFINE_bool(
    "heads", False, "include classifier heads that no loss uses", flag_values=FLAGS
)


def main(argv: Sequence[str]) -> None:
    """Converts one file and says what it is."""
    required = ("network", "source", "output")
    overrides = command.parse(FLAGS, argv, __doc__, required)
    if overrides:
        raise UserError(
            f"unexpected argument {overrides[0]!r}: there is no config here"
        )
    weights = import_file(
        FLAGS.network,
        FLAGS.source,
        FLAGS.output,
        convention=FLAGS.convention,
        heads=FLAGS.heads,
    )
    count = sum(x.size for x in jax.tree.leaves(weights.variables["params"]))
    print(
        f"{FLAGS.output}: {NETWORKS[weights.name].title}, {count:,} parameters, input "
        f"convention {weights.convention}, source sha256 {weights.sha256}"
    )


if __name__ == "__main__":
    command.run(main, sys.argv)
