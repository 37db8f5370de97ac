"""Label maps by their values: runs of equal neighbours, dense ids, counts of combinations.

Label maps are nearly constant along rows. So equal neighbours are joined into runs first, and what
is left is counted with tables over dense ids: 0, 1, 2, ... for the values that occur.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deeperlab_tf.errors import UserError

_PIECE = 1 << 16  # pixels looked at together
_SMALL_LOOKUP = 1 << 17  # tables up to this length stay in the processor's cache
# Keys below this are made dense by a lookup table, larger ones by sorting.
_LARGEST_LOOKUP = 1 << 20


def count_combinations(**maps: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Distinct combinations of values at the same pixel of several maps, and their pixels.

    Args:
      **maps: integer or bool [H, W] arrays of one size, without negative values. The names appear
        in errors.

    Returns:
      dict of int64 [K] arrays with the names of the maps, the values of each combination; and
      int64 [K], the number of pixels that have it.

    Raises:
      UserError: sizes differ, there is no pixel, a map is not an integer one or has negative
        values.
    """
    lengths, values = runs(_flatten(maps))
    for name, column in zip(maps, values):
        if column.min() < 0:
            raise UserError(f"{name} holds the negative id {column.min()}; ids are 0 or larger.")

    # Pixels of each key, most of which may not occur: [limit].
    key, limit = _keys(values)
    counts = sum_by(key, lengths, limit)
    found = np.flatnonzero(counts)

    # Any run of a combination tells its values.
    chosen = one_of_each(key, limit)[found]
    columns = {name: column[chosen].astype(np.int64) for name, column in zip(maps, values)}
    return columns, counts[found]


def runs(columns: Sequence[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Joins neighbours that are equal in all columns.

    Args:
      columns: 1-D arrays of one length.

    Returns:
      int64 [R], the length of each run; a list of the columns' values there, [R] each.
    """
    size = columns[0].size
    starts, values = [], [[] for _ in columns]
    starts_here, differs = np.empty((2, min(size, _PIECE)), bool)

    # Pieces stay in the processor's cache between comparing neighbours and picking the values.
    for first in range(0, size, _PIECE):
        pieces = [column[first : first + _PIECE] for column in columns]
        length = len(pieces[0])
        is_start = starts_here[:length]
        other = differs[: length - 1]

        # A piece's first pixel counts as a start, whatever is before it.
        is_start[0] = True
        np.not_equal(pieces[0][1:], pieces[0][:-1], out=is_start[1:])
        for piece in pieces[1:]:
            np.not_equal(piece[1:], piece[:-1], out=other)
            is_start[1:] |= other

        index = np.flatnonzero(is_start)
        starts.append(index + first)
        for parts, piece in zip(values, pieces):
            parts.append(piece.take(index))

    lengths = np.diff(np.concatenate(starts), append=size)
    return lengths, [np.concatenate(parts) for parts in values]


def dense(keys: np.ndarray, limit: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Distinct keys, and for each key its place among them.

    Args:
      keys: int64 [N], not negative.
      limit: above all keys; default: one above the largest.

    Returns:
      int64 [K], ascending; int64 [N] in 0 ... K - 1.
    """
    if limit is None:
        limit = int(keys.max(initial=-1)) + 1
    if limit > _LARGEST_LOOKUP:
        distinct, index = np.unique(keys, return_inverse=True)
        return distinct, index.reshape(-1)

    occurs = np.zeros(limit, bool)
    occurs[keys] = True
    distinct = np.flatnonzero(occurs)
    place = np.empty(limit, np.int64)
    place[distinct] = np.arange(len(distinct))
    return distinct, place.take(keys)


def combine(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Dense ids of the distinct rows of non-negative integer columns, each [N]: int64 [N]."""
    return dense(*_keys(columns))[1]


def sum_by(index: np.ndarray, values: np.ndarray, size: int) -> np.ndarray:
    """Sums of integers by index.

    Args:
      index: int [N], which sum each value goes to.
      values: int [N].
      size: number of sums.

    Returns:
      int64 [size]. Exact: the float64 in between holds every pixel count below 2^53.
    """
    return np.bincount(index, weights=values, minlength=size).astype(np.int64)


def one_of_each(ids: np.ndarray, size: int) -> np.ndarray:
    """A position in `ids` [N] of each id 0 ... size - 1: int64 [size], undefined for absent ids."""
    position = np.empty(size, np.int64)
    position[ids] = np.arange(len(ids))
    return position


def _flatten(maps):
    """The maps as contiguous 1-D arrays, after checking that they are integer maps of one size."""
    flat, size, first = [], None, None
    for name, values in maps.items():
        values = np.asarray(values)
        if values.ndim != 2 or values.dtype.kind not in "iub":
            raise UserError(
                f"{name} must be an integer map [H, W], not {values.dtype} {list(values.shape)}."
            )

        if size is None:
            size, first = values.shape, name
        if values.shape != size:
            raise UserError(
                f"{name} is {values.shape[0]} x {values.shape[1]} pixels, "
                f"{first} {size[0]} x {size[1]}; bring them to the same size."
            )

        if values.dtype == np.uint64:
            if values.max(initial=0) > np.iinfo(np.int64).max:
                raise UserError(f"{name} holds the id {values.max()}; ids must be below 2^63.")
            values = values.astype(np.int64)
        flat.append(values.reshape(-1))

    if not flat[0].size:
        raise UserError(f"{first} has no pixels.")
    return flat


def _keys(columns):
    """A number for each distinct row, int64 [N], and a limit above all, small enough for tables."""
    key, size = np.zeros(len(columns[0]), np.int64), 1
    for column in columns:
        limit = int(column.max(initial=0)) + 1
        if size * limit > _SMALL_LOOKUP and size > 1:
            key, size = _compact(key, size)
        if size * limit > _LARGEST_LOOKUP:
            column, limit = _compact(column.astype(np.int64), limit)
        key *= limit
        key += column
        size *= limit
    return (key, size) if size <= _SMALL_LOOKUP else _compact(key, size)


def _compact(keys, limit):
    """`dense` keys, and the number of distinct ones."""
    distinct, index = dense(keys, limit)
    return index, len(distinct)
