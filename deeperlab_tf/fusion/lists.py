"""Lists of places, in the two forms that the fusion's graph can have.

A plain graph lists what it needs: of cells, those that are things, [7, 12, 40]. XLA, which compiles
graphs for TPUs and GPUs, wants shapes that do not depend on the data. So there, where
`ops.is_compiled` says so, a list of some of n places has a row for each of the n: its own number
where it is listed, NOWHERE where it is not. What is computed in rows of NOWHERE means nothing, and
is neither kept nor counted; XLA makes one loop of it all.

An *order* is another kind of list: places, the best first. Compiled, its length is fixed, too, and
it ends in NOWHERE.

All of the fusion is written with these functions; they alone know both forms.
"""

from __future__ import annotations

from typing import Callable

import numpy as np
import tensorflow as tf
from tensorflow import Tensor

from deeperlab_tf.fusion import ops

NOWHERE = 2**31 - 1  # larger than any place
_CHUNK = 2048  # rows that a compiled graph computes at once


def indices(flags: Tensor) -> Tensor:
    """The places where flags are set, ascending: bool [n] -> int32 [m]."""
    if ops.is_compiled():
        return tf.where(flags, tf.range(flags.shape[0]), NOWHERE)
    places = tf.where(flags)
    return tf.cast(places[:, 0], tf.int32)


def among(places: Tensor, flags: Tensor) -> Tensor:
    """Those of a list whose rows are flagged: int32 [m], bool [m] -> int32 [k]."""
    if ops.is_compiled():
        return tf.where(flags, places, NOWHERE)
    return tf.boolean_mask(places, flags)


def within(places: Tensor, rows: Tensor) -> Tensor:
    """What a list holds at the places of another: int32 [m], int32 [k], of the m -> int32 [k]."""
    if ops.is_compiled():
        return tf.maximum(places, rows)
    return tf.gather(places, rows)


def join(places: Tensor, others: Tensor) -> Tensor:
    """Two lists that have no place in common: int32 [m], int32 [k] -> int32 [m + k]."""
    if ops.is_compiled():
        return tf.minimum(places, others)
    return tf.concat([places, others], axis=0)


def join_rows(some: tuple[Tensor, Tensor], others: tuple[Tensor, Tensor]) -> Tensor:
    """The values of two joined lists.

    Args:
      some, others: a list, int32 [m], and its values, [m, ...].
    """
    if ops.is_compiled():
        return only(*some, others[1])
    return tf.concat([some[1], others[1]], axis=0)


def take(values: Tensor, places: Tensor) -> Tensor:
    """The values at a list's places: [n, ...], int32 [m] -> [m, ...]."""
    if ops.is_compiled():
        return tf.convert_to_tensor(values)
    return ops.read(values, places)


def put(values: Tensor, places: Tensor, table: Tensor) -> Tensor:
    """A table with values put at a list's places: [m, ...], int32 [m], [n, ...] -> [n, ...]."""
    if ops.is_compiled():
        return only(places, values, table)
    return tf.tensor_scatter_nd_update(table, places[:, None], values)


def only(places: Tensor, values: Tensor, others: Tensor | float) -> Tensor:
    """The values of a list or an order, `others` in rows of NOWHERE: int32 [m], [m, ...]."""
    if not ops.is_compiled():
        return values
    ones = [1] * (values.shape.rank - 1)
    is_listed = tf.reshape(places != NOWHERE, [-1, *ones])
    return tf.where(is_listed, values, others)


def flags_at(places: Tensor, size: Tensor | int) -> Tensor:
    """Flags that are set at a list's places: int32 [m] -> bool [size]."""
    if ops.is_compiled():
        return places != NOWHERE
    return ops.flags_at(places, size)


def mentioned(index: Tensor, size: Tensor | int) -> Tensor:
    """The list of places that an index holds: int32 [...] -> int32 [m]; compiled, of all places."""
    if ops.is_compiled():
        return tf.range(size)
    return indices(ops.flags_at(tf.reshape(index, [-1]), size))


def any_of_rows(flags: Tensor) -> Tensor:
    """Rows in which any flag is set, which are few: bool [n, K] -> bool [n]."""
    if ops.is_compiled():
        return tf.reduce_any(flags, axis=1)
    # On CPUs faster than `tf.reduce_any`.
    places = indices(tf.reshape(flags, [-1]))
    return ops.flags_at(places // flags.shape[1], tf.shape(flags)[0])


def rows_of(places: Tensor, size: Tensor | int) -> Tensor:
    """The row of each place in a list: int32 [m] -> int32 [size]; m for those not listed."""
    if ops.is_compiled():
        return tf.minimum(places, places.shape[0])
    count = tf.size(places)
    rows = tf.fill([size], count)
    return tf.tensor_scatter_nd_update(rows, places[:, None], tf.range(count))


def rows_within(places: Tensor, others: Tensor, size: Tensor | int) -> Tensor:
    """The rows of a list's places in another that holds them all, as a list.

    Args:
      places, others: int32 [k] and [m], lists.
      size: of how many places these are.

    Returns:
      int32 [k].
    """
    if ops.is_compiled():
        return places
    return tf.gather(rows_of(others, size), places)


def order(values: Tensor, flags: Tensor, length: int | None = None) -> Tensor:
    """Flagged places by their values, the highest first, at ties the first place.

    Args:
      values: float32 [n].
      flags: bool [n].
      length: how many at most; None: all.

    Returns:
      int32 [m], an order.
    """
    if ops.is_compiled():
        count = flags.shape[0]
        length = min(length or count, count)
        never = values.dtype.min
        best = tf.math.top_k(tf.where(flags, values, never), length)
        return among(best.indices, best.values != never)
    places = indices(flags)
    count = tf.size(places)
    if length is not None:
        count = tf.minimum(length, count)
    best = tf.math.top_k(tf.gather(values, places), count).indices
    return tf.gather(places, best)


def pick(values: Tensor, places: Tensor) -> Tensor:
    """The values at the places of an order: [n, ...], int32 [m] -> [m, ...]."""
    if ops.is_compiled():
        places = tf.minimum(places, values.shape[0] - 1)
    return tf.gather(values, places)


def first(values: Tensor, flags: Tensor, length: int) -> Tensor:
    """The first flagged rows: float32 [n, ...], bool [n] -> [m, ...], `length` at most.

    Compiled, missing ones are NaN, and so are unflagged ones, which plain graphs have none of.
    """
    if not ops.is_compiled():
        return values[:length]
    places = _in_turn(flags, length)
    return only(places, pick(values, places), np.nan)


def padded(values: Tensor, flags: Tensor, length: int) -> Tensor:
    """The flagged rows, then zeros: float32 [n, ...], bool [n] -> [length, ...]."""
    if ops.is_compiled():
        places = _in_turn(flags, length)
        rows = only(places, pick(values, places), 0.0)
    else:
        rows = tf.boolean_mask(values, flags)
    missing = length - (rows.shape[0] or tf.shape(rows)[0])
    others = [[0, 0]] * (values.shape.rank - 1)
    rows = tf.pad(rows, [[0, missing], *others])
    return tf.ensure_shape(rows, [length, *values.shape[1:]])


def sum_segments(parts: list[tuple[Tensor, Tensor]], size: int) -> Tensor:
    """Sums by segment: int32 [size].

    Args:
      parts: (values, segments), two int32 [n] each; negative segments are dropped.
      size: how many segments there are.
    """
    if ops.is_compiled():
        parts = [[tf.concat(each, axis=0) for each in zip(*parts)]]
    # On CPUs they run side by side.
    return tf.add_n([tf.math.unsorted_segment_sum(*part, size) for part in parts])


def _in_turn(flags, length):
    """The first flagged places as an order."""
    turns = -tf.range(flags.shape[0], dtype=tf.float32)
    return order(turns, flags, length)


def replace(table: Tensor, places: Tensor, compute: Callable[[Tensor], Tensor]) -> Tensor:
    """A table with some rows computed anew.

    For what would be too much for all rows: compiled, too, it is done for the listed ones only, a
    chunk at a time.

    Args:
      table: [n, ...].
      places: int32 [m], a list.
      compute: function of int32 [k], places, to their rows, [k, ...].

    Returns:
      [n, ...].
    """
    if not ops.is_compiled():
        return put(compute(places), places, table)

    # NOWHERE comes last.
    size = places.shape[0]
    chunk = min(_CHUNK, size)
    left = -tf.math.top_k(-places, size).values
    left = tf.pad(left, [[0, chunk]], constant_values=NOWHERE)

    def step(start, table):
        some = tf.slice(left, [start], [chunk])
        rows = compute(tf.minimum(some, size - 1))
        # What lies nowhere is not written.
        return start + chunk, tf.tensor_scatter_nd_update(table, some[:, None], rows)

    def is_left(start, _):
        return left[start] != NOWHERE

    _, table = tf.while_loop(is_left, step, (0, table), parallel_iterations=1)
    return table
