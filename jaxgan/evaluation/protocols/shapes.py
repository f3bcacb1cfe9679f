"""Protocol of generators of voxel shapes.

The paper judges samples by eye; its own figure is the accuracy of a linear SVM on the
discriminator's features (section 4.2). The figures of samples stand beside those of
real shapes and of one shape, the voxels that are most often occupied in training, as
many as a training shape has.

References:
    Wu et al., "Learning a Probabilistic Latent Space of Object Shapes via 3D
    Generative-Adversarial Modeling", 2016.
    Achlioptas et al., "Learning Representations and Generative Models for 3D Point
    Clouds", 2018, section 2.2 (coverage and minimum matching distance).
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool, Shaped

from jaxgan.core.errors import UserError
from jaxgan.evaluation import bootstrap, voxels
from jaxgan.evaluation.per_image import PerImage
from jaxgan.evaluation.protocols import probe
from jaxgan.evaluation.protocols.setting import Setting, images_of, shuffled


def gan3d(setting: Setting) -> dict[str, float]:
    """3D-GAN: occupancy, nearest training shape, coverage; features if labelled.

    As many samples as real shapes are judged, unless `evaluation.num_samples` says
    otherwise: coverage grows with their number.

    Returns:
      `occupancy` (mean of the outputs), `volume` (share of voxels above 0.5),
      `nearest_training_iou` (near 1: copies; with `evaluation.bootstrap` its `/low` and
      `/high`), `voxels/coverage`, `voxels/mmd_iou`, with baselines, and
      `probe/accuracy` where the data has labels and the discriminator two layers.
    """
    has_features = "features" in setting.system.inference
    examples = probe.examples(setting, "voxels") if has_features else None
    real = images_of(setting, setting.split, "voxels") > 0.5
    limit = setting.options.num_training
    training = shuffled(images_of(setting, "train", "voxels", limit)) > 0.5
    count = setting.options.num_samples or len(real)
    means: list[float] = []
    parts: list[np.ndarray] = []
    for drawn in setting.draw(count, output="voxels"):
        values = np.asarray(drawn)
        if not np.isfinite(values).all():
            raise UserError(
                "sampled shapes hold NaN or infinity: the generator has diverged; "
                "evaluate an earlier checkpoint with --step"
            )
        means += values.mean(axis=(1, 2, 3, 4), dtype=np.float64).tolist()
        parts.append(values > 0.5)
    samples = np.concatenate(parts)
    one = mean_shape(training)
    row = {
        "occupancy": math.fsum(means) / len(means),
        "occupancy/real_shapes": float(real.mean()),
        "volume": float(samples.mean()),
        "volume/real_shapes": float(real.mean()),
    }
    each: dict[str, np.ndarray] = {}
    for name, shapes in (("", samples), ("/real_shapes", real), ("/mean_shape", one)):
        found, _ = voxels.nearest_training_shape(shapes, training)
        row[f"nearest_training_iou{name}"] = float(found.mean(dtype=np.float64))
        if shapes is not one:  # a mean of one value has no interval
            each[f"nearest_training_iou{name}"] = found.astype(np.float64)
    row |= bootstrap.intervals(PerImage(each), setting.options.bootstrap)
    for name, shapes in (
        ("", samples),
        ("/training_shapes", training[:count]),
        ("/mean_shape", one),
    ):
        for key, value in voxels.coverage(shapes, real).items():
            if not name or key in ("voxels/coverage", "voxels/mmd_iou"):
                row[f"{key}{name}"] = value
    row["num_training"] = len(training)
    if examples is not None:
        row |= probe.probe(setting, "features", examples)
    return row


def mean_shape(
    shapes: Bool[np.ndarray, "n ..."],
) -> Shaped[np.ndarray, "1 ..."]:
    """One shape: the voxels that most shapes occupy, as many as a shape has."""
    share = shapes.mean(axis=0, dtype=np.float64)
    count = round(float(share.sum()))
    flat = np.zeros(share.size, bool)
    flat[np.argsort(-share.ravel(), kind="stable")[:count]] = True
    return flat.reshape(1, *share.shape)
