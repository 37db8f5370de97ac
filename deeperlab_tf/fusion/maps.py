"""The heads' grid: cell (i, j) sits exactly on pixel (stride · i, stride · j)."""

import tensorflow as tf

from deeperlab_tf.fusion import ops
from deeperlab_tf.heads import HEAD_STRIDE

CORNERS = ([0, 0, 1, 1], [0, 1, 0, 1])  # rows and columns of a cell's corners


def positions(cells):
    """Pixel coordinates of grid cells: integer (row, column) of any shape [..., 2] -> float32 of
    the same shape.
    """
    return tf.cast(cells * HEAD_STRIDE, tf.float32)


def inside(y, x, grid_size):
    """bool [...]: which points (float32 [...], pixels) lie on the image the grid spans. False for
    NaN.
    """
    last = positions(grid_size - 1)
    return (y >= 0) & (y <= last[0]) & (x >= 0) & (x <= last[1])


def on_grid(rows, columns, grid_size):
    """bool [...]: which cells (int32 [...]) there are. Without their sign, negative numbers are the
    largest.
    """
    rows, columns, size = (tf.bitcast(x, tf.uint32) for x in (rows, columns, grid_size))
    return (rows < size[0]) & (columns < size[1])


def flat_index(rows, columns, grid_size):
    """row · w + column of int32 cells of any shape. The index is clamped to the grid; coordinates
    never are.
    """
    rows = tf.clip_by_value(rows, 0, grid_size[0] - 1)
    return rows * grid_size[1] + tf.clip_by_value(columns, 0, grid_size[1] - 1)


def flat_positions(cells, grid_size):
    """Pixel coordinates of flat cells: int32 [...] -> float32 [..., 2]."""
    rows = cells // grid_size[1]
    return positions(tf.stack([rows, cells - rows * grid_size[1]], axis=-1))


def indices(flags):
    """Where flags are set: bool [n] -> int32 [m], ascending."""
    return tf.cast(tf.where(flags)[:, 0], tf.int32)


def flags(cells, num_cells):
    """bool [num_cells], True at flat `cells` (int32 [n], repeats allowed)."""
    return tf.tensor_scatter_nd_update(
        tf.zeros([num_cells], tf.bool), cells[:, None], tf.ones_like(cells, tf.bool)
    )


def sample(maps, kinds, points, grid_size, function=tf.identity):
    """Reads one channel group of a map at fractional positions, bilinearly.

    Args:
      maps: float32 [h · w, K, D], e.g. the offsets (D = 2) of K keypoint kinds.
      kinds: int32 [...], which of the K to read.
      points: float32 [..., 2], pixels. Outside the grid the nearest border value is read.
      grid_size: int32 [2], h and w.
      function: of the map's values, applied before they are interpolated.

    Returns:
      float32 [..., D].
    """
    num_kinds, depth = maps.shape[1], maps.shape[2]
    scaled = points / HEAD_STRIDE
    corner = tf.floor(scaled)
    weights = bilinear_weights(scaled - corner)
    corner = tf.cast(corner, tf.int32)
    rows, columns = (
        corner[..., axis, None] + tf.constant(steps) for axis, steps in enumerate(CORNERS)
    )
    index = flat_index(rows, columns, grid_size) * num_kinds + kinds[..., None]  # [..., 4]
    return tf.reduce_sum(
        weights[..., None] * function(ops.read(tf.reshape(maps, [-1, depth]), index)), axis=-2
    )


def bilinear_weights(fraction):
    """Weights of a cell's corners (0, 0), (0, 1), (1, 0), (1, 1) at (y, x) fractions [..., 2]:
    float32 [..., 4].
    """
    y, x = fraction[..., 0], fraction[..., 1]
    return tf.stack([(1 - y) * (1 - x), (1 - y) * x, y * (1 - x), y * x], axis=-1)
