"""The nearest of the detected instances, exactly, at a cost that hardly depends on how many there
are.

The distance between the keypoints g that a pixel predicts and those of an instance, y_j, is that of
two points in 2P dimensions. If g is nearer to y_j than half the distance from y_j to every other
instance, then y_j is the nearest of all (triangle inequality). So an instance is guessed for each
pixel, from a coarse map of where instances have their mean keypoint; nearly all guesses are proven
by that rule, and only the other pixels are compared with all instances.
"""

import collections

import tensorflow as tf

from deeperlab_tf.fusion import grid, ops

_CHUNK = 4096  # vectors compared with all instances at once: bounds the memory
_BINS = 40  # of the map of guesses, along each side
_NEIGHBOURS = 2  # next instances that are kept for each
_FAR = 1e9  # squared distance where there is no other instance

# Instances as points. points float32 [J, D]; table float32 [D + 1, J], columns (2 y_j, -|y_j|²):
# (g, 1) · column is |g|² - |g - y_j|², linear in g and largest for the nearest; neighbours int32
# [J, 2], the next instances of each, -1 where there are fewer; separation float32 [J, 2], their
# distances.
Index = collections.namedtuple("Index", ["points", "table", "neighbours", "separation"])


def index_of(points):
    """`Index` of instances: float32 [J, D], J >= 1."""
    count = tf.shape(points)[0]
    between = tf.add_n(
        [tf.math.squared_difference(x[:, None], x) for x in tf.unstack(points, axis=1)]
    )
    between = tf.linalg.set_diag(between, tf.fill([count], _FAR))
    missing = tf.maximum(_NEIGHBOURS + 1 - count, 0)
    near = tf.math.top_k(-between, k=_NEIGHBOURS - missing)
    neighbours = tf.pad(near.indices, [[0, 0], [0, missing]], constant_values=-1)
    squares = tf.pad(-near.values, [[0, 0], [0, missing]], constant_values=_FAR)
    neighbours, squares = (tf.ensure_shape(x, [None, _NEIGHBOURS]) for x in (neighbours, squares))
    return Index(points, table_of(points), neighbours, tf.sqrt(squares))


def table_of(points):
    """float32 [J, D] -> [D + 1, J], see `Index`."""
    return tf.concat(
        [2 * tf.transpose(points), -tf.reduce_sum(tf.square(points), axis=1)[None]], axis=0
    )


def scaled_table(points, sizes):
    """`Index.table` for distances in units of λ: float32 [J, 2P], [J] -> [2P + 2, J].

    Columns (2 y_j, -1, -|y_j|²) / λ_j²: (g, |g|², 1) · column is -|g - y_j|² / λ_j².
    """
    columns = [
        2 * points,
        -tf.ones_like(points[:, :1]),
        -tf.reduce_sum(tf.square(points), axis=1, keepdims=True),
    ]
    return tf.transpose(tf.concat(columns, axis=1) / tf.square(sizes)[:, None])


def with_square(vectors):
    """g -> (g, |g|²): float32 [N, 2P] -> [N, 2P + 1]."""
    return tf.concat([vectors, tf.reduce_sum(tf.square(vectors), axis=1, keepdims=True)], axis=1)


def nearest(vectors, index):
    """The nearest instance of each vector; ties go to the first.

    Args:
      vectors: float32 [N, D].
      index: `Index`.

    Returns:
      int32 [N], and the squared distance, float32 [N].
    """
    label = guess(vectors, index.points)
    squares = distances(vectors, ops.read(index.points, label))
    proven = squares < tf.square(tf.gather(index.separation[:, 0] / 2, label))
    rest = grid.indices(~proven)  # and NaN
    rest_vectors = tf.gather(vectors, rest)
    rest_label = nearest_of_all(rest_vectors, index.table)
    rest_squares = distances(rest_vectors, tf.gather(index.points, rest_label))
    label = tf.tensor_scatter_nd_update(label, rest[:, None], rest_label)
    return label, tf.tensor_scatter_nd_update(squares, rest[:, None], rest_squares)


def distances(vectors, points):
    """Squared distances, row by row: float32 [N, D] twice -> [N]."""
    return tf.reduce_sum(tf.math.squared_difference(vectors, points), axis=1)


def guess(vectors, points):
    """For each vector the instance that is nearest to its bin, both by mean keypoints: probably the
    nearest at all.

    Args:
      vectors: float32 [N, D], D = 2P coordinates, first y, then x.
      points: float32 [J, D].

    Returns:
      int32 [N].
    """
    num_keypoints = points.shape[1] // 2
    means = tf.repeat(tf.eye(2) / num_keypoints, num_keypoints, axis=0)
    centers, predicted = tf.matmul(points, means), tf.matmul(vectors, means)
    low, high = tf.reduce_min(centers, axis=0), tf.reduce_max(centers, axis=0)
    size = tf.maximum(high - low, 1.0) / _BINS
    middles = low + size * (tf.range(_BINS, dtype=tf.float32)[:, None] + 0.5)
    nearness = -tf.math.squared_difference(
        tf.transpose(middles)[..., None], tf.transpose(centers)[:, None]
    )
    of_bins = tf.reshape(nearness[0, :, None] + nearness[1], [_BINS * _BINS, -1])
    owners = ops.best(of_bins)
    scaled = tf.clip_by_value((predicted - low) / size, 0.0, _BINS - 1.0)
    row, column = tf.unstack(tf.cast(scaled, tf.int32), axis=1)
    # What NaN becomes is undefined.
    bin_index = tf.clip_by_value(row * _BINS + column, 0, _BINS * _BINS - 1)
    return ops.read(owners, bin_index)


def nearest_of_all(vectors, table):
    """The nearest instance by comparing with all: float32 [N, D], [D + 1, J] -> int32 [N]; ties go
    to the first.
    """
    count = tf.shape(vectors)[0]
    vectors = tf.pad(vectors, [[0, 0], [0, 1]], constant_values=1.0)  # (g, 1)
    chunks = tf.maximum((count + _CHUNK - 1) // _CHUNK, 1)

    def step(number, labels):
        chunk = vectors[number * _CHUNK : (number + 1) * _CHUNK]
        return number + 1, labels.write(number, ops.best(ops.matmul(chunk, table)))

    labels = tf.TensorArray(tf.int32, size=chunks, infer_shape=False, element_shape=[None])
    return tf.while_loop(lambda number, _: number < chunks, step, (tf.constant(0), labels))[
        1
    ].concat()
