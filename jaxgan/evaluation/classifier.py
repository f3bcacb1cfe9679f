"""Scores of an independent classifier's answers on generated images.

The classifier is any callable `network(params, images) -> logits` with a preprocessing
of its own (run it with `features.collect`). It must not be a network that the generator
was trained against. Report its accuracy on real images beside these.

References:
    Choi et al., "StarGAN: Unified Generative Adversarial Networks for Multi-Domain
    Image-to-Image Translation", 2018, section 5.3 (classification error).
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Integer, Shaped

from jaxgan.evaluation.images import AnyArray


def correct(
    logits: Float[AnyArray, "b k"], labels: Integer[AnyArray, " b"]
) -> Float[Array, " b"]:
    """1 where the largest logit is the label's, else 0; its mean is the accuracy.

    Gather with `per_image.py`. Ties go to the lower class; NaN logits are never right.
    """
    logits = jnp.asarray(logits)
    right = jnp.argmax(logits, axis=-1) == jnp.asarray(labels)
    finite = jnp.all(jnp.isfinite(logits), axis=-1)
    return (right & finite).astype(jnp.float32)


def error_percent(accuracy: float) -> float:
    """Classification error in percent, as StarGAN reports it."""
    return 100.0 * (1.0 - accuracy)


def empty(num_attributes: int) -> Int[np.ndarray, "k 2 2"]:
    """Counts [attribute, wanted, found] before the first batch."""
    return np.zeros((num_attributes, 2, 2), np.int64)


def update(
    acc: Int[np.ndarray, "k 2 2"],
    found: Bool[AnyArray, "b k"],
    wanted: Bool[AnyArray, "b k"],
    counted: Bool[AnyArray, "b k"] | None = None,
) -> Int[np.ndarray, "k 2 2"]:
    """Adds one batch of binary attributes.

    For the *preservation rate* of untouched attributes pass the classifier's answers on
    the inputs as `wanted` and the untouched attributes as `counted`.

    Args:
        acc: what was accumulated so far; `empty(k)` at the start.
        found: the classifier's answers, logits > 0 or probabilities > 0.5.
        wanted: the attributes asked for.
        counted: which answers count (padding and edited attributes do not); None: all.
    """
    found, wanted = np.asarray(found), np.asarray(wanted)
    counted = np.ones(found.shape, bool) if counted is None else np.asarray(counted)
    batch = np.stack(
        [
            np.stack([(counted & (wanted == w) & (found == f)).sum(0) for f in (0, 1)])
            for w in (0, 1)
        ]
    )
    return merge(acc, np.moveaxis(batch, -1, 0).astype(np.int64))


def merge(
    a: Int[np.ndarray, "k 2 2"], b: Int[np.ndarray, "k 2 2"]
) -> Int[np.ndarray, "k 2 2"]:
    """The union of two counts."""
    return a + b


def _share(
    part: Shaped[np.ndarray, "..."], whole: Shaped[np.ndarray, "..."]
) -> Float[np.ndarray, "..."]:
    """part / whole, NaN where nothing was counted."""
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def result(
    acc: Int[np.ndarray, "k 2 2"], names: tuple[str, ...] | None = None
) -> dict[str, float]:
    """Accuracy and balanced accuracy of every attribute, and their means.

    Args:
        acc: counts.
        names: of the attributes, for the keys; numbers by default.

    Returns:
        `{accuracy: mean over attributes, balanced_accuracy: likewise, accuracy/<name>,
        balanced_accuracy/<name>}`. Balanced accuracy is the mean recall of the wanted
        values that occur. Attributes that were never counted are NaN and left out of
        the means.
    """
    names = tuple(map(str, range(len(acc)))) if names is None else names
    if len(names) != len(acc):
        raise ValueError(f"{len(names)} names for {len(acc)} attributes")
    right = np.diagonal(acc, axis1=1, axis2=2)  # [k, wanted]
    wanted = acc.sum(axis=2)
    accuracy = _share(right.sum(axis=1), wanted.sum(axis=1))
    recall = _share(right, wanted)
    occurs = ~np.isnan(recall)
    balanced = _share(np.where(occurs, recall, 0.0).sum(axis=1), occurs.sum(axis=1))
    seen = ~np.isnan(accuracy)
    row = {
        "accuracy": float(accuracy[seen].mean()) if seen.any() else float("nan"),
        "balanced_accuracy": float(balanced[seen].mean())
        if seen.any()
        else float("nan"),
    }
    for name, value, balance in zip(names, accuracy, balanced, strict=True):
        row[f"accuracy/{name}"] = float(value)
        row[f"balanced_accuracy/{name}"] = float(balance)
    return row
