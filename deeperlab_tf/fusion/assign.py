"""Assignment of pixels to instances (paper Sec. 3.4.1): the nearest by the keypoints each pixel
predicts.

A pixel at x goes to argmin_j Σ_k |x + L_k(x) - y_jk|². With the predictions as one vector g = x +
L(x) that is argmax_j g · 2 y_j - |y_j|²: linear in g, so that interpolating g and comparing is the
same as comparing and interpolating.

Distances can be measured in the size λ_j of the instance instead (assign_by = "scaled"), as in
keypoint similarities: argmin_j Σ_k |x + L_k(x) - y_jk|² / λ_j². There |g|² does not cancel, so
every pixel is compared with all instances.
"""

import collections

import tensorflow as tf

from deeperlab_tf.fusion import boxes, grid, merge, nearest, ops, upsample
from deeperlab_tf.fusion.contested import nearest_pixels
from deeperlab_tf.fusion.semantics import is_any

# What the cells of `Semantics.support` predict, one row each: vectors float32 [N, 2P], in units of
# R from the image's centre; instance int32 [N], the nearest; squares float32 [N], its squared
# distance.
Predictions = collections.namedtuple("Predictions", ["vectors", "instance", "squares"])


def assign(semantics, long_targets, instances, thing_classes, grid_size, config):
    """Gives every pixel a slot: thing pixels that of their nearest instance, or of their class if
    no instance is meant.

    A pixel's prediction is interpolated from those corners of its cell that were predicted as its
    own class: what stuff predicts is undefined, and another class belongs to another object.

    Args:
      semantics: `Semantics` of the image.
      long_targets: y and x of x + L(x) of the cells `semantics.support`, two float32 [N, P],
        pixels.
      instances: `detect.Instances`.
      thing_classes: class indices of things.
      grid_size: int32 [2], h and w.
      config: config.fusion.

    Returns:
      `merge.Parts`.
    """
    num_instances, num_cells = instances.scores.shape[0], tf.size(semantics.label)
    prediction, index = predict(long_targets, instances, grid_size, config)
    # One more: of cells without a prediction.
    claimed = tf.pad(claims(prediction, instances, config), [[0, 1]])
    rows = upsample.row_of_cell(semantics.support, num_cells)
    rows = follow_neighbours(rows, semantics, claimed, grid_size)
    instance = ops.read(ops.choose(claimed, tf.pad(prediction.instance, [[0, 1]]), -1), rows)

    # Cells whose thing corners disagree: -1, claimed by none, counts as an opinion, too.
    lowest = upsample.over_corners(
        tf.minimum, ops.choose(semantics.is_thing, instance, num_instances), grid_size
    )
    highest = upsample.over_corners(
        tf.maximum, ops.choose(semantics.is_thing, instance, -1), grid_size
    )
    is_contested = (lowest < highest) | semantics.is_orphan
    # Where corners agree, a pixel amid them may be nearer to a smaller instance.
    if config.assign_by == "scaled":
        is_contested |= highest >= 0
    contested, more = grid.indices(is_contested), grid.indices(is_contested & ~semantics.is_mixed)
    mixed = tf.concat([semantics.mixed, more], axis=0)
    pixel_class = tf.concat(
        [semantics.mixed_pixels, upsample.whole(tf.gather(semantics.label, more))], axis=0
    )

    row_of_mixed = tf.gather(upsample.row_of_cell(mixed, num_cells), contested)
    contested_class = tf.gather(pixel_class, row_of_mixed)
    nearest_instance = nearest_pixels(
        prediction, rows, claimed, semantics, contested_class, index, contested, grid_size, config
    )
    pixel_instance = upsample.whole(tf.gather(highest, mixed))
    pixel_instance = tf.tensor_scatter_nd_update(
        pixel_instance, row_of_mixed[:, None], nearest_instance
    )

    def slots(is_thing, instance, label):
        return ops.choose(is_thing & (instance >= 0), instance, num_instances + label)

    cell_slot = slots(semantics.is_thing, highest, semantics.label)
    pixel_slot = slots(is_any(pixel_class, thing_classes), pixel_instance, pixel_class)
    return merge.Parts(semantics.label, cell_slot, mixed, pixel_class, pixel_slot)


def predict(long_targets, instances, grid_size, config):
    """`Predictions` of cells, and the `nearest.Index` of the instances. Arguments: see `assign`."""
    origin = grid.positions(grid_size) / 2  # centred: float32 has seven digits

    def vectors(y, x):
        return tf.concat(
            [(y - origin[0]) / config.keypoint_radius, (x - origin[1]) / config.keypoint_radius],
            axis=1,
        )

    predicted, points = vectors(*long_targets), vectors(*tf.unstack(instances.keypoints, axis=2))
    points = points[: tf.maximum(instances.count, 1)]
    index = nearest.index_of(points)
    if config.assign_by == "distance":
        return Predictions(predicted, *nearest.nearest(predicted, index)), index
    # At least a pixel, never 0.
    sizes = tf.maximum(boxes.scale(instances.boxes)[: tf.shape(points)[0]], 1.0)
    index = index._replace(table=nearest.scaled_table(points, sizes))
    nearest_instance = nearest.nearest_of_all(nearest.with_square(predicted), index.table)
    squares = nearest.distances(predicted, tf.gather(points, nearest_instance))
    return Predictions(predicted, nearest_instance, squares), index


def follow_neighbours(rows, semantics, claimed, grid_size):
    """Lets thing cells that are claimed by no instance predict what a neighbour of their class
    predicts.

    On an object's rim, semantics may call a cell a thing that was never inside when the offsets
    were learned. Where most neighbours of the class are lost as well, it is no rim but a crowd or a
    missed object.

    Args:
      rows: int32 [h · w], row of each cell's prediction.
      semantics: `Semantics`.
      claimed: bool [N + 1], by row.
      grid_size: int32 [2], h and w.

    Returns:
      int32 [h · w], rows with those cells' replaced by the row of the first of eight neighbours
      that is claimed.
    """
    lost = tf.boolean_mask(semantics.support, ~claimed[:-1])
    lost = tf.boolean_mask(lost, tf.gather(semantics.is_thing, lost))
    lost_rows = lost // grid_size[1]
    lost_columns = lost - lost_rows * grid_size[1]
    steps = ([0, 0, -1, 1, -1, -1, 1, 1], [-1, 1, 0, 0, -1, 1, -1, 1])
    around = grid.flat_index(
        lost_rows[:, None] + steps[0], lost_columns[:, None] + steps[1], grid_size
    )
    same = tf.gather(semantics.label, around) == tf.gather(semantics.label, lost)[:, None]
    fits = same & tf.gather(claimed, tf.gather(rows, around))
    rim = tf.math.count_nonzero(fits, axis=1) * 2 >= tf.math.count_nonzero(same, axis=1)
    neighbour = tf.gather(around, tf.argmax(tf.cast(fits, tf.int32), axis=1), batch_dims=1)
    updates = tf.gather(rows, tf.where(tf.reduce_any(fits, axis=1) & rim, neighbour, lost))
    return tf.tensor_scatter_nd_update(rows, lost[:, None], updates)


def claims(prediction, instances, config):
    """Whether pixels can be meant for their nearest instance: bool [N].

    The root mean square distance between predicted and detected keypoints may be R and a share of
    the instance's size λ (the square root of its box area). What lies farther off predicts no
    detected instance: crowds, missed objects.

    Args:
      prediction: `Predictions`.
      instances: `detect.Instances`.
      config: config.fusion; reads claim_reach (0: every pixel is claimed) and keypoint_radius.
    """
    claimed = tf.fill(tf.shape(prediction.instance), instances.count > 0)
    if config.assignment.claim_reach_sizes:
        reach = (
            1
            + config.assignment.claim_reach_sizes
            * boxes.scale(instances.boxes)
            / config.keypoint_radius
        )
        limit = instances.keypoints.shape[1] * tf.square(reach)
        claimed &= prediction.squares <= tf.gather(limit, prediction.instance)
    return claimed
