"""Linear probe of a system's features, beside raw pixels and the largest class."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from jaxgan.core.errors import UserError
from jaxgan.evaluation import norm_statistics
from jaxgan.evaluation.linear_probe import balanced_draws, linear_probe
from jaxgan.evaluation.optional import require
from jaxgan.evaluation.protocols.setting import Setting, images_of, labels_of

_SIDE = 16  # what raw inputs are pooled to
_VALIDATION = 5  # one of so many training examples choose C


@dataclasses.dataclass(frozen=True)
class Examples:
    """Labelled examples: inputs and class numbers for training and for the figure."""

    train: Shaped[np.ndarray, "n ..."]
    train_labels: Int[np.ndarray, " n"]
    test: Shaped[np.ndarray, "m ..."]
    test_labels: Int[np.ndarray, " m"]


def examples(setting: Setting, field: str) -> Examples | None:
    """Labelled examples, if the data has labels.

    Args:
      setting: `evaluation.num_probe` training examples are taken.
      field: of the batch.

    Returns:
      None without labels, or if `evaluation.num_probe` is 0.

    Raises:
      UserError: if scikit-learn is missing.
    """
    limit = setting.options.num_probe
    if not limit:
        return None
    parts: list[Any] = []
    for split, at_most in (("train", limit), (setting.split, None)):
        task = setting.data(split)
        count = setting.count(task, at_most)
        if labels_of(task, count) is None:
            return None
        require("sklearn.svm", "the linear probe")
        images = images_of(setting, split, field, at_most)
        parts += [images, labels_of(task, count)]
    return Examples(*parts)


def probe(
    setting: Setting,
    mode: str,
    labelled: Examples,
    *,
    estimate_statistics: bool = False,
) -> dict[str, float]:
    """Accuracy of a linear SVM on the output of a mode.

    C is chosen on a random fifth of the training examples, which the SVM is not fitted
    on.

    Args:
      setting: whose system; `evaluation.probe_per_class` of the remaining training
        examples are drawn of each class, `evaluation.probe_draws` times.
      mode: a mode from the examples' field to features `[b, f]`.
      labelled: the examples.
      estimate_statistics: batch norm takes its statistics from the training examples.

    Returns:
      The figures of `linear_probe`, and `probe/accuracy/pooled_input`, of an SVM on the
      input itself, pooled, and `probe/accuracy/largest_class`.

    Raises:
      UserError: with too few examples, or of one class.
    """
    order = _order(len(labelled.train))
    # At random: where classes take turns, every fifth example would be of one class.
    held = order < len(order) // _VALIDATION
    if not held.any():
        raise UserError(
            f"the linear probe needs {_VALIDATION} training examples or more; raise "
            "evaluation.num_probe, or set it to 0"
        )

    labels, options = labelled.train_labels, setting.options
    draws = None
    if options.probe_per_class:
        draws = balanced_draws(
            labels[~held], options.probe_per_class, options.probe_draws
        )

    def score(train: Any, test: Any) -> dict[str, float]:
        return linear_probe(
            (train[~held], labels[~held]),
            (train[held], labels[held]),
            (test, labelled.test_labels),
            draws=draws,
        )

    if estimate_statistics:
        setting = _with_statistics_of(setting, mode, labelled.train)
    row = score(*(_features(setting, mode, x) for x in (labelled.train, labelled.test)))
    pooled = score(pool(labelled.train), pool(labelled.test))
    row["probe/accuracy/pooled_input"] = pooled["probe/accuracy"]
    values, counts = np.unique(labels, return_counts=True)
    largest = values[np.argmax(counts)]
    share = float(np.mean(labelled.test_labels == largest))
    row["probe/accuracy/largest_class"] = share
    return row


def _with_statistics_of(setting: Setting, mode: str, examples: np.ndarray) -> Setting:
    """The setting, the mode's networks with the statistics of shuffled examples."""
    variables = dict(setting.variables)
    shuffled = examples[_order(len(examples))]
    for name in setting.system.inference[mode].networks:
        variables[name] = norm_statistics.estimate(
            setting.system.networks()[name],
            variables[name],
            shuffled,
            int(setting.config["training"]["batch_size"]),
        )
    return dataclasses.replace(setting, variables=variables)


def _order(count: int) -> Int[np.ndarray, " n"]:
    return np.random.default_rng(0).permutation(count)


def pool(inputs: Shaped[np.ndarray, "n ..."]) -> Float[np.ndarray, "n f"]:
    """Images or voxels `[n, ..., c]`, averaged down towards 16 a side, flattened."""
    x = np.asarray(inputs, np.float32)
    for axis in range(1, x.ndim - 1):
        factor = max(1, x.shape[axis] // _SIDE)
        kept = x.shape[axis] // factor * factor
        x = np.take(x, np.arange(kept), axis=axis)
        shape = (*x.shape[:axis], kept // factor, factor, *x.shape[axis + 1 :])
        x = x.reshape(shape).mean(axis=axis + 1)
    return x.reshape(len(x), -1)


def _features(setting: Setting, mode: str, inputs: np.ndarray) -> np.ndarray:
    declared = setting.system.inference[mode]
    field, output = next(iter(declared.inputs)), next(iter(declared.output))
    run, size = setting.run(mode, (output,)), setting.batch_size
    parts = []
    for start in range(0, len(inputs), size):
        index = np.minimum(np.arange(start, start + size), len(inputs) - 1)
        found = run({field: inputs[index]}, index)[output]
        parts.append(np.asarray(found)[: len(inputs) - start])
    return np.concatenate(parts)
