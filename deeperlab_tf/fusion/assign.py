"""Assignment of pixels to instances (paper Sec. 3.4.1): the nearest by the keypoints each pixel predicts.

A pixel at x goes to argmin_j Σ_k |x + L_k(x) - y_jk|². With the predictions as one vector g = (x + L(x), 1) that is
argmin_j g · (-2 y_j, |y_j|²): a matrix product, and linear in g, so that interpolating g and comparing is the same as
comparing and interpolating.
"""

import tensorflow as tf

from deeperlab_tf.fusion import detect, grid, merge, upsample

_CHUNK = 8192  # vectors compared with all instances at once: bounds the memory
_NEVER = 1e9  # distance of the instances that are only padding


def vectors(long_targets, origin, radius):
    """Predicted keypoints as vectors g: float32 [N, P, 2] pixels -> [N, 2P + 1].

    Coordinates are taken from `origin` (the image's centre) in units of the keypoint radius: float32 has seven digits.
    """
    scaled = tf.reshape((long_targets - origin) / radius, [-1, 2 * long_targets.shape[1]])
    return tf.pad(scaled, [[0, 0], [0, 1]], constant_values=1.0)


def instance_table(keypoints, count, origin, radius):
    """Instances as columns (-2 y_j, |y_j|²): float32 [J, P, 2] pixels, `count` of them real -> [2P + 1, J]."""
    scaled = tf.reshape((keypoints - origin) / radius, [-1, 2 * keypoints.shape[1]])
    squares = tf.reduce_sum(tf.square(scaled), axis=1, keepdims=True)
    squares = tf.where(tf.range(tf.shape(keypoints)[0])[:, None] < count, squares, _NEVER)
    return tf.transpose(tf.concat([-2 * scaled, squares], axis=1))


def nearest(vectors, table):
    """Index of the nearest instance: float32 [N, 2P + 1], [2P + 1, J] -> int32 [N]."""
    count = tf.shape(vectors)[0]
    chunks = tf.maximum((count + _CHUNK - 1) // _CHUNK, 1)

    def step(index, labels):
        chunk = vectors[index * _CHUNK : (index + 1) * _CHUNK]
        best = tf.argmin(tf.matmul(chunk, table), axis=1, output_type=tf.int32)
        return index + 1, labels.write(index, tf.ensure_shape(best, [None]))

    labels = tf.TensorArray(tf.int32, size=chunks, infer_shape=False, element_shape=[None])
    loop = tf.while_loop(lambda index, _: index < chunks, step, (tf.constant(0), labels), parallel_iterations=1)
    return loop[1].concat()


def assign(semantics, long_targets, instances, class_slots, grid_size, config):
    """Gives every thing pixel a slot: its nearest instance's, or its class' if no instance can be meant.

    Args:
      semantics: `Semantics` of the image.
      long_targets: float32 [N, P, 2], x + L(x) of the cells `semantics.support`, pixels.
      instances: `detect.Instances`.
      class_slots: int32 [classes], see `merge.class_slots`.
      grid_size: int32 [2], h and w.
      config: config.fusion.

    Returns:
      `merge.Parts`.
    """
    origin, radius = grid.positions(grid_size) / 2, config.keypoint_radius
    table = instance_table(instances.keypoints, instances.count, origin, radius)
    predicted = vectors(long_targets, origin, radius)
    nearest_instance = nearest(predicted, table)
    claimed = claims(long_targets, nearest_instance, instances, config)
    # One row more, for the cells without a prediction.
    predicted, nearest_instance, claimed = (_pad_row(x) for x in (predicted, nearest_instance, claimed))
    row_of_cell = upsample.rows_of_cells(semantics.support, tf.size(semantics.is_thing))
    nearest_instance, claimed = (tf.gather(x, row_of_cell) for x in (nearest_instance, claimed))

    # Of a cell's corners those count that are claimed things; where a thing class surfaces between stuff corners, all.
    counts = semantics.is_thing & claimed
    lowest, highest = tf.where(counts, nearest_instance, tf.int32.max), tf.where(counts, nearest_instance, -1)
    best_corner = upsample.over_corners(tf.maximum, highest, grid_size)
    contested = (upsample.over_corners(tf.minimum, lowest, grid_size) < best_corner) | semantics.is_orphan
    contested_cells = tf.cast(tf.where(contested)[:, 0], tf.int32)
    pixel_slots = nearest_pixels(predicted, row_of_cell, counts, table, contested_cells, grid_size)

    def slots(labels, instances):
        by_class = tf.gather(class_slots, labels)  # -1 for stuff
        return tf.where((by_class >= 0) & (instances >= 0), instances, by_class)

    is_mixed = semantics.is_mixed | contested
    mixed = tf.cast(tf.where(is_mixed)[:, 0], tf.int32)
    pixel_class = upsample.spread(
        tf.gather(semantics.is_mixed, mixed), semantics.pixels, tf.gather(semantics.label, mixed)
    )
    pixel_slots = upsample.spread(tf.gather(contested, mixed), pixel_slots, tf.gather(best_corner, mixed))
    return merge.Parts(
        semantics.label, slots(semantics.label, best_corner), mixed, pixel_class, slots(pixel_class, pixel_slots)
    )


def claims(long_targets, nearest_instance, instances, config):
    """Whether pixels can be meant for their nearest instance: bool [N].

    The root mean square distance between predicted and detected keypoints may be R and a share of the instance's size λ
    (the square root of its box area). What lies farther off predicts no detected instance: crowds, missed objects.

    Args:
      long_targets: float32 [N, P, 2], pixels.
      nearest_instance: int32 [N].
      instances: `detect.Instances`.
      config: config.fusion; reads claim_reach (0: every pixel is claimed) and keypoint_radius.
    """
    claimed = tf.fill(tf.shape(nearest_instance), instances.count > 0)
    if config.claim_reach:
        reach = config.keypoint_radius + config.claim_reach * detect.scale(instances.boxes)
        squares = tf.square(long_targets - tf.gather(instances.keypoints, nearest_instance))
        mean_square = tf.reduce_sum(squares, axis=[1, 2]) / long_targets.shape[1]
        claimed &= mean_square <= tf.square(tf.gather(reach, nearest_instance))
    return claimed


def nearest_pixels(vectors, row_of_cell, counts, table, cells, grid_size):
    """Nearest instance of every pixel of some cells, by interpolated predictions.

    Leaving a corner out of the interpolation scales g, which changes no order.

    Args:
      vectors: float32 [N, 2P + 1].
      row_of_cell: int32 [h · w], a cell's row in `vectors`.
      counts: bool [h · w], the corners that count. Of a cell without any, all count.
      table: float32 [2P + 1, J].
      cells: int32 [n], flat cells.
      grid_size: int32 [2], h and w.

    Returns:
      int32 [n, 16].
    """

    def label(chunk):
        index = upsample.corners(chunk, grid_size)
        counting = tf.gather(counts, index)
        counting |= ~tf.reduce_any(counting, axis=1, keepdims=True)
        corner_vectors = tf.gather(vectors, tf.gather(row_of_cell, index))
        corner_vectors = tf.where(counting[..., None], corner_vectors, 0.0)
        pixels = tf.matmul(upsample.PIXEL_WEIGHTS, corner_vectors)  # [m, 16, 2P + 1]; the last is the sum of weights
        everywhere = tf.reduce_sum(corner_vectors, axis=1, keepdims=True)
        pixels = tf.where(pixels[..., -1:] > 0, pixels, everywhere)  # pixels on an edge between corners left out
        best = tf.argmin(tf.matmul(tf.reshape(pixels, [-1, pixels.shape[-1]]), table), axis=1, output_type=tf.int32)
        return tf.reshape(best, [-1, upsample.PIXELS])

    return upsample.in_chunks(label, cells)


def _pad_row(x):
    return tf.pad(x, [[0, 1]] + [[0, 0]] * (x.shape.rank - 1))
