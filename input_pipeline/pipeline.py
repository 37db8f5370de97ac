"""make_dataset: batches of images and targets, the same ones every time (paper Sec. 4)."""

from __future__ import annotations

import tensorflow as tf
from ml_collections import ConfigDict

from deeperlab_tf.errors import UserError
from input_pipeline import preprocess, service
from input_pipeline.datasets import Sample, Source
from input_pipeline.order import ENDLESS, Numbers, sample_index, seed_pair
from input_pipeline.records.decode import decode_example
from input_pipeline.records.stream import read_shards
from input_pipeline.sources import Reading, open_source
from input_pipeline.targets import make_targets

# Ready while the model works; a number, for tf.data's own choice grows until the memory is full.
_BATCHES_AHEAD = 2

Tensors = preprocess.Tensors

# What Python reads, for the graph.
_LABEL_MAP = tf.TensorSpec([None, None], tf.int32)
_SPECS = {
    "image": tf.TensorSpec([None, None, 3], tf.uint8),
    "semantic": _LABEL_MAP,
    "instance": _LABEL_MAP,
    "crowd": tf.TensorSpec([None, None], tf.bool),
    "image_id": tf.TensorSpec([], tf.string),
}
_READ_AS_THEY_ARE = Reading()


def make_dataset(
    config: ConfigDict,
    split: str,
    start_step: int = 0,
    input_context: tf.distribute.InputContext | None = None,
    reading: Reading = _READ_AS_THEY_ARE,
) -> tf.data.Dataset:
    """Reads, prepares and batches a split.

    `train` never ends and is shuffled anew each epoch and augmented; every random choice is a
    function of (config.data.seed, running number of the sample), so a run can be repeated, and
    resumed exactly at `start_step`. Any other split is passed through once, in order, each image
    whole and fitted to `config.eval.image_size`.

    Args:
      config: the full config.
      split: train, val, …; `train` reads `config.data.train_split`.
      start_step: batches of `train` to skip.
      input_context: where there are several input pipelines, each makes its part of every batch of
        `train`, in batches for one replica, from shards of its own where there are records. Of the
        images of any other split it takes every n-th.
      reading: how to read records.

    Returns:
      tf.data.Dataset of (image uint8 [B, H, W, 3], targets as `make_targets` gives them, batched).
      Splits other than `train` add to targets `image_id` string [B], `original_size` and
      `content_size` int32 [B, 2] (before and after fitting, without padding), so that parses can be
      written at the original resolution.

    Raises:
      UserError: there is no such data, or the batch size does not fit. What is wrong within a
        file is raised while reading, wrapped in TensorFlow's error.

    Example:
      >>> for images, targets in make_dataset(default_config(), "train").take(1):
      ...     print(images.shape, targets["keypoint_heatmap"].shape)
      (28, 721, 721, 3) (28, 181, 181, 5)
    """
    name = config.data.train_split if split == "train" else split
    source = open_source(config, name, reading)
    if len(source) < 1:
        dataset_name = source.dataset.name
        raise UserError(
            f"split {name!r} of dataset {dataset_name!r} is empty; check its list of images."
        )
    context = input_context or tf.distribute.InputContext()
    if split != "train":
        return _evaluation(source, config, context).prefetch(_BATCHES_AHEAD)

    # Samples, one by one; then batches.
    numbers = Numbers(config.train.batch_size, context)
    if _must_stream(config.data, reading):
        samples = _read_records(source, config, numbers, start_step, reading)
    else:
        samples = _read_source(source, config, numbers, start_step)
    dataset = train_batches(samples, config, numbers.replica_batch_size)
    if reading.data_service:
        dataset = service.distribute(dataset, config, reading.data_service)
    return dataset.prefetch(_BATCHES_AHEAD)


def train_batches(samples: tf.data.Dataset, config: ConfigDict, batch_size: int) -> tf.data.Dataset:
    """Augments and batches samples.

    Args:
      samples: Dataset of (running number int64, sample); the number seeds the augmentation.
      config: the full config.
      batch_size: B.

    Returns:
      Dataset as `make_dataset` gives it for `train`.
    """

    def prepare(number, sample):
        seed = seed_pair(config.data, number)
        sample = preprocess.augment(sample, config.data, seed)
        return sample["image"], _targets(sample, config)

    prepared = samples.map(prepare, num_parallel_calls=tf.data.AUTOTUNE)
    return prepared.batch(batch_size, drop_remainder=True)


class CachedSource(Source):
    """Keeps every sample of a source in memory once it has been read."""

    def __init__(self, source: Source):
        self.dataset = source.dataset
        self._source = source
        self._samples = {}

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Sample:
        if index not in self._samples:
            self._samples[index] = self._source[index]
        return self._samples[index]


# === Training ===


def _must_stream(data: ConfigDict, reading: Reading) -> bool:
    """Whether TensorFlow reads the records, one after the other, instead of Python as it likes."""
    if not data.records:
        return False
    # Other processes, and the skipping of single records, need the records themselves.
    return bool(not data.cache or reading.data_service or reading.skip_corrupt)


def _read_source(
    source: Source, config: ConfigDict, numbers: Numbers, start_step: int
) -> tf.data.Dataset:
    """(number, sample) of a Python source, each epoch in an order of its own."""
    if config.data.cache:
        source = CachedSource(source)

    def load(local):
        number = numbers.number(local)
        index = sample_index(number, len(source), config.data)
        return number, _load(source, index)

    places = tf.data.Dataset.range(numbers.first_local(start_step), ENDLESS)
    return places.map(load, num_parallel_calls=tf.data.AUTOTUNE)


def _read_records(
    source: Source, config: ConfigDict, numbers: Numbers, start_step: int, reading: Reading
) -> tf.data.Dataset:
    """(number, sample) of records, in TF ops."""

    def decode(number, record):
        return number, decode_example(record, source.dataset, source.encoding)

    records = read_shards(source, config.data, numbers, start_step, reading)
    return records.map(decode, num_parallel_calls=tf.data.AUTOTUNE)


# === Evaluation ===


def _evaluation(
    source: Source, config: ConfigDict, context: tf.distribute.InputContext
) -> tf.data.Dataset:
    if config.eval.batch_size > 1 and not config.eval.pad_to_size:
        raise UserError(
            f"config.eval.batch_size is {config.eval.batch_size} but images of several sizes make "
            "no batch; set it to 1 or config.eval.pad_to_size to True."
        )
    length = len(source)
    if config.data.cache:
        source = CachedSource(source)

    def prepare(index):
        sample = _load(source, index)
        fitted = preprocess.fit(sample, config)
        targets = _targets(fitted, config)
        targets["image_id"] = sample["image_id"]
        targets["original_size"] = tf.shape(sample["image"])[:2]
        targets["content_size"] = fitted["content_size"]
        return fitted["image"], targets

    first, every = context.input_pipeline_id, context.num_input_pipelines
    indices = tf.data.Dataset.range(first, length, every)
    prepared = indices.map(prepare, num_parallel_calls=tf.data.AUTOTUNE)
    return prepared.batch(config.eval.batch_size)


# === Both ===


def _targets(sample: Tensors, config: ConfigDict) -> Tensors:
    return make_targets(sample["semantic"], sample["instance"], sample["crowd"], config)


def _load(source: Source, index: tf.Tensor) -> Tensors:
    """Reads one sample of a Python source inside the graph."""

    def read(index):
        sample = source[int(index)]
        return [sample[name] for name in _SPECS]

    # NumPy has no static shapes: they are told to the graph afterwards.
    dtypes = [spec.dtype for spec in _SPECS.values()]
    values = tf.numpy_function(read, [index], dtypes, stateful=False)
    shaped = {}
    for (name, spec), value in zip(_SPECS.items(), values):
        shaped[name] = tf.ensure_shape(value, spec.shape)
    return shaped
