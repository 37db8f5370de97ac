"""Values by keys, as dicts: of more than are held, in temporary files."""

from __future__ import annotations

import itertools
import json
import math
import operator
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from deeperlab_tf.work.names import NameList, NameSet, Places, hash_of, sorted_names
from deeperlab_tf.work.values import Mapped, ValueList, is_held


class Table(Mapping):
    """Values by their keys, in twelve bytes each; as in a dict, the last of one key counts, in the
    place of the first.

    Args:
      keys: text, numbers or None.
      values: one for each key.

    Example:
      >>> Table(["a", "b", "a"], [1, 2, 3])["a"]
      3
    """

    def __init__(self, keys: Sequence[Any], values: Sequence[Any]):
        self._keys, self._values = keys, values
        self._places = Places(map(text_of, keys))
        self._repeated = self._places.repeated()
        self._last = ()  # place and value that were asked for last

    def __len__(self) -> int:
        return sum(1 for _ in self) if self._repeated else len(self._keys)

    def __iter__(self) -> Iterator[Any]:
        for place, key in enumerate(self._keys):
            if not self._is_repeated(key) or self.places(key)[0] == place:
                yield key

    def __contains__(self, key: object) -> bool:
        return bool(self.places(key))

    def __getitem__(self, key: Any) -> Any:
        places = self.places(key)
        if not places:
            raise KeyError(key)
        return self.at(places[-1])

    def at(self, place: int) -> Any:
        """The value at a place; asked for again, it is not read again."""
        last = self._last
        if not last or last[0] != place:
            self._last = last = place, self._values[place]
        return last[1]

    def values(self) -> Iterator[Any]:
        """Those that count, in the order of the keys; each time they are read anew."""
        for place, (key, value) in enumerate(zip(self._keys, self._values)):
            if not self._is_repeated(key):
                yield value
            elif self.places(key)[0] == place:
                yield self[key]

    def _is_repeated(self, key: Any) -> bool:
        return bool(self._repeated) and hash_of(text_of(key)) in self._repeated

    def places(self, key: Any) -> list[int]:
        """Where a key is, in their order."""
        found = self._places[text_of(key)]
        return [place for place in found if _same(self._keys[place], key)]


def text_of(key: Any) -> str:
    """Equal keys have equal texts, as 7 and 7.0."""
    return f'"{key}' if isinstance(key, str) else str(key if _is_nan(key) else hash(key))


def _is_nan(key: Any) -> bool:
    return isinstance(key, float) and math.isnan(key)


def _same(one: Any, two: Any) -> bool:
    return one == two or (_is_nan(one) and _is_nan(two))


def by_key(keys: Sequence[Any], values: Sequence[Any]) -> Mapping[Any, Any]:
    """dict(zip(keys, values)), a `Table` where the values are not held."""
    return dict(zip(keys, values)) if is_held(values) else Table(keys, values)


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
        self._table = by_key(Mapped(self._heads, operator.itemgetter(0)), self._heads)

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
    heads, bodies = NameList(), ValueList()
    given = enumerate(zip(keys, values.texts()))
    # Sorted by the JSON of their keys, and those of one key by their number, which all differ in.
    lines = sorted_names([json.dumps(key), number, text] for number, (key, text) in given)
    for key, group in itertools.groupby(lines, operator.itemgetter(0)):
        texts = [text for _, _, text in group]
        heads.append(f"[{key}, {len(texts)}, {len(bodies)}]")
        bodies.append(f"[{', '.join(texts)}]")
    return heads, bodies
