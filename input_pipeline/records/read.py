"""A split of records as a random-access source."""

from __future__ import annotations

import dataclasses
import importlib

import tensorflow as tf
from ml_collections import ConfigDict

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.schema import Dataset
from input_pipeline.datasets import Sample, Source
from input_pipeline.records.corrupt import read_record
from input_pipeline.records.decode import decode_example
from input_pipeline.records.encoding import deeplab2_encoding, own_encoding
from input_pipeline.records.files import find_shards
from input_pipeline.records.index import index_records

_FIXED_CLASSES = ("cityscapes", "coco", "vistas", "voc")  # datasets whose classes are in the code


def open_split(config: ConfigDict, split: str, skip_corrupt: bool = False) -> RecordSource:
    """The source of `config.data.records`; without `dataset.json`, the classes are
    `config.data.dataset`'s.
    """
    dataset = None
    name = config.data.dataset
    if name in _FIXED_CLASSES:
        dataset = importlib.import_module(f"input_pipeline.datasets.{name}").DATASET
    return RecordSource(config.data.records, split, dataset, skip_corrupt)


class RecordSource(Source):
    """Source of a split of records.

    Args:
      folder: of the shards.
      split: train, val, ….
      dataset: classes, for records without a `dataset.json`, such as DeepLab2's.
      skip_corrupt: leave out what follows a damaged head, instead of raising UserError.

    Attributes:
      shards: paths.
      counts: from shard to its number of records.
      encoding: of the labels.

    Raises:
      UserError: shards or classes are missing, or a shard is cut off or corrupt.
    """

    def __init__(
        self,
        folder: str,
        split: str,
        dataset: Dataset | None = None,
        skip_corrupt: bool = False,
    ):
        self.shards = find_shards(folder, split)
        described = _read_classes(folder)
        if described is not None:
            self.dataset = described
            encoding = own_encoding(described)
        elif dataset is not None:
            self.dataset = dataset
            encoding = deeplab2_encoding(dataset)
        else:
            raise UserError(
                f"there is no dataset.json in {folder}; write one, or build the records again."
            )
        # What wrote a manifest gave the instances of an image different numbers.
        has_manifest = storage.exists(storage.join(folder, f"{split}.json"))
        self.encoding = dataclasses.replace(encoding, unique_numbers=has_manifest)

        self._index = index_records(self.shards, skip_corrupt)
        self.counts = self._index.counts

    def __len__(self) -> int:
        return len(self._index.offset)

    def __getitem__(self, index: int) -> Sample:
        shard, number, offset = self._index.place(index)
        data = read_record(shard, number, offset)
        try:
            decoded = decode_example(data, self.dataset, self.encoding)
        except (tf.errors.OpError, ValueError) as error:
            message = str(getattr(error, "message", error)).splitlines()[0]
            raise UserError(
                f"record {number} of {shard} cannot be read ({message}); build it again."
            ) from error
        sample = {name: value.numpy() for name, value in decoded.items()}
        return {**sample, "image_id": sample["image_id"].decode()}


def _read_classes(folder: str) -> Dataset | None:
    path = storage.join(folder, "dataset.json")
    if not storage.exists(path):
        return None
    with storage.open(path, encoding="utf-8") as file:
        return Dataset.from_json(file.read(), path)
