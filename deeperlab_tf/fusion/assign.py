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

    A pixel's prediction is interpolated from those corners of its cell that were predicted as its own class: what stuff
    predicts is undefined, and another class belongs to another object.

    Args:
      semantics: `Semantics` of the image.
      long_targets: float32 [N, P, 2], x + L(x) of the cells in `semantics.support`, pixels.
      instances: `detect.Instances`.
      class_slots: int32 [classes], see `merge.class_slots`.
      grid_size: int32 [2], h and w.
      config: config.fusion.

    Returns:
      `merge.Parts`.
    """
    origin, radius = grid.positions(grid_size) / 2, config.keypoint_radius
    table = instance_table(instances.keypoints, instances.count, origin, radius)[:, : tf.maximum(instances.count, 1)]
    predicted = vectors(long_targets, origin, radius)
    nearest_instance = nearest(predicted, table)
    claimed = claims(long_targets, nearest_instance, instances, config)
    # One row more, for the cells without a prediction.
    predicted, nearest_instance, claimed = (_pad_row(x) for x in (predicted, nearest_instance, claimed))
    rows = tf.where(semantics.support, upsample.row_of_cell(semantics.support), tf.shape(long_targets)[0])
    rows = follow_neighbours(rows, semantics, claimed, grid_size)
    slot = tf.where(tf.gather(claimed, rows), tf.gather(nearest_instance, rows), -1)

    # Cells whose thing corners disagree: -1, claimed by none, counts as an opinion, too.
    lowest = upsample.over_corners(tf.minimum, tf.where(semantics.is_thing, slot, tf.int32.max), grid_size)
    highest = upsample.over_corners(tf.maximum, tf.where(semantics.is_thing, slot, -1), grid_size)
    contested = (lowest < highest) | semantics.is_orphan
    contested_cells = grid.indices(contested)
    contested_pixels = nearest_pixels(predicted, rows, slot >= 0, semantics, table, contested_cells, grid_size)

    is_mixed = semantics.is_mixed | contested
    mixed = grid.indices(is_mixed)
    pixel_class = semantics.pixels_of(mixed)
    pixel_slot = upsample.pixels_of(mixed, contested, contested_pixels, highest)

    def or_class(slots, labels):
        by_class = tf.gather(class_slots, labels)  # -1 for stuff
        return tf.where((by_class >= 0) & (slots >= 0), slots, by_class)

    return merge.Parts(
        semantics.label, or_class(highest, semantics.label), mixed, pixel_class, or_class(pixel_slot, pixel_class)
    )


def follow_neighbours(rows, semantics, claimed, grid_size):
    """Lets thing cells that are claimed by no instance predict what a neighbour of their class predicts.

    On an object's rim, semantics may call a cell a thing that was never inside when the offsets were learned. Where
    most neighbours of the class are lost as well, it is no rim but a crowd or a missed object.

    Args:
      rows: int32 [h · w], row of each cell's prediction.
      semantics: `Semantics`.
      claimed: bool [N + 1], by row.
      grid_size: int32 [2], h and w.

    Returns:
      int32 [h · w], rows with those cells' replaced by the row of the first of eight neighbours that is claimed.
    """
    lost = grid.indices(semantics.is_thing & ~tf.gather(claimed, rows))
    lost_rows = lost // grid_size[1]
    lost_columns = lost - lost_rows * grid_size[1]
    steps = ([0, 0, -1, 1, -1, -1, 1, 1], [-1, 1, 0, 0, -1, 1, -1, 1])
    around = grid.flat_index(lost_rows[:, None] + steps[0], lost_columns[:, None] + steps[1], grid_size)
    same = tf.gather(semantics.label, around) == tf.gather(semantics.label, lost)[:, None]
    fits = same & tf.gather(claimed, tf.gather(rows, around))
    rim = tf.math.count_nonzero(fits, axis=1) * 2 >= tf.math.count_nonzero(same, axis=1)
    neighbour = tf.gather(around, tf.argmax(tf.cast(fits, tf.int32), axis=1), batch_dims=1)
    updates = tf.gather(rows, tf.where(tf.reduce_any(fits, axis=1) & rim, neighbour, lost))
    return tf.tensor_scatter_nd_update(rows, lost[:, None], updates)


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


def nearest_pixels(vectors, rows, claimed, semantics, table, cells, grid_size):
    """Nearest instance of every pixel of some cells, by interpolated predictions; -1 if no instance claims it.

    The corners that count are those of the pixel's class; where there is none, all claimed ones. Leaving others out of
    the interpolation scales g, which changes no order.

    Args:
      vectors: float32 [N, 2P + 1].
      rows: int32 [h · w], each cell's row in `vectors`.
      claimed: bool [h · w].
      semantics: `Semantics`.
      table: float32 [2P + 1, J].
      cells: int32 [n], flat cells.
      grid_size: int32 [2], h and w.

    Returns:
      int32 [n, 16].
    """

    def label(chunk):
        corners = upsample.corners(chunk, grid_size)
        same = tf.gather(semantics.label, corners)[:, None] == semantics.pixels_of(chunk)[..., None]  # [m, 16, 4]
        counts = same | ~tf.reduce_any(same, axis=2, keepdims=True)
        shares = tf.where(counts, upsample.PIXEL_WEIGHTS, 0.0)
        off = tf.reduce_sum(shares, axis=2, keepdims=True) == 0  # on an edge between corners that do not count
        shares = tf.where(off, tf.cast(counts, tf.float32), shares)
        is_claimed = tf.gather(claimed, corners)
        claimed_shares = tf.where(is_claimed[:, None], shares, 0.0)
        majority = 2 * tf.reduce_sum(claimed_shares, axis=2) >= tf.reduce_sum(shares, axis=2)
        corner_vectors = tf.where(is_claimed[..., None], tf.gather(vectors, tf.gather(rows, corners)), 0.0)
        pixels = tf.reshape(tf.matmul(claimed_shares, corner_vectors), [-1, vectors.shape[1]])
        best = tf.argmin(tf.matmul(pixels, table), axis=1, output_type=tf.int32)
        return tf.where(majority, tf.reshape(best, [-1, upsample.PIXELS]), -1)

    return upsample.in_chunks(label, cells)


def _pad_row(x):
    return tf.pad(x, [[0, 1]] + [[0, 0]] * (x.shape.rank - 1))
