"""Assignment of pixels to instances (paper Sec. 3.4.1): the nearest by the keypoints each pixel predicts.

A pixel at x goes to argmin_j Σ_k |x + L_k(x) - y_jk|². With the predictions as one vector g = x + L(x) that is
argmax_j g · 2 y_j - |y_j|²: linear in g, so that interpolating g and comparing is the same as comparing and
interpolating.

Distances can be measured in the size λ_j of the instance instead (assign_by = "scaled"), as in keypoint similarities:
argmin_j Σ_k |x + L_k(x) - y_jk|² / λ_j². There |g|² does not cancel, so every pixel is compared with all instances.
"""

import collections

import tensorflow as tf

from deeperlab_tf.fusion import boxes, grid, merge, nearest, upsample
from deeperlab_tf.fusion.semantics import is_any

# What the cells of `Semantics.support` predict, one row each: vectors float32 [N, 2P], in units of R from the image's
# centre; instance int32 [N], the nearest; squares float32 [N], its squared distance.
Predictions = collections.namedtuple("Predictions", ["vectors", "instance", "squares"])


def assign(semantics, long_targets, instances, thing_classes, grid_size, config):
    """Gives every pixel a slot: thing pixels that of their nearest instance, or of their class if no instance is meant.

    A pixel's prediction is interpolated from those corners of its cell that were predicted as its own class: what stuff
    predicts is undefined, and another class belongs to another object.

    Args:
      semantics: `Semantics` of the image.
      long_targets: float32 [2, N, P], x + L(x) of the cells `semantics.support`, y and x, pixels.
      instances: `detect.Instances`.
      thing_classes: class indices of things.
      grid_size: int32 [2], h and w.
      config: config.fusion.

    Returns:
      `merge.Parts`.
    """
    num_instances, num_cells = instances.scores.shape[0], tf.size(semantics.label)
    prediction, index = predict(long_targets, instances, grid_size, config)
    claimed = tf.pad(claims(prediction, instances, config), [[0, 1]])  # one more: of cells without a prediction
    rows = upsample.row_of_cell(semantics.support, num_cells)
    rows = follow_neighbours(rows, semantics, claimed, grid_size)
    instance = grid.read(grid.choose(claimed, tf.pad(prediction.instance, [[0, 1]]), -1), rows)

    # Cells whose thing corners disagree: -1, claimed by none, counts as an opinion, too.
    lowest = upsample.over_corners(tf.minimum, grid.choose(semantics.is_thing, instance, num_instances), grid_size)
    highest = upsample.over_corners(tf.maximum, grid.choose(semantics.is_thing, instance, -1), grid_size)
    is_contested = (lowest < highest) | semantics.is_orphan
    if config.assign_by == "scaled":  # where corners agree, a pixel amid them may be nearer to a smaller instance
        is_contested |= highest >= 0
    contested, more = grid.indices(is_contested), grid.indices(is_contested & ~semantics.is_mixed)
    mixed = tf.concat([semantics.mixed, more], axis=0)
    pixel_class = tf.concat([semantics.mixed_pixels, upsample.whole(tf.gather(semantics.label, more))], axis=0)

    row_of_mixed = tf.gather(upsample.row_of_cell(mixed, num_cells), contested)
    contested_class = tf.gather(pixel_class, row_of_mixed)
    nearest_instance = nearest_pixels(
        prediction, rows, claimed, semantics, contested_class, index, contested, grid_size, config
    )
    pixel_instance = upsample.whole(tf.gather(highest, mixed))
    pixel_instance = tf.tensor_scatter_nd_update(pixel_instance, row_of_mixed[:, None], nearest_instance)

    def slots(is_thing, instance, label):
        return grid.choose(is_thing & (instance >= 0), instance, num_instances + label)

    cell_slot = slots(semantics.is_thing, highest, semantics.label)
    pixel_slot = slots(is_any(pixel_class, thing_classes), pixel_instance, pixel_class)
    return merge.Parts(semantics.label, cell_slot, mixed, pixel_class, pixel_slot)


def predict(long_targets, instances, grid_size, config):
    """`Predictions` of cells, and the `nearest.Index` of the instances. Arguments: see `assign`."""
    origin = grid.positions(grid_size) / 2  # centred: float32 has seven digits

    def vectors(y, x):
        return tf.concat([(y - origin[0]) / config.keypoint_radius, (x - origin[1]) / config.keypoint_radius], axis=1)

    predicted, points = vectors(*tf.unstack(long_targets)), vectors(*tf.unstack(instances.keypoints, axis=2))
    points = points[: tf.maximum(instances.count, 1)]
    index = nearest.index_of(points)
    if config.assign_by == "distance":
        return Predictions(predicted, *nearest.nearest(predicted, index)), index
    sizes = tf.maximum(boxes.scale(instances.boxes)[: tf.shape(points)[0]], 1.0)  # at least a pixel, never 0
    index = index._replace(table=scaled_table(points, sizes))
    nearest_instance = nearest.nearest_of_all(with_square(predicted), index.table)
    squares = nearest.distances(predicted, tf.gather(points, nearest_instance))
    return Predictions(predicted, nearest_instance, squares), index


def scaled_table(points, sizes):
    """`nearest.Index.table` for distances in units of λ: float32 [J, 2P], [J] -> [2P + 2, J].

    Columns (2 y_j, -1, -|y_j|²) / λ_j²: (g, |g|², 1) · column is -|g - y_j|² / λ_j².
    """
    columns = [2 * points, -tf.ones_like(points[:, :1]), -tf.reduce_sum(tf.square(points), axis=1, keepdims=True)]
    return tf.transpose(tf.concat(columns, axis=1) / tf.square(sizes)[:, None])


def with_square(vectors):
    """g -> (g, |g|²): float32 [N, 2P] -> [N, 2P + 1]."""
    return tf.concat([vectors, tf.reduce_sum(tf.square(vectors), axis=1, keepdims=True)], axis=1)


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


def claims(prediction, instances, config):
    """Whether pixels can be meant for their nearest instance: bool [N].

    The root mean square distance between predicted and detected keypoints may be R and a share of the instance's size λ
    (the square root of its box area). What lies farther off predicts no detected instance: crowds, missed objects.

    Args:
      prediction: `Predictions`.
      instances: `detect.Instances`.
      config: config.fusion; reads claim_reach (0: every pixel is claimed) and keypoint_radius.
    """
    claimed = tf.fill(tf.shape(prediction.instance), instances.count > 0)
    if config.claim_reach:
        reach = 1 + config.claim_reach * boxes.scale(instances.boxes) / config.keypoint_radius
        limit = instances.keypoints.shape[1] * tf.square(reach)
        claimed &= prediction.squares <= tf.gather(limit, prediction.instance)
    return claimed


def nearest_pixels(prediction, rows, claimed, semantics, pixel_class, index, cells, grid_size, config):
    """Nearest instance of every pixel of some cells, by interpolated predictions; -1 if no instance claims it.

    The corners that count are those of the pixel's class; where there is none, all claimed ones. Leaving others out of
    the interpolation scales g, which changes no order. In plain cells, inside one object's class, all corners count.

    Args:
      prediction: `Predictions`.
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
        best = nearest_by_shares(tf.gather(rows, chosen), flags, shares, majority, prediction, index, config)
        return tf.where(majority, best, -1)

    if config.assign_by == "scaled":
        return other_pixels(tf.range(tf.size(cells)))
    is_plain = tf.reduce_all(is_claimed, axis=1) & ~tf.gather(semantics.is_mixed, cells)
    plain, others = grid.indices(is_plain), grid.indices(~is_plain)
    return tf.dynamic_stitch([plain, others], [plain_pixels(plain), other_pixels(others)])


def nearest_between(rows, prediction, index):
    """Nearest instance of every pixel of plain cells: corners' rows in `prediction`, int32 [n, 4] -> int32 [n, 16]."""
    vectors, instance = grid.read(prediction.vectors, rows), tf.gather(prediction.instance, rows)
    low, high = upsample.range_of_corners(instance)
    scores, others = corner_scores(vectors, instance, tf.gather(prediction.squares, rows), low, high, index)
    best, doubtful = upsample.better_of_pixels(low, high, *tf.unstack(scores, axis=2), others, upsample.interpolate)

    def pixels_of(chosen):
        return tf.matmul(upsample.PIXEL_WEIGHTS, tf.gather(vectors, chosen))

    return compare_all(best, doubtful, pixels_of, index.table)


def nearest_by_shares(rows, is_claimed, shares, wanted, prediction, index, config):
    """Nearest instance of every pixel of cells whose corners do not count alike.

    Args:
      rows: int32 [n, 4], the corners' rows in `prediction`.
      is_claimed: bool [n, 4].
      shares: float32 [n, 4, 16], how much each corner counts in each pixel, see `claimed_shares`.
      wanted: bool [n, 16], pixels that are asked for.
      prediction: `Predictions`.
      index: `nearest.Index`.
      config: config.fusion; reads assign_by.

    Returns:
      int32 [n, 16].
    """
    vectors = tf.where(is_claimed[..., None], grid.read(prediction.vectors, rows), 0.0)

    def pixels_of(chosen):
        chosen_shares = tf.gather(shares, chosen)
        pixels = tf.matmul(chosen_shares, tf.gather(vectors, chosen), transpose_a=True)
        return tf.math.divide_no_nan(pixels, tf.reduce_sum(chosen_shares, axis=1)[..., None])

    if config.assign_by == "scaled":
        return compare_all(tf.zeros_like(wanted, tf.int32), wanted, pixels_of, index.table, with_square)
    instance = tf.gather(prediction.instance, rows)
    low = tf.reduce_min(tf.where(is_claimed, instance, tf.shape(index.points)[0] - 1), axis=1)
    high = tf.reduce_max(tf.where(is_claimed, instance, 0), axis=1)
    scores, others = corner_scores(vectors, instance, tf.gather(prediction.squares, rows), low, high, index)
    scores, others = tf.where(is_claimed[..., None], scores, 0.0), tf.where(is_claimed, others, 0.0)

    def interpolate(values):
        return tf.matmul(values[:, None], shares)[:, 0]

    best, doubtful = upsample.better_of_pixels(low, high, *tf.unstack(scores, axis=2), others, interpolate)
    return compare_all(best, doubtful & wanted, pixels_of, index.table)


def claimed_shares(corner_class, is_claimed, pixel_class):
    """How much the corners of cells count in each pixel, see `nearest_pixels`.

    Args:
      corner_class: int32 [n, 4].
      is_claimed: bool [n, 4].
      pixel_class: int32 [n, 16].

    Returns:
      float32 [n, 4, 16], 0 for unclaimed corners; bool [n, 16]: claimed corners make up at least half of what counts.
    """
    same = [label[:, None] == pixel_class for label in tf.unstack(corner_class, axis=1)]  # [n, 16] each
    none = tf.cast(~(same[0] | same[1] | same[2] | same[3]), tf.float32)
    counts = [tf.cast(corner, tf.float32) + none for corner in same]
    shares = [count * weight for count, weight in zip(counts, upsample.PIXEL_WEIGHTS.T)]
    # On an edge between corners that do not count, those that count do so alike.
    off = tf.cast(tf.add_n(shares) == 0, tf.float32)
    shares = [share + off * count for share, count in zip(shares, counts)]
    claimed = [
        share * tf.cast(flag, tf.float32)[:, None] for share, flag in zip(shares, tf.unstack(is_claimed, axis=1))
    ]
    return tf.stack(claimed, axis=1), 2 * tf.add_n(claimed) >= tf.add_n(shares)


def compare_all(best, doubtful, pixels_of, table, lift=tf.identity):
    """Puts the nearest of all instances into doubtful pixels.

    Args:
      best: int32 [n, 16].
      doubtful: bool [n, 16].
      pixels_of: function of rows, int32 [d], to what the pixels of those cells predict, float32 [d, 16, 2P].
      table: see `nearest.Index` or `scaled_table`.
      lift: what makes vectors fit the table: `with_square` for the latter.

    Returns:
      int32 [n, 16].
    """
    cells = grid.indices(tf.reduce_any(doubtful, axis=1))
    pixels = pixels_of(cells)
    which = grid.indices(tf.reshape(tf.gather(doubtful, cells), [-1]))
    pixels = tf.gather(tf.reshape(pixels, [-1, pixels.shape[2]]), which)
    compared = nearest.nearest_of_all(lift(pixels), table)
    updates = tf.tensor_scatter_nd_update(tf.reshape(tf.gather(best, cells), [-1]), which[:, None], compared)
    return tf.tensor_scatter_nd_update(best, cells[:, None], tf.reshape(updates, [-1, upsample.PIXELS]))


def corner_scores(vectors, instance, squares, low, high, index):
    """How near two instances and all others are to what the corners of cells predict, see `nearest.Index.table`.

    Args:
      vectors: float32 [n, 4, 2P].
      instance: int32 [n, 4], the nearest of each corner.
      squares: float32 [n, 4], its squared distance.
      low, high: int32 [n].
      index: `nearest.Index`.

    Returns:
      scores float32 [n, 4, 2] of low and high; float32 [n, 4], a bound of what the others reach.
    """
    columns = grid.read(tf.transpose(index.table), tf.stack([low, high], axis=1))  # [n, 2, 2P + 1]
    scores = tf.matmul(vectors, columns[..., :-1], transpose_b=True) + columns[:, None, :, -1]
    # Others are at least as far off as their distance from the nearest leaves, if they are not the nearest themselves.
    first, second = tf.unstack(tf.gather(index.separation, instance), axis=2)
    distance = tf.sqrt(squares)
    apart = tf.where(_either(tf.gather(index.neighbours[:, 0], instance), low, high), second, first) - distance
    apart = tf.where(_either(instance, low, high), tf.maximum(apart, distance), distance)
    return scores, tf.reduce_sum(tf.square(vectors), axis=2) - tf.square(apart)


def _either(labels, low, high):
    return (labels == low[:, None]) | (labels == high[:, None])
