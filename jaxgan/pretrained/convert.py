"""From the tensors of published files to Flax variables.

File keys come in two styles. PyTorch's, `a.b.0.weight`, has output channels first.
Ours, `a/b_0/kernel`, has them last, as Keras, TensorFlow and MatConvNet do, and may
begin with the collection (`params/`, `batch_stats/`). Networks carry the attribute
names of their references, so that one rule renames nearly everything; the exceptions
are a small table a network (`Naming`).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from flax import traverse_util
from jaxtyping import Float, Shaped

from jaxgan.core.errors import UserError

Path: TypeAlias = tuple[str, ...]  # ("params", "conv1_1", "kernel")

_MOST_NAMES = 10  # of missing or unexpected tensors in a message
_COUNTERS = r".*\bnum_batches_tracked"
_TORCH_LEAVES = {
    "weight": ("params", "kernel"),
    "bias": ("params", "bias"),
    "running_mean": ("batch_stats", "mean"),
    "running_var": ("batch_stats", "var"),
}
_OUR_LEAVES = {
    "kernel": "params",
    "bias": "params",
    "scale": "params",
    "mean": "batch_stats",
    "var": "batch_stats",
}


@dataclass(frozen=True)
class Naming:
    """Where a network's files depart from the general rule.

    Attributes:
        torch: {module in PyTorch files: our module}; submodules follow.
        other: the same for files with slashes (Keras, TensorFlow, MatConvNet).
        flattened: {our dense module: (channels, height, width) of the map in front}.
            PyTorch and Caffe flatten channels first, NHWC networks channels last.
        ignored: regular expressions of whole keys that are never asked for.
    """

    torch: Mapping[str, str] = field(default_factory=dict)
    other: Mapping[str, str] = field(default_factory=dict)
    flattened: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()


def conv_kernel(weight: Shaped[np.ndarray, "o i *w"]) -> Shaped[np.ndarray, "*w i o"]:
    """Brings a PyTorch convolution kernel into Flax's order.

    The same transposition takes the kernel of a transposed convolution, `(i, o, *w)`,
    to the `(*w, o, i)` of `networks.layers.ConvTranspose` and of Flax's with
    `transpose_kernel=True`.
    """
    return weight.transpose(*range(2, weight.ndim), 1, 0)


def dense_kernel(weight: Shaped[np.ndarray, "o i"]) -> Shaped[np.ndarray, "i o"]:
    """Brings a PyTorch dense kernel into Flax's order."""
    return weight.transpose(1, 0)


def flattened_dense_kernel(
    weight: Shaped[np.ndarray, "o i"], shape: tuple[int, int, int]
) -> Shaped[np.ndarray, "i o"]:
    """Brings a dense kernel behind a flattened feature map into Flax's order.

    Args:
        weight: PyTorch's, its inputs in the order channels, height, width.
        shape: (channels, height, width) of the feature map.

    Returns:
        the kernel for inputs in the order height, width, channels.
    """
    outputs = weight.shape[0]
    return weight.reshape(outputs, *shape).transpose(2, 3, 1, 0).reshape(-1, outputs)


def fold_batch_norm(
    kernel: Float[np.ndarray, "*w i o"],
    bias: Float[np.ndarray, " o"],
    scale: Float[np.ndarray, " o"],
    offset: Float[np.ndarray, " o"],
    mean: Float[np.ndarray, " o"],
    var: Float[np.ndarray, " o"],
    epsilon: float,
) -> tuple[Float[np.ndarray, "*w i o"], Float[np.ndarray, " o"]]:
    """Returns kernel and bias of one convolution that includes the norm behind it.

    `k' = k g / sqrt(v + e)` and `b' = offset + (b - m) g / sqrt(v + e)`.
    """
    gain = scale / np.sqrt(var + epsilon)
    return kernel * gain, offset + (bias - mean) * gain


def place(
    key: str, array: Shaped[np.ndarray, "..."], naming: Naming
) -> tuple[Path, Shaped[np.ndarray, "..."]] | None:
    """Returns where a file's tensor goes and the tensor in our order.

    None for a name that is of neither style, such as a lone `iterations`.
    """
    if "/" in key:
        module, leaf = key.rsplit("/", 1)
        collection = _OUR_LEAVES.get(leaf)
        if collection is None:
            return None
        module = re.sub("^(params|batch_stats)/", "", module)
        module = _rename(module, "/", naming.other)
        if module in naming.flattened and array.ndim == 4:
            # MatConvNet keeps dense layers as convolutions over the whole map.
            array = array.reshape(-1, array.shape[-1])
        return (collection, *module.split("/"), leaf), array
    module, _, leaf = key.rpartition(".")
    if not module or leaf not in _TORCH_LEAVES:
        return None
    collection, ours = _TORCH_LEAVES[leaf]
    module = _rename(module, ".", naming.torch)
    if ours == "kernel":
        if array.ndim < 2:
            ours = "scale"
        elif array.ndim > 2:
            array = conv_kernel(array)
        elif module in naming.flattened:
            array = flattened_dense_kernel(array, naming.flattened[module])
        else:
            array = dense_kernel(array)
    return (collection, *module.split("/"), ours), array


def _rename(module: str, separator: str, table: Mapping[str, str]) -> str:
    """Renames by the longest entry of `table`, the rest by the general rule."""
    parts = module.split(separator)
    for length in range(len(parts), 0, -1):
        ours = table.get(separator.join(parts[:length]))
        if ours is not None:
            return _join([ours, *parts[length:]])
    return _join(parts)


def _join(parts: list[str]) -> str:
    """Joins names by slashes, and a number to the name before it: `b.0` is `b_0`."""
    joined = parts[0]
    for part in parts[1:]:
        joined += ("_" if part.isdigit() else "/") + part
    return joined


def to_variables(
    arrays: Mapping[str, Shaped[np.ndarray, "..."]],
    expected: Mapping[str, Any],
    naming: Naming = Naming(),
    *,
    known: Mapping[str, Any] | None = None,
    where: str = "weights",
) -> dict[str, Any]:
    """Converts the tensors of a file to the variables of a network.

    Args:
        arrays: {name in the file: tensor}. Counters of batch norms are ignored, the
            prefix `module.` of a parallel wrapper is removed.
        expected: variables of the network, arrays or `jax.ShapeDtypeStruct`s.
        naming: exceptions to the general rule.
        known: variables of the whole network; what it has beyond `expected` may be in
            the file and is left there.
        where: the file, for messages.

    Returns:
        `{"params": ..., "batch_stats": ...}` with the keys of `expected`: NumPy arrays
        of the file's dtype, views where possible.

    Raises:
        UserError: missing or unexpected names, or a tensor of the wrong shape.
    """
    wanted = flatten(expected)
    allowed = wanted.keys() | flatten(known or {}).keys()
    ignored = re.compile("|".join((_COUNTERS, *naming.ignored)))
    if arrays and all(key.startswith("module.") for key in arrays):
        arrays = {key.removeprefix("module."): array for key, array in arrays.items()}
    found, unexpected = {}, []
    for key, array in arrays.items():
        if ignored.fullmatch(key):
            continue
        placed = place(key, array, naming)
        if placed is None or placed[0] not in allowed:
            unexpected.append(key)
        else:
            found[placed[0]] = placed[1]
    missing = [_name(path) for path in wanted if path not in found]
    if missing or unexpected:
        parts = [
            f"{word} {_shortened(names)}"
            for word, names in (("missing", missing), ("unexpected", unexpected))
            if names
        ]
        raise UserError(f"{where}: {'; '.join(parts)}; is it of another network?")
    for path, leaf in wanted.items():
        if found[path].shape != tuple(leaf.shape):
            raise UserError(
                f"{where}: {_name(path)}: expected {tuple(leaf.shape)}, file has "
                f"{found[path].shape}"
            )
    return traverse_util.unflatten_dict({path: found[path] for path in wanted})


def flatten(variables: Mapping[str, Any]) -> dict[Path, Any]:
    """Returns {path: leaf} of nested dictionaries."""
    return dict(traverse_util.flatten_dict(variables))


def _name(path: Path) -> str:
    return "/".join(path[1:])


def _shortened(names: Iterable[str]) -> str:
    names = sorted(names)
    rest = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {rest} more" if rest > 0 else "")


def torch_shapes(
    expected: Mapping[str, Any], naming: Naming = Naming()
) -> dict[str, tuple[int, ...]]:
    """Returns {PyTorch name: PyTorch shape} of a network's variables.

    The inverse of `to_variables` for names and shapes. Modules whose PyTorch name ends
    in a number must stand in `naming.torch`: `b_0` alone could be `b_0` or `b.0`.
    """
    theirs: dict[str, str] = {}
    for torch, ours in naming.torch.items():
        theirs.setdefault(ours, torch)  # the first of several spellings
    leaves = {ours: torch for torch, (_, ours) in _TORCH_LEAVES.items()}
    leaves["scale"] = "weight"
    shapes = {}
    for path, leaf in flatten(expected).items():
        shape = tuple(leaf.shape)
        if path[-1] == "kernel":
            shape = (shape[-1], shape[-2], *shape[:-2])
        parts = path[1:-1]
        for length in range(len(parts), 0, -1):
            torch = theirs.get("/".join(parts[:length]))
            if torch is not None:
                parts = (torch, *parts[length:])
                break
        shapes[".".join((*parts, leaves[path[-1]]))] = shape
    return shapes
