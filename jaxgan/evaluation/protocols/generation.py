"""Protocols of generators that draw images from noise.

Samples stand beside two other sets of images: `gaussian_pixels`, every pixel drawn by
itself from its mean and deviation in training, and real ones, which show how good a
figure can be.

References:
    Goodfellow et al., "Generative Adversarial Nets", 2014, section 5 (Parzen windows).
    Radford, Metz, Chintala, "Unsupervised Representation Learning with Deep
    Convolutional Generative Adversarial Networks", 2016, section 5 (classification),
    appendix 8.1 and the author's code (nearest neighbours).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped

from jaxgan.core.errors import UserError
from jaxgan.evaluation import (
    bootstrap,
    diversity,
    histogram,
    image_sets,
    memorisation,
    parzen,
)
from jaxgan.evaluation.image_sets import ImageSets
from jaxgan.evaluation.images import to_uint8
from jaxgan.evaluation.per_image import PerImage
from jaxgan.evaluation.protocols import probe
from jaxgan.evaluation.protocols.setting import (
    Setting,
    images_of,
    labels_of,
    shuffled,
)

_GAUSSIAN = 1  # branch of the key
_DIVERSITY = 256  # images; their pairs cost more than all else
_NEAREST = 1000  # queries


@dataclasses.dataclass(frozen=True)
class Sets:
    """The sets of images that are compared, on the host, float in [-1, 1] or uint8.

    Attributes:
      samples: the generator's.
      gaussian_pixels: noise with the moments of each pixel in training.
      training: training images, at most `evaluation.num_training`.
      held_out: real images of the split that is judged on.
    """

    samples: Shaped[np.ndarray, "n h w c"]
    gaussian_pixels: Shaped[np.ndarray, "n h w c"]
    training: Shaped[np.ndarray, "t h w c"]
    held_out: Shaped[np.ndarray, "m h w c"]


def gan(setting: Setting) -> dict[str, float]:
    """The first GAN: log-likelihood of the test set under a Parzen window.

    The window's width is chosen on validation images. In the scale `contrast` real
    images are brought to where samples are shown: less their mean, over their greatest
    absolute value.

    Returns:
      `parzen` (nats) with standard error, width and counts, `nearest_training`,
      `memorisation/...`, all with baselines, and with `evaluation.bootstrap` `/low` and
      `/high` of these means over images; FID, KID and Inception scores with a feature
      network.
    """
    system: Any = setting.system
    shown = _as_samples if system.pixels == "contrast" else np.asarray
    features = setting.image_sets()
    sets = _sets(setting, shown)
    validation = shown(images_of(setting, "validation", "image", parzen.NUM_VALIDATION))
    row: dict[str, float] = {}
    values: dict[str, np.ndarray] = {}
    candidates = {
        "": sets.samples,
        "/training_images": sets.training[: len(sets.samples)],
        "/gaussian_pixels": sets.gaussian_pixels,
    }
    for name, images in candidates.items():
        images = images[: parzen.NUM_SAMPLES]
        found, values[f"parzen{name}"] = parzen.scored(
            _unit(images), _unit(validation), _unit(sets.held_out)
        )
        if name:
            kept = ("parzen", "parzen/sigma", "parzen/num_samples")
            found = {key: found[key] for key in kept}
        for key, value in found.items():
            row[key.replace("parzen", f"parzen{name}", 1)] = value
    near = _neighbours(sets)
    return {
        **row,
        **_means(near, sets),
        **_intervals(setting, values | near),
        **_distances(setting, features, sets),
    }


def dcgan(setting: Setting) -> dict[str, float]:
    """DCGAN: colours, diversity, memorisation, and the discriminator's features.

    Returns:
      `colour_l1` (0 to 2, against training images), `diversity` (mean L1 between two
      samples, in [-1, 1]), `nearest_training`, `memorisation/...`, all with baselines,
      and with `evaluation.bootstrap` `/low` and `/high` of the last two;
      `probe/accuracy` where the data has labels, or of a conditional generator
      `nearest_neighbour/accuracy_...`; FID, KID and Inception scores with a feature
      network.
    """
    modes = setting.system.inference
    examples = probe.examples(setting, "image") if "features" in modes else None
    features = setting.image_sets()
    sets = _sets(setting, lambda real: real, to_uint8)
    truth = _histogram(setting, sets.training)
    beside = {
        "": sets.samples,
        "/gaussian_pixels": sets.gaussian_pixels,
        "/real_images": sets.held_out,
    }
    row = {
        f"colour_l1{name}": histogram.distance(_histogram(setting, images), truth)
        for name, images in beside.items()
    }
    for name, images in beside.items():
        few = memorisation.flatten(images[:_DIVERSITY])[None]
        row[f"diversity{name}"] = float(diversity.mean_pairwise_l1(few)[0])
    near = _neighbours(sets)
    row |= _means(near, sets) | _intervals(setting, near)
    row |= _distances(setting, features, sets)
    row |= {"num_samples": len(sets.samples), "num_training": len(sets.training)}
    if examples is not None:
        row |= probe.probe(setting, "features", examples, estimate_statistics=True)
    if "label" in modes["sample"].inputs:
        row |= _nearest_neighbour(setting, sets)
    return row


def _nearest_neighbour(setting: Setting, sets: Sets) -> dict[str, float]:
    """Accuracy of the nearest of n labelled samples as a classifier of real images.

    As good as with training images, if samples show their class in all its ways.
    """
    own: Any = setting.system.inference["sample"].inputs["label"]
    training = _labels(setting, "train", setting.options.num_training)
    truth = _labels(setting, setting.split)
    if training is None or truth is None:
        return {}
    candidates = {
        "": (sets.samples, np.arange(len(sets.samples)) % own.count),
        "/training_images": (sets.training, training),
    }
    queries = memorisation.flatten(sets.held_out)
    row: dict[str, float] = {}
    for name, (images, labels) in candidates.items():
        acc = memorisation.empty(len(queries))
        drawn = len(images)
        for count in (*(n for n in memorisation.COUNTS if n < drawn), drawn):
            new = memorisation.flatten(images[acc.seen : count])
            acc = memorisation.update(acc, queries, new)
            right = float(np.mean(labels[acc.index] == truth))
            row[f"nearest_neighbour/accuracy_{count}{name}"] = right
    return row


def _labels(
    setting: Setting, split: str, limit: int | None = None
) -> np.ndarray | None:
    """The class numbers of a set that `_sets` made of a split, if it has any."""
    task = setting.data(split)
    labels = labels_of(task, setting.count(task, limit))
    return None if labels is None else shuffled(labels)


def _as_samples(images: Float[np.ndarray, "n h w c"]) -> Float[np.ndarray, "n h w c"]:
    """Real images as the samples of a generator in the scale `contrast` are shown."""
    images = images - images.mean(axis=(1, 2, 3), keepdims=True)
    greatest = np.abs(images).max(axis=(1, 2, 3), keepdims=True)
    return images / np.maximum(greatest, 1e-8)


def _sets(
    setting: Setting,
    shown: Callable[[Any], Any],
    keep: Callable[[Any], Any] = np.asarray,
) -> Sets:
    """All sets; real images as `shown`, and every set as `keep` makes it."""
    limit = setting.options.num_training
    held_out = shown(shuffled(images_of(setting, setting.split, "image")))
    training = shown(shuffled(images_of(setting, "train", "image", limit)))
    count = setting.options.num_samples or len(held_out)
    if min(len(held_out), len(training), count) < 2:
        raise UserError(
            "a generator is judged on two images or more: raise "
            "evaluation.num_examples and evaluation.num_samples"
        )
    samples = np.concatenate([np.asarray(x) for x in setting.draw(count)])
    if not np.isfinite(samples).all():
        raise UserError(
            "samples hold NaN or infinity: the generator has diverged; evaluate an "
            "earlier checkpoint with --step"
        )
    noise = np.concatenate(list(_gaussian(setting, training, count)))
    return Sets(keep(samples), keep(noise), keep(training), keep(held_out))


def _gaussian(
    setting: Setting, training: np.ndarray, count: int
) -> Iterator[np.ndarray]:
    mean, deviation = training.mean(axis=0), training.std(axis=0)
    key = jax.random.fold_in(setting.key, _GAUSSIAN)

    @jax.jit
    @jax.vmap
    def draw(index: Int[Array, ""]) -> Float[Array, "h w c"]:
        normal = jax.random.normal(jax.random.fold_in(key, index), mean.shape)
        return jnp.clip(mean + deviation * normal, -1.0, 1.0)

    for start in range(0, count, setting.batch_size):
        images = draw(np.arange(start, start + setting.batch_size))
        yield np.asarray(images)[: count - start]


def _unit(images: Float[np.ndarray, "n h w c"]) -> Float[np.ndarray, "n d"]:
    """Flat, in [0, 1]."""
    return (images.reshape(len(images), -1) + 1.0) / 2.0


def _histogram(setting: Setting, images: Shaped[np.ndarray, "n h w c"]) -> np.ndarray:
    acc = histogram.empty(images.shape[-1])
    for start in range(0, len(images), setting.batch_size):
        acc = histogram.update(acc, images[start : start + setting.batch_size])
    return acc


def _neighbours(sets: Sets) -> dict[str, Float[np.ndarray, " _"]]:
    """How near each sample lies to training images, and each held-out image to samples.

    Samples that copy training images are much nearer to them than held-out images
    are; a generator that covers the data comes near to held-out images.
    """
    values = {
        f"nearest_training{name}": _nearest(images[:_NEAREST], sets.training)
        for name, images in (
            ("", sets.samples),
            ("/real_images", sets.held_out),
            ("/gaussian_pixels", sets.gaussian_pixels),
        )
    }
    drawn = len(sets.samples)
    counts = tuple(n for n in memorisation.COUNTS if n <= drawn) or (drawn,)
    candidates = {
        "": sets.samples,
        "/training_images": sets.training,
        "/gaussian_pixels": sets.gaussian_pixels,
    }
    for name, images in candidates.items():
        reached = tuple(n for n in counts if n <= len(images))
        if not reached:
            continue
        queries = sets.held_out[:_NEAREST]
        found = memorisation.distances(queries, [images], counts=reached)
        for count, distances in found.items():
            values[f"memorisation/nearest_{count}{name}"] = distances
    return values


def _means(near: Mapping[str, Float[np.ndarray, " _"]], sets: Sets) -> dict[str, float]:
    row = {name: float(values.mean()) for name, values in near.items()}
    return row | {"memorisation/num_validation": len(sets.held_out[:_NEAREST])}


def _intervals(
    setting: Setting, values: Mapping[str, Float[np.ndarray, " _"]]
) -> dict[str, float]:
    return bootstrap.intervals(PerImage(values), setting.options.bootstrap)


def _nearest(queries: np.ndarray, images: np.ndarray) -> Float[np.ndarray, " n"]:
    """L2 in [-1, 1] of each to the nearest image."""
    flat = memorisation.flatten(queries)
    acc = memorisation.update(
        memorisation.empty(len(queries)), flat, memorisation.flatten(images)
    )
    return acc.distance


def _distances(setting: Setting, acc: ImageSets, sets: Sets) -> dict[str, float]:
    """FID and KID against training images, and Inception scores, real images' too."""
    named = {
        "reference": sets.training,
        "": sets.samples,
        "/gaussian_pixels": sets.gaussian_pixels,
        "/real_images": sets.held_out,
    }
    acc = image_sets.flushed(image_sets.update(acc, named))
    judged = [name for name in named if name != "reference"]
    scores = image_sets.inception_scores(acc, judged)
    return setting.distances(acc, {"reference": judged}) | scores
