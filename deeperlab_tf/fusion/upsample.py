"""Full-resolution labels at the cost of the stride-4 grid.

Bilinear interpolation cannot change an order that holds at all its corners: where one class (or one
instance) is best at the four corners of a grid cell, it is best everywhere inside. So only *mixed*
cells, whose corners disagree, are interpolated; all others are filled. Cell (i, j) holds the 4 x 4
pixels from its top-left corner (4i, 4j) on; cells of the last row and column, whose other corners
are off the grid, repeat the border.
"""

import numpy as np
import tensorflow as tf

from deeperlab_tf.fusion import grid, ops

_STEPS = range(grid.HEAD_STRIDE)
PIXELS = grid.HEAD_STRIDE**2  # of a cell, row by row
# float32 [16, 4]: shares of the corners (0, 0), (0, 1), (1, 0), (1, 1) in each pixel of a cell;
# exact, k / 16.
PIXEL_WEIGHTS = np.array(
    [
        [(1 - y) * (1 - x), (1 - y) * x, y * (1 - x), y * x]
        for y in np.divide(_STEPS, grid.HEAD_STRIDE)
        for x in np.divide(_STEPS, grid.HEAD_STRIDE)
    ],
    np.float32,
)
_CHUNK = 2048  # doubtful cells interpolated at once: bounds the memory


def corners(cells, grid_size):
    """Flat grid indices of the corners of flat cells: int32 [n] -> [n, 4]."""
    rows = cells // grid_size[1]
    columns = cells - rows * grid_size[1]
    return grid.flat_index(
        rows[:, None] + grid.CORNERS[0], columns[:, None] + grid.CORNERS[1], grid_size
    )


def over_corners(reduce, values, grid_size):
    """Combines each cell's four corner values, e.g. by tf.maximum: [h · w] -> [h · w]."""
    maps = tf.reshape(values, grid_size)
    maps = reduce(maps, tf.concat([maps[:, 1:], maps[:, -1:]], axis=1))
    maps = reduce(maps, tf.concat([maps[1:], maps[-1:]], axis=0))
    return tf.reshape(maps, [-1])


def disagree(values, grid_size):
    """Cells whose corners differ: [h · w] -> bool [h · w]."""
    maps = tf.reshape(values, grid_size)
    down = tf.pad(maps[1:] != maps[:-1], [[0, 1], [0, 0]])
    across = tf.pad(maps[:, 1:] != maps[:, :-1], [[0, 0], [0, 1]])
    below = tf.concat([across[1:], across[-1:]], axis=0)
    right = tf.concat([down[:, 1:], down[:, -1:]], axis=1)
    return tf.reshape(down | across | below | right, [-1])


def range_of_corners(labels):
    """Lowest and highest of the labels at the corners of cells: int32 [m, 4] -> two int32 [m]."""
    low, high, *others = tf.unstack(labels, axis=1)
    low, high = tf.minimum(low, high), tf.maximum(low, high)
    for label in others:
        low, high = tf.minimum(low, label), tf.maximum(high, label)
    return low, high


def better_of_pixels(low, high, low_scores, high_scores, others, interpolate):
    """Best label of every pixel of some cells, comparing only the lowest and the highest of the
    corners' best labels.

    What the corners' second-highest scores interpolate to bounds all other labels: the largest of
    interpolated scores is at most the interpolated largest score. Where the better candidate does
    not exceed that bound, the pixel is doubtful: all labels must be compared. (Where two labels are
    each the second at the other's corners, the bound is below both everywhere; a third label at a
    corner makes its pixels doubtful.)

    Args:
      low, high: int32 [m], the candidates.
      low_scores, high_scores: float32 [m, 4], of the candidates at the corners.
      others: float32 [m, 4], at the corners, the highest score of the labels that are no
        candidates, or more.
      interpolate: function of scores at corners, float32 [m, 4] -> of pixels, float32 [m, 16]; the
        weights must not be negative.

    Returns:
      int32 [m, 16], the better candidate, at ties the lower; bool [m, 16], True where doubtful.
    """
    of_low, of_high, bound = (interpolate(scores) for scores in (low_scores, high_scores, others))
    best = ops.choose(of_high > of_low, high[:, None], low[:, None])
    return best, ~(tf.maximum(of_low, of_high) > bound)  # NaN is doubtful, too


def interpolate(values):
    """Values at the corners of cells at their pixels: float32 [m, 4] -> [m, 16]."""
    return ops.matmul(values, PIXEL_WEIGHTS.T)


def in_chunks(label, cells):
    """Labels cells chunk by chunk, so that memory stays bounded: int32 [n] -> int32 [n, 16].

    Args:
      label: function of int32 [m] -> int32 [m, 16].
      cells: int32 [n].
    """
    count = tf.size(cells)
    chunks = tf.maximum((count + _CHUNK - 1) // _CHUNK, 1)

    def step(index, labels):
        chunk = cells[index * _CHUNK : (index + 1) * _CHUNK]
        return index + 1, labels.write(index, tf.ensure_shape(label(chunk), [None, PIXELS]))

    labels = tf.TensorArray(tf.int32, size=chunks, infer_shape=False, element_shape=[None, PIXELS])
    loop = tf.while_loop(
        lambda index, _: index < chunks, step, (tf.constant(0), labels), parallel_iterations=1
    )
    return loop[1].concat()


def row_of_cell(cells, num_cells):
    """Row of each cell in a table with one row for each of `cells`: int32 [n] -> int32 [num_cells],
    n for others.
    """
    count = tf.size(cells)
    return tf.tensor_scatter_nd_update(tf.fill([num_cells], count), cells[:, None], tf.range(count))


def whole(labels):
    """The same label for all pixels of a cell: int32 [n] -> int32 [n, 16]."""
    return tf.tile(labels[:, None], [1, PIXELS])


def visible_pixels(cells, grid_size, image_size):
    """Which pixels of flat cells lie on the image: bool [n, 16]."""
    rows, columns = pixel_positions(cells, grid_size)
    visible = (rows < image_size[0])[:, :, None] & (columns < image_size[1])[:, None]
    return tf.reshape(visible, [-1, PIXELS])


def pixel_positions(cells, grid_size):
    """Rows and columns of the pixels of flat cells: int32 [n] -> two int32 [n, 4]."""
    rows = cells // grid_size[1]
    corner = (rows * grid.HEAD_STRIDE, (cells - rows * grid_size[1]) * grid.HEAD_STRIDE)
    return tuple(position[:, None] + tf.range(grid.HEAD_STRIDE) for position in corner)


def fill(values, cells, mixed, pixels, grid_size, image_size):
    """Full-resolution map of what labels stand for, from labels of cells and those of the pixels of
    mixed cells.

    A row of a cell is a row of a table, which holds each value stride times, for whole cells, then
    the mixed cells.

    Args:
      values: int32 [S], by label.
      cells: int32 [h · w], labels.
      mixed: int32 [n], flat cells that have their own pixel labels.
      pixels: int32 [n, 16], labels.
      grid_size: int32 [2], h and w.
      image_size: int32 [2], H and W.

    Returns:
      int32 [H, W].
    """
    stride = grid.HEAD_STRIDE
    height, width = grid_size[0], grid_size[1]
    first = tf.size(values) + tf.range(tf.size(mixed))
    first = tf.reshape(
        tf.tensor_scatter_nd_update(cells, mixed[:, None], first) * stride, grid_size
    )
    rows = tf.stack([first + row for row in range(stride)], axis=1)  # [h, 4, w]
    table = tf.concat(
        [tf.repeat(values, PIXELS), tf.reshape(ops.read(values, pixels), [-1])], axis=0
    )
    filled = ops.read(tf.reshape(table, [-1, stride]), rows)
    return tf.reshape(filled, [stride * height, stride * width])[: image_size[0], : image_size[1]]
