"""Endless streams of records for training, read and shuffled in TF ops."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf
from ml_collections import ConfigDict

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from input_pipeline.order import ENDLESS, Numbers, seed_pair
from input_pipeline.records.corrupt import read_shard_skipping
from input_pipeline.records.files import record_offsets
from input_pipeline.sources import Reading

_SHARDS_AT_A_TIME = 8
_PRIME = 1_000_003  # keeps the epochs of one seed apart from those of the next
_READ_AS_THEY_ARE = Reading()


class Sharded(typing.Protocol):
    """What is streamed.

    Attributes:
      shards: paths of TFRecord files.
      counts: from each to its number of records.
    """

    shards: Sequence[str]
    counts: Mapping[str, int]


def read_shards(
    source: Sharded,
    data: ConfigDict,
    numbers: Numbers,
    start_step: int,
    reading: Reading = _READ_AS_THEY_ARE,
) -> tf.data.Dataset:
    """Endless (running number, record): shards in random order, several at a time, mixed in a
    buffer.

    Args:
      source: the shards of all input pipelines; each reads every n-th.
      data: config.data; reads records, shuffle*, seed.
      numbers: of this input pipeline.
      start_step: batches to skip.
      reading: whether corrupt records are left out.

    Returns:
      Dataset of (int64 [], string []).

    Raises:
      UserError: there are too few shards, or they are empty.
    """
    shards = source.shards[numbers.pipeline :: numbers.num_pipelines]
    if not shards:
        raise UserError(
            f"{data.records} has fewer shards than there are hosts ({numbers.num_pipelines}); "
            "build more."
        )
    counts = source.counts
    total = sum(counts[shard] for shard in shards)
    if not total:
        raise UserError(
            f"the shards {shards[0]} … in {data.records} are empty; build the records again."
        )
    # Whole epochs are skipped unread, the rest of one record by record.
    epoch = _epoch_reader(shards, total, data, _shard_reader(shards, reading))
    first = numbers.first_local(start_step)
    epochs = tf.data.Dataset.range(first // total, ENDLESS)
    records = epochs.flat_map(epoch).skip(first % total)
    return records.map(lambda local, record: (numbers.number(local), record))


def _epoch_reader(
    shards: Sequence[str],
    total: int,
    data: ConfigDict,
    read_shard: Callable[[tf.Tensor], tf.data.Dataset],
) -> Callable[[tf.Tensor], tf.data.Dataset]:
    """Function from an epoch to the Dataset of its (number among all epochs' records, record)."""
    block_size = _block_size(shards, total, data)
    cycle_length = min(len(shards), _SHARDS_AT_A_TIME)

    def epoch(number):
        seed = seed_pair(data, number)
        order = tf.range(len(shards))
        if data.shuffle:
            order = tf.random.experimental.stateless_shuffle(order, seed)
        records = tf.data.Dataset.from_tensor_slices(order)
        records = records.interleave(read_shard, cycle_length=cycle_length)
        if data.shuffle:
            records = _mix(records, block_size, seed)
        return records.enumerate(number * total)

    return epoch


def _mix(records: tf.data.Dataset, block_size: int, seed: tf.Tensor) -> tf.data.Dataset:
    """Shuffles block by block, statelessly: Dataset.shuffle fails on a tensor as its seed where
    TensorFlow's own is 0.
    """

    def mix(block, members):
        change = tf.stack([_PRIME * (block + 1), 0])
        return tf.random.experimental.stateless_shuffle(members, seed + change)

    return records.batch(block_size).enumerate().map(mix).unbatch()


def _block_size(shards: Sequence[str], total: int, data: ConfigDict) -> int:
    """How many records are mixed at a time."""
    # Labels of large images are stored raw: a hundred records of them can be gigabytes.
    bytes_each = sum(storage.getsizes(shards)) / total
    room = int(data.shuffle_megabytes * 2**20 / bytes_each)
    return max(1, min(data.shuffle_buffer, room))


def _shard_reader(
    shards: Sequence[str], reading: Reading
) -> Callable[[tf.Tensor], tf.data.Dataset]:
    """Function from a shard's index to the Dataset of its records; corrupt ones are left out if
    `reading` says so.
    """
    paths = [storage.for_tensorflow(shard) for shard in shards]
    if not reading.skip_corrupt:
        return lambda index: tf.data.TFRecordDataset(tf.gather(paths, index))

    # [shards, (records)]: each record is read on its own, so that the next can be found.
    offsets = [_intact_offsets(shard) for shard in shards]
    offsets = tf.ragged.constant(offsets, tf.int64, ragged_rank=1)
    remote = bool(reading.data_service)

    def read_shard(index):
        return read_shard_skipping(tf.gather(paths, index), offsets[index], remote)

    return read_shard


def _intact_offsets(shard: str) -> list[int]:
    return [offset for offset, _ in record_offsets(shard, skip_corrupt=True)]
