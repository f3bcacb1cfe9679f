"""From `data.source` and a split to the sources that a task reads."""

from __future__ import annotations

import dataclasses
import hashlib
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from jaxgan.core.errors import UserError, did_you_mean, one_of
from jaxgan.data import archives, layouts
from jaxgan.data.files import SPLIT_FOLDERS, Files, open_files
from jaxgan.data.options import Options
from jaxgan.data.permutation import permute
from jaxgan.data.sources import Source, Subset, split_name

DEFAULT_HOLDOUT = 0.1
_SPLIT_SEED = 20_181  # fixed: another training seed must not move the held-out examples


class NothingHeldOut(UserError):
    """A source has no examples outside training."""


Opener = Callable[[str], tuple[tuple[Source, ...], bool]]


def open_images(options: Options, split: str) -> Source:
    """Single examples: images, with labels where the source has them; or arrays."""

    def from_files(files: Files, split: str) -> tuple[tuple[Source, ...], bool]:
        source, own = layouts.examples(files, split, options.label_pattern)
        return (source,), own

    return _open(options, options.source, split, from_files)[0]


def open_pairs(options: Options, split: str) -> Source:
    """Fields `a` and `b`, or one field `image` that holds both side by side."""

    def from_files(files: Files, split: str) -> tuple[tuple[Source, ...], bool]:
        source, own = layouts.pairs(
            files, split, options.folders, options.layout, options.label_pattern
        )
        return (source,), own

    return _open(options, options.source, split, from_files)[0]


def open_high(options: Options, split: str, scale: int | None = None) -> Source:
    """Field `hr`, and `lr` where the source has it; files may be named after `scale`
    (None: after any)."""

    def from_files(files: Files, split: str) -> tuple[tuple[Source, ...], bool]:
        source, own = layouts.low_high(files, split, scale, options.label_pattern)
        return (source,), own

    return _open(options, options.source, split, from_files)[0]


def open_domains(options: Options, split: str) -> tuple[Source, Source]:
    """The two domains of unpaired translation."""

    def from_files(files: Files, split: str) -> tuple[tuple[Source, ...], bool]:
        return layouts.domains(
            files, split, options.folders, options.layout, options.label_pattern
        )

    source = options.source
    if isinstance(source, Sequence) and not isinstance(source, str):
        if len(source) != 2:
            raise UserError(
                f"data.source names {len(source)} sources: unpaired translation has "
                "two domains"
            )
        first, second = (
            open_images(dataclasses.replace(options, source=one), split)
            for one in source
        )
        return first, second
    found = _open(options, source, split, from_files, domains=True)
    return found[0], found[-1]


def _open(
    options: Options,
    source: Any,
    split: str,
    from_files: Callable[[Files, str], tuple[tuple[Source, ...], bool]],
    domains: bool = False,
) -> tuple[Source, ...]:
    if source is None or source == "":
        raise UserError(
            "data.source is not set; give folder:/path, zip:file.zip, npz:file.npz, "
            "tfds:name/config or synthetic:name"
        )
    more = dict(options.source_options or {})
    if not isinstance(source, str):  # the caller has chosen the split
        given = (_where(source, options),)
        if options.holdout:
            return _choose(lambda _: (given, False), split, options)
        return given
    scheme, rest = split_name(source)
    if scheme == "synthetic":
        if options.image_size is not None:
            more.setdefault("size", options.loaded[0])
        return (_where(archives.open_synthetic(rest, split, more), options),)

    files = open_files(scheme, rest) if scheme in ("folder", "zip") else None
    archive = archives.open_npz(rest) if scheme == "npz" else None

    def opener(wanted: str) -> tuple[tuple[Source, ...], bool]:
        if files:
            found, own = from_files(files, wanted)
        elif archive is not None:
            chosen, own = _by_field(archive, wanted)
            found = (chosen,)
        else:
            from jaxgan.data import tfds_source

            for key in more:
                one_of(key, ("data_dir",), f"{source}: data.source_options")
            found, own = tfds_source.open_tfds(rest, wanted, domains=domains, **more)
        return tuple(_where(s, options) for s in found), own

    return _choose(opener, split, options)


def _by_field(source: Source, split: str) -> tuple[Source, bool]:
    """A split's examples, where a field `split` holds every example's as a word.

    Returns:
      They, or those of training if there are none; and whether there are any.
    """
    field = source.fields.get("split")
    if field is None or field.shape != () or np.dtype(field.dtype).kind != "U":
        return source, False
    words = np.char.lower(whole_field(source, "split", "data.source"))
    unknown = np.setdiff1d(words, sum(SPLIT_FOLDERS.values(), ()))
    if unknown.size:
        raise UserError(
            f"{source.name}: its field 'split' holds {str(unknown[0])!r}; write train, "
            "validation or test for each example"
        )
    own, training = (
        np.flatnonzero(np.isin(words, SPLIT_FOLDERS[s])) for s in (split, "train")
    )
    if not training.size:
        raise UserError(
            f"{source.name}: its field 'split' says train of no example; leave the "
            "field out to have a part held out"
        )
    return Subset(source, own if own.size else training), bool(own.size)


def _choose(opener: Opener, split: str, options: Options) -> tuple[Source, ...]:
    """The source's own split if it has one, else a part of the training examples."""
    holdout, other = options.holdout, {"validation": "test", "test": "validation"}
    if split == "train":
        has_others = holdout is None and any(opener(s)[1] for s in other)
        share = 0.0 if has_others else DEFAULT_HOLDOUT if holdout is None else holdout
        sources = opener("train")[0]
        return tuple(_divide(s, share, options)[0] for s in sources)
    # An explicit holdout means: choose on my part, keep the given split for the end.
    looked_for = {
        "test": ("test",) if holdout else ("test", "validation"),
        "validation": () if holdout else ("validation", "test"),
    }[split]
    for name in looked_for:
        sources, own = opener(name)
        if own:
            return sources
    if holdout == 0:
        raise NothingHeldOut(
            f"{opener('train')[0][0].name}: it has no {split} split and data.holdout "
            "is 0; set data.holdout to a share such as 0.1, or judge on training "
            "examples (jaxgan evaluate --split=train, training.evaluate_every=0)"
        )
    sources = opener("train")[0]
    return tuple(_divide(s, holdout or DEFAULT_HOLDOUT, options)[1] for s in sources)


def _divide(
    source: Source, share: int | float, options: Options
) -> tuple[Source, Source]:
    """Training and held-out examples; groups of `holdout_by` are not torn apart.

    Files and groups are ranked by their names alone, so that the others stay where they
    are when one is added or removed; examples without a name are ranked by number.
    """
    if share == 0:
        return source, source
    names, group = None, np.arange(len(source))
    if source.file_names(0):
        names = [source.file_names(i)[0] for i in range(len(source))]
    if options.holdout_by:
        values = whole_field(source, options.holdout_by, "data.holdout_by")
        values, group = np.unique(values, return_inverse=True)
        classes = dict(enumerate(source.fields[options.holdout_by].names or ()))
        names = [classes.get(v, v) for v in values.tolist()]
    groups = int(group.max()) + 1
    held = max(1, round(share * groups))
    if held >= groups:
        raise UserError(
            f"{source.name}: {groups} example(s) cannot be divided into training and "
            "held-out ones; add examples, or set data.holdout=0"
        )
    if names is None:
        rank = permute(np.arange(groups), groups, _SPLIT_SEED)
    else:
        rank = np.argsort(np.argsort([_hash(name) for name in names], stable=True))
    outside = rank[group] < held
    return Subset(source, np.flatnonzero(~outside)), Subset(
        source, np.flatnonzero(outside)
    )


def _hash(name: Any) -> int:
    """The same number on every machine, however an umlaut is written."""
    text = unicodedata.normalize("NFC", f"{_SPLIT_SEED} {name}")
    data = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=7).digest())


def _where(source: Source, options: Options) -> Source:
    keep = np.ones(len(source), bool)
    for key, wanted in (options.where or {}).items():
        values = whole_field(source, key, "data.where")
        names = source.fields[key].names or ()
        numbers = []
        several = isinstance(wanted, Iterable) and not isinstance(wanted, str)
        for value in wanted if several else (wanted,):
            if not isinstance(value, str | int | float | np.number):
                raise UserError(
                    f"data.where asks for {key} {value!r}: give a class's name, a "
                    "number, or several of either"
                )
            if isinstance(value, str):
                if value not in names:
                    raise UserError(
                        f"{source.name}: data.where asks for {key} {value!r}"
                        f"{did_you_mean(value, names)}; it has {', '.join(names)}"
                    )
                value = names.index(value)
            numbers.append(value)
        keep &= np.isin(values, numbers)
    if keep.all():
        return source
    if not keep.any():
        raise UserError(
            f"{source.name}: no example is as data.where asks: {options.where}"
        )
    return Subset(source, np.flatnonzero(keep))


def whole_field(source: Source, key: str, option: str) -> np.ndarray:
    known = [k for k, field in source.fields.items() if not field.encoded]
    if key not in known:
        raise UserError(
            f"{source.name}: {option} names the field {key!r}"
            f"{did_you_mean(key, known)}; it has {', '.join(known) or 'none'}"
        )
    values = source.column(key)
    if values is None:  # TFDS and drawn sets: read them all once
        values = source.read(np.arange(len(source)), [key])[key]
    return values


def make_source(name: Any, split: str = "train", **options: Any) -> Source:
    """Opens a source of single examples by name, as the tasks do.

    Args:
      name: `folder:`, `zip:`, `npz:`, `tfds:` or `synthetic:`, see
        `jaxgan.data.sources`.
      split: `train`, `validation` or `test`.
      **options: keys of `Options`, such as `holdout=0.0` for everything or
        `label_pattern`.

    Raises:
      UserError: if it cannot be opened.
    """
    return open_images(Options(source=name, **options), split)
