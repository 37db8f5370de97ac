"""The keypoints' disks (paper Sec. 3.3.2): which cells are near which keypoint.

The cost is O(instances · R²): each disk is stamped as a small window of cells.
"""

from __future__ import annotations

import typing

import numpy as np
import tensorflow as tf

from deeperlab_tf.heads import HEAD_STRIDE
from deeperlab_tf.pixels.image_size import Side

_RANK_BITS = 29  # of a float64 that holds a float32, the bits that are zero
# Row or column of a cell outside the grid: the sum of two is negative and still an int32.
_OUTSIDE = -(2**30)


class Disks(typing.NamedTuple):
    """The disks of all keypoints of each kind.

    Attributes:
      heatmap: float32 [h, w, P], 1 in a disk.
      keys: int64 [h * w * P], whose lowest bits tell the owner of each cell in a disk.
    """

    heatmap: tf.Tensor
    keys: tf.Tensor

    def owners(self, places: tf.Tensor) -> tf.Tensor:
        """int32 [M]: index of the instance with the nearest keypoint, at flat places int64 [M] in
        disks; of equally near ones, the first.
        """
        keys = tf.gather(self.keys, places)
        rank = tf.bitwise.bitwise_and(keys, 2**_RANK_BITS - 1)
        return tf.cast(rank, tf.int32)


def find_disks(keypoints: tf.Tensor, size: tuple[Side, Side], radius: float) -> Disks:
    """The cells whose pixel is at most `radius` away from a keypoint.

    Args:
      keypoints: float32 [N, P, 2], (y, x) in pixels; the first instances win ties.
      size: (h, w) of the grid.
      radius: R, pixels.
    """
    height, width = size
    num_kinds = keypoints.shape[1]
    cells = _cells_around(keypoints, radius)
    distance = _squared_distance(cells, keypoints)
    places = _flat_places(cells, size)

    # Bits of non-negative floats are ordered like the floats, and a float32 leaves the last 29 bits
    # of a float64 zero: one minimum finds the nearest and, of equally near ones, the first.
    distance = tf.cast(distance, tf.float64)
    bits = tf.bitcast(distance, tf.int64)
    num_instances = tf.shape(keypoints)[0]
    rank = tf.range(num_instances, dtype=tf.int64)
    keys = bits + rank[:, None, None, None]
    num_places = height * width * num_kinds
    nearest = tf.math.unsorted_segment_min(keys, places, num_places)

    # Whatever its rank, a key with the radius' distance is below the limit.
    farthest = np.float32(radius * radius)
    farthest = np.float64(farthest)
    limit = farthest.view(np.int64) + 2**_RANK_BITS
    heatmap = tf.cast(nearest < limit, tf.float32)
    heatmap = tf.reshape(heatmap, [height, width, num_kinds])
    return Disks(heatmap, nearest)


def _cells_around(keypoints: tf.Tensor, radius: float) -> tf.Tensor:
    """int32 [N, P, 2, diameter]: the rows and the columns of cells that a disk may reach."""
    diameter = int(2 * radius) // HEAD_STRIDE + 1
    first = (keypoints - radius) / HEAD_STRIDE
    first = tf.cast(tf.math.ceil(first), tf.int32)
    return first[..., None] + tf.range(diameter)


def _squared_distance(cells: tf.Tensor, keypoints: tf.Tensor) -> tf.Tensor:
    """float32 [N, P, diameter, diameter], pixels²."""
    pixels = tf.cast(HEAD_STRIDE * cells, tf.float32)
    squares = tf.square(pixels - keypoints[..., None])
    squares_y, squares_x = tf.unstack(squares, axis=2)
    return squares_y[..., :, None] + squares_x[..., None, :]


def _flat_places(cells: tf.Tensor, size: tuple[Side, Side]) -> tf.Tensor:
    """int32 [N, P, diameter, diameter]: places in [h * w * P]; negative outside the grid, which
    TensorFlow's sums and minima over segments leave out.
    """
    height, width = size
    num_kinds = cells.shape[1]
    # [N, P, 2, diameter]: what each row and each column adds to a place.
    places = cells * [[width * num_kinds], [num_kinds]]
    ends = [[height], [width]]
    is_inside = (cells >= 0) & (cells < ends)
    places = tf.where(is_inside, places, _OUTSIDE)
    rows, columns = tf.unstack(places, axis=2)
    rows = rows + tf.range(num_kinds)[:, None]
    return rows[..., :, None] + columns[..., None, :]
