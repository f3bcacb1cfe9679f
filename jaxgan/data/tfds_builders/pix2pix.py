"""pix2pix: paired image translation data sets, from archives fetched by hand.

Prepared by `jaxgan prepare --source=tfds:pix2pix/facades --manual_dir=DIR` and read as
`data.source=tfds:pix2pix/facades`, `data.task=paired`.

References: Isola et al., "Image-to-Image Translation with Conditional Adversarial
Networks", CVPR 2017.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from jaxgan.core.errors import UserError

_SPLITS = {"train": "train", "val": "validation", "test": "test"}
_SUFFIXES = (".jpg", ".jpeg", ".png")
_HOME = "http://efrosgans.eecs.berkeley.edu/pix2pix/datasets/"


@dataclasses.dataclass
class Pix2pixConfig(tfds.core.BuilderConfig):
    """One of the data sets.

    Attributes:
      a: what the left half shows.
      b: what the right half shows.
      direction: the usual one.
    """

    a: str = ""
    b: str = ""
    direction: str = "AtoB"


def _config(name: str, a: str, b: str, direction: str) -> Pix2pixConfig:
    text = f"A: {a}. B: {b}. Usual direction {direction}."
    return Pix2pixConfig(name=name, description=text, a=a, b=b, direction=direction)


class Pix2pix(tfds.core.GeneratorBasedBuilder):
    """Aligned pairs `a` and `b`, cut from pictures that show them side by side."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Initial release."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"Fetch the archive <config>.tar.gz from {_HOME} and put it into manual_dir, "
        "as it is or unpacked."
    )
    BUILDER_CONFIGS = [
        _config("facades", "photographs of fronts", "label maps", "BtoA"),
        _config("cityscapes", "photographs of streets", "label maps", "BtoA"),
        _config("maps", "aerial photographs", "maps", "AtoB"),
        _config("edges2shoes", "edges", "photographs of shoes", "AtoB"),
        _config("edges2handbags", "edges", "photographs of handbags", "AtoB"),
        _config("night2day", "photographs by night", "the same by day", "BtoA"),
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        # PNG: another round of JPEG would blur what the discriminator looks at.
        image = {"shape": (None, None, 3), "encoding_format": "png"}
        return self.dataset_info_from_configs(
            description="Paired image translation data sets of pix2pix.",
            features=tfds.features.FeaturesDict(
                {
                    "a": tfds.features.Image(**image),
                    "b": tfds.features.Image(**image),
                    "name": tfds.features.Text(),
                }
            ),
            supervised_keys=("a", "b"),
            homepage="https://phillipi.github.io/pix2pix/",
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> Any:
        assert self.builder_config
        name = self.builder_config.name
        archive = dl_manager.manual_dir / f"{name}.tar.gz"
        folder = dl_manager.manual_dir / name
        if not folder.exists() and archive.exists():
            folder = dl_manager.extract(archive) / name
        splits = {
            ours: folder / theirs
            for theirs, ours in _SPLITS.items()
            if (folder / theirs).exists()
        }
        if not splits:
            raise UserError(
                f"tfds:pix2pix/{name}: neither {archive} nor a folder {folder} with "
                f"train, val or test is there; fetch the archive from {_HOME}"
            )
        return {ours: self._generate_examples(path) for ours, path in splits.items()}

    def _generate_examples(self, path: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        for file in sorted(path.iterdir()):
            if PurePosixPath(file.name).suffix.lower() not in _SUFFIXES:
                continue
            with Image.open(io.BytesIO(file.read_bytes())) as image:
                both = np.asarray(image.convert("RGB"))
            half = both.shape[1] // 2
            yield (
                file.name,
                {"a": both[:, :half], "b": both[:, half:], "name": file.name},
            )
