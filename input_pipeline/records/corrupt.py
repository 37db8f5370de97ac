"""Reading TFRecord files that may be damaged: record by record, past those that are corrupt, with
errors that name them.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator

import tensorflow as tf

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from input_pipeline.records.files import (
    DATA_OFFSET,
    CorruptRecord,
    find_shards,
    note_skipped,
    record_offsets,
)

_BUFFER_BYTES = 2**18  # TensorFlow's own choice for reading a shard
_OF_A_RECORD = re.compile(r"UserError: (the record of image .*?)\]?$", re.M)  # of `decode_example`


def read_record(path: str, number: int, offset: int) -> bytes:
    """The data of one record.

    Args:
      path: of a TFRecord file.
      number: of the record in it, for the error.
      offset: of `record_offsets`.

    Raises:
      CorruptRecord: its checksum does not fit.
    """
    try:
        # Within a function of tf.data, for in TensorFlow 2.15 an iterator cannot be made of the
        # reader directly.
        offsets = tf.data.Dataset.from_tensors(offset)
        readable = storage.for_tensorflow(path)
        records = offsets.flat_map(lambda offset: _record_at(readable, offset).take(1))
        return next(iter(records)).numpy()
    except tf.errors.DataLossError as error:
        raise CorruptRecord(
            f"record {number} of {path} is corrupt; build it again, or leave it out: "
            "--skip_corrupt."
        ) from error


def read_shard_skipping(
    path: tf.Tensor, offsets: tf.Tensor, remote: bool = False
) -> tf.data.Dataset:
    """Dataset of the records of a shard, strings; those whose checksum does not fit are named,
    counted and left out.

    Args:
      path: string [].
      offsets: int64 [records], of `record_offsets`.
      remote: whether another process may do the reading: then it prints what it leaves out, and
        does not count.
    """

    def read(number, offset):
        corrupt = tf.data.Dataset.from_tensors("")
        # An empty string stands for a record that cannot be read.
        record = _record_at(path, offset).take(1).ignore_errors()
        record = record.concatenate(corrupt).take(1)
        return record.map(lambda data: (number, data))

    def note(number):
        if remote:
            tf.print("left out: record", number, "of", path, "is corrupt", output_stream=sys.stderr)
            return False
        return tf.numpy_function(note_skipped, [path, number], tf.bool)

    def intact(number, data):
        return tf.cond(tf.equal(data, ""), lambda: note(number), lambda: True)

    places = tf.data.Dataset.from_tensor_slices(offsets).enumerate()
    return places.flat_map(read).filter(intact).map(lambda number, data: data)


@contextlib.contextmanager
def naming_corrupt_records(folder: str, split: str) -> Iterator[None]:
    """Context in which TensorFlow's error about a corrupt record, which names no file, becomes one
    that does; one about what a record holds, which names the image, says how to find its file.

    Args:
      folder: of the records that are read in it; "": there are none.
      split: that is read.
    """
    try:
        yield
    except tf.errors.DataLossError:
        for path in find_shards(folder, split) if folder else ():
            for number, (offset, _) in enumerate(record_offsets(path)):
                read_record(path, number, offset)
        raise
    except tf.errors.InvalidArgumentError as error:
        told = _OF_A_RECORD.search(error.message)
        if not folder or told is None:
            raise
        sentence = told[1].replace("\\'", "'")
        raise UserError(
            f"{sentence}; scripts/check_dataset.py --records={folder} --split={split} says in "
            "which shard it is: build that again."
        ) from error


def _record_at(path: str | tf.Tensor, offset: tf.Tensor) -> tf.data.Dataset:
    """Dataset of the records of a file from that whose data begins at byte `offset`."""
    variant = tf.raw_ops.TFRecordDatasetV2(
        filenames=[path],
        compression_type="",
        buffer_size=_BUFFER_BYTES,
        byte_offsets=[tf.cast(offset, tf.int64) - DATA_OFFSET],
    )
    return tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.string))
