"""Which values go together, and how many results there are."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath

import numpy as np

from jaxgan import core
from jaxgan.inference import files as user_files
from jaxgan.inference import inputs
from jaxgan.inference.animations import Film, Timing
from jaxgan.inference.arguments import Arguments
from jaxgan.inference.inputs import Example, Source

DEFAULT_COUNT = 16  # results of noise alone


def plan(
    name: str,
    mode: core.Mode,
    arguments: Arguments,
    num: int | None = None,
    draws: int = 1,
) -> list[Example]:
    """The examples of one command, in order.

    With files: one each, paired with the other inputs by name, or in order where there
    are as many, or with the one that there is; several class numbers go with every
    file. Without files: `num`, or as many as the given latents or values. Names differ.

    Args:
      name: the mode's.
      mode: its declaration.
      arguments: its inputs.
      num: without files how many results; with files the first so many of them.
      draws: results of each file, each under a random key of its own.

    Raises:
      UserError: if files cannot be paired.
    """
    lead = arguments.lead
    if lead is None:
        return list(_of_noise(name, mode, arguments, num, draws))
    return apart(list(_of_files(mode, arguments, lead, num, draws)))


def apart(examples: Sequence[Example]) -> list[Example]:
    """No two of one name: the second `a` becomes `a_2`, unless there is an `a_2`."""
    names = {example.name for example in examples}
    seen: set[str] = set()
    found = []
    for example in examples:
        name, number = example.name, 1
        while name in seen or (number > 1 and name in names):
            number += 1
            name = f"{example.name}_{number}"
        seen.add(name)
        found.append(dataclasses.replace(example, name=name))
    return found


def _of_noise(
    name: str, mode: core.Mode, arguments: Arguments, num: int | None, draws: int
) -> Iterator[Example]:
    counts = {
        field: source.count
        for field, source in arguments.sources.items()
        if source.count is not None
    }
    rows = {f: n for f, n in counts.items() if not _is_label(mode, f)}
    several = {f: n for f, n in rows.items() if n > 1}
    if len(set(several.values())) > 1:
        found = " and ".join(f"--{f} has {n}" for f, n in several.items())
        raise core.UserError(f"{found}: give as many of each, or one")
    if several:
        default = max(several.values())
    elif rows and len(counts) == len(arguments.sources):  # more would be copies
        default = max(counts.values())
    else:
        default = DEFAULT_COUNT
    total = num or default
    for number in range(total * draws):
        picks = {
            field: number // draws % source.count if source.count else 0
            for field, source in arguments.sources.items()
        }
        yield Example(f"{name}_{number:04d}", picks)


def _of_files(
    mode: core.Mode,
    arguments: Arguments,
    lead: Source,
    num: int | None,
    draws: int,
) -> Iterator[Example]:
    count = min(lead.count or 0, num or lead.count or 0)
    names = user_files.stems(lead.names or ())
    crossed, paired = {}, {}
    for field, source in arguments.sources.items():
        if _is_label(mode, field):
            crossed[field] = source
        else:
            paired[field] = _pair(field, source, lead, count)
    for number in range(count):
        picks = {field: int(order[number]) for field, order in paired.items()}
        for chosen in _combinations(crossed):
            labels = "".join(
                f"_{field}{crossed[field].rows[pick]}"
                for field, pick in chosen.items()
                if (crossed[field].count or 0) > 1
            )
            for draw in range(draws):
                suffix = labels + (f"_draw{draw}" if draws > 1 else "")
                film = _film(lead, number, suffix)
                yield Example(names[number] + suffix, {**picks, **chosen}, film)


def _film(lead: Source, number: int, suffix: str) -> str:
    """What the animation that picture `number` is a frame of is called as a result."""
    name = lead.film(number) if isinstance(lead, inputs.Pictures) else None
    if name is None:
        return ""
    return f"{user_files.stems([name])[0]}{suffix}{PurePosixPath(name).suffix}"


def films(arguments: Arguments, examples: Sequence[Example]) -> list[Film]:
    """The animations whose frames are among the examples, of the files' own timing."""
    lead = arguments.lead
    if not isinstance(lead, inputs.Pictures):
        return []
    frames: dict[str, dict[int, Example]] = {}
    for example in examples:
        if example.film:
            _, frame = lead.entries[example.picks[lead.field]]
            frames.setdefault(example.film, {}).setdefault(frame, example)
    found = []
    for file, members in frames.items():
        name, _ = lead.entries[members[min(members)].picks[lead.field]]
        timing = lead.timings[name]
        durations = tuple(timing.durations[frame] for frame in members)
        names = tuple(example.name for example in members.values())
        found.append(Film(file, names, Timing(durations, timing.loop)))
    return found


def _combinations(sources: Mapping[str, inputs.Rows]) -> Iterator[dict[str, int]]:
    fields = list(sources)
    for picks in np.ndindex(*(sources[f].count for f in fields)):
        yield dict(zip(fields, map(int, picks), strict=True))


def _is_label(mode: core.Mode, field: str) -> bool:
    return isinstance(mode.inputs[field], core.Labels)


def _pair(field: str, source: Source, lead: Source, count: int) -> Sequence[int]:
    """Which of a source's values goes with each of the first files."""
    if source is lead or source.count is None:
        return range(count)
    if source.count == 1:
        return [0] * count
    if source.names is not None and lead.names is not None:
        places = {_bare(name): i for i, name in enumerate(source.names)}
        wanted = [_bare(name) for name in lead.names[:count]]
        missing = [name for name in wanted if name not in places]
        if not missing:
            return [places[name] for name in wanted]
        if len(missing) < len(wanted):
            raise core.UserError(
                f"--{field} has no {missing[0]!r}, but others are called as the "
                "input's are: add what is missing, or rename it"
            )
    if source.count == lead.count:
        return range(count)
    named = "" if source.names is None else " of the same name"
    raise core.UserError(
        f"--{field} has {source.count} and the input {lead.count}: give one, or one "
        f"for each{named}"
    )


def _bare(name: str) -> str:
    return PurePosixPath(name).with_suffix("").as_posix()
