"""Lists of names that may be millions: sorted, and on this machine's disk beyond so many.

Thousands are a plain list. What is longer lies in a temporary file that is gone with the list; in
memory are eight bytes for every 64 names.
"""

from __future__ import annotations

import array
import hashlib
import heapq
import itertools
import json
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import IO

import numpy as np

HELD = 20_000  # names that are held at once
_APART = 64  # names between two whose places in the file are known
_RUNS = 100  # sorted files that are open at once


def sorted_names(names: Iterable[str]) -> Sequence[str]:
    """`sorted(names)`, of as many as the disk has room for.

    Example:
      >>> sorted_names(iter("cab"))
      ['a', 'b', 'c']
    """
    names = iter(names)
    chunk = sorted(itertools.islice(names, HELD))
    if len(chunk) < HELD:
        return chunk
    runs = []
    while chunk:
        runs.append(NameList(chunk))
        if len(runs) == _RUNS:
            runs = [NameList(heapq.merge(*runs))]
        chunk = sorted(itertools.islice(names, HELD))
    return NameList(heapq.merge(*runs)) if len(runs) > 1 else runs[0]


class NameList(Sequence):
    """Names in a temporary file, in the order in which they are given.

    Args:
      names: text without surprises for JSON, that is: any.
    """

    def __init__(self, names: Iterable[str]):
        self._file = tempfile.TemporaryFile(prefix="deeperlab_names_")  # noqa: SIM115
        self._places, self._count = array.array("Q"), 0
        self._lock = threading.Lock()  # of the place in the file
        place = 0
        for name in names:
            if self._count % _APART == 0:
                self._places.append(place)
            line = json.dumps(name).encode() + b"\n"
            place += self._file.write(line)
            self._count += 1
        self._file.flush()

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index):
        if isinstance(index, slice):
            first, last, step = index.indices(self._count)
            if step == 1:
                return self._read(first, last)
            return [self[number] for number in range(first, last, step)]
        number = index + self._count if index < 0 else index
        if not 0 <= number < self._count:
            raise IndexError(f"there is no name {index} among {self._count}")
        return self._read(number, number + 1)[0]

    def __iter__(self) -> Iterator[str]:
        # Not more: of many lists that are merged, each holds so many.
        for first in range(0, self._count, _APART):
            yield from self._read(first, first + _APART)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or len(self) != len(other):
            return False
        return all(one == two for one, two in zip(self, other))

    __hash__ = None

    def _read(self, first: int, last: int) -> list[str]:
        last = min(last, self._count)
        if first >= last:
            return []
        with self._lock:
            self._file.seek(self._places[first // _APART])
            lines = itertools.islice(_lines(self._file), first % _APART, None)
            return [json.loads(line) for line in itertools.islice(lines, last - first)]


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    # `iter(file)` would not have it that the place is asked for.
    return iter(file.readline, b"")


class NameSet:
    """Which names there are, in eight bytes each: of a million that it does not have, it takes one
    for its own with a probability of 1 in ten million.

    Args:
      names: any.
    """

    def __init__(self, names: Iterable[str]):
        self._hashes = np.frombuffer(array.array("Q", map(hash_of, names)), np.uint64).copy()
        self._hashes.sort()

    def __len__(self) -> int:
        return len(self._hashes)

    def __contains__(self, name: str) -> bool:
        value = np.uint64(hash_of(name))
        place = np.searchsorted(self._hashes, value)
        return bool(place < len(self._hashes) and self._hashes[place] == value)

    def repeated(self) -> set[int]:
        """Hashes that several names have: those of equal names, and hardly any other."""
        same = self._hashes[1:] == self._hashes[:-1]
        return set(self._hashes[1:][same].tolist())


def hash_of(name: str) -> int:
    """64 bits of a name."""
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
