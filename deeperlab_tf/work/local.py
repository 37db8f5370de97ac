"""A job on this machine."""

from __future__ import annotations

import concurrent.futures
import functools
import itertools
import multiprocessing
import sys
from collections.abc import Iterator
from multiprocessing.context import BaseContext
from typing import Any

import numpy as np
from tqdm import tqdm

from deeperlab_tf.errors import UserError
from deeperlab_tf.work.job import Job, forget

_AHEAD = 16  # tasks of each process that are given out
_KEPT = 2**24  # bytes of a block; twice as many stay with the process


def run(job: Job, processes: int) -> Any:
    """Does the tasks in processes of this machine, and shows a progress bar.

    Args:
      job: what to do; at least one task.
      processes: how many work at once; 1: this one.

    Returns:
      What `job.finish` says of the whole.

    Raises:
      UserError: what a task raised first; the others are not begun.
    """
    try:
        # What fails first is told first.
        total = functools.reduce(job.merge, _parts(job, processes, in_order=False))
        return job.finish(job.shared, total)
    finally:
        forget()


def parts(job: Job, processes: int) -> Iterator[Any]:
    """What the tasks give, in their order.

    Args:
      job, processes: as of `run`.
    """
    try:
        yield from _parts(job, processes, in_order=True)
    finally:
        forget()


def _parts(job, processes, in_order):
    """What the tasks give, in their order or as they end."""
    bar = tqdm(total=sum(job.sizes), unit=job.unit, desc=job.name, dynamic_ncols=True)
    with bar, _pool(job, min(processes, len(job.tasks))) as pool:
        try:
            for part, size in _as_given_out(job, pool, _AHEAD * max(processes, 1), in_order):
                yield part
                bar.update(size)
        except concurrent.futures.BrokenExecutor as error:
            raise UserError(
                f"a process that did a part of {job.name} was killed, most likely as the memory "
                "was full; run again, with fewer processes."
            ) from error
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _as_given_out(job, pool, most, in_order):
    """What the tasks give, and the size of each; so many at most are given out or not yet asked
    for, for what they give is held.
    """
    left = iter(zip(job.tasks, job.sizes))
    size_of = {}  # in the order of the tasks
    while True:
        for task, size in itertools.islice(left, most - len(size_of)):
            size_of[pool.submit(job.function, job.shared, task)] = size
        if not size_of:
            return
        first = [next(iter(size_of))]
        done = first if in_order else concurrent.futures.wait(size_of, None, "FIRST_COMPLETED").done
        for future in done:
            part = future.result()
            yield part, size_of.pop(future)


def _pool(job: Job, processes: int) -> concurrent.futures.Executor:
    """A thread does for one worker; several are processes."""
    if processes <= 1:
        return concurrent.futures.ThreadPoolExecutor(1, initializer=_keep_memory)
    context = _context(job.function.__module__)
    return concurrent.futures.ProcessPoolExecutor(processes, context, _keep_memory)


def _keep_memory() -> None:
    """Has the C library keep freed memory for what comes next, as far as it is some images' worth.

    Else the arrays of each image go back to the system and are fetched anew page by page, which is
    a fifth of the time that reading a small image takes. How much glibc keeps follows the largest
    block that was ever freed; other libraries don't mind one.
    """
    np.empty(_KEPT, np.uint8)


def _context(module: str) -> BaseContext:
    """How workers start that need a module of this project.

    Forks of a process that runs TensorFlow's threads may hang. Those of a server that has only
    imported it don't, and all workers share that import, which takes seconds.
    """
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([module])
    return context
