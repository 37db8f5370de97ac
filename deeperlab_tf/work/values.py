"""Lists of values that may be millions: in a temporary file, which is gone with the list."""

from __future__ import annotations

import array
import io
import json
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

_TOGETHER = 64  # values that are read at once where all are


class ValueList(Sequence):
    """JSON values in a temporary file, in the order in which they are given.

    Args:
      texts: JSON of each value; more may be appended.
      apart: values between two whose places in the file are known, in eight bytes of memory each;
        one of them is read with its neighbours.

    Example:
      >>> ValueList(['{"id": 1}', "[2, 3]"])[1]
      [2, 3]
    """

    def __init__(self, texts: Iterable[str] = (), apart: int = 1):
        self._file = tempfile.TemporaryFile(prefix="deeperlab_values_")  # noqa: SIM115
        # Of every so many values where its line begins, and where the last one ends.
        self._places, self._end, self._count, self._apart = array.array("Q"), 0, 0, apart
        self._is_at_end, self._block_read, self._block = True, -1, []
        self._lock = threading.Lock()  # of the file, and the block read last
        for text in texts:
            self.append(text)

    def append(self, text: str) -> None:
        """Adds a value, given as JSON."""
        with self._lock:
            if not self._is_at_end:
                self._file.seek(self._end)
                self._is_at_end, self._block_read = True, -1
            if self._count % self._apart == 0:
                self._places.append(self._end)
            self._end += self._file.write(_to_line(text))
            self._count += 1

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index):
        if isinstance(index, slice):
            first, last, step = index.indices(self._count)
            if step == 1:
                return _to_values(self._lines(first, last))
            return [self[number] for number in range(first, last, step)]
        number = index + self._count if index < 0 else index
        if not 0 <= number < self._count:
            raise IndexError(f"there is no value {index} among {self._count}")
        return self._block_at(number // self._apart)[number % self._apart]

    def __iter__(self) -> Iterator[Any]:
        for first in range(0, self._count, _TOGETHER):
            yield from _to_values(self._lines(first, first + _TOGETHER))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or len(self) != len(other):
            return False
        return all(one == two for one, two in zip(self, other))

    __hash__ = None

    def texts(self) -> Iterator[str]:
        """The JSON of each value, on one line."""
        for first in range(0, self._count, _TOGETHER):
            for line in self._lines(first, first + _TOGETHER):
                yield line.decode("utf-8", "surrogatepass")

    def _lines(self, first: int, last: int) -> list[bytes]:
        """Those of the values first … last - 1, as far as there are any."""
        last = min(last, self._count)
        if first >= last:
            return []
        block, following = first // self._apart, -(-last // self._apart)
        start = self._places[block]
        with self._lock:
            end = self._places[following] if following < len(self._places) else self._end
            self._file.seek(start)
            self._is_at_end = False
            lines = self._file.read(end - start).splitlines()
        before = first - block * self._apart
        return lines[before : before + last - first]

    def _block_at(self, number: int) -> list[Any]:
        """The values between two known places; asked for one after the other, they are read
        once.
        """
        if self._apart == 1:  # what is read may be changed, and must not be handed out twice
            return _to_values(self._lines(number, number + 1))
        with self._lock:
            if number == self._block_read:
                return self._block
        start = number * self._apart
        block = _to_values(self._lines(start, start + self._apart))
        with self._lock:
            self._block_read, self._block = number, block
        return block


class ArrayList(Sequence):
    """Rows of arrays in a temporary file, in the order in which they are appended; eight bytes of
    each in memory.

    Example:
      rows = ArrayList()
      rows.append([areas, classes])
      areas, classes = rows[0]
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="deeperlab_arrays_")  # noqa: SIM115
        self._ends, self._lock = array.array("Q", [0]), threading.Lock()

    def append(self, row: Iterable[np.ndarray]) -> None:
        """Adds a row; of numbers, whatever their shapes and types."""
        content = io.BytesIO()
        for values in row:
            np.lib.format.write_array(content, values, allow_pickle=False)
        with self._lock:
            self._file.seek(self._ends[-1])
            self._file.write(content.getbuffer())
            self._ends.append(self._ends[-1] + content.tell())

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number = index + len(self) if index < 0 else index
        if not 0 <= number < len(self):
            raise IndexError(f"there is no row {index} among {len(self)}")
        start, end = self._ends[number : number + 2]
        with self._lock:
            self._file.seek(start)
            content = io.BytesIO(self._file.read(end - start))
        row = []
        while content.tell() < end - start:
            row.append(np.lib.format.read_array(content, allow_pickle=False))
        return row


def _to_line(text: str) -> bytes:
    # Outside of texts, where they are escaped, these are space.
    line = text.replace("\n", " ").replace("\r", " ")
    return line.encode("utf-8", "surrogatepass") + b"\n"


def _to_values(lines: list[bytes]) -> list[Any]:
    return json.loads(b"[%s]" % b",".join(lines))


class Mapped(Sequence):
    """What a function makes of each of many values, whenever it is asked for.

    Args:
      values: any.
      function: of one of them.

    Example:
      >>> list(Mapped(["a.jpg", "b.jpg"], lambda name: name[0]))
      ['a', 'b']
    """

    def __init__(self, values: Sequence[Any], function: Callable[[Any], Any]):
        self.values, self._function = values, function

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return list(map(self._function, self.values[index]))
        return self._function(self.values[index])

    def __iter__(self) -> Iterator[Any]:
        return map(self._function, self.values)


def is_held(values: Sequence[Any]) -> bool:
    """Whether values are in memory, and none of them on the disk."""
    return is_held(values.values) if isinstance(values, Mapped) else isinstance(values, list)


def made_of(values: Sequence[Any], function: Callable[[Any], Any]) -> Sequence[Any]:
    """What a function makes of each value: `Mapped`, or a list of a list."""
    return list(map(function, values)) if isinstance(values, list) else Mapped(values, function)


class Picked(Sequence):
    """Some of many values, in an order of their own.

    Args:
      values: any.
      places: of those that are meant.

    Example:
      >>> list(Picked("abc", [2, 0]))
      ['c', 'a']
    """

    def __init__(self, values: Sequence[Any], places: Sequence[int]):
        self._values, self._picked = values, places

    def __len__(self) -> int:
        return len(self._picked)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self._values[int(place)] for place in self._picked[index]]
        return self._values[int(self._picked[index])]
