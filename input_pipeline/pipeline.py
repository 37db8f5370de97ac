"""make_dataset: batches of images and targets, the same ones every time (paper Sec. 4)."""

import functools
import os
import socket

import numpy as np
import tensorflow as tf

from deeperlab_tf.errors import UserError
from input_pipeline import preprocess
from input_pipeline.records.files import read_shard_skipping, record_offsets
from input_pipeline.records.read import decode_example
from input_pipeline.sources import Reading, open_source
from input_pipeline.targets import make_targets

ENDLESS = np.iinfo(np.int64).max
_SHARDS_AT_A_TIME = 8
# Ready while the model works; a number, for tf.data's own choice grows until the memory is full.
_BATCHES_AHEAD = 2
_CONNECT_SECONDS = 10
_PRIME = 1_000_003  # keeps the epochs of one seed apart from those of the next

_SPECS = {
    "image": tf.TensorSpec([None, None, 3], tf.uint8),
    "semantic": tf.TensorSpec([None, None], tf.int32),
    "instance": tf.TensorSpec([None, None], tf.int32),
    "crowd": tf.TensorSpec([None, None], tf.bool),
    "image_id": tf.TensorSpec([], tf.string),
}


def make_dataset(config, split, start_step=0, input_context=None, reading=Reading()):
    """Reads, prepares and batches a split.

    `train` never ends and is shuffled anew each epoch and augmented; every random choice is a
    function of (config.data.seed, running number of the sample), so a run can be repeated, and
    resumed exactly at `start_step`. Any other split is passed through once, in order, each image
    whole and fitted to `config.eval.image_size`.

    Args:
      config: the full config.
      split: train, val, …; `train` reads `config.data.train_split`.
      start_step: batches of `train` to skip.
      input_context: tf.distribute.InputContext; each of several input pipelines then makes its part
        of every batch of `train`, in batches for one replica, from shards of its own where there
        are records. Of the images of any other split it takes every n-th.
      reading: `Reading`, how to read records.

    Returns:
      tf.data.Dataset of (image uint8 [B, H, W, 3], targets as `make_targets` gives them, batched).
      Splits other than `train` add to targets `image_id` string [B], `original_size` and
      `content_size` int32 [B, 2] (before and after fitting, without padding), so that parses can be
      written at the original resolution.
    """
    name = config.data.train_split if split == "train" else split
    source = open_source(config, name, reading)
    if len(source) < 1:
        raise UserError(
            f"split {name!r} of dataset {source.dataset.name!r} is empty; check its list of images."
        )
    data = config.data
    # Other processes, and the skipping of single records, need the records themselves.
    streams = bool(
        data.records
        and split == "train"
        and (not data.cache or reading.data_service or reading.skip_corrupt)
    )
    if data.cache and not streams:
        source = CachedSource(source)
    context = input_context or tf.distribute.InputContext()
    if split != "train":
        dataset = _evaluation(source, config, context)
    else:
        numbers = Numbers(config.train.batch_size, context)
        if streams:
            samples = _read_records(source, config, numbers, start_step, reading)
        else:
            samples = _read_source(source, config, numbers, start_step)
        dataset = train_batches(samples, config, numbers.replica_batch_size)
        if reading.data_service:
            dataset = _serve(dataset, config, reading.data_service)
    return dataset.prefetch(_BATCHES_AHEAD)


class Numbers:
    """Which running numbers of the whole run's samples one input pipeline of several makes."""

    def __init__(self, batch_size, context):
        if batch_size % context.num_input_pipelines:
            raise UserError(
                f"config.train.batch_size is {batch_size}; give a multiple of the {context.num_input_pipelines} hosts."
            )
        self.pipelines, self.pipeline = context.num_input_pipelines, context.input_pipeline_id
        self.batch_size, self.local_batch_size = (
            batch_size,
            batch_size // context.num_input_pipelines,
        )
        self.replica_batch_size = context.get_per_replica_batch_size(batch_size)

    def number(self, local):
        """The running number of the `local`-th sample of this pipeline."""
        step, place = local // self.local_batch_size, local % self.local_batch_size
        return step * self.batch_size + self.pipeline * self.local_batch_size + place


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


def train_batches(samples, config, batch_size):
    """Augments and batches a tf.data.Dataset of (running number int64, sample); the number seeds
    the augmentation.
    """
    data = config.data

    def prepare(number, sample):
        sample = preprocess.augment(sample, data, tf.stack([tf.cast(data.seed, tf.int64), number]))
        return sample["image"], make_targets(
            sample["semantic"], sample["instance"], sample["crowd"], config
        )

    return samples.map(prepare, num_parallel_calls=tf.data.AUTOTUNE).batch(
        batch_size, drop_remainder=True
    )


def _read_source(source, config, numbers, start_step):
    """(number, sample) of a Python source, each epoch in an order of its own."""

    def load(local):
        number = numbers.number(local)
        return number, _load(source, shuffled(number, len(source), config.data))

    first = start_step * numbers.local_batch_size
    return tf.data.Dataset.range(first, ENDLESS).map(load, num_parallel_calls=tf.data.AUTOTUNE)


def _read_records(source, config, numbers, start_step, reading):
    """(number, sample) of records in TF ops."""

    def decode(number, record):
        return number, decode_example(record, source.dataset, source.encoding)

    return read_shards(source, config, numbers, start_step, reading).map(
        decode, num_parallel_calls=tf.data.AUTOTUNE
    )


def read_shards(source, config, numbers, start_step, reading=Reading()):
    """Endless (running number, record): shards in random order, several at a time, mixed in a
    buffer.

    Args:
      source: has `shards` (paths) and `counts` (dict from path to number of records).
      config: the full config.
      numbers: `Numbers`.
      start_step: batches to skip.
    """
    data = config.data
    shards = source.shards[numbers.pipeline :: numbers.pipelines]
    if not shards:
        raise UserError(
            f"{data.records} has fewer shards than there are hosts ({numbers.pipelines}); build more."
        )
    counts = source.counts
    total = sum(counts[shard] for shard in shards)
    if not total:
        raise UserError(
            f"the shards {shards[0]} … in {data.records} are empty; build the records again."
        )

    # Labels of large images are stored raw: a hundred records of them can be gigabytes.
    bytes_each = sum(os.path.getsize(shard) for shard in shards) / total
    block_size = max(1, min(data.shuffle_buffer, int(data.shuffle_megabytes * 2**20 / bytes_each)))

    read_shard = _shard_reader(shards, reading)

    def epoch(number):
        seed = tf.stack([tf.cast(data.seed, tf.int64), number])
        order = tf.range(len(shards))
        order = tf.random.experimental.stateless_shuffle(order, seed) if data.shuffle else order
        records = tf.data.Dataset.from_tensor_slices(order)
        records = records.interleave(read_shard, cycle_length=min(len(shards), _SHARDS_AT_A_TIME))
        if data.shuffle:
            # Block by block, statelessly: Dataset.shuffle fails on a tensor as its seed where
            # TensorFlow's own is 0.
            records = (
                records.batch(block_size).enumerate().map(functools.partial(mix, seed)).unbatch()
            )
        return records.enumerate(number * total)

    def mix(seed, block, members):
        return tf.random.experimental.stateless_shuffle(
            members, seed + tf.stack([_PRIME * (block + 1), 0])
        )

    first = start_step * numbers.local_batch_size
    records = tf.data.Dataset.range(first // total, ENDLESS).flat_map(epoch).skip(first % total)
    return records.map(lambda local, record: (numbers.number(local), record))


def _shard_reader(shards, reading):
    """Function from a shard's index to the Dataset of its records; corrupt ones are left out if
    `reading` says so.
    """
    if not reading.skip_corrupt:
        return lambda index: tf.data.TFRecordDataset(tf.gather(shards, index))
    offsets = tf.ragged.constant(
        [[offset for offset, _ in record_offsets(shard, skip_corrupt=True)] for shard in shards],
        tf.int64,
        1,
    )
    remote = bool(reading.data_service)
    return lambda index: read_shard_skipping(tf.gather(shards, index), offsets[index], remote)


def _serve(dataset, config, address):
    """Lets the workers of a tf.data service prepare the batches; they need nothing but TensorFlow
    and the records.

    Each epoch is one worker's, so every image is seen once an epoch; batches come from all workers,
    in no repeatable order.
    """
    if not config.data.records:
        raise UserError("--data_service needs config.data.records; build records first.")
    host, separator, port = address.split("://")[-1].rpartition(":")
    if not separator or not port.isdigit():
        raise UserError(f"--data_service is {address!r}; give the dispatcher as grpc://host:port.")
    try:
        socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
    except OSError as error:  # tf.data itself would try for an hour
        raise UserError(
            f"no tf.data service answers at {address} ({error}); start its dispatcher: scripts/data_service.py."
        ) from error
    service = tf.data.experimental.service
    return dataset.apply(
        service.distribute(service.ShardingPolicy.DYNAMIC, f"grpc://{host}:{port}")
    )


def _evaluation(source, config, context):
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

    indices = tf.data.Dataset.range(
        context.input_pipeline_id, len(source), context.num_input_pipelines
    )
    return indices.map(prepare, num_parallel_calls=tf.data.AUTOTUNE).batch(config.eval.batch_size)


def shuffled(number, length, data):
    """Which sample is the `number`-th of the run: each epoch passes through all of them in an order
    of its own.
    """
    epoch, position = number // length, number % length
    if not data.shuffle:
        return position
    seed = tf.stack([tf.cast(data.seed, tf.int64), epoch])
    return tf.random.experimental.index_shuffle(
        position, tf.cast(seed, tf.uint32), tf.cast(length - 1, tf.int64)
    )


def _load(source, index):
    """Reads one sample of a Python source inside the graph."""

    def read(index):
        sample = source[int(index)]
        return [sample[name] for name in _SPECS]

    values = tf.numpy_function(
        read, [index], [spec.dtype for spec in _SPECS.values()], stateful=False
    )
    return {
        name: tf.ensure_shape(value, spec.shape)
        for (name, spec), value in zip(_SPECS.items(), values)
    }
