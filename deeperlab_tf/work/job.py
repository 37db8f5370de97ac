"""What is done to many things, in tasks that do not know of each other."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

_T = TypeVar("_T")


class Job(NamedTuple):
    """The same function for every task; what it gives is added up.

    Functions cross to other processes and machines, so they are those of a module, and all else is
    plain data.

    Attributes:
      name: what the tasks do, for progress: "comparing".
      unit: what is counted: "image".
      function: (shared, task) -> part. Done twice, as after a worker died, it gives the same.
      shared: what all tasks are told.
      tasks: what each of them is told; one task is some seconds' work, or minutes'.
      sizes: how many units there are in each.
      merge: (part, part) -> part; in any order and grouping it gives the same. It may change the
        first.
      finish: (shared, part) -> what the whole comes to, as JSON can hold it.
      counts: part -> counters to show while it runs: {"bad": 1}.
    """

    name: str
    unit: str
    function: Callable[[Any, Any], Any]
    shared: Any
    tasks: Sequence[Any]
    sizes: Sequence[int]
    merge: Callable[[Any, Any], Any]
    finish: Callable[[Any, Any], Any] = lambda _, part: part
    counts: Callable[[Any], Mapping[str, int]] = lambda _: {}


Run = Callable[[Job], Any]  # does a job; gives what it comes to


def ranges(length: int, size: int) -> list[tuple[int, int]]:
    """(first, last) of tasks of `size` things each; `last` is one past it.

    Example:
      >>> ranges(5, 2)
      [(0, 2), (2, 4), (4, 5)]
    """
    return [(first, min(first + size, length)) for first in range(0, length, size)]


def divided(length: int, count: int) -> list[tuple[int, int]]:
    """(first, last) of `count` tasks of about the same size, none of them empty.

    Example:
      >>> divided(5, 2)
      [(0, 2), (2, 5)]
    """
    count = min(count, length)
    bounds = [length * number // max(count, 1) for number in range(count + 1)]
    return list(zip(bounds, bounds[1:]))


def lengths(tasks: Sequence[tuple[int, int]]) -> list[int]:
    """How many things there are in each task of `ranges`."""
    return [last - first for first, last in tasks]


def add_counts(counts: dict[str, int], others: dict[str, int]) -> dict[str, int]:
    """`Job.merge` of parts that are counters."""
    return {name: counts.get(name, 0) + others.get(name, 0) for name in {**counts, **others}}


# === What a process opens once ===


def new_key() -> str:
    """Of a job, for `once`."""
    return uuid.uuid4().hex


@functools.lru_cache(maxsize=2)
def once(key: str, function: Callable[..., _T], *arguments: Hashable) -> _T:
    """function(*arguments), which a process calls once for all tasks of a job.

    Args:
      key: `new_key()` of the job, as files may change between one job and the next.
      function: opens something that tasks read.
      *arguments: its own.
    """
    return function(*arguments)


def forget() -> None:
    """Lets go of what `once` has opened in this process."""
    once.cache_clear()
