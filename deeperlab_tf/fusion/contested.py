"""Pixels of contested cells, between several instances: the nearest by interpolated predictions.

Part of the assignment of pixels to instances (paper Sec. 3.4.1).
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf
from tensorflow import Tensor

from deeperlab_tf.fusion import lists, nearest, ops, upsample
from deeperlab_tf.fusion.maps import Grid
from deeperlab_tf.fusion.predict import Predictions
from deeperlab_tf.fusion.semantics import Semantics
from deeperlab_tf.fusion.upsample import PIXEL_WEIGHTS, PIXELS, Rivals


class _Corners(NamedTuple):
    """What the corners of n cells predict, see `Predictions`.

    Attributes:
      vectors: float32 [n, 4, 2P].
      instance: int32 [n, 4].
      squares: float32 [n, 4].
    """

    vectors: Tensor
    instance: Tensor
    squares: Tensor


class _Shares(NamedTuple):
    """How much the corners of n cells count in their pixels.

    Attributes:
      weights: float32 [n, 4, 16], 0 for unclaimed corners.
      is_claimed: bool [n, 16]: claimed corners make up at least half of what counts.
    """

    weights: Tensor
    is_claimed: Tensor


def nearest_pixels(
    cells: Tensor, pixel_class: Tensor, semantics: Semantics, predictions: Predictions, grid: Grid
) -> Tensor:
    """Nearest instance of every pixel of some cells; -1 if no instance claims it.

    The corners that count are those of the pixel's class; where there is none, all claimed ones.
    Leaving others out of the interpolation scales g, which changes no order. In plain cells, inside
    one object's class, all corners count.

    Args:
      cells: int32 [n], flat cells, a list.
      pixel_class: int32 [n, 16].
      semantics: `Semantics` of the image.
      predictions: `Predictions` of the image.
      grid: `Grid`.

    Returns:
      int32 [n, 16].
    """
    # [n, 4]
    corners = grid.corners(cells)
    rows = tf.gather(predictions.rows, corners)
    is_claimed = tf.gather(predictions.claimed, rows)
    num_predictions = tf.shape(predictions.vectors)[0]
    rows = tf.minimum(rows, num_predictions - 1)

    def by_shares(some):
        """Of some of the cells, all others being plain: int32 [m] -> int32 [m, 16]."""
        own_rows, own_corners, own_claimed, own_pixels = (
            lists.take(each, some) for each in (rows, corners, is_claimed, pixel_class)
        )
        own_class = tf.gather(semantics.labels.cells, own_corners)
        shares = claimed_shares(own_class, own_claimed, own_pixels)
        counts = lists.only(some, shares.is_claimed, False)
        shares = shares._replace(is_claimed=counts)
        nearest = nearest_by_shares(own_rows, own_claimed, shares, predictions)
        return tf.where(shares.is_claimed, nearest, -1)

    # Plain cells are a shortcut, which XLA would only take beside the long way.
    if ops.is_compiled():
        return by_shares(cells)
    is_mixed = tf.gather(semantics.is_mixed, cells)
    is_plain = tf.reduce_all(is_claimed, axis=1) & ~is_mixed
    plain = lists.indices(is_plain)
    others = lists.indices(~is_plain)
    of_plain = nearest_between(tf.gather(rows, plain), predictions)
    return tf.dynamic_stitch([plain, others], [of_plain, by_shares(others)])


def nearest_between(rows: Tensor, predictions: Predictions) -> Tensor:
    """Nearest instance of every pixel of plain cells.

    Args:
      rows: int32 [n, 4], the corners' rows in `predictions`.
      predictions: `Predictions` of the image.

    Returns:
      int32 [n, 16].
    """
    corners = _corners_at(rows, predictions)
    low, high = upsample.range_of_corners(corners.instance)
    rivals = _rivals(corners, low, high, predictions.index)
    best, is_doubtful = upsample.better_of_pixels(rivals, upsample.interpolate)

    def vectors_of(some):
        return ops.matmul(PIXEL_WEIGHTS, tf.gather(corners.vectors, some))

    return _compare_all(best, is_doubtful, vectors_of, predictions.index)


def nearest_by_shares(
    rows: Tensor, is_claimed: Tensor, shares: _Shares, predictions: Predictions
) -> Tensor:
    """Nearest instance of every pixel of cells whose corners do not count alike.

    Args:
      rows: int32 [n, 4], the corners' rows in `predictions`.
      is_claimed: bool [n, 4].
      shares: of the corners; pixels that are not claimed are not asked for.
      predictions: `Predictions` of the image.

    Returns:
      int32 [n, 16].
    """
    index = predictions.index
    corners = _corners_at(rows, predictions)
    vectors = tf.where(is_claimed[..., None], corners.vectors, 0.0)
    corners = corners._replace(vectors=vectors)

    # [n]: of the claimed corners only.
    last = tf.shape(index.points)[0] - 1
    low = tf.where(is_claimed, corners.instance, last)
    low = tf.reduce_min(low, axis=1)
    high = tf.where(is_claimed, corners.instance, 0)
    high = tf.reduce_max(high, axis=1)
    rivals = _rivals(corners, low, high, index)
    scores = [tf.where(is_claimed, each, 0.0) for each in rivals[2:]]

    def interpolate(values):
        values = ops.matmul(values[:, None], shares.weights)
        return values[:, 0]

    def vectors_of(some):
        weights = tf.gather(shares.weights, some)
        total = tf.reduce_sum(weights, axis=1)
        weights = tf.linalg.matrix_transpose(weights)
        sums = ops.matmul(weights, tf.gather(vectors, some))
        return tf.math.divide_no_nan(sums, total[..., None])

    best, is_doubtful = upsample.better_of_pixels(Rivals(low, high, *scores), interpolate)
    is_doubtful &= shares.is_claimed
    return _compare_all(best, is_doubtful, vectors_of, index)


def claimed_shares(corner_class: Tensor, is_claimed: Tensor, pixel_class: Tensor) -> _Shares:
    """How much the corners of cells count in each pixel, see `nearest_pixels`.

    Args:
      corner_class: int32 [n, 4].
      is_claimed: bool [n, 4].
      pixel_class: int32 [n, 16].

    Returns:
      `_Shares`.
    """
    # Four of [n, 16], one for each corner: whether it is of the pixel's class.
    labels = tf.unstack(corner_class, axis=1)
    is_same = [label[:, None] == pixel_class for label in labels]
    any_same = is_same[0] | is_same[1] | is_same[2] | is_same[3]
    none = tf.cast(~any_same, tf.float32)
    counts = [tf.cast(each, tf.float32) + none for each in is_same]
    shares = [count * weight for count, weight in zip(counts, PIXEL_WEIGHTS.T)]

    # On an edge between corners that do not count, those that count do so alike.
    is_off = tf.cast(tf.add_n(shares) == 0, tf.float32)
    shares = [share + is_off * count for share, count in zip(shares, counts)]

    flags = tf.cast(is_claimed, tf.float32)
    flags = tf.unstack(flags[..., None], axis=1)
    claimed = [share * flag for share, flag in zip(shares, flags)]
    is_enough = 2 * tf.add_n(claimed) >= tf.add_n(shares)
    return _Shares(tf.stack(claimed, axis=1), is_enough)


def _corners_at(rows, predictions):
    """What the corners predict that have some rows, int32 [n, 4]."""
    vectors = ops.read(predictions.vectors, rows)
    instance = tf.gather(predictions.instance, rows)
    squares = tf.gather(predictions.squares, rows)
    return _Corners(vectors, instance, squares)


def _rivals(corners, low, high, index):
    """Two instances, int32 [n] each, as `Rivals`: how near they are to what the corners predict."""
    # [n, 2, 2P + 1]
    both = tf.stack([low, high], axis=1)
    columns = ops.read(tf.transpose(index.table), both)
    factors = tf.linalg.matrix_transpose(columns[..., :-1])
    # [n, 4, 2]
    scores = ops.matmul(corners.vectors, factors)
    scores += columns[:, None, :, -1]
    low_scores, high_scores = tf.unstack(scores, axis=2)
    others = _bound_of_others(corners, low[:, None], high[:, None], index)
    return Rivals(low, high, low_scores, high_scores, others)


def _bound_of_others(corners, low, high, index):
    """The scores that instances except two reach at most: float32 [n, 4], see `nearest.Index`."""

    def is_rival(instance):
        return (instance == low) | (instance == high)

    # Others are at least as far off as their distance from the nearest leaves, if they are not the
    # nearest themselves.
    instance = corners.instance
    distance = tf.sqrt(corners.squares)
    # [n, 4, 2]: from the corner's nearest instance to the next two.
    separation = tf.gather(index.separation, instance)
    first, second = tf.unstack(separation, axis=2)
    neighbour = tf.gather(index.neighbours[:, 0], instance)
    left = tf.where(is_rival(neighbour), second, first) - distance
    farther = tf.maximum(left, distance)
    apart = tf.where(is_rival(instance), farther, distance)
    squares = tf.reduce_sum(tf.square(corners.vectors), axis=2)
    return squares - tf.square(apart)


def _compare_all(best, is_doubtful, vectors_of, index):
    """Puts the nearest of all instances into doubtful pixels.

    Args:
      best: int32 [n, 16].
      is_doubtful: bool [n, 16].
      vectors_of: function of int32 [d], some of the n cells, to what their pixels predict, float32
        [d, 16, 2P].
      index: `nearest.Index`.

    Returns:
      int32 [n, 16].
    """

    def compare(cells):
        vectors = vectors_of(cells)
        vectors = tf.reshape(vectors, [-1, vectors.shape[2]])
        # Which of these pixels are doubtful.
        flags = tf.gather(is_doubtful, cells)
        pixels = lists.indices(tf.reshape(flags, [-1]))
        compared = nearest.nearest_of_all(lists.take(vectors, pixels), index.table)

        labels = tf.reshape(tf.gather(best, cells), [-1])
        labels = lists.put(compared, pixels, labels)
        return tf.reshape(labels, [-1, PIXELS])

    doubtful = lists.indices(tf.reduce_any(is_doubtful, axis=1))
    return lists.replace(best, doubtful, compare)
