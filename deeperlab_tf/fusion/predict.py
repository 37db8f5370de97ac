"""Which instance the cells of the grid predict (paper Sec. 3.4.1), and whether it claims them."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf
from ml_collections import ConfigDict
from tensorflow import Tensor

from deeperlab_tf.fusion import lists, nearest
from deeperlab_tf.fusion.boxes import scale
from deeperlab_tf.fusion.detect import Instances
from deeperlab_tf.fusion.maps import Grid, Maps, positions
from deeperlab_tf.fusion.refine import LongTargets
from deeperlab_tf.fusion.semantics import Semantics

# Rows and columns of a cell's eight neighbours, as steps from its own; the nearest first.
_AROUND_Y = [0, 0, -1, 1, -1, -1, 1, 1]
_AROUND_X = [-1, 1, 0, 0, -1, 1, -1, 1]


class Predictions(NamedTuple):
    """What the N cells of `Semantics.support` predict, one row each.

    Attributes:
      vectors: float32 [N, 2P], g = x + L(x), in units of R from the image's centre.
      instance: int32 [N], the nearest.
      squares: float32 [N], its squared distance.
      claimed: bool [N + 1], whether it claims the cell. The row after the last, which is False,
        stands for cells without a prediction.
      rows: int32 [h · w], each cell's row.
      index: `nearest.Index` of the instances.
    """

    vectors: Tensor
    instance: Tensor
    squares: Tensor
    claimed: Tensor
    rows: Tensor
    index: nearest.Index


def predict_instances(
    semantics: Semantics,
    long_targets: LongTargets,
    instances: Instances,
    maps: Maps,
    assignment: ConfigDict,
) -> Predictions:
    """Finds the nearest instance of every cell whose long-range offsets matter.

    Args:
      semantics: `Semantics` of the image.
      long_targets: what the cells `semantics.support` predict.
      instances: `Instances`.
      maps: `Maps` of the image.
      assignment: config.fusion.assignment.

    Returns:
      `Predictions`.
    """
    # Centred: float32 has seven digits.
    grid = maps.grid
    center_y = positions(grid.height) / 2
    center_x = positions(grid.width) / 2

    def vectors_of(y, x):
        scaled_y = (y - center_y) / maps.radius
        scaled_x = (x - center_x) / maps.radius
        return tf.concat([scaled_y, scaled_x], axis=1)

    vectors = vectors_of(long_targets.y, long_targets.x)
    points = vectors_of(*tf.unstack(instances.keypoints, axis=2))
    # Padding, where there is no instance at all: then none claims anything.
    count = tf.maximum(instances.count, 1)
    index = nearest.index_of(points, count)
    found = nearest.find_nearest(vectors, index, semantics.support)

    is_claimed = _claims(found, instances, maps.radius, assignment)
    claimed = tf.pad(is_claimed, [[0, 1]])
    rows = lists.rows_of(semantics.support, grid.num_cells)
    rows = follow_neighbours(rows, semantics, claimed, grid)
    return Predictions(vectors, *found, claimed, rows, index)


def _claims(found, instances, radius, assignment):
    """Whether instances claim the cells they are nearest to: bool [N].

    The root mean square distance between predicted and detected keypoints may be R and a share of
    the instance's size λ. What lies farther off predicts no detected instance: crowds, missed
    objects.
    """
    claimed = tf.fill(tf.shape(found.instance), instances.count > 0)
    share = assignment.claim_reach_sizes
    if not share:
        return claimed
    # [J], squared, in R.
    reach = 1 + share * scale(instances.boxes) / radius
    num_keypoints = instances.keypoints.shape[1]
    limit = num_keypoints * tf.square(reach)
    is_near = found.squares <= tf.gather(limit, found.instance)
    return claimed & is_near


def follow_neighbours(rows: Tensor, semantics: Semantics, claimed: Tensor, grid: Grid) -> Tensor:
    """Lets thing cells that no instance claims predict what a neighbour of their class predicts.

    On an object's rim, semantics may call a cell a thing that was never inside when the offsets
    were learned. Where most neighbours of the class are lost as well, it is no rim but a crowd or a
    missed object.

    Args:
      rows: int32 [h · w], see `Predictions`.
      semantics: `Semantics` of the image.
      claimed: bool [N + 1], see `Predictions`.
      grid: `Grid`.

    Returns:
      int32 [h · w], rows with those cells' replaced by the row of the first of eight neighbours
      that is claimed.
    """
    label = semantics.labels.cells
    lost = lists.among(semantics.support, ~claimed[:-1])
    lost = lists.among(lost, lists.take(semantics.is_thing, lost))

    # [n, 8]: the neighbours, and which of them will do.
    lost_rows, lost_columns = grid.rows_columns(lost)
    around_y = lost_rows[:, None] + _AROUND_Y
    around_x = lost_columns[:, None] + _AROUND_X
    around = grid.flat(around_y, around_x)
    own = lists.take(label, lost)
    is_same = tf.gather(label, around) == own[:, None]
    fits = tf.gather(claimed, tf.gather(rows, around))
    fits &= is_same

    num_fitting = tf.math.count_nonzero(fits, axis=1)
    num_same = tf.math.count_nonzero(is_same, axis=1)
    is_rim = num_fitting * 2 >= num_same
    follows = tf.reduce_any(fits, axis=1) & is_rim
    first = tf.argmax(tf.cast(fits, tf.int32), axis=1)
    neighbour = tf.gather(around, first, batch_dims=1)
    followed = tf.gather(rows, neighbour)
    followed = tf.where(follows, followed, lists.take(rows, lost))
    return lists.put(followed, lost, rows)
