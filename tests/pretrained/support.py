"""What the tests of frozen networks share: probe files and probe rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import safetensors.numpy
from flax import linen as nn

from jaxgan.pretrained import (
    LoadedWeights,
    extract,
    import_file,
    load_weights,
    probe_state_dict,
)
from jaxgan.pretrained.convert import torch_shapes
from jaxgan.pretrained.loading import expected_variables
from jaxgan.pretrained.registry import find

FILES = Path(__file__).parent / "files"
apply = jax.jit(extract, static_argnums=0)


def probe_file(name: str, folder: Path, network: nn.Module | None = None) -> Path:
    """Writes the probe's weights with PyTorch's names, as a published file has them."""
    spec = find(name)
    shapes = torch_shapes(
        expected_variables(network or spec.network, *spec.inputs), spec.naming
    )
    path = folder / f"{name}_torch.safetensors"
    safetensors.numpy.save_file(probe_state_dict(shapes), path)
    return path


def probe_weights(
    name: str,
    folder: Path,
    convention: str | None = None,
    heads: bool = False,
) -> LoadedWeights:
    """Takes the probe's weights through the importer and the loader."""
    spec = find(name)
    source = probe_file(name, folder, spec.full if heads else spec.network)
    output = folder / f"{name}.safetensors"
    import_file(name, source, output, convention=convention, heads=heads)
    return load_weights(name, output, network=spec.full if heads else None)


def parameter_count(variables: Any) -> int:
    """Counts parameters; running statistics are none."""
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


def matches(
    features: Any,
    mean: float,
    std: float,
    first: Sequence[float],
    last: float | None = None,
) -> bool:
    """Says whether features are those of a probe row, to 1e-4 of its deviation."""
    values = np.asarray(features, np.float64)
    flat = values.ravel()
    actual = [values.mean(), values.std(), *flat[: len(first)], flat[-1]]
    expected = [mean, std, *first, flat[-1] if last is None else last]
    return bool(np.allclose(actual, expected, rtol=0, atol=1e-4 * std))
