"""Lists of names that may be millions: on this machine's disk beyond so many.

Thousands are a plain list. What is longer lies in a temporary file that is gone with the list; in
memory are eight bytes for every 64 names.
"""

from __future__ import annotations

import array
import bisect
import hashlib
import heapq
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from deeperlab_tf.work.values import ValueList

HELD = 20_000  # names that are held at once
_APART = 64  # names between two whose places in the file are known
_RUNS = 100  # sorted files that are open at once
_BITS = 2**64 - 1
_OF_THIS_PROCESS = "the hashes of names are others in another process"


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


class NameList(ValueList):
    """Names in a temporary file, in the order in which they are given.

    Args:
      names: text, or whatever JSON can hold; more may be added.
    """

    def __init__(self, names: Iterable[str] = ()):
        super().__init__(map(json.dumps, names), _APART)

    def add(self, name: str) -> None:
        """Adds a name."""
        self.append(json.dumps(name))


class NameSet:
    """Which names there are, in eight bytes each: of a million that it does not have, it takes one
    for its own with a probability of 1 in ten million.

    Args:
      names: any.
    """

    def __init__(self, names: Iterable[str]):
        self._hashes = np.frombuffer(array.array("Q", map(hash_of, names)), np.uint64).copy()
        self._hashes.sort()

    def __reduce__(self):
        raise TypeError(_OF_THIS_PROCESS)

    def __len__(self) -> int:
        return len(self._hashes)

    def __contains__(self, name: str) -> bool:
        value, hashes = hash_of(name), memoryview(self._hashes)
        place = bisect.bisect_left(hashes, value)  # NumPy's takes ten times as long for one value
        return place < len(hashes) and hashes[place] == value

    def repeated(self) -> set[int]:
        """Hashes that several names have: those of equal names, and hardly any other."""
        return _repeated(self._hashes)


class Places:
    """Where things of one key are among others, in twelve bytes each.

    Args:
      keys: of all things, in their order.

    Example:
      >>> Places(["a", "b", "a"])["a"]
      [0, 2]
    """

    def __init__(self, keys: Iterable[str]):
        hashes = np.frombuffer(array.array("Q", map(hash_of, keys)), np.uint64)
        self._order = np.argsort(hashes, kind="stable").astype(np.uint32)
        self._hashes = hashes[self._order]

    def __reduce__(self):
        raise TypeError(_OF_THIS_PROCESS)

    def __getitem__(self, key: str) -> list[int]:
        """All of the key, in their order; hardly ever another one, which the caller tells apart."""
        value, hashes = hash_of(key), memoryview(self._hashes)
        first, last = bisect.bisect_left(hashes, value), bisect.bisect_right(hashes, value)
        return self._order[first:last].tolist()

    def repeated(self) -> set[int]:
        """Hashes that several keys have: those of equal keys, and hardly any other."""
        return _repeated(self._hashes)


def _repeated(hashes: np.ndarray) -> set[int]:
    """Of some that are sorted, those that are there several times."""
    same = hashes[1:] == hashes[:-1]
    return set(hashes[1:][same].tolist())


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
        self._places = Places(map(key, self._names))

    def __getitem__(self, key: str) -> list[str]:
        names = [self._names[place] for place in self._places[key]]
        return [name for name in names if self._key(name) == key]


def repeats(names: Sequence[str | None]) -> Iterator[tuple[int, int]]:
    """Where each name that was there before is, after where it was last; None is no name.

    Example:
      >>> list(repeats(["a", "b", "a", None, None, "a"]))
      [(0, 2), (2, 5)]
    """
    given, seen = (name for name in names if name is not None), {}
    suspicious = NameSet(given).repeated()
    for place, name in enumerate(names if suspicious else ()):
        if name is None or hash_of(name) not in suspicious:
            continue
        if name in seen:
            yield seen[name], place
        seen[name] = place


def repeated_places(names: Sequence[str]) -> tuple[int, int] | None:
    """Where the first name that was there before is, with where it was; None: all differ.

    Example:
      >>> repeated_places(["a", "b", "c", "b", "a"])
      (1, 3)
    """
    return next(repeats(names), None)


def hash_of(name: str) -> int:
    """64 bits of a name, which are others in another process."""
    return hash(name) & _BITS


def lasting_hash(name: str) -> int:
    """64 bits of a name, the same wherever they are asked for; they take ten times as long."""
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
