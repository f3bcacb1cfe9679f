"""Converts a published weights file to .safetensors, once.

    python -m jaxgan.import_weights --network=vgg19 --source=vgg19-dcbb9e9d.pth \\
        --output=vgg19.safetensors

Nothing in the source is run. The output holds the parameters in this library's layout
and states the network, its input convention and the source's hash; pass it as
`pretrained.vgg19=PATH`, or put it into the folder that $JAXGAN_WEIGHTS names.
"""

import sys
from collections.abc import Sequence

import jax
from absl import flags

from jaxgan.core.errors import UserError
from jaxgan.pretrained import NETWORKS, import_file
from jaxgan.pretrained.readers import SOURCE_READERS

# Flags of their own, so that other mains may be imported beside this one.
FLAGS = flags.FlagValues()
_NETWORK = flags.DEFINE_string(
    "network", None, f"One of {', '.join(NETWORKS)}.", flag_values=FLAGS
)
_SOURCE = flags.DEFINE_string(
    "source", None, f"Published file: {' '.join(SOURCE_READERS)}.", flag_values=FLAGS
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "Where to write the .safetensors file.", flag_values=FLAGS
)
_CONVENTION = flags.DEFINE_string(
    "convention",
    None,
    "What the network expects as input; needed for files of unknown hash.",
    flag_values=FLAGS,
)
_HEADS = flags.DEFINE_bool(
    "heads", False, "Include classifier heads that no loss uses.", flag_values=FLAGS
)


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns the exit status."""
    if {"-h", "--help"} & set(argv):
        print(f"{__doc__}{FLAGS.get_help()}")
        return 0
    try:
        FLAGS.unparse_flags()
        rest = FLAGS(list(argv))[1:]
        if rest:
            raise UserError(f"unexpected argument {rest[0]!r}; see --help")
        for flag in (_NETWORK, _SOURCE, _OUTPUT):
            if not flag.value:
                raise UserError(f"--{flag.name} is missing; see --help")
        weights = import_file(
            str(_NETWORK.value),
            str(_SOURCE.value),
            str(_OUTPUT.value),
            convention=_CONVENTION.value,
            heads=bool(_HEADS.value),
        )
    except (UserError, flags.Error) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    count = sum(x.size for x in jax.tree.leaves(weights.variables["params"]))
    print(
        f"{_OUTPUT.value}: {NETWORKS[weights.name].title}, {count:,} parameters, input "
        f"convention {weights.convention}, source sha256 {weights.sha256}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
