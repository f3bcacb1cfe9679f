"""Tensors out of the files in which weights are published; nothing in them is run.

`read_runtime` takes the two formats that a run or an evaluation loads, `read_source`
every format that `jaxgan.import_weights` converts. Both return names in one of the two
styles of `jaxgan.pretrained.convert`.
"""

import importlib
import json
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from jaxgan.core.errors import UserError
from jaxgan.pretrained.protobuf_files import read_caffe, read_tensorflow
from jaxgan.pretrained.torch_files import read_torch

METADATA_KEY = "jaxgan"  # one entry, JSON: several would be written in random order
_REFUSED = frozenset((".npy", ".pkl", ".pickle", ".t7"))


@dataclass(frozen=True)
class Contents:
    """What a file holds.

    Attributes:
        arrays: {name: tensor}; when only shapes were asked for, tensors of the right
            shape that take no memory.
        metadata: what `write` was given; empty for files of other projects.
    """

    arrays: dict[str, np.ndarray]
    metadata: dict[str, Any] = field(default_factory=dict)


def read_runtime(path: Path, *, shapes_only: bool = False) -> Contents:
    """Reads `.safetensors` or `.npz`.

    Args:
        path: the file.
        shapes_only: read the headers alone, which is cheap for files of any size.

    Raises:
        UserError: another format, a pickle inside, or a damaged file.
    """
    if path.suffix == ".safetensors":
        return _read_safetensors(path, shapes_only)
    if path.suffix == ".npz":
        return Contents(_read_npz(path, shapes_only))
    if path.suffix in _REFUSED:
        raise UserError(refusal(path))
    if path.suffix not in SOURCE_READERS:
        raise UserError(
            f"{path}: {path.suffix!r} is no kind of weights file: give a .safetensors "
            "or .npz"
        )
    raise UserError(
        f"{path}: runs read .safetensors and .npz only; convert it once: python -m "
        f"jaxgan.import_weights --source={path} --output={path.with_suffix('')}"
        ".safetensors --network=NAME"
    )


def read_source(path: Path) -> dict[str, np.ndarray]:
    """Reads a published file of any accepted format, chosen by its suffix.

    Raises:
        UserError: unknown or refused format, damaged file, or a reader's library is
            not installed.
    """
    if path.suffix in _REFUSED:
        raise UserError(refusal(path))
    if path.suffix not in SOURCE_READERS:
        raise UserError(
            f"{path}: unknown kind of weights file {path.suffix!r}; accepted are "
            f"{' '.join(SOURCE_READERS)}"
        )
    return SOURCE_READERS[path.suffix](path)


def refusal(path: Path) -> str:
    """Returns why a pickled file is not opened."""
    return (
        f"{path}: files of this kind can run code when opened; convert it in a sandbox "
        "to .safetensors and pass that"
    )


def _outline(shape: tuple[int, ...]) -> np.ndarray:
    """Returns a tensor of this shape that takes no memory."""
    return np.broadcast_to(np.zeros((), np.float32), shape)


def _read_safetensors(path: Path, shapes_only: bool) -> Contents:
    arrays = {}
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = json.loads((file.metadata() or {}).get(METADATA_KEY, "{}"))
            for name in file.keys():
                if shapes_only:
                    arrays[name] = _outline(tuple(file.get_slice(name).get_shape()))
                else:
                    arrays[name] = file.get_tensor(name)
    except (SafetensorError, ValueError, TypeError, OSError) as error:
        raise UserError(
            f"{path}: no readable .safetensors ({str(error)[:80]}); download or "
            "convert it again"
        ) from error
    return Contents(arrays, metadata)


def _read_npz(path: Path, shapes_only: bool) -> dict[str, np.ndarray]:
    try:
        arrays = {}
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                with archive.open(name) as file:
                    version = np.lib.format.read_magic(file)
                    if version == (1, 0):
                        header = np.lib.format.read_array_header_1_0(file)
                    else:
                        header = np.lib.format.read_array_header_2_0(file)
                if header[2].hasobject:
                    raise UserError(refusal(path))
                arrays[name.removesuffix(".npy")] = _outline(header[0])
        if not shapes_only:
            with np.load(path, allow_pickle=False) as loaded:
                arrays = {name: loaded[name] for name in loaded.files}
    except (zipfile.BadZipFile, ValueError, OSError, EOFError) as error:
        raise UserError(
            f"{path}: no readable .npz ({str(error)[:80]}); download it again"
        ) from error
    return arrays


def _library(module: str, package: str, path: Path) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise UserError(
            f"{path}: reading {path.suffix} needs {package}: pip install {package}"
        ) from None


def _read_keras(path: Path) -> dict[str, np.ndarray]:
    """Reads a Keras `.h5`: `layer/layer_W_1:0` of old files, `layer/.../kernel:0`."""
    h5py = _library("h5py", "h5py", path)
    arrays = {}

    def visit(name: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset):
            return
        layer, *_, leaf = name.removeprefix("model_weights/").split("/")
        if re.search(r"(^|_)(kernel|W)(_\d+)?(:0)?$", leaf):
            arrays[f"{layer}/kernel"] = np.asarray(item)
        elif re.search(r"(^|_)(bias|b)(_\d+)?(:0)?$", leaf):
            arrays[f"{layer}/bias"] = np.asarray(item)

    try:
        with h5py.File(path, "r") as file:
            file.visititems(visit)
    except OSError as error:
        raise UserError(
            f"{path}: no readable HDF5 file ({str(error)[:80]}); download it again"
        ) from error
    return arrays


def _read_matconvnet(path: Path) -> dict[str, np.ndarray]:
    """Reads a MatConvNet `.mat`, MATLAB 5 format: `layers{n}.weights{1,2}`."""
    io = _library("scipy.io", "scipy", path)
    try:
        layers = io.loadmat(path, squeeze_me=False, variable_names=["layers"])["layers"]
    except Exception as error:  # SciPy raises many kinds for what it cannot read
        raise UserError(
            f"{path}: no readable MATLAB 5 file with 'layers' ({type(error).__name__}:"
            f" {str(error)[:80]}); save it again with -v6"
        ) from error
    arrays = {}
    for layer in layers.ravel():
        entry = layer[0, 0]
        names = entry.dtype.names or ()
        if "weights" in names:
            weights = entry["weights"].ravel()
        elif "filters" in names:  # files before 2015
            weights = [entry["filters"], entry["biases"]]
        else:
            continue
        if len(weights) != 2:
            continue
        name = str(entry["name"].item())
        arrays[f"{name}/kernel"] = np.asarray(weights[0])
        arrays[f"{name}/bias"] = np.asarray(weights[1]).ravel()
    return arrays


SOURCE_READERS: MappingProxyType[str, Callable[[Path], dict[str, np.ndarray]]] = (
    MappingProxyType(
        {
            ".pth": read_torch,
            ".pt": read_torch,
            ".ckpt": read_torch,
            ".tar": read_torch,
            ".safetensors": lambda path: read_runtime(path).arrays,
            ".npz": lambda path: read_runtime(path).arrays,
            ".h5": _read_keras,
            ".mat": _read_matconvnet,
            ".caffemodel": read_caffe,
            ".pb": read_tensorflow,
        }
    )
)
