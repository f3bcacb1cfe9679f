"""Holds our networks against the recorded numbers of the official ones.

A record names tensors as the official code does and keeps them in its layout
(channels first). The two sides meet through a table that the test of a system writes
down, `{our parameter's path: official name}`:

    record = load("pix2pix")
    names = {"down_0/kernel": "G.model.model.0.weight", ...}
    params = official_tree(record, names, like=params)         # the same weights in
    check(record["outputs"]["fake_B"], generator.apply(...))   # the same numbers out
    check_tree(record["gradients"]["old/G"], record, names, gradients)

README.md in this folder says how the numbers were made and what they mean.
"""

import json
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxgan.pretrained.probe import probe_image, probe_tensor

RTOL = 1e-6  # float64 on both sides: agreement is 1e-9 and better, errors are not


def load(system: str) -> dict[str, Any]:
    """Returns the record of `system`, such as "pix2pix"."""
    return json.loads((Path(__file__).parent / f"{system}.json").read_text())


def probe_latent(b: int, n: int, low: float = -1.0, high: float = 1.0) -> np.ndarray:
    """Returns `[b, n]`: the probe picture of height 1, width `n` and one channel."""
    return probe_image(b, 1, n, 1, low, high)[:, 0, :, 0]


def probe_voxels(b: int, resolution: int) -> np.ndarray:
    """Returns `[b, d, h, w, 1]` in {0, 1}: where the probe picture, channel as the
    last axis, is positive."""
    picture = probe_image(b, resolution, resolution, resolution)
    return (picture > 0).astype(np.float32)[..., None]


def blank(init: Callable[..., Any], *arguments: Any) -> Any:
    """What `init` returns, with zeros for all numbers: nothing is compiled for it."""
    shapes = jax.eval_shape(init, *arguments)
    return jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)


def check(entry: Mapping[str, Any], array: Any, rtol: float = RTOL) -> None:
    """Asserts that `array` is the recorded one.

    Its norm and its product with a fixed normal vector must agree to `rtol` of the
    recorded norm, single values to `rtol` of the value plus the root mean square. An
    entry without a norm recorded a tensor that is zero but for rounding (the gradient
    of a bias before a norm, say): there the norm is bounded.

    Raises:
        AssertionError: with the entry's name and both numbers.
    """
    array = np.asarray(array)
    name = entry["name"]
    if array.dtype != np.float64 and rtol < 1e-5:
        raise AssertionError(f"{name}: {array.dtype}, expected float64")
    array = array.astype(np.float64)
    if list(array.shape) != entry["shape"]:
        raise AssertionError(f"{name}: {array.shape}, recorded {entry['shape']}")
    flat = array.ravel()
    norm = float(np.linalg.norm(flat))
    if "negligible_below" in entry:
        if not norm <= entry["negligible_below"]:
            raise AssertionError(f"{name}: norm {norm}, recorded as negligible")
        return
    seed = zlib.crc32(name.encode())
    vector = np.random.RandomState(seed).standard_normal(flat.size)
    rms = entry["norm"] / np.sqrt(flat.size)
    pairs = [
        ("norm", norm, entry["norm"], entry["norm"]),
        ("probe", float(flat @ vector), entry["probe"], entry["norm"]),
        ("last", float(flat[-1]), entry["last"], abs(entry["last"]) + rms),
    ]
    for i, value in enumerate(entry["first"]):
        pairs.append((f"value {i}", float(flat[i]), value, abs(value) + rms))
    for what, ours, theirs, scale in pairs:
        if not abs(ours - theirs) <= rtol * scale:
            raise AssertionError(f"{name}: {what} {ours!r}, recorded {theirs!r}")


def check_scalars(
    recorded: Mapping[str, float], ours: Mapping[str, Any], rtol: float = RTOL
) -> None:
    """Asserts that every scalar of `ours` is the recorded one of the same name."""
    for name, value in ours.items():
        np.testing.assert_allclose(
            float(value), recorded[name], rtol=rtol, atol=1e-12, err_msg=name
        )


def torch_to_flax(
    info: Mapping[str, Any], array: np.ndarray, rank: int | None = None
) -> np.ndarray:
    """Converts one official tensor to our layout.

    Args:
        info: the tensor's entry of `record["tensors"]`: its `kind`, and where they
            apply `flatten` (a dense layer reads a flattened map of these channels and
            sizes), `unflatten` (its output becomes such a map), `flip` (the kernel of
            a true convolution, as Theano's) and `pixel_shuffle` (the factor of a
            shuffle after this convolution, whose channels go to depth-to-space order).
        array: the tensor in the official layout.
        rank: rank of our parameter. A kernel of rank 2 where the official one is a
            convolution of a 1x1 map, or one as large as its input, is a dense layer's.

    Returns:
        kernels `[*window, in, out]`, those of transposed convolutions
        `[*window, out, in]` (the kernel of the convolution they transpose), dense
        kernels `[in, out]` in the order of channels-last maps, vectors as they are.
    """
    array = np.asarray(array)
    kind = info["kind"]
    if kind in ("conv", "conv_transpose"):
        window = tuple(range(2, array.ndim))
        if info.get("flip"):
            array = np.flip(array, window)
        array = array.transpose(*window, 1, 0)
        if "pixel_shuffle" in info:
            array = array[..., _shuffle(info, array.shape[-1])]
        if rank == 2:
            if kind == "conv_transpose":  # [*window, out, in] -> [in, window * out]
                array = np.moveaxis(array, -1, 0)
                return array.reshape(array.shape[0], -1)
            return array.reshape(-1, array.shape[-1])
        return array
    if kind == "dense":
        array = _channels_last(array, 1, info.get("flatten"))
        return _channels_last(array, 0, info.get("unflatten")).T
    if "pixel_shuffle" in info:
        return array[_shuffle(info, array.shape[-1])]
    if kind == "prelu" and rank == 0:
        return array.reshape(())
    return _channels_last(array, 0, info.get("unflatten"))


def flax_to_torch(info: Mapping[str, Any], array: np.ndarray) -> np.ndarray:
    """Converts a parameter of ours, or its gradient, to the official layout."""
    # Every conversion permutes elements: send their numbers there, and sort them back.
    shape = tuple(info["shape"])
    array = np.asarray(array)
    numbers = np.arange(int(np.prod(shape))).reshape(shape)
    there = torch_to_flax(info, numbers, array.ndim)
    if there.shape != array.shape:
        raise AssertionError(
            f"{array.shape} of ours, official {shape} is {there.shape}"
        )
    out = np.empty(numbers.size, array.dtype)
    out[there.ravel()] = array.ravel()
    return out.reshape(shape)


def official_tree(
    record: Mapping[str, Any], names: Mapping[str, str], like: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns a tree shaped as `like` with the probe's values of the official tensors.

    Args:
        record: what `load` returned.
        names: `{"path/of/our/leaf": official name}`, every leaf of `like` once. The
            seed of a tensor is its official name, network's prefix included.
        like: our parameters or batch statistics of one network, a nested mapping of
            arrays (or of anything with a shape).

    Raises:
        AssertionError: a leaf without a name, a name without a leaf, or a wrong shape.
    """
    leaves = dict(_leaves(like))
    if leaves.keys() != names.keys():
        missing, unknown = leaves.keys() - names.keys(), names.keys() - leaves.keys()
        raise AssertionError(
            f"not named: {sorted(missing)}, no leaf: {sorted(unknown)}"
        )
    tree: dict[str, Any] = {}
    for path, leaf in leaves.items():
        info = record["tensors"][names[path]]
        value = probe_tensor(names[path], tuple(info["shape"])).astype(np.float64)
        value = torch_to_flax(info, value, len(leaf.shape))
        if value.shape != tuple(leaf.shape):
            raise AssertionError(f"{path}: {leaf.shape}, {names[path]}: {value.shape}")
        *parents, last = path.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    return tree


def check_tree(
    entries: Mapping[str, Any],
    record: Mapping[str, Any],
    names: Mapping[str, str],
    tree: Mapping[str, Any],
    rtol: float = RTOL,
) -> None:
    """Asserts that every leaf of `tree` is the recorded one, official layout.

    Args:
        entries: one group of `record["gradients"]` or `record["after_step"]`.
        record: what `load` returned.
        names: `{"path/of/our/leaf": official name}`.
        tree: gradients, updates or statistics of ours, float64.
        rtol: see `check`.
    """
    leaves = dict(_leaves(tree))
    if leaves.keys() != names.keys():
        raise AssertionError(f"unequal paths: {sorted(leaves.keys() ^ names.keys())}")
    for path, leaf in leaves.items():
        info = record["tensors"][names[path]]
        check(entries[names[path]], flax_to_torch(info, np.asarray(leaf)), rtol)


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found = []
    for key, value in tree.items():
        if isinstance(value, Mapping):
            found += _leaves(value, f"{prefix}{key}/")
        else:
            found.append((f"{prefix}{key}", value))
    return found


def _channels_last(array: np.ndarray, axis: int, size: list[int] | None) -> np.ndarray:
    """Reorders one axis from flattened `[c, *size]` to flattened `[*size, c]`."""
    if size is None:
        return array
    order = np.moveaxis(np.arange(int(np.prod(size))).reshape(size), 0, -1)
    return np.take(array, order.ravel(), axis)


def _shuffle(info: Mapping[str, Any], channels: int) -> np.ndarray:
    # Imported here: it brings JAX, which nothing else in this file needs.
    from jaxgan.ops.pixel_shuffle import pixel_shuffle_permutation

    r = info["pixel_shuffle"]
    return np.asarray(pixel_shuffle_permutation(channels // (r * r), r))
