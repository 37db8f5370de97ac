"""Assignment of pixels to instances (paper Sec. 3.4.1): the nearest by the keypoints each pixel predicts.

A pixel at x goes to argmin_j Σ_k |x + L_k(x) - y_jk|². With the predictions as one vector g = x + L(x) that is
argmax_j g · 2 y_j - |y_j|²: linear in g, so that interpolating g and comparing is the same as comparing and interpolating.
"""

import collections

import tensorflow as tf

from deeperlab_tf.fusion import detect, grid, merge, nearest, upsample


# What the cells of `Semantics.support` predict, one row each and one more for the cells without a prediction: vectors
# float32 [N + 1, 2P], instance int32 [N + 1], the nearest, squares float32 [N + 1], its squared distance, both in units
# of R from the image's centre; claimed bool [N + 1], see `claims`.
Predictions = collections.namedtuple("Predictions", ["vectors", "instance", "squares", "claimed"])


def assign(semantics, long_targets, instances, class_slots, grid_size, config):
    """Gives every thing pixel a slot: its nearest instance's, or its class' if no instance can be meant.

    A pixel's prediction is interpolated from those corners of its cell that were predicted as its own class: what stuff
    predicts is undefined, and another class belongs to another object.

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
    origin, radius = grid.positions(grid_size) / 2, config.keypoint_radius  # float32 has seven digits
    num_coordinates = 2 * long_targets.shape[1]
    vectors = tf.reshape((long_targets - origin) / radius, [-1, num_coordinates])
    points = tf.reshape((instances.keypoints - origin) / radius, [-1, num_coordinates])
    index = nearest.index_of(points[: tf.maximum(instances.count, 1)])
    instance, squares = nearest.nearest(vectors, index)
    claimed = claims(squares, instance, instances, config)
    prediction = Predictions(*(_pad_row(x) for x in (vectors, instance, squares, claimed)))
    rows = upsample.row_of_cell(semantics.support, tf.size(semantics.label))
    rows = follow_neighbours(rows, semantics, prediction.claimed, grid_size)
    slot = tf.gather(tf.where(prediction.claimed, prediction.instance, -1), rows)

    # Cells whose thing corners disagree: -1, claimed by none, counts as an opinion, too.
    lowest = upsample.over_corners(tf.minimum, tf.where(semantics.is_thing, slot, tf.int32.max), grid_size)
    highest = upsample.over_corners(tf.maximum, tf.where(semantics.is_thing, slot, -1), grid_size)
    contested = (lowest < highest) | semantics.is_orphan
    contested_cells = grid.indices(contested)
    contested_pixels = nearest_pixels(prediction, rows, semantics, index, contested_cells, grid_size)

    is_mixed = semantics.is_mixed | contested
    mixed = grid.indices(is_mixed)
    pixel_class = semantics.pixels_of(mixed)
    pixel_slot = upsample.pixels_of(mixed, contested_cells, contested_pixels, highest)

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
    lost = tf.boolean_mask(semantics.support, ~claimed[:-1])
    lost = tf.boolean_mask(lost, tf.gather(semantics.is_thing, lost))
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


def claims(squares, instance, instances, config):
    """Whether pixels can be meant for their nearest instance: bool [N].

    The root mean square distance between predicted and detected keypoints may be R and a share of the instance's size λ
    (the square root of its box area). What lies farther off predicts no detected instance: crowds, missed objects.

    Args:
      squares: float32 [N], squared distance of all keypoints together, in units of R.
      instance: int32 [N], the nearest.
      instances: `detect.Instances`.
      config: config.fusion; reads claim_reach (0: every pixel is claimed) and keypoint_radius.
    """
    claimed = tf.fill(tf.shape(instance), instances.count > 0)
    if config.claim_reach:
        reach = 1 + config.claim_reach * detect.scale(instances.boxes) / config.keypoint_radius
        claimed &= squares <= tf.gather(instances.keypoints.shape[1] * tf.square(reach), instance)
    return claimed


def nearest_pixels(prediction, rows, semantics, index, cells, grid_size):
    """Nearest instance of every pixel of some cells, by interpolated predictions; -1 if no instance claims it.

    The corners that count are those of the pixel's class; where there is none, all claimed ones. Leaving others out of
    the interpolation scales g, which changes no order.

    Args:
      prediction: `Predictions`.
      rows: int32 [h · w], each cell's row in `prediction`.
      semantics: `Semantics`.
      index: `nearest.Index` of the instances.
      cells: int32 [n], flat cells.
      grid_size: int32 [2], h and w.

    Returns:
      int32 [n, 16].
    """
    corners = upsample.corners(cells, grid_size)
    same = tf.gather(semantics.label, corners)[:, None] == semantics.pixels_of(cells)[..., None]  # [n, 16, 4]
    counts = same | ~tf.reduce_any(same, axis=2, keepdims=True)
    shares = tf.where(counts, upsample.PIXEL_WEIGHTS, 0.0)
    off = tf.reduce_sum(shares, axis=2, keepdims=True) == 0  # on an edge between corners that do not count
    shares = tf.where(off, tf.cast(counts, tf.float32), shares)
    rows = tf.gather(rows, corners)
    is_claimed = tf.gather(prediction.claimed, rows)
    claimed_shares = tf.where(is_claimed[:, None], shares, 0.0)
    majority = 2 * tf.reduce_sum(claimed_shares, axis=2) >= tf.reduce_sum(shares, axis=2)

    # Of unclaimed corners nothing counts: their vectors are zero, and they repeat the candidate of a claimed one.
    candidates = tf.where(is_claimed, tf.gather(prediction.instance, rows), 0)
    candidates = tf.where(is_claimed, candidates, tf.reduce_max(candidates, axis=1, keepdims=True))
    vectors = tf.where(is_claimed[..., None], tf.gather(prediction.vectors, rows), 0.0)
    vectors = tf.concat([vectors, tf.cast(is_claimed, tf.float32)[..., None]], axis=2)  # (g, 1), [n, 4, 2P + 1]
    scores = tf.matmul(vectors, tf.gather(tf.transpose(index.table), candidates), transpose_b=True)
    # All but the candidates are at least as far off as their distance from the nearest leaves.
    is_candidate = tf.reduce_any(
        tf.gather(index.neighbours, candidates)[..., None] == candidates[:, None, None], axis=3
    )  # [n, 4, neighbours]
    apart = tf.reduce_min(tf.where(is_candidate, tf.float32.max, tf.gather(index.separation, candidates)), axis=2)
    distance = tf.sqrt(tf.gather(prediction.squares, rows))
    apart = tf.maximum(apart - distance, distance)
    others = tf.where(is_claimed, tf.reduce_sum(tf.square(vectors[..., :-1]), axis=2) - tf.square(apart), 0.0)

    def interpolate(values):
        return tf.matmul(values, claimed_shares, transpose_a=True, transpose_b=True)

    def compare_all(chunk):
        pixels = tf.matmul(tf.gather(claimed_shares, chunk), tf.gather(vectors, chunk))
        scores = tf.matmul(tf.reshape(pixels, [-1, vectors.shape[2]]), index.table)
        return tf.reshape(tf.math.top_k(scores, k=1)[1], [-1, upsample.PIXELS])

    best, doubtful = upsample.best_of_pixels(candidates, scores, others, interpolate)
    best = tf.tensor_scatter_nd_update(best, doubtful[:, None], upsample.in_chunks(compare_all, doubtful))
    return tf.where(majority, best, -1)


def _pad_row(x):
    return tf.pad(x, [[0, 1]] + [[0, 0]] * (x.shape.rank - 1))
