"""Lists of names that may be millions: on this machine's disk beyond so many.

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
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

HELD = 20_000  # names that are held at once
_APART = 64  # names between two whose places in the file are known
_RUNS = 100  # sorted files that are open at once


def kept_names(names: Iterable[str]) -> Sequence[str]:
    """`list(names)`, of as many as the disk has room for.

    Example:
      >>> kept_names(iter("cab"))
      ['c', 'a', 'b']
    """
    names = iter(names)
    first = list(itertools.islice(names, HELD))
    return first if len(first) < HELD else NameList(itertools.chain(first, names))


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
        self._lock = threading.Lock()  # of the place in the file, and the block read last
        self._block_read, self._block = -1, []
        place = 0
        for name in names:
            if self._count % _APART == 0:
                self._places.append(place)
            line = json.dumps(name).encode() + b"\n"
            place += self._file.write(line)
            self._count += 1
        self._places.append(place)
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
        for number in range(len(self._places) - 1):
            yield from self._block_at(number)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or len(self) != len(other):
            return False
        return all(one == two for one, two in zip(self, other))

    __hash__ = None

    def _read(self, first: int, last: int) -> list[str]:
        names = []
        for number in range(first // _APART, -(-last // _APART)):
            start = number * _APART
            block = self._block_at(number)
            names += block[max(first - start, 0) : last - start]
        return names

    def _block_at(self, number: int) -> list[str]:
        """The names between two known places; asked for one after the other, they are read once."""
        with self._lock:
            if number != self._block_read:
                start, end = self._places[number : number + 2]
                self._file.seek(start)
                lines = self._file.read(end - start).splitlines()
                self._block_read, self._block = number, json.loads(b"[%s]" % b",".join(lines))
            return self._block


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


class NameTable:
    """Names by a key that some of them share, in twelve bytes each.

    Args:
      names: any, in any order.
      key: from a name to its key.

    Example:
      >>> NameTable(["a.png", "b.jpg", "a.jpg"], lambda name: name[0])["a"]
      ['a.jpg', 'a.png']
    """

    def __init__(self, names: Iterable[str], key: Callable[[str], str]):
        self._names, self._key = sorted_names(names), key
        hashes = np.frombuffer(array.array("Q", (hash_of(key(n)) for n in self._names)), np.uint64)
        self._order = np.argsort(hashes, kind="stable").astype(np.uint32)
        self._hashes = hashes[self._order]

    def __getitem__(self, key: str) -> list[str]:
        value = np.uint64(hash_of(key))
        first, last = (np.searchsorted(self._hashes, value, side) for side in ("left", "right"))
        names = [self._names[place] for place in self._order[first:last].tolist()]
        return [name for name in names if self._key(name) == key]


def repeated_places(names: Sequence[str]) -> tuple[int, int] | None:
    """Where the first name that was there before is, with where it was; None: all differ.

    Example:
      >>> repeated_places(["a", "b", "c", "b", "a"])
      (1, 3)
    """
    suspicious, seen = NameSet(names).repeated(), {}
    for place, name in enumerate(names if suspicious else ()):
        if hash_of(name) not in suspicious:
            continue
        if name in seen:
            return seen[name], place
        seen[name] = place
    return None


def hash_of(name: str) -> int:
    """64 bits of a name."""
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
