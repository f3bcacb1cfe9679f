"""Two folders of images against each other, whatever made them.

PSNR, SSIM and L1 where the files' names agree, FID and KID with a feature network.
Pictures are turned as the camera noted in the file, as `generate` turns them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from jax.sharding import Mesh
from jaxtyping import UInt8

from jaxgan.core.errors import UserError
from jaxgan.data.files import Files, open_files
from jaxgan.data.pictures import Picture, Unusable, convert, decode
from jaxgan.evaluation import (
    bootstrap,
    features,
    fid,
    image_sets,
    parallel,
    per_image,
    pixel,
    psnr,
    ssim,
)
from jaxgan.evaluation.feature_network import FeatureNetwork
from jaxgan.evaluation.options import Options


def compare_folders(
    images_a: str,
    images_b: str | None,
    options: Options | None = None,
    network: FeatureNetwork | None = None,
    mesh: Mesh | None = None,
) -> dict[str, float | int]:
    """The figures of the images in one folder, held against those of another.

    Args:
      images_a: the folder (or `archive.zip`) to judge; folders below count too.
      images_b: the truth, or None where `options.reference` has its statistics.
      options: `num_examples`, `batch_size`, `bootstrap`, `reference`,
        `write_reference`.
      network: for FID and KID.
      mesh: of devices of this process, which share the batches of FID and KID; None is
        one device.

    Returns:
      `psnr`, `ssim`, `l1` (in [-1, 1]) and `num_pairs` if all files of the first have
      a namesake in the second, with `bootstrap` `/low` and `/high` of the first three;
      FID and KID with a network.

    Raises:
      UserError: if nothing can be compared, a file is broken or too small, namesakes
        differ in size, or `bootstrap` has no pairs.
    """
    options = options or Options()
    first = _open(images_a)
    second = _open(images_b) if images_b else None
    pairs = _namesakes(first, second) if second else {}
    known = {}
    if network is not None and options.reference:
        known["reference"] = fid.load_statistics(
            options.reference,
            variant=network.variant,
            is_default=options.fid_variant is None,
            network_sha256=network.sha256,
        )
    only_writes = not second and not known and bool(options.write_reference)
    if network is None and not second:
        raise UserError("there is nothing to compare with: pass --images_b=FOLDER")
    if network is None and not pairs:
        raise UserError(
            f"{images_a} and {images_b} do not hold files of the same names, so images "
            "cannot be compared one by one; pass --features=inception for FID and KID, "
            "or name the files alike"
        )
    if not second and not known and not only_writes:
        raise UserError(
            "there is nothing to compare with: pass --images_b=FOLDER or "
            "--reference=stats.npz"
        )
    if options.bootstrap and not pairs:
        raise UserError(
            "evaluation.bootstrap gives intervals of figures of single images, which "
            "need an --images_b with files of the same names: leave it out"
        )
    row: dict[str, float | int] = {}
    if pairs and second:
        row |= _one_by_one(first, second, pairs, options)
    if network is None:
        return row
    mesh = parallel.several(mesh)
    if only_writes or known:  # FID alone: no features are kept
        found = features.moments(
            network.network,
            network.params,
            _pictures(first, options),
            batch_size=options.batch_size,
            mesh=mesh,
        )
        if known:
            statistics = known["reference"]
            figures = fid.result(found, statistics)
            row |= {network.prefix + key: value for key, value in figures.items()}
        else:
            statistics = fid.statistics(
                found, variant=network.variant, network_sha256=network.sha256
            )
            row["num_reference"] = found.count
    else:
        sets = image_sets.empty(network, options.batch_size, known, mesh)
        for name, files in (("", first), ("reference", second)):
            for picture in _pictures(files, options) if files else ():
                sets = image_sets.update(sets, {name: picture})
        sets = image_sets.flushed(sets)
        row |= image_sets.result(sets, "reference")
        statistics = image_sets.statistics(sets, "reference")
    if options.write_reference:
        fid.save_statistics(options.write_reference, statistics)
    return row


def _open(path: str) -> Files:
    archive = path.partition("!/")[0]
    if not Path(archive).expanduser().exists():
        raise UserError(f"{path}: there is no such folder or archive of images")
    return open_files("zip" if archive.lower().endswith(".zip") else "folder", path)


def _namesakes(first: Files, second: Files) -> dict[str, str]:
    """`{name: name}` if every file of the first has one in the second, else nothing.

    Suffixes may differ; so may folders, as long as names do not repeat.
    """
    for key in (_without_suffix, lambda name: PurePosixPath(name).stem):
        theirs, ours = (
            {unicodedata.normalize("NFC", key(name)): name for name in files.names}
            for files in (second, first)
        )
        unique = len(theirs) == len(second.names) and len(ours) == len(first.names)
        if unique and ours.keys() <= theirs.keys():
            return {ours[k]: theirs[k] for k in ours}
    return {}


def _without_suffix(name: str) -> str:
    return PurePosixPath(name).with_suffix("").as_posix()


def _some(names: Sequence[str], options: Options) -> list[str]:
    """At most `num_examples`, evenly spread."""
    count = min(options.num_examples or len(names), len(names))
    return [names[i * len(names) // count] for i in range(count)]


def _one_by_one(
    first: Files, second: Files, pairs: Mapping[str, str], options: Options
) -> dict[str, float]:
    acc = per_image.PerImage()
    chosen = _some(list(pairs), options)
    for name in chosen:
        image, truth = _read(first, name), _read(second, pairs[name])
        channels = max(image.shape[-1], truth.shape[-1])
        image, truth = convert(image, channels), convert(truth, channels)
        if image.shape != truth.shape:
            raise UserError(
                f"{first.name}/{name} is {_size(image)}, but {second.name}/"
                f"{pairs[name]} is {_size(truth)}: images of one name must be of one "
                "size"
            )
        image, truth = image[None], truth[None]
        try:
            values = {
                "psnr": psnr.psnr(image, truth),
                "ssim": ssim.ssim(image, truth),
                "l1": pixel.l1(image, truth),
            }
        except UserError as error:  # smaller than the window of SSIM
            raise UserError(f"{first.name}/{name}: {error}; remove it") from error
        acc = per_image.update(acc, values)
    row = per_image.result(acc)
    kept = {k: v for k, v in row.items() if not k.endswith("/num_samples")}
    kept |= bootstrap.intervals(acc, options.bootstrap)
    return {**kept, "num_pairs": len(chosen)}


def _pictures(files: Files, options: Options) -> Iterator[UInt8[np.ndarray, "1 h w 3"]]:
    """The pictures of a folder, each of its own size."""
    for file in _some(files.names, options):
        yield convert(_read(files, file), 3)[None]


def _read(files: Files, name: str) -> Picture:
    try:
        return decode(files.read(name), upright=True)
    except (Unusable, OSError) as error:
        raise UserError(f"{files.name}/{name}: {error}; repair or remove it") from error


def _size(image: np.ndarray) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"
