"""Inception score, and its form conditional on an input image.

Both take logits and compute in float64 from the log-softmax: `p log p` of a float32
softmax would meet 0 log 0.

References:
    Salimans et al., "Improved Techniques for Training GANs", 2016, section 4.
    Huang, Liu, Belongie, Kautz, "Multimodal Unsupervised Image-to-Image Translation",
    2018, section 5.2 (conditional score).
"""

import numpy as np
from jaxtyping import Float

from jaxgan.core.errors import UserError
from jaxgan.evaluation.images import AnyArray


def _log_softmax(logits: Float[AnyArray, "*b k"]) -> Float[np.ndarray, "*b k"]:
    values = np.asarray(logits, np.float64)
    if not np.isfinite(values).all():
        raise UserError(
            "logits of the inception score hold NaN or infinity: the network that made "
            "the images has diverged, or the classifier's weights are broken"
        )
    values = values - values.max(axis=-1, keepdims=True)
    return values - np.log(np.exp(values).sum(axis=-1, keepdims=True))


def _mean_kl(log_p: Float[np.ndarray, "*b n k"]) -> Float[np.ndarray, "*b"]:
    """Mean over n of KL(p || mean of p over n), in nats."""
    count = log_p.shape[-2]
    # log of the mean by log-sum-exp: a class that underflows stays finite.
    log_mean = np.logaddexp.reduce(log_p, axis=-2, keepdims=True) - np.log(count)
    divergence = np.exp(log_p) * (log_p - log_mean)
    return np.asarray(np.sum(divergence, axis=(-2, -1)) / count)


def inception_score(
    logits: Float[AnyArray, "n k"],
    *,
    splits: int = 10,
    shuffle: bool = True,
    seed: int = 2020,
) -> dict[str, float]:
    """exp(E KL(p(y|x) || p(y))), mean and spread over splits.

    Args:
        logits: of a classifier on the generated images. For published figures those of
            the FID Inception network without its bias (1,008 outputs).
        splits: parts `[i n // s, (i + 1) n // s)`, each with a p(y) of its own.
        shuffle: permutes the images first, as torch-fidelity does; the original does
            not.
        seed: of the permutation.

    Returns:
        `{is: mean, is/std: population std, is/num_samples, is/splits, is/seed}`.

    Raises:
        UserError: with fewer images than splits, or if logits are not finite.
    """
    count = len(logits)
    if not 1 <= splits <= count:
        raise UserError(
            f"the inception score cannot take {splits} splits of {count} images: use "
            f"1 to {max(count, 1)}"
        )
    order = np.arange(count)
    if shuffle:
        order = np.random.RandomState(seed).permutation(count)
    logits = np.asarray(logits)
    bounds = [i * count // splits for i in range(splits + 1)]
    scores = [
        np.exp(_mean_kl(_log_softmax(logits[order[low:high]])))
        for low, high in zip(bounds[:-1], bounds[1:], strict=True)
    ]
    return {
        "is": float(np.mean(scores)),
        "is/std": float(np.std(scores)),
        "is/num_samples": count,
        "is/splits": splits,
        "is/seed": seed,
    }


def conditional_inception_score(
    logits: Float[AnyArray, "n styles k"],
) -> dict[str, float]:
    """Diversity of the outputs *of one input*, mean over inputs.

    Args:
        logits: of a classifier on each input's outputs under several styles.

    Returns:
        `{cis/kl: mean KL in nats, cis/exp: its exponential, cis/num_inputs,
        cis/num_styles}`; 0 and 1 where styles do not change the prediction.
    """
    kl = float(np.mean(_mean_kl(_log_softmax(logits))))
    return {
        "cis/kl": kl,
        "cis/exp": float(np.exp(kl)),
        "cis/num_inputs": logits.shape[0],
        "cis/num_styles": logits.shape[1],
    }
