"""TFRecord files: which shards there are, where their records lie, and how to read past a corrupt
one.

A record is its length (8 bytes), the length's checksum (4), the data, and the data's checksum (4).
"""

from __future__ import annotations

import contextlib
import re
import struct
import sys
from collections.abc import Iterator

import tensorflow as tf
from absl import logging

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage

_HEAD, _TAIL = 12, 4  # bytes around a record's data
DATA_OFFSET, RECORD_EXTRA = _HEAD, _HEAD + _TAIL  # of a record's data, and beside them
_BUFFER_BYTES = 2**18  # TensorFlow's own choice for reading a shard


class CorruptRecord(UserError):
    """A record whose checksum does not fit its data."""


_OF_A_RECORD = re.compile(r"UserError: (the record of image .*?)\]?$", re.M)  # of `decode_example`

_skipped = set()  # (path, number) of the records that this process has left out


def find_shards(folder: str, split: str) -> list[str]:
    """Paths of a split's shards, in order; UserError if there is none or one is missing."""
    paths = shards_in(folder, split)
    if not paths:
        raise UserError(
            f"there is no {split}-*-of-*.tfrecord in {folder}; run scripts/build_records.py first."
        )
    count = shard_count(paths[-1])
    if len(paths) != count:
        raise UserError(
            f"{folder} has {len(paths)} of the {count} shards of {split!r}; "
            "run scripts/build_records.py again."
        )
    return paths


def shards_in(folder: str, split: str, ending: str = ".tfrecord") -> list[str]:
    """Sorted paths of the files SPLIT-NUMBER-of-NUMBER`ending` in a folder; "": of any ending."""
    if not storage.isdir(folder):
        return []
    name = re.compile(rf"{re.escape(split)}-\d+-of-\d+{re.escape(ending) or '.*'}")
    found = sorted(filter(name.fullmatch, storage.listdir(folder)))
    return [storage.join(folder, name) for name in found]


def shard_count(path: str) -> int:
    """How many shards there are, as the name of one of them tells: n of …-of-n."""
    return int(path.rsplit("-of-")[-1].split(".")[0])


def record_offsets(path: str, skip_corrupt: bool = False) -> list[tuple[int, int]]:
    """(offset, length) of the data of each record of a file, found from the records' heads alone.

    Args:
      path: of a TFRecord file.
      skip_corrupt: return the records before a damage, and count the rest as one skipped record.

    Raises:
      UserError: the file ends within a record, or a head is damaged, after which no record can be
        found.
    """
    places, offset, size = [], 0, storage.getsize(path)
    with storage.open_large(path) as file:
        while offset < size:
            file.seek(offset)
            length = _length(file.read(_HEAD))
            end = None if length is None else offset + _HEAD + length + _TAIL
            # A damaged head may promise any length.
            if end is not None and end <= size:
                places.append((offset + _HEAD, length))
                offset = end
                continue
            if not skip_corrupt:
                raise UserError(
                    f"{path} is cut off or corrupt at byte {offset}, record {len(places)}; "
                    "build it again."
                )
            _note_skipped(path, len(places))
            break
    return places


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
        return tf.numpy_function(_note_skipped, [path, number], tf.bool)

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


def skipped_records() -> str:
    """A sentence about the corrupt records that this process has left out since it began; "" if
    there were none.
    """
    if not _skipped:
        return ""
    names = ", ".join(f"record {number} of {path}" for path, number in sorted(_skipped))
    return f"left out as corrupt: {len(_skipped)} ({names})"


def _note_skipped(path: str | bytes, number: int) -> bool:
    """Counts, and names at its first time, a corrupt record. False, as it is not to be used."""
    name = path.decode() if isinstance(path, bytes) else path
    place = (name, int(number))
    if place not in _skipped:
        _skipped.add(place)
        logging.warning("left out: record %d of %s is corrupt", place[1], name)
    return False


def _record_at(path: str | tf.Tensor, offset: tf.Tensor) -> tf.data.Dataset:
    """Dataset of the records of a file from that whose data begins at byte `offset`."""
    variant = tf.raw_ops.TFRecordDatasetV2(
        filenames=[path],
        compression_type="",
        buffer_size=_BUFFER_BYTES,
        byte_offsets=[tf.cast(offset, tf.int64) - _HEAD],
    )
    return tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.string))


def _length(head: bytes) -> int | None:
    """Bytes of the data that follow a head; None if it is damaged or cut off."""
    if len(head) != _HEAD:
        return None
    length, checksum = struct.unpack("<QI", head)
    return length if _masked_crc32c(head[:8]) == checksum else None


def _crc_table() -> list[int]:
    """Of CRC-32C: what each value of a byte contributes."""
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_CRC_TABLE = _crc_table()


def _masked_crc32c(data: bytes) -> int:
    """The checksum of a TFRecord: CRC-32C, rotated by 15 bits, plus a constant."""
    crc = 2**32 - 1
    for byte in data:
        crc = crc >> 8 ^ _CRC_TABLE[(crc ^ byte) & 255]
    crc ^= 2**32 - 1
    rotated = crc >> 15 | crc << 17
    return (rotated + 0xA282EAD8) % 2**32
