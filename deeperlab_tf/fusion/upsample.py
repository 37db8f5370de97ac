"""Full-resolution labels at the cost of the stride-4 grid.

Bilinear interpolation cannot change an order that holds at all its corners: where one class (or one
instance) is best at the four corners of a grid cell, it is best everywhere inside. So only *mixed*
cells, whose corners disagree, are interpolated; all others are filled. Cell (i, j) holds the 4 x 4
pixels from its top-left corner (4i, 4j) on; cells of the last row and column, whose other corners
are off the grid, repeat the border.
"""

from __future__ import annotations

from typing import Callable, NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow import Tensor

from deeperlab_tf.fusion import lists, ops
from deeperlab_tf.fusion.maps import Grid
from deeperlab_tf.heads import HEAD_STRIDE

PIXELS = HEAD_STRIDE**2  # of a cell, row by row
_CHUNK = 2048  # doubtful cells interpolated at once: bounds the memory


def _pixel_weights():
    """Shares of the corners (0, 0), (0, 1), (1, 0), (1, 1) in each pixel of a cell: [16, 4]."""
    steps = np.arange(HEAD_STRIDE, dtype=np.float32) / HEAD_STRIDE
    y = np.repeat(steps, HEAD_STRIDE)
    x = np.tile(steps, HEAD_STRIDE)
    above = 1 - y
    left = 1 - x
    return np.stack([above * left, above * x, y * left, y * x], axis=1)


PIXEL_WEIGHTS = _pixel_weights()  # exact: k / 16


class Labels(NamedTuple):
    """Labels of an image's pixels: of whole cells, and of each pixel of mixed ones.

    Attributes:
      cells: int32 [h · w].
      mixed: int32 [m], flat cells that have their own pixel labels.
      pixels: int32 [m, 16], those labels.
    """

    cells: Tensor
    mixed: Tensor
    pixels: Tensor


class Rivals(NamedTuple):
    """The two labels that may be the best inside each of m cells, and how good they are.

    Attributes:
      low, high: int32 [m], the lowest and the highest of the corners' best labels.
      low_scores, high_scores: float32 [m, 4], theirs at the corners.
      others: float32 [m, 4], at the corners, the highest score of all other labels, or more.
    """

    low: Tensor
    high: Tensor
    low_scores: Tensor
    high_scores: Tensor
    others: Tensor


def over_corners(reduce: Callable, values: Tensor, grid: Grid) -> Tensor:
    """Combines each cell's four corner values, e.g. by tf.maximum: [h · w] -> [h · w]."""
    values = tf.reshape(values, [grid.height, grid.width])
    values = reduce(values, _right_of(values))
    values = reduce(values, _below(values))
    return tf.reshape(values, [-1])


def disagree(values: Tensor, grid: Grid) -> Tensor:
    """Cells whose corners differ: [h · w] -> bool [h · w]."""
    values = tf.reshape(values, [grid.height, grid.width])
    down = values[1:] != values[:-1]
    down = tf.pad(down, [[0, 1], [0, 0]])
    across = values[:, 1:] != values[:, :-1]
    across = tf.pad(across, [[0, 0], [0, 1]])
    differ = down | across | _below(across) | _right_of(down)
    return tf.reshape(differ, [-1])


def _right_of(values):
    """The values one column further right, the last twice: [h, w] -> [h, w]."""
    last = values[:, -1:]
    return tf.concat([values[:, 1:], last], axis=1)


def _below(values):
    """The values one row further down, the last twice: [h, w] -> [h, w]."""
    last = values[-1:]
    return tf.concat([values[1:], last], axis=0)


def at_corners(cells: Tensor, grid: Grid) -> Tensor:
    """Which cells are corners of those of a list, few: int32 [n] -> bool [h · w]."""
    if not ops.is_compiled():
        corners = tf.reshape(grid.corners(cells), [-1])
        return ops.flags_at(corners, grid.num_cells)
    flags = lists.flags_at(cells, grid.num_cells)
    flags = tf.reshape(flags, [grid.height, grid.width])
    flags |= tf.pad(flags[:-1], [[1, 0], [0, 0]])
    flags |= tf.pad(flags[:, :-1], [[0, 0], [1, 0]])
    return tf.reshape(flags, [-1])


def range_of_corners(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Lowest and highest of the labels at the corners of cells: int32 [m, 4] -> two int32 [m]."""
    first, *others = tf.unstack(labels, axis=1)
    low = high = first
    for label in others:
        low = tf.minimum(low, label)
        high = tf.maximum(high, label)
    return low, high


def better_of_pixels(
    rivals: Rivals, interpolate: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """Best label of every pixel of some cells, comparing only two labels.

    What the corners' second-highest scores interpolate to bounds all other labels: the largest of
    interpolated scores is at most the interpolated largest score. Where the better candidate does
    not exceed that bound, the pixel is doubtful: all labels must be compared. (Where two labels are
    each the second at the other's corners, the bound is below both everywhere; a third label at a
    corner makes its pixels doubtful.)

    Args:
      rivals: `Rivals`.
      interpolate: function of scores at corners, float32 [m, 4] -> of pixels, float32 [m, 16]; the
        weights must not be negative.

    Returns:
      int32 [m, 16], the better candidate, at ties the lower; bool [m, 16], True where doubtful.
    """
    # [m, 16]
    of_low = interpolate(rivals.low_scores)
    of_high = interpolate(rivals.high_scores)
    bound = interpolate(rivals.others)
    low = rivals.low[:, None]
    high = rivals.high[:, None]
    best = ops.choose(of_high > of_low, high, low)
    # NaN is doubtful, too.
    is_certain = tf.maximum(of_low, of_high) > bound
    return best, ~is_certain


def interpolate(values: Tensor) -> Tensor:
    """Values at the corners of cells at their pixels: float32 [m, 4] -> [m, 16]."""
    return ops.matmul(values, PIXEL_WEIGHTS.T)


def in_chunks(label: Callable[[Tensor], Tensor], cells: Tensor) -> Tensor:
    """Labels cells chunk by chunk, so that memory stays bounded: int32 [n] -> int32 [n, 16].

    Args:
      label: function of int32 [m] -> int32 [m, 16].
      cells: int32 [n].
    """
    # Compiled, it is a chunk that is asked for.
    if ops.is_compiled():
        return label(cells)
    chunks = (tf.size(cells) + _CHUNK - 1) // _CHUNK
    chunks = tf.maximum(chunks, 1)
    shape = [None, PIXELS]
    labels = tf.TensorArray(tf.int32, size=chunks, infer_shape=False, element_shape=shape)

    def step(number, labels):
        start = number * _CHUNK
        chunk = cells[start : start + _CHUNK]
        labelled = tf.ensure_shape(label(chunk), shape)
        return number + 1, labels.write(number, labelled)

    def is_left(number, _):
        return number < chunks

    first = tf.constant(0), labels
    _, labels = tf.while_loop(is_left, step, first, parallel_iterations=1)
    return labels.concat()


def whole(labels: Tensor) -> Tensor:
    """The same label for all pixels of a cell: int32 [n] -> int32 [n, 16]."""
    return tf.tile(labels[:, None], [1, PIXELS])


def visible_pixels(cells: Tensor, grid: Grid, image_size: Tensor) -> Tensor:
    """Which pixels of flat cells lie on the image, int32 [2]: int32 [n] -> bool [n, 16]."""
    rows, columns = pixel_positions(cells, grid)
    is_row = rows < image_size[0]
    is_column = columns < image_size[1]
    visible = is_row[:, :, None] & is_column[:, None]
    visible = tf.reshape(visible, [-1, PIXELS])
    return lists.only(cells, visible, False)


def cell_areas(mixed: Tensor, grid: Grid, image_size: Tensor) -> Tensor:
    """Pixels that each cell labels as a whole: int32 [m], flat mixed cells -> int32 [h · w].

    0 for mixed cells, fewer than 16 at the far borders.
    """
    # [h] and [w]
    heights = _visible_sides(grid.height, image_size[0])
    widths = _visible_sides(grid.width, image_size[1])
    areas = heights[:, None] * widths
    areas = tf.reshape(areas, [-1])
    return lists.put(tf.zeros_like(mixed), mixed, areas)


def _visible_sides(num_cells, side):
    """Pixels of each row or column of cells that lie on the image: int32 [num_cells]."""
    starts = HEAD_STRIDE * tf.range(num_cells)
    return tf.clip_by_value(side - starts, 0, HEAD_STRIDE)


def pixel_positions(cells: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """Rows and columns of the pixels of flat cells: int32 [n] -> two int32 [n, 4]."""
    steps = tf.range(HEAD_STRIDE)
    rows, columns = grid.rows_columns(cells)
    rows = rows[:, None] * HEAD_STRIDE
    columns = columns[:, None] * HEAD_STRIDE
    return rows + steps, columns + steps


def fill(values: Tensor, labels: Labels, grid: Grid, image_size: Tensor) -> Tensor:
    """Full-resolution map of what labels stand for.

    Args:
      values: int32 [S], by label.
      labels: `Labels`.
      grid: `Grid`.
      image_size: int32 [2], H and W.

    Returns:
      int32 [H, W]; compiled for a size that is a tensor, of the size that the grid spans.
    """
    if ops.is_compiled():
        filled = _fill_cells(values, labels, grid)
    else:
        filled = _fill_rows(values, labels, grid)
    # What XLA cannot know it leaves to others to cut off.
    if ops.is_compiled() and tf.is_tensor(image_size):
        border = 1 - HEAD_STRIDE
        return filled[:border, :border]
    return filled[: image_size[0], : image_size[1]]


def _fill_cells(values, labels, grid):
    """Each cell from its own 16 labels."""
    own = whole(labels.cells)
    pixels = lists.put(labels.pixels, labels.mixed, own)
    shape = [grid.height, grid.width, HEAD_STRIDE, HEAD_STRIDE]
    filled = tf.reshape(tf.gather(values, pixels), shape)
    filled = tf.transpose(filled, [0, 2, 1, 3])
    return _image_of(filled, grid)


def _fill_rows(values, labels, grid):
    """Rows of cells, all at once, which is faster where gathering is slow.

    A row of a cell is a row of a table, which holds each value stride times, for whole cells, then
    the mixed cells.
    """
    of_cells = tf.repeat(values, PIXELS)
    of_pixels = ops.read(values, labels.pixels)
    table = tf.concat([of_cells, tf.reshape(of_pixels, [-1])], axis=0)
    table = tf.reshape(table, [-1, HEAD_STRIDE])

    # [h, w]: the row of the table with which each cell begins; mixed cells come last.
    num_mixed = tf.size(labels.mixed)
    own = tf.size(values) + tf.range(num_mixed)
    first = tf.tensor_scatter_nd_update(labels.cells, labels.mixed[:, None], own)
    first = tf.reshape(first * HEAD_STRIDE, [grid.height, grid.width])

    # [h, 4, w]: the rows of the table that make up each row of pixels.
    rows = tf.stack([first + row for row in range(HEAD_STRIDE)], axis=1)
    return _image_of(ops.read(table, rows), grid)


def _image_of(pixels, grid):
    size = [HEAD_STRIDE * grid.height, HEAD_STRIDE * grid.width]
    return tf.reshape(pixels, size)
