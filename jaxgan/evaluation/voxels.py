"""Scores of voxel shapes: average precision, IoU, coverage, MMD and memorisation.

Occupancies are 0/1, predictions probabilities in [0, 1]; `[n, d, h, w, 1]` or any other
shape whose first axis is the shapes.

References:
    Wu et al., "Learning a Probabilistic Latent Space of Object Shapes via 3D
    Generative-Adversarial Modeling", 2016, section 4.3 (average precision).
    Achlioptas et al., "Learning Representations and Generative Models for 3D Point
    Clouds", 2018, section 2.2 (coverage, MMD; here with IoU for the distance).
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped

from jaxgan.core.errors import UserError, one_of
from jaxgan.evaluation.images import AnyArray
from jaxgan.evaluation.optional import require


def average_precision(
    occupancy: Shaped[AnyArray, " *v"],
    probability: Float[AnyArray, " *v"],
    *,
    interpolation: str = "step",
) -> float:
    """Average precision of one shape.

    Args:
        occupancy: truth, 0 or 1.
        probability: prediction; only its order matters.
        interpolation: of the precision-recall curve. `step` is today's definition,
            `trapezoid` what scikit-learn computed when tables of 2016 were made,
            `eleven_point` PASCAL VOC's of 2007.

    Raises:
        UserError: without scikit-learn, or if no voxel is occupied.
    """
    one_of(interpolation, ("step", "trapezoid", "eleven_point"), "interpolation")
    metrics = require("sklearn.metrics", "voxel average precision")
    truth = np.asarray(occupancy).ravel() > 0.5
    scores = np.asarray(probability, np.float64).ravel()
    if not truth.any():
        raise UserError("average precision is undefined for a shape without a voxel")
    if interpolation == "step":
        return float(metrics.average_precision_score(truth, scores))
    precision, recall, _ = metrics.precision_recall_curve(truth, scores)
    if interpolation == "trapezoid":
        return float(metrics.auc(recall, precision))
    levels = np.linspace(0.0, 1.0, 11)
    return float(np.mean([precision[recall >= level - 1e-9].max() for level in levels]))


def class_means(
    values: Float[AnyArray, " n"], classes: Sequence[str]
) -> dict[str, float]:
    """Means over the images of each class, and under `mean` the mean of those."""
    groups: dict[str, list[float]] = {}
    for value, name in zip(np.asarray(values, np.float64), classes, strict=True):
        groups.setdefault(name, []).append(float(value))
    means = {name: float(np.mean(group)) for name, group in sorted(groups.items())}
    return {**means, "mean": float(np.mean(list(means.values())))}


def _flat(shapes: Shaped[AnyArray, "n ..."], threshold: float) -> Float[Array, "n v"]:
    occupied = jnp.asarray(shapes) > threshold
    return occupied.reshape(len(shapes), -1).astype(jnp.float32)


def _ratio(intersection: Array, union: Array) -> Array:
    """IoU; two empty shapes are equal, so 1."""
    return jnp.where(union > 0, intersection / jnp.maximum(union, 1.0), 1.0)


@partial(jax.jit, static_argnames="threshold")
def iou(
    a: Shaped[AnyArray, "n ..."],
    b: Shaped[AnyArray, "n ..."],
    *,
    threshold: float = 0.5,
) -> Float[Array, " n"]:
    """Intersection over union of corresponding shapes, occupied where > threshold."""
    if a.shape != b.shape:
        raise ValueError(f"shapes {a.shape} and {b.shape} differ")
    x, y = _flat(a, threshold), _flat(b, threshold)
    intersection = jnp.sum(x * y, axis=1)
    return _ratio(intersection, jnp.sum(jnp.maximum(x, y), axis=1))


@partial(jax.jit, static_argnames="threshold")
def _pairwise(
    a: Shaped[AnyArray, "n ..."], b: Shaped[AnyArray, "m ..."], threshold: float
) -> Float[Array, "n m"]:
    x, y = _flat(a, threshold), _flat(b, threshold)
    intersection = jnp.matmul(x, y.T, precision=jax.lax.Precision.HIGHEST)
    volumes = jnp.sum(x, axis=1)[:, None] + jnp.sum(y, axis=1)[None]
    return _ratio(intersection, volumes - intersection)


def pairwise_iou(
    a: Shaped[AnyArray, "n ..."],
    b: Shaped[AnyArray, "m ..."],
    *,
    threshold: float = 0.5,
    block_size: int = 256,
) -> Float[np.ndarray, "n m"]:
    """IoU of every shape of `a` with every shape of `b`, occupied where > threshold.

    Counts are exact up to 2^24 voxels a shape.

    Args:
        a: shapes.
        b: shapes of the same size.
        threshold: of occupancy.
        block_size: shapes of either side on the device at a time.
    """
    rows = [
        np.concatenate(
            [
                np.asarray(
                    _pairwise(a[i : i + block_size], b[j : j + block_size], threshold)
                )
                for j in range(0, len(b), block_size)
            ],
            axis=1,
        )
        for i in range(0, len(a), block_size)
    ]
    return np.concatenate(rows)


def coverage(
    generated: Shaped[AnyArray, "n ..."],
    reference: Shaped[AnyArray, "m ..."],
    *,
    threshold: float = 0.5,
) -> dict[str, float]:
    """How well generated shapes cover the reference shapes, by IoU.

    Returns:
        `{voxels/coverage: share of references that are the nearest of some generated
        shape, voxels/mmd_iou: mean over references of their best IoU (higher is
        better), voxels/num_samples, voxels/num_reference}`.
    """
    matrix = pairwise_iou(generated, reference, threshold=threshold)
    return {
        "voxels/coverage": len(np.unique(matrix.argmax(axis=1))) / matrix.shape[1],
        "voxels/mmd_iou": float(matrix.max(axis=0).mean(dtype=np.float64)),
        "voxels/num_samples": matrix.shape[0],
        "voxels/num_reference": matrix.shape[1],
    }


def nearest_training_shape(
    generated: Shaped[AnyArray, "n ..."],
    training: Shaped[AnyArray, "m ..."],
    *,
    threshold: float = 0.5,
) -> tuple[Float[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """IoU with, and index of, each generated shape's nearest training shape.

    Values near 1 are copies.
    """
    matrix = pairwise_iou(generated, training, threshold=threshold)
    return matrix.max(axis=1), matrix.argmax(axis=1)
