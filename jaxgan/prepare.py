"""Converts data once, into a form that training reads by index.

    jaxgan prepare --source=tfds:cycle_gan/horse2zebra
    jaxgan prepare --source=tfds:pix2pix/facades --manual_dir=DIR_OF_ARCHIVES
    jaxgan prepare --source=folder:/data/chairs --output=chairs.npz --resolution=32
    jaxgan prepare --source=folder:/data/off --output=shells.npz --nofilled --pad=2

TFDS data sets are downloaded, or fetched from --manual_dir, and written as
array_record; a TFRecord copy is converted beside itself. A folder or zip of shapes
(.npy, .npz, .binvox and, with the extra `mesh`, .mat, .off, .obj, .ply, .stl) becomes
one file of packed grids: --config.data.source=npz:chairs.npz. Meshes are filled, since
3D-GAN's shapes are solid, and their empty border is a 32nd of the grid, as that of
3DShapeNets' 30^3 grids in 32^3 or 64^3. A run's modes read meshes likewise; of meshes
that were prepared otherwise give them the .npz. Of probabilities, such as `sample`
writes, a cell above 0.5 is solid.

Folders `train`, `val` and `test`, wherever in a path, are the shapes' splits; the first
other folder is their label: chair/30/test/a.mat is a test shape of label `chair`. Where
.mat files show an object turned (x_1.mat, x_2.mat), the field `object_id` tells which:
--config.data.holdout_by=object_id holds out whole objects.
"""

from __future__ import annotations

import dataclasses
import io
import re
import sys
import zipfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from absl import flags

from jaxgan import command
from jaxgan.core.errors import UserError
from jaxgan.core.optional import require
from jaxgan.data import prepare
from jaxgan.data.files import SPLIT_FOLDERS, Files, open_files
from jaxgan.data.pictures import Unusable
from jaxgan.data.sources import split_name
from jaxgan.inference import grids, marks
from jaxgan.inference.saving import disk, require_file, whole

FLAGS = flags.FlagValues()
flags.DEFINE_string(
    "source", None, "tfds:NAME, or folder:PATH or zip:FILE of shapes", flag_values=FLAGS
)
flags.DEFINE_string("data_dir", None, "where TFDS keeps its data", flag_values=FLAGS)
flags.DEFINE_string(
    "manual_dir", None, "archives that were fetched by hand", flag_values=FLAGS
)
flags.DEFINE_string("output", None, "shapes: the .npz to write", flag_values=FLAGS)
flags.DEFINE_integer(
    "resolution", 32, "shapes: side of the grid of a mesh", 8, flag_values=FLAGS
)
flags.DEFINE_integer(
    "pad",
    None,
    "shapes: empty voxels around a mesh (if not given 1 at 32 and 2 at 64, the border "
    "of 3DShapeNets' grids)",
    1,
    flag_values=FLAGS,
)
flags.DEFINE_bool(
    "filled",
    True,
    "shapes: a mesh's interior too; --nofilled is its surface alone",
    flag_values=FLAGS,
)


_SPLITS = {s: split for split, spellings in SPLIT_FOLDERS.items() for s in spellings}


def main(argv: Sequence[str]) -> None:
    """Prepares one source and says where it lies."""
    overrides = command.parse(FLAGS, argv, __doc__, ("source",))
    if overrides:
        raise UserError(
            f"unexpected argument {overrides[0]!r}: there is no config here"
        )
    scheme, rest = split_name(FLAGS.source)
    if scheme == "tfds":
        print(prepare(rest, data_dir=FLAGS.data_dir, manual_dir=FLAGS.manual_dir))
    elif scheme in ("folder", "zip"):
        if not FLAGS.output or not FLAGS.output.endswith(".npz"):
            raise UserError(f"{FLAGS.source}: name the file to write, --output=x.npz")
        pad, resolution = FLAGS.pad, FLAGS.resolution
        if pad is not None and 2 * pad + 2 > resolution:
            raise UserError(
                f"--pad={pad} leaves no room for a shape in --resolution={resolution}: "
                f"give at most {resolution // 2 - 1}"
            )
        files = open_files(scheme, rest, (*grids.SUFFIXES, ".mat"), "shapes")
        _require_free(Path(FLAGS.output))
        if scheme == "folder":
            files = _without(files, Path(rest).expanduser(), Path(FLAGS.output))
        as_grids = partial(_read, resolution=resolution, pad=pad, filled=FLAGS.filled)
        print(_pack(files, FLAGS.output, as_grids))
    else:
        raise UserError(f"{FLAGS.source}: it needs no preparation")


def _without(files: Files, folder: Path, output: Path) -> Files:
    """Leaves out what an earlier command wrote."""
    written = output.resolve()
    names = tuple(n for n in files.names if (folder / n).resolve() != written)
    if not names:
        raise UserError(f"{files.name}: there is nothing in it but --output={output}")
    return dataclasses.replace(files, names=names)


def _require_free(output: Path) -> None:
    """Makes sure that a file can be written and replaces none of the user's."""
    require_file(output)
    with disk(output):
        exists = output.exists()
    if exists and not _is_prepared(output):
        raise UserError(
            f"--output={output} would replace your file of that name, which no earlier "
            "`jaxgan prepare` wrote: move it, or choose another name"
        )


def _is_prepared(path: Path) -> bool:
    """Whether an earlier command wrote it; results of `generate` are not packed."""
    if not marks.has(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return "packed.npy" in archive.namelist()


def _pack(files: Files, output: str, read: Callable[[bytes, str], Any]) -> str:
    """Writes all grids of the files, packed, with what their paths say of them."""
    packed, names, skipped = [], [], []
    shapes: set[tuple[int, ...]] = set()
    for name in files.names:
        try:
            found = read(files.read(name), name)
        except Unusable as why:
            skipped.append(f"{name}: {why}")
            continue
        except OSError as why:
            skipped.append(f"{name}: {why.strerror or why}")
            continue
        for grid in found:
            packed.append(np.packbits(grid > 0.5))
            names.append(name)
            shapes.add(grid.shape)
    if not shapes:
        raise UserError(
            f"{files.name}: none of its {len(skipped)} files can be read, such as "
            f"{skipped[0]}; repair or replace them"
        )
    if len(shapes) > 1:
        sizes = ", ".join("x".join(map(str, s)) for s in sorted(shapes))
        raise UserError(
            f"{files.name}: one file holds grids of one size, found {sizes}; prepare "
            "them apart"
        )
    for line in skipped:
        print(f"skipped {line}", file=sys.stderr)
    classes, label = np.unique([_label(n) for n in names], return_inverse=True)
    more: dict[str, Any] = {**_splits(files.name, names), **_objects(names)}
    with disk(Path(output)), whole(Path(output)) as path:
        np.savez_compressed(
            path,
            packed=np.stack(packed),
            shape=np.array(shapes.pop()),
            label=label.astype(np.int32),
            classes=classes,
            **more,
        )
        marks.add(path)
    counts = f"{len(names)} shapes in {len(classes)} classes, {len(skipped)} skipped"
    if "split" in more:
        splits, sizes = np.unique(more["split"], return_counts=True)
        parts = zip(splits, sizes, strict=True)
        counts += "; " + ", ".join(f"{split} {size}" for split, size in parts)
    if "object_id" in more:
        counts += f"; {more['object_id'].max() + 1} objects, some in several turns"
    return f"{output}: {counts}"


def _label(name: str) -> str:
    folders = (f for f in name.split("/")[:-1] if f.lower() not in _SPLITS)
    return next(folders, "all")


def _splits(source: str, names: Sequence[str]) -> dict[str, np.ndarray]:
    """The field `split`, if the files lie in folders of two splits or more."""
    found = [
        next(
            (_SPLITS[f.lower()] for f in n.split("/")[:-1] if f.lower() in _SPLITS), ""
        )
        for n in names
    ]
    if len(set(found)) < 2:
        return {}
    if "" in found:
        raise UserError(
            f"{source}/{names[found.index('')]} lies in no folder train or test, but "
            "others do; move it into one, or prepare these folders apart"
        )
    return {"split": np.array(found)}


def _objects(names: Sequence[str]) -> dict[str, np.ndarray]:
    """The field `object_id`, if some objects are there more than once: 3DShapeNets
    keeps the twelve turns of chair_000000001 as chair_000000001_1.mat and so on."""
    turned = [re.sub(r"(\d)_\d+\.mat$", r"\1", n, flags=re.IGNORECASE) for n in names]
    if len(set(turned)) == len(set(names)):
        return {}
    return {"object_id": np.unique(turned, return_inverse=True)[1].astype(np.int32)}


def _read(
    data: bytes, name: str, *, resolution: int, pad: int | None, filled: bool
) -> Any:
    suffix = PurePosixPath(name).suffix.lower()
    if suffix != ".mat":
        return grids.read(data, suffix, resolution, pad, filled)
    loadmat = require("scipy.io", "reading .mat files", "mesh").loadmat
    try:  # 3DShapeNets keeps a grid as `instance`
        return np.asarray(loadmat(io.BytesIO(data))["instance"])[None] > 0
    except Exception as error:  # SciPy's readers raise a dozen types
        raise Unusable(f"no grid `instance` in it ({error})") from error


if __name__ == "__main__":
    command.run(main, sys.argv)
