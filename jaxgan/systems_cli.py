"""Lists the systems: paper, task, networks, stages, modes with their arguments.

    jaxgan systems
    jaxgan systems --system=pix2pix

Sizes are those of the published defaults; modes that only variants have follow theirs.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
from absl import flags

from jaxgan import command, config_files, core
from jaxgan.core import ArraySpec
from jaxgan.systems import SYSTEMS, get
from jaxgan.training import configs

FLAGS = flags.FlagValues()
flags.DEFINE_string("system", None, "only this one", flag_values=FLAGS)

ANY_SIZE = 64  # pixels, where a network takes any size


def main(argv: Sequence[str]) -> None:
    """Prints the list."""
    command.parse(FLAGS, argv, __doc__)
    names = [FLAGS.system] if FLAGS.system else sorted(SYSTEMS)
    print("\n\n".join("\n".join(describe(name)) for name in names))


def describe(name: str) -> Iterator[str]:
    """The lines about one system."""
    cls = get(name)
    system = cls()
    task, paper = summary(cls)
    yield f"{name}: {task}"
    yield from textwrap.wrap(paper, 88, initial_indent="  ", subsequent_indent="  ")
    counts = parameter_counts(system)
    sizes = (f"{network} {count:,}" for network, count in counts.items())
    yield _row("parameters", ", ".join(sizes))
    for key, entry in system.pretrained().items():
        yield _row("pretrained", f"{key} ({entry.network}), not trained")
    if not system.stages:
        yield _row("stages", "none: it takes its networks from a run (--init_from)")
    for stage in system.stages:
        fields = (f"{k} {_array(spec)}" for k, spec in stage.batch_spec.items())
        yield _row(
            f"stage {stage.name}",
            f"{stage.num_steps:,} steps, trains {', '.join(stage.players)}; batch: "
            f"{', '.join(fields)}",
        )
    yield from _modes(system.inference)
    if name not in config_files.names():
        return
    variants = config_files.variants(name)
    listed = set(system.inference)
    for variant in variants:
        config = config_files.load(f"{name}:{variant}")
        modes = configs.build_system(config).inference
        own = {key: mode for key, mode in modes.items() if key not in listed}
        yield from _modes(own, note=f", as in {name}:{variant}")
        listed |= set(own)
    yield _row("configs", ", ".join(variants))


def _modes(modes: Mapping[str, core.Mode], note: str = "") -> Iterator[str]:
    for name, mode in modes.items():
        yield _row(f"mode {name}{note}", mode.help)
        for argument, declared in mode.inputs.items():
            yield _row(f"  --{argument}", input_text(declared))


def summary(cls: type) -> tuple[str, str]:
    """The task and the paper, from the head of the module's docstring."""
    module = sys.modules[cls.__module__]
    paragraphs = inspect.cleandoc(module.__doc__ or "").split("\n\n")
    title = " ".join(paragraphs[0].split()).split(": ", 1)[-1]
    text = " ".join(paragraphs[1].split()) if len(paragraphs) > 1 else ""
    # `Authors: "Title", venue year.`, up to the stop after the year.
    end = next((i for i in range(5, len(text)) if _ends_year(text, i)), len(text))
    return title, text[:end]


def _ends_year(text: str, i: int) -> bool:
    return text[i - 1] == "." and text[i - 5 : i - 1].isdigit()


def parameter_counts(system: core.System) -> dict[str, int]:
    """`{network: number of trained parameters}`; nothing is computed."""
    state = jax.eval_shape(
        lambda key, batch: system.init(key, batch, {}),
        jax.eval_shape(lambda: jax.random.key(0)),
        example_batch(system),
    )
    return {
        name: sum(math.prod(x.shape) for x in jax.tree.leaves(params))
        for name, params in state.params.items()
    }


def example_batch(system: core.System) -> dict[str, jax.ShapeDtypeStruct]:
    """The shapes of a small batch, as the first stage (or first mode) declares."""
    if system.stages:
        specs: Mapping[str, Any] = system.stages[0].batch_spec
    else:
        mode = next(iter(system.inference.values()))
        specs = {
            name: ArraySpec((*(declared.size or (None, None)), _channels(declared)))
            for name, declared in mode.inputs.items()
            if isinstance(declared, core.Image | core.Mask)
        }
    return {
        name: jax.ShapeDtypeStruct(
            (16, *(n or ANY_SIZE for n in spec.shape)), spec.dtype
        )
        for name, spec in specs.items()
    }


def _channels(declared: core.Image | core.Mask) -> int:
    return declared.channels if isinstance(declared, core.Image) else 1


def input_text(declared: Any) -> str:
    """`Image, 3 channels, 256x256: the condition`."""
    skipped = ("help", "options")
    facts = [
        f"{f.name} {getattr(declared, f.name)}"
        for f in dataclasses.fields(declared)
        if f.name not in skipped and getattr(declared, f.name) != f.default
    ]
    if isinstance(declared, core.Choice):
        facts.insert(0, "|".join(declared.options))
    if isinstance(declared, core.Set):
        facts = [f"of {type(declared.item).__name__}", f"at least {declared.minimum}"]
    kind = ", ".join([type(declared).__name__.lower(), *facts])
    return f"{kind}: {declared.help}" if declared.help else kind


def _array(spec: ArraySpec) -> str:
    shape = ", ".join("any" if n is None else str(n) for n in spec.shape)
    return f"{spec.dtype}[{shape}]"


def _row(head: str, text: str) -> str:
    return textwrap.fill(
        f"{head}: {text}", 88, initial_indent="  ", subsequent_indent="    "
    )


if __name__ == "__main__":
    command.run(main, sys.argv)
