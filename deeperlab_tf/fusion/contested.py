"""Pixels of cells between several instances (paper Sec. 3.4.1): the nearest by interpolated
predictions.
"""

import tensorflow as tf

from deeperlab_tf.fusion import grid, nearest, ops, upsample


def nearest_pixels(
    prediction, rows, claimed, semantics, pixel_class, index, cells, grid_size, config
):
    """Nearest instance of every pixel of some cells, by interpolated predictions; -1 if no instance
    claims it.

    The corners that count are those of the pixel's class; where there is none, all claimed ones.
    Leaving others out of the interpolation scales g, which changes no order. In plain cells, inside
    one object's class, all corners count.

    Args:
      prediction: `assign.Predictions`.
      rows: int32 [h · w], each cell's row in `prediction`; N for cells without one.
      claimed: bool [N + 1], by row.
      semantics: `Semantics`.
      pixel_class: int32 [n, 16].
      index: `nearest.Index` of the instances.
      cells: int32 [n], flat cells.
      grid_size: int32 [2], h and w.
      config: config.fusion; reads assign_by.

    Returns:
      int32 [n, 16].
    """
    corners = upsample.corners(cells, grid_size)
    rows = tf.gather(rows, corners)
    is_claimed = tf.gather(claimed, rows)
    rows = tf.minimum(rows, tf.shape(prediction.vectors)[0] - 1)

    def plain_pixels(chosen):
        return nearest_between(tf.gather(rows, chosen), prediction, index)

    def other_pixels(chosen):
        corner_class = tf.gather(semantics.label, tf.gather(corners, chosen))
        flags = tf.gather(is_claimed, chosen)
        shares, majority = claimed_shares(corner_class, flags, tf.gather(pixel_class, chosen))
        best = nearest_by_shares(
            tf.gather(rows, chosen), flags, shares, majority, prediction, index, config
        )
        return tf.where(majority, best, -1)

    if config.assign_by == "scaled":
        return other_pixels(tf.range(tf.size(cells)))
    is_plain = tf.reduce_all(is_claimed, axis=1) & ~tf.gather(semantics.is_mixed, cells)
    plain, others = grid.indices(is_plain), grid.indices(~is_plain)
    return tf.dynamic_stitch([plain, others], [plain_pixels(plain), other_pixels(others)])


def nearest_between(rows, prediction, index):
    """Nearest instance of every pixel of plain cells: corners' rows in `prediction`, int32 [n, 4]
    -> int32 [n, 16].
    """
    vectors, instance = ops.read(prediction.vectors, rows), tf.gather(prediction.instance, rows)
    low, high = upsample.range_of_corners(instance)
    scores, others = corner_scores(
        vectors, instance, tf.gather(prediction.squares, rows), low, high, index
    )
    best, doubtful = upsample.better_of_pixels(
        low, high, *tf.unstack(scores, axis=2), others, upsample.interpolate
    )

    def pixels_of(chosen):
        return ops.matmul(upsample.PIXEL_WEIGHTS, tf.gather(vectors, chosen))

    return compare_all(best, doubtful, pixels_of, index.table)


def nearest_by_shares(rows, is_claimed, shares, wanted, prediction, index, config):
    """Nearest instance of every pixel of cells whose corners do not count alike.

    Args:
      rows: int32 [n, 4], the corners' rows in `prediction`.
      is_claimed: bool [n, 4].
      shares: float32 [n, 4, 16], how much each corner counts in each pixel, see `claimed_shares`.
      wanted: bool [n, 16], pixels that are asked for.
      prediction: `assign.Predictions`.
      index: `nearest.Index`.
      config: config.fusion; reads assign_by.

    Returns:
      int32 [n, 16].
    """
    vectors = tf.where(is_claimed[..., None], ops.read(prediction.vectors, rows), 0.0)

    def pixels_of(chosen):
        chosen_shares = tf.gather(shares, chosen)
        pixels = ops.matmul(tf.linalg.matrix_transpose(chosen_shares), tf.gather(vectors, chosen))
        return tf.math.divide_no_nan(pixels, tf.reduce_sum(chosen_shares, axis=1)[..., None])

    if config.assign_by == "scaled":
        return compare_all(
            tf.zeros_like(wanted, tf.int32), wanted, pixels_of, index.table, nearest.with_square
        )
    instance = tf.gather(prediction.instance, rows)
    low = tf.reduce_min(tf.where(is_claimed, instance, tf.shape(index.points)[0] - 1), axis=1)
    high = tf.reduce_max(tf.where(is_claimed, instance, 0), axis=1)
    scores, others = corner_scores(
        vectors, instance, tf.gather(prediction.squares, rows), low, high, index
    )
    scores, others = tf.where(is_claimed[..., None], scores, 0.0), tf.where(is_claimed, others, 0.0)

    def interpolate(values):
        return ops.matmul(values[:, None], shares)[:, 0]

    best, doubtful = upsample.better_of_pixels(
        low, high, *tf.unstack(scores, axis=2), others, interpolate
    )
    return compare_all(best, doubtful & wanted, pixels_of, index.table)


def claimed_shares(corner_class, is_claimed, pixel_class):
    """How much the corners of cells count in each pixel, see `nearest_pixels`.

    Args:
      corner_class: int32 [n, 4].
      is_claimed: bool [n, 4].
      pixel_class: int32 [n, 16].

    Returns:
      float32 [n, 4, 16], 0 for unclaimed corners; bool [n, 16]: claimed corners make up at least
      half of what counts.
    """
    # [n, 16] each.
    same = [label[:, None] == pixel_class for label in tf.unstack(corner_class, axis=1)]
    none = tf.cast(~(same[0] | same[1] | same[2] | same[3]), tf.float32)
    counts = [tf.cast(corner, tf.float32) + none for corner in same]
    shares = [count * weight for count, weight in zip(counts, upsample.PIXEL_WEIGHTS.T)]
    # On an edge between corners that do not count, those that count do so alike.
    off = tf.cast(tf.add_n(shares) == 0, tf.float32)
    shares = [share + off * count for share, count in zip(shares, counts)]
    claimed = [
        share * tf.cast(flag, tf.float32)[:, None]
        for share, flag in zip(shares, tf.unstack(is_claimed, axis=1))
    ]
    return tf.stack(claimed, axis=1), 2 * tf.add_n(claimed) >= tf.add_n(shares)


def compare_all(best, doubtful, pixels_of, table, lift=tf.identity):
    """Puts the nearest of all instances into doubtful pixels.

    Args:
      best: int32 [n, 16].
      doubtful: bool [n, 16].
      pixels_of: function of rows, int32 [d], to what the pixels of those cells predict, float32 [d,
        16, 2P].
      table: see `nearest.Index` or `nearest.scaled_table`.
      lift: what makes vectors fit the table: `nearest.with_square` for the latter.

    Returns:
      int32 [n, 16].
    """
    cells = grid.indices(tf.reduce_any(doubtful, axis=1))
    pixels = pixels_of(cells)
    which = grid.indices(tf.reshape(tf.gather(doubtful, cells), [-1]))
    pixels = tf.gather(tf.reshape(pixels, [-1, pixels.shape[2]]), which)
    compared = nearest.nearest_of_all(lift(pixels), table)
    updates = tf.tensor_scatter_nd_update(
        tf.reshape(tf.gather(best, cells), [-1]), which[:, None], compared
    )
    return tf.tensor_scatter_nd_update(
        best, cells[:, None], tf.reshape(updates, [-1, upsample.PIXELS])
    )


def corner_scores(vectors, instance, squares, low, high, index):
    """How near two instances and all others are to what the corners of cells predict, see
    `nearest.Index.table`.

    Args:
      vectors: float32 [n, 4, 2P].
      instance: int32 [n, 4], the nearest of each corner.
      squares: float32 [n, 4], its squared distance.
      low, high: int32 [n].
      index: `nearest.Index`.

    Returns:
      scores float32 [n, 4, 2] of low and high; float32 [n, 4], a bound of what the others reach.
    """
    columns = ops.read(tf.transpose(index.table), tf.stack([low, high], axis=1))  # [n, 2, 2P + 1]
    scores = (
        ops.matmul(vectors, tf.linalg.matrix_transpose(columns[..., :-1])) + columns[:, None, :, -1]
    )
    # Others are at least as far off as their distance from the nearest leaves, if they are not the
    # nearest themselves.
    first, second = tf.unstack(tf.gather(index.separation, instance), axis=2)
    distance = tf.sqrt(squares)
    apart = (
        tf.where(_either(tf.gather(index.neighbours[:, 0], instance), low, high), second, first)
        - distance
    )
    apart = tf.where(_either(instance, low, high), tf.maximum(apart, distance), distance)
    return scores, tf.reduce_sum(tf.square(vectors), axis=2) - tf.square(apart)


def _either(labels, low, high):
    return (labels == low[:, None]) | (labels == high[:, None])
