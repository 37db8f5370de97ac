"""Tasks for jobs of tests; other processes import them from here."""

from __future__ import annotations

import operator
import os
import signal

from deeperlab_tf.errors import UserError
from deeperlab_tf.work.job import Job, new_key, once, ranges


def numbers_job(length: int, wrong: int = -1) -> Job:
    """Adds up the squares of 0 … length - 1; the number `wrong` is refused."""
    tasks = ranges(length, 3)
    sizes = [last - first for first, last in tasks]
    shared = (wrong, new_key())
    counts = lambda part: {"odd": part[1]}  # noqa: E731
    return Job("squaring", "number", squares, shared, tasks, sizes, merge, finish, counts)


def squares(shared: tuple[int, str], task: tuple[int, int]) -> list[int]:
    """[sum, how many are odd]."""
    wrong, key = shared
    power = once(key, operator.add, 1, 1)
    numbers = range(*task)
    if wrong in numbers:
        raise UserError(f"number {wrong} is wrong; leave it out.")
    return [sum(number**power for number in numbers), sum(number % 2 for number in numbers)]


def killing_job(parent: int) -> Job:
    """Its second task kills the process that does it, unless that is `parent`."""
    tasks = ranges(4, 1)
    return Job("dying", "task", die, parent, tasks, [1] * len(tasks), operator.add)


def die(parent: int, task: tuple[int, int]) -> int:
    first, _ = task
    if first == 1 and os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    return 1


def merge(part: list[int], other: list[int]) -> list[int]:
    part[:] = map(operator.add, part, other)
    return part


def finish(shared: tuple[int, str], part: list[int]) -> dict[str, float]:
    return {"sum": part[0], "odd": part[1], "none": float("nan")}
