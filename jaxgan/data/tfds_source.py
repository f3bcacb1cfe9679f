"""TensorFlow Datasets, read by index, and the preparation that this needs.

Reading by index wants a random-access format (array_record); most copies on people's
disks are TFRecord, which `prepare` converts in place.
"""

from __future__ import annotations

import functools
import importlib
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from jaxgan.core.errors import UserError, did_you_mean
from jaxgan.data.sources import Field, Source
from jaxgan.data.tensorflow_import import tensorflow, tensorflow_datasets

log = logging.getLogger("jaxgan.data")

OWN_BUILDERS = (
    "pix2pix",
)  # in jaxgan.data.tfds_builders, each in a module of its name
_DOMAINS = {"train": "train", "validation": "val", "test": "test"}  # + A, B


class TfdsSource:
    """One split of a prepared TFDS data set."""

    def __init__(self, name: str, builder: Any, split: str):
        tfds = tensorflow_datasets()
        self.name = name
        self._features = dict(_flatten(builder.info.features))
        images = [k for k, f in self._features.items() if _is_image(f)]
        decoders: dict[str, Any] = {}
        for key in images:
            _put(decoders, key, tfds.decode.SkipDecoding())
        try:
            self._data = builder.as_data_source(split=split, decoders=decoders)
        except (ImportError, AttributeError) as error:
            raise UserError(
                f"{name}: reading TFDS by index needs array_record ({error}); "
                "pip install 'jaxgan[train]'"
            ) from error
        self._split, self._images = split, images
        self.fields = {
            key: Field(None) if key in images else field
            for key, feature in self._features.items()
            if (field := _field(feature)) is not None
        }
        # A row's image files and its numbers are asked for one after the other.
        self._row = functools.lru_cache(maxsize=256)(self._data.__getitem__)

    def __len__(self) -> int:
        return len(self._data)

    def read(
        self, indices: Int[np.ndarray, " n"], fields: Sequence[str] | None = None
    ) -> dict[str, np.ndarray]:
        if fields is None:
            fields = [k for k, f in self.fields.items() if not f.encoded]
        rows = [self._row(int(i)) for i in indices] if fields else []
        return {key: np.stack([_get(row, key) for row in rows]) for key in fields}

    def column(self, field: str) -> None:
        return None

    def encoded(self, index: int) -> dict[str, bytes]:
        row = self._row(int(index))
        return {key: _get(row, key) for key in self._images}

    def file_names(self, index: int) -> tuple[str, ...]:
        return ()

    def describe(self, index: int) -> str:
        return f"{self.name}, {self._split} example {index}"


def open_tfds(
    name: str, split: str, *, domains: bool = False, data_dir: str | None = None
) -> tuple[tuple[Source, ...], bool]:
    """Opens a split by index.

    Args:
      name: `data_set/config`.
      split: `train`, `validation` or `test`.
      domains: two sources, from splits such as `trainA` and `trainB`.
      data_dir: where TFDS keeps its data; None is TFDS's default.

    Returns:
      The sources, and whether they are the split asked for (else they are training
      examples).

    Raises:
      UserError: if TFDS or the data set is missing, or stored as TFRecord.
    """
    builder = _prepared_builder(name, data_dir)
    full = f"tfds:{name}"
    splits = list(builder.info.splits)
    if domains and "trainA" in splits:
        prefix = _DOMAINS[split]
        own = f"{prefix}A" in splits and f"{prefix}B" in splits
        prefix = prefix if own else "train"
        a, b = (TfdsSource(full, builder, f"{prefix}{side}") for side in "AB")
        return (a, b), own
    if "train" not in splits:
        raise UserError(
            f"{full}: it has no split 'train', only {', '.join(splits)}; domains A and "
            "B are for data.task=unpaired"
        )
    own = split in splits
    return (TfdsSource(full, builder, split if own else "train"),), own


def prepare(
    name: str, data_dir: str | None = None, manual_dir: str | None = None
) -> str:
    """Makes a data set readable by index: downloads it, or converts a TFRecord copy.

    Args:
      name: `data_set/config`, with or without `tfds:` before it.
      data_dir: where TFDS keeps its data; None is TFDS's default.
      manual_dir: the folder of archives that have to be fetched by hand.

    Returns:
      The folder of the prepared data set.

    Raises:
      UserError: if it cannot be found, downloaded or converted.
    """
    name = name.removeprefix("tfds:")
    tfds = tensorflow_datasets()
    builder = _builder(name, data_dir)
    if not builder.is_prepared():
        config = tfds.download.DownloadConfig(manual_dir=manual_dir)
        try:
            builder.download_and_prepare(
                download_config=config, file_format="array_record"
            )
        except UserError:
            raise
        except Exception as error:  # downloads and builders fail in many ways
            raise UserError(
                f"tfds:{name}: it cannot be prepared: {_one_line(error)}"
            ) from error
        return str(builder.data_dir)
    builder = tfds.builder_from_directory(str(builder.data_dir))
    if not _by_index(builder):
        _convert(builder)
    return str(builder.data_dir)


def _convert(builder: Any) -> None:
    """Writes the records of a TFRecord copy again as array_record, beside it.

    TFDS's own converter does the same, but needs Apache Beam.
    """
    from array_record.python import array_record_module

    tf = tensorflow()
    for split in builder.info.splits.values():
        for source in map(str, split.filepaths):
            target = source.replace(".tfrecord", ".array_record")
            log.info("writing %s", target)
            # One record a group: each can be read by itself.
            writer = array_record_module.ArrayRecordWriter(target + "~", "group_size:1")
            for record in tf.data.TFRecordDataset(source).as_numpy_iterator():
                writer.write(record)
            writer.close()
            os.replace(target + "~", target)
    described = os.path.join(builder.data_dir, "dataset_info.json")
    with open(described, encoding="utf-8") as file:
        info = json.load(file)
    info["alternativeFileFormats"] = ["array_record"]  # last: now it counts
    with open(described + "~", "w", encoding="utf-8") as file:
        json.dump(info, file, indent=2, sort_keys=True)
    os.replace(described + "~", described)


def _prepared_builder(name: str, data_dir: str | None) -> Any:
    builder = _builder(name, data_dir)
    command = f"jaxgan prepare --source=tfds:{name}"
    if data_dir:
        command += f" --data_dir={data_dir}"
    if getattr(builder, "MANUAL_DOWNLOAD_INSTRUCTIONS", None):
        command += " --manual_dir=FOLDER_OF_THE_ARCHIVE"
    if not builder.is_prepared():
        raise UserError(
            f"tfds:{name}: it is not prepared in {builder.data_dir}; run `{command}`, "
            "or set data.source_options.data_dir"
        )
    # What lies on the disk, not what the builder's code would write.
    builder = tensorflow_datasets().builder_from_directory(str(builder.data_dir))
    if not _by_index(builder):
        raise UserError(
            f"tfds:{name}: the copy in {builder.data_dir} is stored as "
            f"{builder.info.file_format.value}, which cannot be read by index; "
            f"`{command}` converts it"
        )
    return builder


def _builder(name: str, data_dir: str | None) -> Any:
    tfds = tensorflow_datasets()
    family = name.split("/")[0].split(":")[0]
    if family in OWN_BUILDERS:
        importlib.import_module(f"jaxgan.data.tfds_builders.{family}")
    try:
        return tfds.builder(name, data_dir=data_dir)
    except tfds.core.registered.DatasetNotFoundError as error:
        known = [*tfds.list_builders(with_community_datasets=False), *OWN_BUILDERS]
        raise UserError(
            f"tfds:{name}: TFDS knows no such data set{did_you_mean(family, known)}; "
            "check data.source"
        ) from error
    except ValueError as error:  # an unknown configuration
        configs = list(getattr(tfds.builder_cls(family), "builder_configs", {}))
        hint = did_you_mean(name.partition("/")[2], configs)
        raise UserError(
            f"tfds:{name}: {family} has no such configuration{hint}; it has "
            f"{', '.join(configs[:12]) or 'none'}"
        ) from error


def _by_index(builder: Any) -> bool:
    formats = tensorflow_datasets().core.file_adapters.FileFormat.with_random_access()
    return bool(builder.info.available_file_formats() & set(formats))


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:400]


def _is_image(feature: Any) -> bool:
    tfds = tensorflow_datasets()
    return isinstance(feature, tfds.features.Image) and not isinstance(
        feature, tfds.features.LabeledImage
    )


def _field(feature: Any) -> Field | None:
    """What we can make of a feature; None for text, sequences and the like."""
    tfds = tensorflow_datasets()
    if isinstance(feature, tfds.features.Image):
        return Field(None)
    if isinstance(feature, tfds.features.ClassLabel):
        return Field((), "int64", tuple(feature.names))
    shape, dtype = getattr(feature, "shape", None), getattr(feature, "np_dtype", None)
    if not isinstance(shape, tuple) or None in shape or dtype is None:
        return None
    if np.dtype(dtype).kind not in "biuf":
        return None
    return Field(shape, np.dtype(dtype).name)


def _flatten(features: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key in features:
        feature = features[key]
        if hasattr(feature, "keys"):  # a dict of features, such as CelebA's attributes
            yield from _flatten(feature, f"{prefix}{key}/")
        else:
            yield f"{prefix}{key}", feature


def _put(tree: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split("/")
    for parent in parents:
        tree = tree.setdefault(parent, {})
    tree[last] = value


def _get(row: Mapping[str, Any], key: str) -> Any:
    value: Any = row
    for part in key.split("/"):
        value = value[part]
    return value
