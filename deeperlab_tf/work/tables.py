"""Values by keys, as dicts: of more than are held, in temporary files."""

from __future__ import annotations

import itertools
import json
import math
import operator
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from deeperlab_tf.work.names import NameList, NameSet, Places, hash_of, sorted_names
from deeperlab_tf.work.values import ValueList, is_held

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
    if is_held(values):
        return {key(value): value for value in values}
    return Table(values, key)


def key_set(keys: Collection[str]) -> Collection[str]:
    """set(keys), in eight bytes each where they are not held."""
    return set(keys) if is_held(keys) else NameSet(keys)


class Groups(Mapping):
    """The values of each key, in their order; thirty bytes a key where they are not held.

    Args:
      keys: of all values, texts or whole numbers.
      values: a list, or a `ValueList`.

    Example:
      >>> dict(Groups([1, 0, 1], ["a", "b", "c"]))
      {1: ['a', 'c'], 0: ['b']}
    """

    def __init__(self, keys: Sequence[int | str], values: Sequence[Any]):
        if is_held(values):
            self._heads, self._bodies = [], []
            places = {}
            for key, value in zip(keys, values):
                if key not in places:
                    places[key] = len(places)
                    self._bodies.append([])
                self._bodies[places[key]].append(value)
            self._heads = [[key, len(self._bodies[place]), place] for key, place in places.items()]
        else:
            self._heads, self._bodies = _sorted_groups(keys, values)
        self._table = by_key(self._heads, operator.itemgetter(0))

    def __len__(self) -> int:
        return len(self._heads)

    def __iter__(self) -> Iterator[Any]:
        return (key for key, _, _ in self._heads)

    def __contains__(self, key: object) -> bool:
        return key in self._table

    def __getitem__(self, key: Any) -> list[Any]:
        _, _, place = self._table[key]
        return self._bodies[place]

    def counts(self) -> Iterator[tuple[Any, int]]:
        """Each key, and how many values it has."""
        return ((key, count) for key, count, _ in self._heads)


def _sorted_groups(keys: Sequence[Any], values: ValueList) -> tuple[ValueList, ValueList]:
    """[key, number of values, place of the group] of each group, and the groups."""
    heads, bodies = NameList(()), ValueList()
    given = enumerate(zip(keys, values.texts()))
    # Sorted by the JSON of their keys, and those of one key by their number, which all differ in.
    lines = sorted_names([json.dumps(key), number, text] for number, (key, text) in given)
    for key, group in itertools.groupby(lines, operator.itemgetter(0)):
        texts = [text for _, _, text in group]
        heads.append(f"[{key}, {len(texts)}, {len(bodies)}]")
        bodies.append(f"[{', '.join(texts)}]")
    return heads, bodies
