"""Sources in one file: npz archives and the embedded procedural sets."""

import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxgan.core.errors import UserError
from jaxgan.data.files import local_path
from jaxgan.data.sources import ArraySource, RenderedSource, Source

_MAIN = (
    "image",
    "voxels",
    "packed",
    "a",
    "hr",
)  # they tell how many examples there are


# As long as anything holds them.
_opened: weakref.WeakValueDictionary[tuple, Source] = weakref.WeakValueDictionary()


def open_npz(path: str) -> Source:
    """Reads `.npz` (every array with one row an example) or `.npy` (one field `image`).

    Arrays of another length describe the set: `classes` are the names of `label`,
    `shape` the grid of `packed` voxels (eight to a byte, `numpy.packbits`), which a
    cube's does not need. An array `split` of words (`train`, `validation`, `test`) says
    to which split each example belongs; other words are numbered, in sorted order.

    Raises:
      UserError: if the file is missing or broken.
    """
    file = local_path("npz", path)
    if not file.is_file():
        raise UserError(f"npz:{path}: there is no such file; check data.source")
    about = file.stat()
    key = path, str(file.resolve()), about.st_mtime_ns, about.st_size
    # The splits of a set are parts of the same arrays.
    source = _opened.get(key)
    if source is None:
        source = _opened[key] = _read_npz(path, file)
    return source


def _read_npz(path: str, file: Path) -> Source:
    try:
        loaded: Any = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return ArraySource(f"npz:{path}", {"image": loaded})
        with loaded:
            arrays = {key: loaded[key] for key in loaded.files}
    except Exception as error:  # zipfile, zlib and NumPy each have their own
        # NumPy takes whatever it does not know for a pickle.
        pickled = "pickle" in str(error)
        reason = "no archive, or pickled objects, which are refused"
        raise UserError(
            f"npz:{path}: cannot be read ({reason if pickled else error}); make it "
            "anew with numpy.savez, of plain arrays"
        ) from error
    sizes = {key: len(value) for key, value in arrays.items() if value.ndim}
    if not sizes:
        raise UserError(f"npz:{path}: it holds no arrays; make it with numpy.savez")
    count = next((sizes[key] for key in _MAIN if key in sizes), max(sizes.values()))
    rows = {key: arrays[key] for key, size in sizes.items() if size == count}
    names = {}
    if "classes" in arrays and "label" in rows and rows["label"].dtype.kind != "U":
        names["label"] = tuple(str(c) for c in arrays["classes"])
        rows.pop("classes", None)
    grids = {}
    if "packed" in rows and "shape" in arrays and "shape" not in rows:
        grids["packed"] = tuple(int(n) for n in arrays["shape"])
    return ArraySource(f"npz:{path}", rows, names, grids)


def open_synthetic(name: str, split: str, options: Mapping[str, Any]) -> Source:
    """One of the embedded sets; they have splits of their own.

    Raises:
      UserError: for an unknown name or option.
    """
    from jaxgan.data import synthetic

    if given := {"name", "split"} & set(options):
        raise UserError(
            f"synthetic:{name}: data.source_options cannot set {min(given)!r}, which "
            "data.source and the command decide; leave it out"
        )
    generator = synthetic.make(name, split=split, **options)
    return RenderedSource(f"synthetic:{name}", generator)
