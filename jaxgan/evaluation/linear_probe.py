"""Linear probe: accuracy of a linear SVM on features of a frozen network.

One-vs-rest, squared hinge loss, L2 penalty, bias regularised (liblinear); the SVM runs
in float64 on the host. C is chosen on validation images, and the SVM that is reported
was fitted on the training images alone. Features are not standardised: no paper says
that it did.

References:
    Radford, Metz, Chintala, "Unsupervised Representation Learning with Deep
    Convolutional Generative Adversarial Networks", 2016, section 5.
    Wu et al., "Learning a Probabilistic Latent Space of Object Shapes via 3D
    Generative-Adversarial Modeling", 2016, section 4.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Integer

from jaxgan.core.errors import UserError
from jaxgan.evaluation.images import AnyArray
from jaxgan.evaluation.optional import require

C_GRID = (1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2)


@dataclass(frozen=True)
class Probe:
    """A fitted one-vs-rest linear classifier."""

    coefficients: Float[np.ndarray, "k d"]  # one row only where there are two classes
    intercept: Float[np.ndarray, " k"]
    classes: Int[np.ndarray, " n"]
    c: float

    def predict(self, features: Float[AnyArray, "b d"]) -> Int[np.ndarray, " b"]:
        """The class of each row."""
        features = np.asarray(features, np.float64)
        scores = features @ self.coefficients.T + self.intercept
        if scores.shape[1] == 1:
            return self.classes[(scores[:, 0] > 0).astype(int)]
        return self.classes[scores.argmax(axis=1)]

    def accuracy(
        self, features: Float[AnyArray, "b d"], labels: Integer[AnyArray, " b"]
    ) -> float:
        """Share of rows whose class is right."""
        return float(np.mean(self.predict(features) == np.asarray(labels)))


def fit(
    features: Float[AnyArray, "n d"],
    labels: Integer[AnyArray, " n"],
    *,
    c: float,
    tolerance: float = 1e-4,
) -> Probe:
    """Fits the SVM.

    Args:
        features: one row an example.
        labels: class ids.
        c: inverse weight of the penalty.
        tolerance: of liblinear.

    Raises:
        UserError: without scikit-learn, with fewer than two classes, or if features
            are not finite.
    """
    svm: Any = require("sklearn.svm", "the linear probe")
    features = np.asarray(features, np.float64)
    labels = np.asarray(labels)
    if not np.isfinite(features).all():
        raise UserError(
            "features of the linear probe hold NaN or infinity: the network that made "
            "them has diverged"
        )
    if len(np.unique(labels)) < 2:
        raise UserError("the linear probe needs examples of two classes or more")
    model = svm.LinearSVC(
        penalty="l2",
        loss="squared_hinge",
        dual="auto",
        C=c,
        tol=tolerance,
        multi_class="ovr",
        fit_intercept=True,
        max_iter=10_000,
        random_state=0,
    ).fit(features, labels)
    return Probe(
        np.asarray(model.coef_), np.asarray(model.intercept_), model.classes_, c
    )


def balanced_draws(
    labels: Integer[AnyArray, " n"], per_class: int, count: int, seed: int = 0
) -> list[Int[np.ndarray, " r"]]:
    """Random rows, as many of each class: the few labels of a semi-supervised table.

    Args:
        labels: class ids.
        per_class: rows of a class in each draw.
        count: draws.
        seed: of the draws.

    Raises:
        UserError: if a class has fewer rows.
    """
    labels, random = np.asarray(labels), np.random.default_rng(seed)
    classes, counts = np.unique(labels, return_counts=True)
    if counts.min() < per_class:
        raise UserError(
            f"the linear probe draws {per_class} examples a class, class "
            f"{classes[counts.argmin()]} has {counts.min()}: raise "
            "evaluation.num_probe or lower evaluation.probe_per_class"
        )
    rows = [np.flatnonzero(labels == c) for c in classes]
    return [
        np.concatenate([random.choice(r, per_class, replace=False) for r in rows])
        for _ in range(count)
    ]


def linear_probe(
    train: tuple[Float[AnyArray, "n d"], Integer[AnyArray, " n"]],
    validation: tuple[Float[AnyArray, "v d"], Integer[AnyArray, " v"]],
    test: tuple[Float[AnyArray, "m d"], Integer[AnyArray, " m"]],
    *,
    c_grid: tuple[float, ...] = C_GRID,
    draws: Sequence[Int[np.ndarray, " r"]] | None = None,
) -> dict[str, float]:
    """Chooses C on validation examples, reports accuracy on test examples.

    Args:
        train: (features, labels) to fit on.
        validation: to choose C on; ties go to the smaller C.
        test: to report on.
        c_grid: candidates.
        draws: rows of `train`; an SVM is fitted to each draw and figures are means
            over the draws. None is one draw of all rows.

    Returns:
        `{probe/accuracy, probe/validation_accuracy, probe/c, probe/num_train,
        probe/num_test}`, and `probe/deviation`, the standard deviation of the accuracy
        over draws, where there are several.
    """
    features, labels = (np.asarray(x) for x in train)
    draws = [np.arange(len(labels))] if draws is None else draws
    candidates = sorted(c_grid)
    probes = [[fit(features[r], labels[r], c=c) for r in draws] for c in candidates]
    scores = [np.mean([p.accuracy(*validation) for p in own]) for own in probes]
    best = int(np.argmax(scores))
    found = [probe.accuracy(*test) for probe in probes[best]]
    row = {
        "probe/accuracy": float(np.mean(found)),
        "probe/validation_accuracy": float(scores[best]),
        "probe/c": candidates[best],
        "probe/num_train": len(draws[0]),
        "probe/num_test": len(test[1]),
    }
    if len(draws) > 1:
        row["probe/deviation"] = float(np.std(found))
    return row
