"""What the folders of image files mean: examples, pairs, domains.

| task | layouts, in the order in which they are looked for |
|---|---|
| images, labelled | label folders, names by a pattern, or flat |
| paired | two folders of equal file names (`A`, `B`, `data.folders`), or side by side |
| unpaired | `trainA` and `trainB`, two folders, side by side if `data.layout` says so |
| low_high | DIV2K's names, `HR` with or without `LR`, or flat |

Above or below these, folders `train`, `val` and `test` part the splits.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePosixPath

import numpy as np
from jaxtyping import Int

from jaxgan.core.errors import UserError, warn_once
from jaxgan.data.files import SPLIT_FOLDERS, Files, all_splits, choose_split
from jaxgan.data.pictures import Unusable, decode
from jaxgan.data.sources import Field, Source

SIDE_BY_SIDE = 1.8  # width over height from which on; photographs go up to 16:9
_DOMAIN_SPLITS = {
    "train": ("train",),
    "validation": ("val", "valid"),
    "test": ("test",),
}
# DIV2K_train_HR, DIV2K_train_LR_bicubic/X4, DIV2K_valid_HR
_SIZES = re.compile(
    rf"(?:.*_)?({'|'.join(sum(SPLIT_FOLDERS.values(), ()))})"
    r"_(hr|lr)(?:_bicubic)?(?:_x(\d+))?"
)
_SCALE = re.compile(r"[xX]\d+")


class FileSource:
    """Examples made of one or several image files each, and of numbers beside them."""

    def __init__(
        self,
        files: Files,
        columns: Mapping[str, Sequence[str]],
        arrays: Mapping[str, np.ndarray] | None = None,
        names: Mapping[str, Sequence[str]] | None = None,
    ):
        self.name = files.name
        self._files, self._columns = files, {k: tuple(v) for k, v in columns.items()}
        self._arrays = dict(arrays or {})
        if taken := set(columns) & set(self._arrays):
            raise UserError(
                f"{self.name}: data.label_pattern names a group {min(taken)!r}, which "
                "is the picture itself; choose another name"
            )
        names = names or {}
        self.fields = {key: Field(None) for key in columns} | {
            key: Field(
                tuple(value.shape[1:]),
                str(value.dtype),
                tuple(names[key]) if key in names else None,
            )
            for key, value in self._arrays.items()
        }

    def __len__(self) -> int:
        return len(next(iter(self._columns.values())))

    def read(
        self, indices: Int[np.ndarray, " n"], fields: Iterable[str] | None = None
    ) -> dict[str, np.ndarray]:
        if fields is None:
            fields = self._arrays
        return {key: self._arrays[key][indices] for key in fields}

    def column(self, field: str) -> np.ndarray:
        return self._arrays[field]

    def encoded(self, index: int) -> dict[str, bytes]:
        return {
            key: self._files.read(names[index]) for key, names in self._columns.items()
        }

    def file_names(self, index: int) -> tuple[str, ...]:
        return tuple(column[index] for column in self._columns.values())

    def describe(self, index: int) -> str:
        return f"{self.name}/{' and '.join(self.file_names(index))}"


def examples(files: Files, split: str, pattern: str | None) -> tuple[Source, bool]:
    """Single images; label folders and file names give further fields.

    Args:
      files: all files.
      split: `train`, `validation` or `test`.
      pattern: a regular expression over the file's name without folders; its named
        groups become fields, whole numbers as they are, words as class numbers.

    Returns:
      The source and whether it is the split asked for (else it is to be divided).
    """
    # Classes are numbered over all splits: one may lack some of them.
    every = all_splits(files)
    files, own = choose_split(files, split)
    names = files.names
    arrays, classes = {}, {}
    stray = [n for n in names if "/" not in n]
    if not stray:
        folders = sorted({folder for other in every for folder in other.folders()})
        numbers = {folder: number for number, folder in enumerate(folders)}
        top = [numbers[n.split("/", 1)[0]] for n in names]
        arrays["label"] = np.array(top, np.int32)
        classes["label"] = folders
    elif 2 * len(stray) < len(names):
        warn_once(
            f"{files.name}: its folders are no labels, for {stray[0]} lies beside them "
            f"({len(stray)} such in all); move it away to have labels"
        )
    more, words = _match(files, names, pattern, every)
    return FileSource(files, {"image": names}, arrays | more, classes | words), own


def _match(
    files: Files, names: Sequence[str], pattern: str | None, every: Sequence[Files]
) -> tuple[dict[str, np.ndarray], dict[str, tuple[str, ...]]]:
    """Arrays of what the named groups hold, and the words that numbers stand for.

    Args:
      files: their name is for messages.
      names: of one file an example.
      pattern: None gives nothing.
      every: files whose words are numbered too.
    """
    if not pattern:
        return {}, {}
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UserError(
            f"data.label_pattern {pattern!r} is no regular expression: {error}"
        ) from error
    if not compiled.groupindex:
        raise UserError(
            f"data.label_pattern {pattern!r} names no group; write each label as "
            "(?P<name>...), such as (?P<age>\\d+)_(?P<gender>\\d)_"
        )
    found = []
    for name in names:
        match = compiled.match(PurePosixPath(name).name)
        if not match:
            raise UserError(
                f"{files.name}/{name}: its name does not match data.label_pattern "
                f"{pattern!r}; correct the pattern or move the file away"
            )
        found.append(match.groupdict())
    matches = (compiled.match(PurePosixPath(n).name) for e in every for n in e.names)
    others = [match.groupdict() for match in matches if match]
    arrays, classes = {}, {}
    for key in compiled.groupindex:
        words = [row[key] or "" for row in found]
        known = sorted({row[key] or "" for row in others})
        if all(re.fullmatch(r"[+-]?\d{1,9}", word) for word in known):
            arrays[key] = np.array([int(word) for word in words], np.int32)
        else:
            classes[key] = tuple(known)
            arrays[key] = np.searchsorted(known, words).astype(np.int32)
    return arrays, classes


def pairs(
    files: Files,
    split: str,
    folders: Sequence[str] | None,
    layout: str,
    pattern: str | None = None,
) -> tuple[Source, bool]:
    """Pairs: fields `a` and `b` from two folders, or one field `image` side by side.

    The names of A's files give further fields by the pattern, as in `examples`.

    Raises:
      UserError: for files without a partner, or pictures that are not side by side.
    """
    two = None if layout == "side_by_side" else _two_folders(files, split, folders)
    if two:
        a, b, own = two
        return _match_pairs(files, a, b, ("a", "b"), pattern), own
    chosen, own = choose_split(files, split)
    if layout == "auto":
        _check_side_by_side(chosen)
    return _flat(chosen, "image", pattern, files), own


def _flat(files: Files, field: str, pattern: str | None, whole: Files) -> Source:
    """Every file is an example; words are numbered over the whole set."""
    arrays, words = _match(files, files.names, pattern, [whole])
    return FileSource(files, {field: files.names}, arrays, words)


def domains(
    files: Files,
    split: str,
    folders: Sequence[str] | None,
    layout: str,
    pattern: str | None = None,
) -> tuple[tuple[Source, Source], bool]:
    """The two domains of unpaired translation, each with the field `image`.

    File names give further fields by the pattern, as in `examples`.

    Raises:
      UserError: if there are no two domains to be found.
    """
    if layout == "side_by_side":
        source, own = pairs(files, split, None, layout, pattern)
        return (source, source), own
    two = _two_folders(files, split, folders)
    if not two:
        chosen, own = choose_split(files, split)
        if len(chosen.folders()) == 2:
            first, second = chosen.folders()
            two = chosen.inside(first), chosen.inside(second), own
    if not two:
        raise UserError(
            f"{files.name}: there are no two domains in it; make folders trainA and "
            "trainB (and testA, testB), or name two with data.folders, or set "
            "data.layout=side_by_side"
        )
    a, b, own = two
    first, second = (_flat(side, "image", pattern, files) for side in (a, b))
    return (first, second), own


def low_high(
    files: Files, split: str, scale: int | None = None, pattern: str | None = None
) -> tuple[Source, bool]:
    """High-resolution images (`hr`), with their low-resolution partners where given.

    The names of the first give further fields by the pattern, as in `examples`.

    Raises:
      UserError: for files without a partner, and low-resolution files that are named
        after another scale than `scale`.
    """
    sized = _sizes_by_name(files, split, scale)
    if sized:
        a, b, own = sized
        if not b:
            return _flat(a, "hr", pattern, files), own
        return _match_pairs(files, a, b, ("hr", "lr"), pattern, scale), own
    outer, own = files, False
    if not files.find_folder("hr"):
        outer, own = choose_split(files, split)
    high, low = outer.find_folder("hr"), outer.find_folder("lr")
    if not high:
        return _flat(outer, "hr", pattern, files), own
    a, own_a = (
        (outer.inside(high), own) if own else choose_split(outer.inside(high), split)
    )
    if not low:
        return _flat(a, "hr", pattern, files), own_a
    b = outer.inside(low) if own else choose_split(outer.inside(low), split)[0]
    return _match_pairs(files, a, b, ("hr", "lr"), pattern, scale), own_a


def _sizes_by_name(
    files: Files, split: str, scale: int | None
) -> tuple[Files, Files | None, bool] | None:
    """High and low resolution from folders called as those of DIV2K, or None.

    The low one is None where there is none of that scale; degradations other than
    `bicubic` are passed over. The flag is that of `choose_split`.
    """
    high: dict[str, str] = {}
    low: dict[str, dict[int | None, str]] = {}
    for folder in files.folders():
        found = _SIZES.fullmatch(folder.lower())
        if not found:
            continue
        word, kind, times = found.groups()
        if kind == "hr":
            other = high.setdefault(word, folder)
            if other != folder:
                raise UserError(
                    f"{files.name}: {other} and {folder} are both of high resolution; "
                    "keep one of them in the folder"
                )
            continue
        inner = [f for f in files.inside(folder).folders() if _SCALE.fullmatch(f)]
        low.setdefault(word, {}).update(
            {int(f[1:]): f"{folder}/{f}" for f in inner}
            or {int(times) if times else None: folder}
        )
    if not high:
        return None
    own = [word for word in SPLIT_FOLDERS[split] if word in high]
    chosen = own or [word for word in SPLIT_FOLDERS["train"] if word in high]
    if not chosen:
        raise UserError(
            f"{files.name} holds only {' and '.join(high.values())}: put training "
            "images into a folder train_HR beside it"
        )
    scales = low.get(chosen[0], {})
    if scale is None and len(scales) == 1:
        (partner,) = scales.values()
    else:
        partner = scales.get(scale) or scales.get(None)
    b = files.inside(partner) if partner else None
    return files.inside(high[chosen[0]]), b, bool(own)


def _two_folders(
    files: Files, split: str, folders: Sequence[str] | None
) -> tuple[Files, Files, bool] | None:
    """Two folders of one split, or None; the flag is that of `choose_split`."""
    if folders is not None and len(folders) != 2:
        raise UserError(
            f"data.folders is {tuple(folders)}: name two, those of A and of B"
        )
    if folders is None:
        for spelling in _DOMAIN_SPLITS[split]:
            a, b = files.find_folder(f"{spelling}a"), files.find_folder(f"{spelling}b")
            if a and b:
                return files.inside(a), files.inside(b), True
        a, b = files.find_folder("traina"), files.find_folder("trainb")
        if a and b:
            return files.inside(a), files.inside(b), False
    outer, own = choose_split(files, split)
    a, b = (
        _named(outer, folders)
        if folders
        else (outer.find_folder("a"), outer.find_folder("b"))
    )
    if not (a and b):
        return None
    if own or files.find_folder(*SPLIT_FOLDERS["train"]):
        return outer.inside(a), outer.inside(b), own
    (first, own), (second, _) = (
        choose_split(outer.inside(a), split),
        choose_split(outer.inside(b), split),
    )
    return first, second, own


def _named(files: Files, folders: Sequence[str]) -> tuple[str, str]:
    for folder in folders:
        if not files.inside(folder).names:
            raise UserError(
                f"{files.name}/{folder}: data.folders names it, but there are no image "
                f"files in it; the folders are {', '.join(files.folders()) or 'none'}"
            )
    return folders[0], folders[1]


def _match_pairs(
    files: Files,
    a: Files,
    b: Files,
    fields: tuple[str, str],
    pattern: str | None,
    scale: int | None = None,
) -> Source:
    exact = lambda name: name.rsplit(".", 1)[0]  # noqa: E731
    first = _by_stem(a, exact)

    def low(name: str) -> str:
        """DIV2K calls the partner of 0001.png 0001x4.png."""
        found = re.fullmatch(r"(.*)x(\d+)", exact(name))
        if not found or unicodedata.normalize("NFC", exact(name)) in first:
            return exact(name)
        if scale is not None and int(found[2]) != scale:
            raise UserError(
                f"{b.name}/{name}: by its name it is {found[2]} times smaller, but "
                f"data.scale={scale}; take the files of that scale, or set data.scale "
                "and system.scale"
            )
        return found[1]

    second = _by_stem(b, low if fields[1] == "lr" else exact)
    alone = sorted(set(first) ^ set(second))
    if alone:
        side, other = (a, b) if alone[0] in first else (b, a)
        raise UserError(
            f"{side.name}: {alone[0]!r} has no partner of that name in {other.name} "
            f"({len(alone)} such in all); add the missing files or remove these"
        )
    stems = sorted(first)
    read, columns = {}, {}
    for field, side, names in zip(fields, (a, b), (first, second), strict=True):
        folder = side.name.removeprefix(f"{files.name}/")  # for messages
        columns[field] = [f"{folder}/{names[s]}" for s in stems]
        read |= {f"{folder}/{names[s]}": (side, names[s]) for s in stems}
    joined = Files(
        files.name, tuple(read), lambda name: read[name][0].read(read[name][1])
    )
    arrays, words = _match(joined, columns[fields[0]], pattern, [files])
    return FileSource(joined, columns, arrays, words)


def _by_stem(files: Files, stem: Callable[[str], str]) -> dict[str, str]:
    """`{stem: name}`; two files of one stem would both claim one partner."""
    found: dict[str, str] = {}
    for name in files.names:
        # One system writes an umlaut as one character, another as two.
        key = unicodedata.normalize("NFC", stem(name))
        other = found.setdefault(key, name)
        if other != name:
            raise UserError(
                f"{files.name}: {other!r} and {name!r} would both be the partner of "
                f"{key!r}; remove or rename one of them"
            )
    return found


def _check_side_by_side(files: Files) -> None:
    folders = files.folders()
    if len(folders) == 2 and all("/" in name for name in files.names):
        raise UserError(
            f"{files.name}: if its folders {folders[0]} and {folders[1]} hold A and B, "
            f"name them with data.folders={folders[0]},{folders[1]}; if each picture "
            "is A and B side by side, set data.layout=side_by_side"
        )
    for name in files.names[:16]:  # a broken file says nothing about the layout
        try:
            rows, columns = decode(files.read(name)).shape[:2]
        except (Unusable, OSError):
            continue
        if columns < SIDE_BY_SIDE * rows:
            raise UserError(
                f"{files.name}/{name} is {columns}x{rows}, not two pictures side by "
                "side; put A and B into folders A and B (or name two with "
                "data.folders), or set data.layout=side_by_side"
            )
        return
