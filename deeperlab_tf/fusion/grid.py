"""The heads' grid: cell (i, j) sits exactly on pixel (stride · i, stride · j)."""

import tensorflow as tf

HEAD_STRIDE = 4  # pixels between grid cells (paper Sec. 3.2: the decoder's output stride)


def positions(cells):
    """Pixel coordinates of grid cells: integer (row, column) of any shape [..., 2] -> float32 of the same shape."""
    return tf.cast(cells * HEAD_STRIDE, tf.float32)


def flat_positions(cells, grid_size):
    """Pixel coordinates of flat cells: int32 [...] -> float32 [..., 2]."""
    return positions(tf.stack([cells // grid_size[1], cells % grid_size[1]], axis=-1))


def inside(points, grid_size):
    """bool [...]: which points (float32 [..., 2], pixels) lie on the image the grid spans. False for NaN."""
    last = positions(grid_size - 1)
    return tf.reduce_all((points >= 0) & (points <= last), axis=-1)


def nearest_cell(points, grid_size):
    """Flat index (row · w + column) of the cell nearest to each point, int32 [...]; always within the grid."""
    return flat_index(tf.cast(tf.round(points / HEAD_STRIDE), tf.int32), grid_size)


def flat_index(cells, grid_size):
    """row · w + column of int32 cells [..., 2]. The index is clamped to the grid, coordinates never are."""
    cells = tf.clip_by_value(cells, 0, grid_size - 1)
    return cells[..., 0] * grid_size[1] + cells[..., 1]


def indices(flags):
    """Where flags are set: bool [n] -> int32 [m], ascending."""
    return tf.cast(tf.where(flags)[:, 0], tf.int32)


def sample(maps, kinds, points, grid_size):
    """Reads one channel group of a map at fractional positions, bilinearly.

    Args:
      maps: float32 [h · w, K, D], e.g. the offsets (D = 2) of K keypoint kinds.
      kinds: int32 [...], which of the K to read.
      points: float32 [..., 2], pixels. Outside the grid the nearest border value is read.
      grid_size: int32 [2], h and w.

    Returns:
      float32 [..., D].
    """
    num_kinds, depth = maps.shape[1], maps.shape[2]
    scaled = points / HEAD_STRIDE
    corner = tf.floor(scaled)
    fraction = scaled - corner
    corner = tf.cast(corner, tf.int32)
    steps = tf.constant([[0, 0], [0, 1], [1, 0], [1, 1]])
    cells = flat_index(corner[..., None, :] + steps, grid_size)  # [..., 4]
    values = tf.gather(tf.reshape(maps, [-1, depth]), cells * num_kinds + kinds[..., None])  # [..., 4, D]
    return tf.reduce_sum(bilinear_weights(fraction)[..., None] * values, axis=-2)


def bilinear_weights(fraction):
    """Weights of a cell's corners (0, 0), (0, 1), (1, 0), (1, 1) at (y, x) fractions [..., 2]: float32 [..., 4]."""
    y, x = fraction[..., 0], fraction[..., 1]
    return tf.stack([(1 - y) * (1 - x), (1 - y) * x, y * (1 - x), y * x], axis=-1)
