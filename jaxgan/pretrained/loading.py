"""Weights of frozen networks from local files; nothing is ever downloaded."""

import hashlib
import json
import os
import tempfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy
from absl import logging
from flax import linen as nn
from flax import traverse_util

from jaxgan.core.errors import UserError, one_of
from jaxgan.pretrained import convert, readers
from jaxgan.pretrained.registry import KnownFile, NetworkSpec, find

RANDOM = "random"
FOLDER_VARIABLE = "JAXGAN_WEIGHTS"


def _static() -> Any:
    return field(metadata={"static": True})


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class LoadedWeights:
    """Variables of a frozen network and what is known about them.

    A pytree whose leaves are the variables alone, so that it can be passed as it is to
    a compiled function, where the rest is known while tracing.

    Attributes:
        variables: `{"params": ..., "batch_stats": ...}`, float32.
        name: of the network, as in the registry.
        convention: the input that the network expects, see `conventions`.
        sha256: of the published file, also if that was converted; "random".
        source: the file that was read, or "random".
    """

    variables: Any
    name: str = _static()
    convention: str = _static()
    sha256: str = _static()
    source: str = _static()

    @property
    def is_random(self) -> bool:
        """Whether figures made with these weights compare with no published one."""
        return self.source == RANDOM


def load_weights(
    name: str,
    source: str | os.PathLike[str] | None = None,
    *,
    network: nn.Module | None = None,
    convention: str | None = None,
    seed: int = 0,
) -> LoadedWeights:
    """Loads the variables of a frozen network.

    Args:
        name: of the network in the registry, such as `vgg19`.
        source: a `.safetensors` or `.npz` file (ours, or with the names of the
            publisher), or `random`. None takes `$JAXGAN_WEIGHTS/<name>.safetensors`.
        network: the network as it is used; what lies beyond its last tap is left in
            the file. None loads what `import_weights` imports.
        convention: the input convention, for files that are not known by their hash
            and do not state it.
        seed: of `random` weights.

    Raises:
        UserError: missing, damaged, refused or foreign file, tensors missing,
            unexpected or of a wrong shape, unknown convention.
    """
    spec = find(name)
    network = network or spec.network
    if source == RANDOM:
        return _random(name, spec, network, convention, seed)
    path = _locate(name, spec, network, source)
    contents = readers.read_runtime(path)
    arrays = _convert(contents.arrays, spec, network, path)
    convention, sha256 = _identify(name, spec, path, contents.metadata, convention)
    _check_values(arrays, spec, path)
    variables = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), arrays)
    return LoadedWeights(variables, name, convention, sha256, str(path))


def require(
    name: str,
    source: str | os.PathLike[str] | None = None,
    *,
    network: nn.Module | None = None,
    convention: str | None = None,
) -> None:
    """Makes sure that `load_weights` will find what it needs, without loading it.

    Reads headers only (and the whole file once if its hash must decide about the
    convention); meant for the moment before a run starts.

    Raises:
        UserError: as `load_weights`, except for numbers that are not finite.
    """
    spec = find(name)
    if source == RANDOM:
        _random_convention(spec, convention)
        return
    network = network or spec.network
    path = _locate(name, spec, network, source)
    contents = readers.read_runtime(path, shapes_only=True)
    _convert(contents.arrays, spec, network, path)
    _identify(name, spec, path, contents.metadata, convention)


def import_file(
    name: str,
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    convention: str | None = None,
    heads: bool = False,
) -> LoadedWeights:
    """Converts a published file to `.safetensors` in our layout, atomically.

    Args:
        name: of the network in the registry.
        source: the file in any format of `readers.SOURCE_READERS`.
        output: a path that ends in `.safetensors`.
        convention: as in `load_weights`.
        heads: include classifier heads that losses and metrics do not use.

    Returns:
        what `load_weights(name, output)` would return.

    Raises:
        UserError: as `load_weights`, and if `output` cannot be written.
    """
    spec = find(name)
    source, output = Path(source), Path(output)
    if output.suffix != ".safetensors":
        raise UserError(f"{output}: the output must end in .safetensors")
    network = spec.full if heads else spec.network
    if not source.is_file():
        raise UserError(
            f"{source}: no such file; accepted for {name}: {spec.accepted}, published "
            f"by {spec.origin}"
        )
    arrays = readers.read_source(source)
    variables = _convert(arrays, spec, network, source)
    convention, sha256 = _identify(name, spec, source, {}, convention)
    _check_values(variables, spec, source)
    metadata = {
        "network": name,
        "convention": convention,
        "source_sha256": sha256,
        "source_name": source.name,
    }
    _write(output, variables, metadata)
    variables = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), variables)
    return LoadedWeights(variables, name, convention, sha256, str(output))


@lru_cache(maxsize=64)
def expected_variables(
    network: nn.Module, *shapes: tuple[int, ...]
) -> Mapping[str, Any]:
    """Returns the shapes of a network's variables; nothing is computed.

    Args:
        network: whose parameters do not depend on the size of pictures.
        *shapes: of its arguments, `(1, 64, 64, 3)` for one picture.
    """

    def init() -> Any:
        arguments = (jnp.zeros(shape, jnp.float32) for shape in shapes)
        return network.init(jax.random.key(0), *arguments)

    return jax.eval_shape(init)


def _locate(
    name: str,
    spec: NetworkSpec,
    network: nn.Module,
    source: str | os.PathLike[str] | None,
) -> Path:
    folder = os.environ.get(FOLDER_VARIABLE)
    if source:
        path = Path(source).expanduser()
    elif folder:
        path = Path(folder).expanduser() / f"{name}.safetensors"
    else:
        raise UserError(_not_found(name, spec, network))
    if not path.is_file():
        raise UserError(_not_found(name, spec, network, f"no file {path}"))
    return path


def _not_found(
    name: str, spec: NetworkSpec, network: nn.Module, reason: str = ""
) -> str:
    expected = convert.flatten(expected_variables(network, *spec.inputs))
    first = next(path for path in expected if path[-1] == "kernel")
    layout = f"{len(expected)} tensors such as {'/'.join(first[1:])}"
    return (
        f"{spec.title} weights not found{f' ({reason})' if reason else ''}: set "
        f"pretrained.{name}=PATH (accepted: {spec.accepted}) or "
        f"pretrained.{name}={RANDOM} for tests; published by {spec.origin}, expected "
        f"layout {layout} {tuple(expected[first].shape)}; convert once: python -m "
        f"jaxgan.import_weights --network={name} --source=FILE "
        f"--output={name}.safetensors"
    )


def _convert(
    arrays: Mapping[str, np.ndarray], spec: NetworkSpec, network: nn.Module, path: Path
) -> dict[str, Any]:
    try:
        return convert.to_variables(
            arrays,
            expected_variables(network, *spec.inputs),
            spec.naming,
            known=expected_variables(spec.full, *spec.inputs),
            where=f"{spec.title} weights {path}",
        )
    except UserError as error:
        raise UserError(f"{error}; accepted are {spec.accepted}") from error


def _check_values(variables: Any, spec: NetworkSpec, path: Path) -> None:
    for name, array in convert.flatten(variables).items():
        if not np.isfinite(array).all():
            raise UserError(
                f"{spec.title} weights {path}: {'/'.join(name[1:])} holds numbers that "
                "are not finite; this part of the file is unusable, take another file"
            )
        if spec.nonnegative and array.min() < 0:
            raise UserError(
                f"{spec.title} weights {path}: {'/'.join(name[1:])} has a negative "
                "weight, which the published heads do not have; take their file"
            )


def _identify(
    name: str,
    spec: NetworkSpec,
    path: Path,
    metadata: Mapping[str, Any],
    convention: str | None,
) -> tuple[str, str]:
    """Returns the convention and the hash of the published file."""
    if convention is not None:
        one_of(convention, spec.conventions, f"{spec.title} input convention")
    if metadata:
        if metadata.get("network") != name:
            raise UserError(
                f"{spec.title} weights {path}: the file was imported as "
                f"{metadata.get('network')!r}, not {name!r}"
            )
        stated, sha256 = metadata["convention"], metadata["source_sha256"]
    else:
        sha256, md5 = _hashes(path)
        known = _known_file(spec, sha256, md5)
        if known is not None and known.refused:
            raise UserError(f"{spec.title} weights {path}: {known.refused}")
        stated = known.convention if known else None
        if stated is None and len(spec.conventions) == 1:
            stated = spec.conventions[0]
    if stated is None and convention is None:
        raise UserError(
            f"{spec.title} weights {path}: unknown file hash {sha256[:16]}...; state "
            f"the input convention ({', '.join(spec.conventions)}): python -m "
            f"jaxgan.import_weights --network={name} --convention=..."
        )
    if None not in (stated, convention) and stated != convention:
        raise UserError(
            f"{spec.title} weights {path}: the convention of this file is {stated}, "
            f"not {convention}"
        )
    return stated or convention or "", sha256


def _known_file(spec: NetworkSpec, sha256: str, md5: str) -> KnownFile | None:
    for file in spec.files:
        by_sha256 = file.sha256 and sha256.startswith(file.sha256)
        if by_sha256 or (file.md5 and md5 == file.md5):
            return file
    return None


def _hashes(path: Path) -> tuple[str, str]:
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            sha256.update(block)
            md5.update(block)
    return sha256.hexdigest(), md5.hexdigest()


def _random_convention(spec: NetworkSpec, convention: str | None) -> str:
    if convention is None:
        return spec.conventions[0]
    return one_of(convention, spec.conventions, f"{spec.title} input convention")


def _random(
    name: str,
    spec: NetworkSpec,
    network: nn.Module,
    convention: str | None,
    seed: int,
) -> LoadedWeights:
    """He normal kernels, norms that do nothing, biases 0."""
    convention = _random_convention(spec, convention)
    variables = {}
    for path, leaf in convert.flatten(
        expected_variables(network, *spec.inputs)
    ).items():
        if path[-1] == "kernel":
            crc = zlib.crc32("/".join(path).encode())
            normal = np.random.default_rng((seed, crc)).standard_normal(
                leaf.shape, np.float32
            )
            values = normal * np.float32(np.sqrt(2 / np.prod(leaf.shape[:-1])))
            values = np.abs(values) if spec.nonnegative else values
        else:
            fill = 1.0 if path[-1] in ("scale", "var") else 0.0
            values = np.full(leaf.shape, fill, np.float32)
        variables[path] = jnp.asarray(values)
    logging.warning(
        "%s has random weights (seed %d): losses and metrics on it compare with no "
        "published figure",
        spec.title,
        seed,
    )
    variables = traverse_util.unflatten_dict(variables)
    return LoadedWeights(variables, name, convention, RANDOM, RANDOM)


def _write(output: Path, variables: Any, metadata: Mapping[str, str]) -> None:
    """Writes all or nothing: to a file beside `output` that then takes its name."""
    arrays = {
        "/".join(path): np.ascontiguousarray(array, np.float32)
        for path, array in convert.flatten(variables).items()
    }
    entry = {readers.METADATA_KEY: json.dumps(metadata, sort_keys=True)}
    data = safetensors.numpy.save(arrays, metadata=entry)
    temporary = None
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=output.parent, delete=False) as file:
            temporary = file.name
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, output)
    except OSError as error:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)
        raise UserError(f"{output}: cannot be written ({error.strerror})") from error
