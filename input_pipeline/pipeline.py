"""make_dataset: batches of images and targets, the same ones every time (paper Sec. 4)."""

import numpy as np
import tensorflow as tf

from deeperlab_tf.errors import UserError
from input_pipeline import preprocess
from input_pipeline.datasets import open_source
from input_pipeline.targets import make_targets

_SPECS = {
    "image": tf.TensorSpec([None, None, 3], tf.uint8),
    "semantic": tf.TensorSpec([None, None], tf.int32),
    "instance": tf.TensorSpec([None, None], tf.int32),
    "crowd": tf.TensorSpec([None, None], tf.bool),
    "image_id": tf.TensorSpec([], tf.string),
}


def make_dataset(config, split, start_step=0):
    """Reads, prepares and batches a split.

    `train` never ends and is shuffled anew each epoch and augmented; every random choice is a function of
    (config.data.seed, running number of the sample), so a run can be repeated, and resumed exactly at `start_step`.
    Any other split is passed through once, in order, each image whole and fitted to `config.eval.image_size`.

    Args:
      config: the full config.
      split: train, val, ….
      start_step: batches of `train` to skip.

    Returns:
      tf.data.Dataset of (image uint8 [B, H, W, 3], targets as `make_targets` gives them, batched). Splits other than
      `train` add to targets `image_id` string [B], `original_size` and `content_size` int32 [B, 2] (before and after
      fitting, without padding), so that parses can be written at the original resolution.
    """
    source = open_source(config, split)
    if len(source) < 1:
        raise UserError(f"split {split!r} of dataset {source.dataset.name!r} is empty; check its list of images.")
    if config.data.cache:
        source = CachedSource(source)
    dataset = _train(source, config, start_step) if split == "train" else _evaluation(source, config)
    return dataset.prefetch(tf.data.AUTOTUNE)


class CachedSource:
    """Keeps every sample of a source in memory once it has been read."""

    def __init__(self, source):
        self.dataset = source.dataset
        self._source = source
        self._samples = {}

    def __len__(self):
        return len(self._source)

    def __getitem__(self, index):
        if index not in self._samples:
            self._samples[index] = self._source[index]
        return self._samples[index]


def train_batches(samples, config):
    """Augments and batches a tf.data.Dataset of (running number int64, sample); the number seeds the augmentation."""
    data = config.data

    def prepare(number, sample):
        sample = preprocess.augment(sample, data, tf.stack([tf.cast(data.seed, tf.int64), number]))
        return sample["image"], make_targets(sample["semantic"], sample["instance"], sample["crowd"], config)

    samples = samples.map(prepare, num_parallel_calls=tf.data.AUTOTUNE)
    return samples.batch(config.train.batch_size, drop_remainder=True)


def _train(source, config, start_step):
    first = start_step * config.train.batch_size
    numbers = tf.data.Dataset.range(first, np.iinfo(np.int64).max)

    def load(number):
        return number, _load(source, _shuffled(number, len(source), config.data))

    return train_batches(numbers.map(load, num_parallel_calls=tf.data.AUTOTUNE), config)


def _evaluation(source, config):
    if config.eval.batch_size > 1 and not config.eval.pad_to_size:
        raise UserError(
            f"config.eval.batch_size is {config.eval.batch_size} but images of several sizes make no batch; "
            "set it to 1 or config.eval.pad_to_size to True."
        )

    def prepare(index):
        sample = _load(source, index)
        fitted = preprocess.fit(sample, config)
        targets = make_targets(fitted["semantic"], fitted["instance"], fitted["crowd"], config)
        targets["image_id"] = sample["image_id"]
        targets["original_size"] = tf.shape(sample["image"])[:2]
        targets["content_size"] = fitted["content_size"]
        return fitted["image"], targets

    indices = tf.data.Dataset.range(len(source))
    return indices.map(prepare, num_parallel_calls=tf.data.AUTOTUNE).batch(config.eval.batch_size)


def _shuffled(number, length, data):
    """Which sample is the `number`-th of the run: each epoch passes through all of them in an order of its own."""
    epoch, position = number // length, number % length
    if not data.shuffle:
        return position
    seed = tf.stack([tf.cast(data.seed, tf.int64), epoch])
    return tf.random.experimental.index_shuffle(position, tf.cast(seed, tf.uint32), tf.cast(length - 1, tf.int64))


def _load(source, index):
    """Reads one sample of a Python source inside the graph."""

    def read(index):
        sample = source[int(index)]
        return [sample[name] for name in _SPECS]

    values = tf.numpy_function(read, [index], [spec.dtype for spec in _SPECS.values()], stateful=False)
    return {name: tf.ensure_shape(value, spec.shape) for (name, spec), value in zip(_SPECS.items(), values)}
