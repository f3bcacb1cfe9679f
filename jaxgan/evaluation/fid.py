"""FID: variants of preprocessing, reference statistics on disk, the row to write.

A *variant* names the resize (to 299x299, but for `jax_fid`) and the scaling in front of
the Inception network. Figures of different variants are never compared, so the name is
part of the row (`fid/clean`) and of every file of reference statistics. A local feature
network (any callable `features(params, images)`) is a variant of its own name,
`fid/<name>`.
"""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxgan.core.errors import UserError, one_of
from jaxgan.core.types import Params
from jaxgan.evaluation.frechet import Moments, frechet_distance
from jaxgan.evaluation.images import AnyImage, levels
from jaxgan.evaluation.resize import (
    pil_bicubic,
    pil_bilinear_8bit,
    tf1_bilinear,
    torch_bilinear,
)

INCEPTION_SIZE = (299, 299)
OWN_SIZE = "jax_fid"  # the variant that sees images as large as they are


def _tensorflow(
    images: Float[Array, "b h w c"], size: tuple[int, int]
) -> Float[Array, "b h2 w2 c"]:
    return (tf1_bilinear(images, size) - 128.0) / 128.0


def _torch(
    images: Float[Array, "b h w c"], size: tuple[int, int]
) -> Float[Array, "b h2 w2 c"]:
    return torch_bilinear(images, size) * (2.0 / 255.0) - 1.0


def _clean(
    images: Float[Array, "b h w c"], size: tuple[int, int]
) -> Float[Array, "b h2 w2 c"]:
    return (jnp.clip(pil_bicubic(images, size), 0.0, 255.0) - 128.0) / 128.0


def _jax_fid(
    images: Float[Array, "b h w c"], size: tuple[int, int] | None
) -> Float[Array, "b h2 w2 c"]:
    if size is not None:
        images = pil_bilinear_8bit(images, size)
    return images * (2.0 / 255.0) - 1.0


VARIANTS: dict[str, Callable[..., Array]] = {
    "tensorflow": _tensorflow,  # TTUR, StyleGAN, torch-fidelity
    "torch": _torch,  # pytorch-fid
    "clean": _clean,  # clean-fid
    OWN_SIZE: _jax_fid,  # jax-fid, only to repeat figures of its kind
}
DEFAULT_VARIANT = "clean"  # of new figures


@partial(jax.jit, static_argnames=("variant", "size"))
def preprocess(
    images: AnyImage,
    *,
    variant: str = DEFAULT_VARIANT,
    size: tuple[int, int] | None = None,
) -> Float[Array, "b h2 w2 c"]:
    """Resizes and scales images as the variant's reference does.

    Args:
        images: uint8, or float in [-1, 1], quantised on entry; any size.
        variant: a key of `VARIANTS`.
        size: (height, width) that the network takes; None is 299x299, and in `jax_fid`
            the images' own.

    Returns:
        float32, roughly in [-1, 1].

    Raises:
        UserError: for an unknown variant.
    """
    resized = VARIANTS[one_of(variant, VARIANTS, "FID variant")]
    if size is None and variant != OWN_SIZE:
        size = INCEPTION_SIZE
    return resized(levels(images), size)


@dataclass(frozen=True)
class Preprocessed:
    """A feature network behind a variant's preprocessing, itself a feature network.

    Hashable, so that one compiled function serves every evaluation of a run. Its two
    halves are compiled apart in `features`: `prepare` for each size of images,
    `network` once.
    """

    network: Callable[[Params, Any], Any]  # (params, float images at `size`) -> [b, d]
    variant: str = DEFAULT_VARIANT
    size: tuple[int, int] | None = None  # see `preprocess`

    @property
    def keeps_sizes(self) -> bool:
        """Whether the network sees images of as many sizes as there are."""
        return self.size is None and self.variant == OWN_SIZE

    def prepare(self, images: AnyImage) -> Float[Array, "b h2 w2 c"]:
        """What the network takes: `preprocess` to the variant's input and size."""
        return preprocess(images, variant=self.variant, size=self.size)

    def __call__(self, params: Params, images: AnyImage) -> Float[Array, "b d"]:
        return self.network(params, self.prepare(images))


@dataclass(frozen=True)
class Statistics:
    """Gaussian of a reference set's features, as stored on disk."""

    mean: Float[np.ndarray, " d"]
    covariance: Float[np.ndarray, "d d"]
    variant: str
    num_samples: int | None = None  # unknown in files of other projects
    network_sha256: str | None = None


def statistics(
    acc: Moments, *, variant: str, network_sha256: str | None = None
) -> Statistics:
    """The statistics of an accumulated reference set."""
    return Statistics(acc.mean, acc.covariance, variant, acc.count, network_sha256)


def save_statistics(path: str | Path, reference: Statistics) -> None:
    """Writes `.npz` with the keys of TTUR and pytorch-fid (`mu`, `sigma`) and ours."""
    arrays: dict[str, Any] = {
        "mu": reference.mean,
        "sigma": reference.covariance,
        "variant": reference.variant,
        "num_samples": reference.num_samples,
        "network_sha256": reference.network_sha256,
    }
    known = {key: value for key, value in arrays.items() if value is not None}
    with open(path, "wb") as file:  # savez would append .npz to a bare name
        np.savez(file, **known)


def load_statistics(
    path: str | Path,
    *,
    variant: str | None = None,
    is_default: bool = False,
    network_sha256: str | None = None,
) -> Statistics:
    """Reads reference statistics and refuses those of another variant or network.

    Args:
        path: `.npz` with `mu` and `sigma`.
        variant: the variant that is asked for. None takes the file's own; a file that
            states none (pytorch-fid's, TTUR's) then raises, since a guess would compare
            figures that are not comparable.
        is_default: nobody asked for `variant`, it is what the features happen to be: a
            file that states none raises all the same.
        network_sha256: hash of the feature network's weights, held against the file's
            where both are known.

    Raises:
        UserError: if the file is missing, is no such archive, or does not fit.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            f"FID statistics {str(path)!r} not found: pass an .npz with mu and sigma"
        )
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise UserError(
            f"FID statistics {str(path)!r} cannot be read as .npz without pickles "
            f"({type(error).__name__}): compute them again"
        ) from error
    missing = [key for key in ("mu", "sigma") if key not in arrays]
    if missing:
        raise UserError(
            f"FID statistics {str(path)!r} lack {' and '.join(missing)}: they hold "
            f"{', '.join(sorted(arrays)) or 'nothing'}"
        )
    mean = np.asarray(arrays["mu"], np.float64)
    covariance = np.asarray(arrays["sigma"], np.float64)
    if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
        raise UserError(
            f"FID statistics {str(path)!r}: mu {mean.shape} and sigma "
            f"{covariance.shape} are not [d] and [d, d]"
        )
    stated = str(arrays["variant"]) if "variant" in arrays else None
    if stated is None and (variant is None or is_default):
        raise UserError(
            f"FID statistics {str(path)!r} do not say which variant they are: state it "
            f"with evaluation.fid_variant (--fid_variant={'|'.join(VARIANTS)})"
        )
    if stated is not None and variant is not None and stated != variant:
        raise UserError(
            f"FID statistics {str(path)!r} are of variant {stated!r}, not {variant!r}: "
            "the figures would not be comparable; take statistics of that variant"
        )
    sha = str(arrays["network_sha256"]) if "network_sha256" in arrays else None
    if sha and network_sha256 and sha != network_sha256:
        raise UserError(
            f"FID statistics {str(path)!r} were made by a network of sha256 "
            f"{sha[:12]}..., not {network_sha256[:12]}...: compute them again"
        )
    count = int(arrays["num_samples"]) if "num_samples" in arrays else None
    return Statistics(mean, covariance, stated or variant or "", count, sha)


def result(acc: Moments, reference: Statistics) -> dict[str, float]:
    """The row of one evaluation.

    Returns:
        `{fid/<variant>: distance, .../num_samples: n, .../num_reference: m}`; the last
        only where the reference states it.

    Raises:
        UserError: if the feature dimensions differ.
    """
    if acc.mean.shape != reference.mean.shape:
        raise UserError(
            f"FID: features have {acc.mean.shape[0]} dimensions, the reference "
            f"statistics {reference.mean.shape[0]}: use the network that made them"
        )
    key = f"fid/{reference.variant}"
    row = {
        key: frechet_distance(
            acc.mean, acc.covariance, reference.mean, reference.covariance
        ),
        f"{key}/num_samples": acc.count,
    }
    if reference.num_samples is not None:
        row[f"{key}/num_reference"] = reference.num_samples
    return row
