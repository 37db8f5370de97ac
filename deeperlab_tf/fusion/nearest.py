"""The nearest of the detected instances, exactly, at a cost that hardly depends on their number.

The distance between the keypoints g that a pixel predicts and those of an instance, y_j, is that of
two points in 2P dimensions. If g is nearer to y_j than half the distance from y_j to every other
instance, then y_j is the nearest of all (triangle inequality). So an instance is guessed for each
pixel, from a coarse map of where instances have their mean keypoint; nearly all guesses are proven
by that rule, and only the other pixels are compared with all instances.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf
from tensorflow import Tensor

from deeperlab_tf.fusion import lists, ops

_CHUNK = 4096  # vectors compared with all instances at once: bounds the memory
_BINS = 40  # of the map of guesses, along each side
_NEIGHBOURS = 2  # next instances that are kept for each
_FAR = 1e9  # squared distance where there is no other instance
_AWAY = 1e15  # coordinates where there is no instance


class Index(NamedTuple):
    """Instances as points y_j of D = 2P dimensions.

    Attributes:
      points: float32 [J, D].
      centers: float32 [J, 2], the mean keypoint of each.
      table: float32 [D + 1, J], columns (2 y_j, -|y_j|²): (g, 1) · column is |g|² - |g - y_j|²,
        linear in g and largest for the nearest.
      neighbours: int32 [J, 2], the next instances of each, -1 where there are fewer.
      separation: float32 [J, 2], their distances.
    """

    points: Tensor
    centers: Tensor
    table: Tensor
    neighbours: Tensor
    separation: Tensor


class Nearest(NamedTuple):
    """The nearest instances of N vectors.

    Attributes:
      instance: int32 [N].
      squares: float32 [N], the squared distance.
    """

    instance: Tensor
    squares: Tensor


def index_of(points: Tensor, count: Tensor | int) -> Index:
    """`Index` of the first instances, `count` >= 1, of float32 [J, D].

    Compiled, the others stay, away from everything; the map of guesses has the first in their
    place, who is before them.
    """
    if ops.is_compiled():
        is_instance = tf.range(points.shape[0])[:, None] < count
        centers = _centers_of(tf.where(is_instance, points, points[:1]))
        points = tf.where(is_instance, points, _AWAY)
        count = points.shape[0]
    else:
        points = points[:count]
        centers = _centers_of(points)
    coordinates = tf.unstack(points, axis=1)
    # [J, J]
    along_axes = [tf.math.squared_difference(x[:, None], x) for x in coordinates]
    between = tf.add_n(along_axes)
    between = tf.linalg.set_diag(between, tf.fill([count], _FAR))

    # [J, 2]: the nearest two, filled up where there are fewer others.
    missing = tf.maximum(_NEIGHBOURS + 1 - count, 0)
    near = tf.math.top_k(-between, k=_NEIGHBOURS - missing)
    padding = [[0, 0], [0, missing]]
    neighbours = tf.pad(near.indices, padding, constant_values=-1)
    squares = tf.pad(-near.values, padding, constant_values=_FAR)
    neighbours = tf.ensure_shape(neighbours, [None, _NEIGHBOURS])
    squares = tf.ensure_shape(squares, [None, _NEIGHBOURS])
    return Index(points, centers, _table_of(points), neighbours, tf.sqrt(squares))


def _centers_of(points):
    """Mean keypoints: float32 [N, D], D = 2P coordinates, first y, then x -> [N, 2]."""
    # [2P, 2]: a matrix that takes the means of y and of x.
    num_keypoints = points.shape[1] // 2
    means = tf.repeat(tf.eye(2) / num_keypoints, num_keypoints, axis=0)
    return tf.matmul(points, means)


def _table_of(points):
    """`Index.table` of points: float32 [J, D] -> [D + 1, J]."""
    squares = tf.reduce_sum(tf.square(points), axis=1)
    twice = 2 * tf.transpose(points)
    return tf.concat([twice, -squares[None]], axis=0)


def find_nearest(vectors: Tensor, index: Index, cells: Tensor) -> Nearest:
    """The nearest instance of each vector; ties go to the first.

    Args:
      vectors: float32 [N, D].
      index: `Index`.
      cells: int32 [N], the list whose vectors these are.

    Returns:
      `Nearest`.
    """
    instance = guess(vectors, index.centers)
    points = ops.read(index.points, instance)
    squares = distances(vectors, points)
    reach = index.separation[:, 0] / 2
    reach = tf.gather(reach, instance)
    is_proven = squares < tf.square(reach)

    # The others, and NaN.
    rest = lists.indices(lists.only(cells, ~is_proven, False))

    def compare(rows):
        return nearest_of_all(tf.gather(vectors, rows), index.table)

    instance = lists.replace(instance, rest, compare)
    rest_points = tf.gather(index.points, lists.take(instance, rest))
    rest_squares = distances(lists.take(vectors, rest), rest_points)
    return Nearest(instance, lists.put(rest_squares, rest, squares))


def distances(vectors: Tensor, points: Tensor) -> Tensor:
    """Squared distances, row by row: float32 [N, D] twice -> [N]."""
    squares = tf.math.squared_difference(vectors, points)
    return tf.reduce_sum(squares, axis=1)


def guess(vectors: Tensor, centers: Tensor) -> Tensor:
    """For each vector the instance nearest to its bin, by mean keypoints: probably the nearest.

    Args:
      vectors: float32 [N, D], D = 2P coordinates, first y, then x.
      centers: `Index.centers`.

    Returns:
      int32 [N].
    """
    low = tf.reduce_min(centers, axis=0)
    high = tf.reduce_max(centers, axis=0)
    size = tf.maximum(high - low, 1.0) / _BINS
    owners = _owners_of_bins(centers, low, size)

    # [N]: the bin of each vector. What NaN becomes is undefined.
    scaled = (_centers_of(vectors) - low) / size
    scaled = tf.clip_by_value(scaled, 0.0, _BINS - 1.0)
    row, column = tf.unstack(tf.cast(scaled, tf.int32), axis=1)
    number = row * _BINS + column
    number = tf.clip_by_value(number, 0, _BINS * _BINS - 1)
    return ops.read(owners, number)


def _owners_of_bins(centers, low, size):
    """The instance nearest to each bin's middle: float32 [J, 2], [2], [2] -> int32 [bins²]."""
    numbers = tf.range(_BINS, dtype=tf.float32)
    middles = low + size * (numbers[:, None] + 0.5)
    middles = tf.transpose(middles)
    centers = tf.transpose(centers)
    # [2, bins, J]
    nearness = -tf.math.squared_difference(middles[..., None], centers[:, None])
    # [bins, bins, J]
    of_bins = nearness[0, :, None] + nearness[1]
    of_bins = tf.reshape(of_bins, [_BINS * _BINS, -1])
    return ops.best(of_bins)


def nearest_of_all(vectors: Tensor, table: Tensor) -> Tensor:
    """The nearest instance by comparing with all; ties go to the first.

    Args:
      vectors: float32 [N, D].
      table: `Index.table`.

    Returns:
      int32 [N].
    """
    # (g, 1)
    vectors = tf.pad(vectors, [[0, 0], [0, 1]], constant_values=1.0)
    # Compiled, it is a chunk that is asked for.
    if ops.is_compiled():
        return ops.best(ops.matmul(vectors, table))
    count = tf.shape(vectors)[0]
    chunks = (count + _CHUNK - 1) // _CHUNK
    chunks = tf.maximum(chunks, 1)
    labels = tf.TensorArray(tf.int32, size=chunks, infer_shape=False, element_shape=[None])

    def step(number, labels):
        start = number * _CHUNK
        chunk = vectors[start : start + _CHUNK]
        nearest = ops.best(ops.matmul(chunk, table))
        return number + 1, labels.write(number, nearest)

    def is_left(number, _):
        return number < chunks

    first = tf.constant(0), labels
    _, labels = tf.while_loop(is_left, step, first)
    return labels.concat()
