"""Where each record of a split lies: three numbers a record, however many there are."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.reports import read_json_object
from input_pipeline.records.files import DATA_OFFSET, RECORD_EXTRA, record_offsets

_ASKED_AT_ONCE = 16  # shards of a bucket


class Index(NamedTuple):
    """The records of some shards, one after the other.

    Attributes:
      shards: paths.
      counts: from shard to its number of records.
      shard: int32 [N], which shard a record is in.
      number: int32 [N], its number within it.
      offset: int64 [N], the byte at which its data begin.
    """

    shards: Sequence[str]
    counts: dict[str, int]
    shard: np.ndarray
    number: np.ndarray
    offset: np.ndarray

    def place(self, index: int) -> tuple[str, int, int]:
        """(shard, number within it, offset) of a record."""
        shard = self.shards[self.shard[index]]
        return shard, int(self.number[index]), int(self.offset[index])


def index_records(shards: Sequence[str], skip_corrupt: bool = False) -> Index:
    """Finds the records of shards.

    On a disk it reads the records' heads. In a bucket, where each of these would be a request, it
    takes the manifest's word, if the shards have its sizes.

    Args:
      shards: paths of TFRecord files.
      skip_corrupt: as of `record_offsets`.

    Raises:
      UserError: a shard is cut off or corrupt.
    """
    offsets = None if skip_corrupt else _stated_offsets(shards)
    if offsets is None:
        several = storage.is_remote(shards[0])
        with concurrent.futures.ThreadPoolExecutor(_ASKED_AT_ONCE if several else 1) as pool:
            offsets = list(pool.map(lambda shard: _read_offsets(shard, skip_corrupt), shards))
    sizes = [len(found) for found in offsets]
    return Index(
        shards,
        dict(zip(shards, sizes)),
        np.repeat(np.arange(len(shards), dtype=np.int32), sizes),
        np.concatenate([np.arange(size, dtype=np.int32) for size in sizes]),
        np.concatenate(offsets),
    )


def _read_offsets(shard: str, skip_corrupt: bool) -> np.ndarray:
    """int64 [records]."""
    places = record_offsets(shard, skip_corrupt)
    return np.array([offset for offset, _ in places], np.int64)


def _stated_offsets(shards: Sequence[str]) -> list[np.ndarray] | None:
    """int64 [records] of each shard, as {split}.json and {split}.lengths have it; None if there are
    no such files.

    Raises:
      UserError: a shard has not the size that it had when it was written.
    """
    folder, name = storage.split(shards[0])
    if not storage.is_remote(folder):
        return None
    split = name.rsplit("-", 3)[0]
    manifest = read_json_object(storage.join(folder, f"{split}.json"))
    stated = {entry["file"]: entry for entry in (manifest or {}).get("shards", ())}
    entries = [stated.get(storage.basename(shard), {}) for shard in shards]
    lengths_path = storage.join(folder, f"{split}.lengths")
    if not all("bytes" in entry for entry in entries) or not storage.isfile(lengths_path):
        return None
    with storage.open(lengths_path, "rb") as file:
        lengths = np.frombuffer(file.read(), "<i8")
    sizes = storage.getsizes(shards)
    bounds = np.cumsum([entry["images"] for entry in entries])
    offsets = []
    for shard, size, entry, part in zip(shards, sizes, entries, np.split(lengths, bounds)):
        ends = np.cumsum(part + RECORD_EXTRA)
        if size != entry["bytes"] or len(part) != entry["images"] or ends[-1:].sum() != size:
            raise UserError(
                f"{shard} has {size} bytes, not the {entry['bytes']} that it was written with: it "
                "is cut off or another file; build the records again."
            )
        offsets.append(ends - part - RECORD_EXTRA + DATA_OFFSET)
    return offsets
