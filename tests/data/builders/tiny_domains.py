"""A TFDS builder in the shape of `cycle_gan`: splits trainA, trainB, testA, testB."""

import numpy as np
import tensorflow_datasets as tfds

SIZES = {"trainA": 5, "trainB": 3, "testA": 2, "testB": 2, "train": 6}


def picture(split: str, i: int) -> np.ndarray:
    values = np.zeros((6, 8, 3), np.uint8)
    values[..., 0] = list(SIZES).index(split)
    values[..., 1] = i
    values[..., 2] = 10 * np.arange(6)[:, None] + np.arange(8)
    return values


def box(i: int) -> tuple[float, float, float, float]:
    """3 rows from row i % 4 on, 4 columns from column i % 5 on."""
    top, left = i % 4, i % 5
    return top / 6, left / 8, (top + 3) / 6, (left + 4) / 8


class TinyDomains(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(encoding_format="png"),
                    "label": tfds.features.ClassLabel(names=["A", "B"]),
                    "attributes": {"even": np.bool_, "third": np.int32},
                    "name": tfds.features.Text(),
                    "bbox": tfds.features.BBoxFeature(),
                }
            )
        )

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in SIZES}

    def _generate_examples(self, split):
        for i in range(SIZES[split]):
            yield (
                i,
                {
                    "image": picture(split, i),
                    "label": int(split.endswith("B")),
                    "attributes": {"even": i % 2 == 0, "third": i // 3},
                    "name": f"{split}{i}",
                    "bbox": tfds.features.BBox(*box(i)),
                },
            )
