"""Values by keys, as dicts: of more than are held, in temporary files."""

from __future__ import annotations

import itertools
import json
import math
import operator
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from deeperlab_tf.work.names import NameSet, Places, hash_of, sorted_names
from deeperlab_tf.work.values import Picked, ValueList

Key = Callable[[Any], Any]  # from a value to its key: text, a number or None


class Table(Mapping):
    """Values by their keys, in twelve bytes each; as in a dict, the last of one key counts, in the
    place of the first.

    Args:
      values: any.
      key: of one of them.

    Example:
      >>> Table(["a.png", "b.jpg", "a.jpg"], lambda name: name[0])["a"]
      'a.jpg'
    """

    def __init__(self, values: Sequence[Any], key: Key):
        self._values, self._key = values, key
        self._places = Places(text_of(key(value)) for value in values)
        self._repeated = self._places.repeated()

    def __len__(self) -> int:
        return sum(1 for _ in self) if self._repeated else len(self._values)

    def __iter__(self) -> Iterator[Any]:
        for place, value in enumerate(self._values):
            key = self._key(value)
            if not self._is_repeated(key) or next(self._of(key)) == place:
                yield key

    def __getitem__(self, key: Any) -> Any:
        for place in reversed(self._places[text_of(key)]):
            value = self._values[place]
            if _same(self._key(value), key):
                return value
        raise KeyError(key)

    def values(self) -> Iterator[Any]:
        """Those that count, in the order of the keys; each time they are read anew."""
        for place, value in enumerate(self._values):
            key = self._key(value)
            if not self._is_repeated(key):
                yield value
            elif next(self._of(key)) == place:
                yield self[key]

    def _is_repeated(self, key: Any) -> bool:
        return bool(self._repeated) and hash_of(text_of(key)) in self._repeated

    def _of(self, key: Any) -> Iterator[int]:
        """Where values of a key are, in their order."""
        for place in self._places[text_of(key)]:
            if _same(self._key(self._values[place]), key):
                yield place


def text_of(key: Any) -> str:
    """Equal keys have equal texts, as 7 and 7.0."""
    return f'"{key}' if isinstance(key, str) else str(key if _is_nan(key) else hash(key))


def _is_nan(key: Any) -> bool:
    return isinstance(key, float) and math.isnan(key)


def _same(one: Any, two: Any) -> bool:
    return one == two or (_is_nan(one) and _is_nan(two))


def by_key(values: Sequence[Any], key: Key) -> Mapping[Any, Any]:
    """{key(value): value}, a `Table` where the values are not held."""
    if isinstance(values, list):
        return {key(value): value for value in values}
    return Table(values, key)


def key_set(keys: Collection[str]) -> Collection[str]:
    """set(keys), in eight bytes each where they are not held."""
    return set(keys) if isinstance(keys, list) else NameSet(keys)


def sorted_values(values: Sequence[Any], key: Callable[[Any], str]) -> Sequence[Any]:
    """sorted(values, key=key), in four bytes each where they are not held.

    Example:
      >>> sorted_values([{"id": "b"}, {"id": "a"}], lambda value: value["id"])
      [{'id': 'a'}, {'id': 'b'}]
    """
    if isinstance(values, list):
        return sorted(values, key=key)
    lines = sorted_names([key(value), place] for place, value in enumerate(values))
    return Picked(values, np.fromiter((place for _, place in lines), np.uint32, len(values)))


def grouped(values: Sequence[Any], key: Callable[[Any], int | str]) -> Mapping[Any, list[Any]]:
    """The values of each key, in their order; twenty bytes a key where they are not held.

    Example:
      >>> grouped([3, 4, 5], lambda value: value % 2)
      {1: [3, 5], 0: [4]}
    """
    if isinstance(values, list):
        groups = {}
        for value in values:
            groups.setdefault(key(value), []).append(value)
        return groups
    return _Groups(ValueList(_texts_of_groups(values, key)))


class _Groups(Mapping):
    """Of a `ValueList` of [key, values]."""

    def __init__(self, groups: ValueList):
        self._table = Table(groups, operator.itemgetter(0))

    def __len__(self) -> int:
        return len(self._table)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._table)

    def __getitem__(self, key: Any) -> list[Any]:
        return self._table[key][1]


def _texts_of_groups(values: ValueList, key: Key) -> Iterator[str]:
    texts = enumerate(zip(values, values.texts()))
    # Sorted by the JSON of their keys, and those of one key by their number, which all differ in.
    lines = sorted_names([json.dumps(key(value)), number, text] for number, (value, text) in texts)
    for name, group in itertools.groupby(lines, operator.itemgetter(0)):
        yield f"[{name}, [{', '.join(text for _, _, text in group)}]]"
