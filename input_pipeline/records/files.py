"""TFRecord files: which shards there are, where their records lie, and how to read past a corrupt
one.

A record is its length (8 bytes), the length's checksum (4), the data, and the data's checksum (4).
"""

import contextlib
import glob
import os
import struct
import sys

import tensorflow as tf
from absl import logging

from deeperlab_tf.errors import UserError

_HEAD, _TAIL = 12, 4  # bytes around a record's data
_BUFFER_BYTES = 2**18  # TensorFlow's own choice for reading a shard


class CorruptRecord(UserError):
    """A record whose checksum does not fit its data."""


_skipped = set()  # (path, number) of the records that this process has left out


def find_shards(folder, split):
    """Paths of a split's shards, in order; UserError if there is none or one is missing."""
    paths = sorted(glob.glob(os.path.join(glob.escape(folder), f"{split}-*-of-*.tfrecord")))
    if not paths:
        raise UserError(
            f"there is no {split}-*-of-*.tfrecord in {folder}; run scripts/build_records.py first."
        )
    count = int(paths[-1].rsplit("-of-")[-1].split(".")[0])
    if len(paths) != count:
        raise UserError(
            f"{folder} has {len(paths)} of the {count} shards of {split!r}; run scripts/build_records.py again."
        )
    return paths


def record_offsets(path, skip_corrupt=False):
    """[(offset, length)] of the data of each record of a file, found from the records' heads alone.

    Raises:
      UserError: the file ends within a record, or a head is damaged, after which no record can be
        found. With `skip_corrupt` the records before are returned and the rest counts as one
        skipped record.
    """
    places, offset, size = [], 0, os.path.getsize(path)
    with open(path, "rb") as file:
        while offset < size:
            file.seek(offset)
            head = file.read(_HEAD)
            intact = (
                len(head) == _HEAD and _masked_crc32c(head[:8]) == struct.unpack("<I", head[8:])[0]
            )
            length = struct.unpack("<Q", head[:8])[0] if intact else size
            end = offset + _HEAD + length + _TAIL
            if end > size and not skip_corrupt:
                raise UserError(
                    f"{path} is cut off or corrupt at byte {offset}, record {len(places)}; build it again."
                )
            if end > size:
                _note_skipped(path, len(places))
                break
            places.append((offset + _HEAD, length))
            offset = end
    return places


def read_record(path, number, offset):
    """The bytes of one record, at an offset of `record_offsets`; CorruptRecord if its checksum does
    not fit.
    """
    try:
        # Within a function of tf.data, for in TensorFlow 2.15 an iterator cannot be made of the
        # reader directly.
        dataset = tf.data.Dataset.from_tensors(offset).flat_map(
            lambda offset: _record_at(path, offset).take(1)
        )
        return next(iter(dataset)).numpy()
    except tf.errors.DataLossError as error:
        raise CorruptRecord(
            f"record {number} of {path} is corrupt; build it again, or leave it out: --skip_corrupt."
        ) from error


def read_shard_skipping(path, offsets, remote=False):
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
        record = _record_at(path, offset).take(1).ignore_errors().concatenate(corrupt).take(1)
        return record.map(lambda data: (number, data))

    def note(number):
        if remote:
            tf.print("left out: record", number, "of", path, "is corrupt", output_stream=sys.stderr)
            return False
        return tf.numpy_function(_note_skipped, [path, number], tf.bool)

    def intact(number, data):
        return tf.cond(tf.equal(data, ""), lambda: note(number), lambda: True)

    places = tf.data.Dataset.from_tensor_slices(offsets).enumerate()
    return places.flat_map(read).filter(intact).map(lambda number, data: data)


@contextlib.contextmanager
def naming_corrupt_records(folder, split):
    """Context in which TensorFlow's error about a corrupt record, which names no file, becomes one
    that does.
    """
    try:
        yield
    except tf.errors.DataLossError:
        for path in find_shards(folder, split) if folder else ():
            for number, (offset, _) in enumerate(record_offsets(path)):
                read_record(path, number, offset)
        raise


def skipped_records():
    """A sentence about the corrupt records that this process has left out since it began; "" if
    there were none.
    """
    if not _skipped:
        return ""
    names = ", ".join(f"record {number} of {path}" for path, number in sorted(_skipped))
    return f"left out as corrupt: {len(_skipped)} ({names})"


def _note_skipped(path, number):
    """Counts, and names at its first time, a corrupt record. False, as it is not to be used."""
    place = (path.decode() if isinstance(path, bytes) else path, int(number))
    if place not in _skipped:
        _skipped.add(place)
        logging.warning("left out: record %d of %s is corrupt", place[1], place[0])
    return False


def _record_at(path, offset):
    """Dataset of the records of a file from that whose data begins at byte `offset`."""
    variant = tf.raw_ops.TFRecordDatasetV2(
        filenames=[path],
        compression_type="",
        buffer_size=_BUFFER_BYTES,
        byte_offsets=[tf.cast(offset, tf.int64) - _HEAD],
    )
    return tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.string))


def _crc_table():
    """Of CRC-32C: what each value of a byte contributes."""
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_CRC_TABLE = _crc_table()


def _masked_crc32c(data):
    """The checksum of a TFRecord: CRC-32C, rotated by 15 bits, plus a constant."""
    crc = 2**32 - 1
    for byte in data:
        crc = crc >> 8 ^ _CRC_TABLE[(crc ^ byte) & 255]
    crc ^= 2**32 - 1
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32
