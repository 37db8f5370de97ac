"""TFRecord files: which shards there are, where their records lie, which are left out."""

from __future__ import annotations

import re

from absl import logging

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from input_pipeline.records.tfrecord import HEAD, TAIL, data_length

DATA_OFFSET, RECORD_EXTRA = HEAD, HEAD + TAIL  # of a record's data, and beside them


class CorruptRecord(UserError):
    """A record whose checksum does not fit its data."""


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
    found = sorted(entry for entry, _ in storage.scan(folder) if name.fullmatch(entry))
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
            length = data_length(file.read(HEAD))
            end = None if length is None else offset + HEAD + length + TAIL
            # A damaged head may promise any length.
            if end is not None and end <= size:
                places.append((offset + HEAD, length))
                offset = end
                continue
            if not skip_corrupt:
                raise UserError(
                    f"{path} is cut off or corrupt at byte {offset}, record {len(places)}; "
                    "build it again."
                )
            note_skipped(path, len(places))
            break
    return places


def skipped_records() -> str:
    """A sentence about the corrupt records that this process has left out since it began; "" if
    there were none.
    """
    if not _skipped:
        return ""
    names = ", ".join(f"record {number} of {path}" for path, number in sorted(_skipped))
    return f"left out as corrupt: {len(_skipped)} ({names})"


def note_skipped(path: str | bytes, number: int) -> bool:
    """Counts, and names at its first time, a corrupt record. False, as it is not to be used."""
    name = path.decode() if isinstance(path, bytes) else path
    place = (name, int(number))
    if place not in _skipped:
        _skipped.add(place)
        logging.warning("left out: record %d of %s is corrupt", place[1], name)
    return False
