"""The predicted semantic segmentation, "stuff" and "thing" apart (paper Sec. 3.4.2), at full
resolution.
"""

import dataclasses
import functools
import itertools

import tensorflow as tf

from deeperlab_tf.fusion import grid, ops, upsample

_NEVER = 1e30  # taken off a score, it leaves less than any score


@dataclasses.dataclass(frozen=True)
class Semantics:
    """Semantic labels of one image.

    Attributes:
      label: int32 [h · w], of grid cells.
      is_thing: bool [h · w].
      is_mixed: bool [h · w], cells whose corners disagree.
      mixed: int32 [m], the flat cells of those.
      mixed_pixels: int32 [m, 16], labels of their pixels.
      is_orphan: bool [h · w], cells inside which a thing class surfaces although all four corners
        are stuff.
      things: int32 [T], flat thing cells.
      orphan_corners: int32 [N - T], flat cells at the corners of orphans.
    """

    label: tf.Tensor
    is_thing: tf.Tensor
    is_mixed: tf.Tensor
    mixed: tf.Tensor
    mixed_pixels: tf.Tensor
    is_orphan: tf.Tensor
    things: tf.Tensor
    orphan_corners: tf.Tensor

    @property
    def support(self):
        """int32 [N], flat cells where long-range offsets matter: `things`, then `orphan_corners`."""
        return tf.concat([self.things, self.orphan_corners], axis=0)


def semantics(logits, thing_classes, grid_size):
    """Labels the grid and the pixels of mixed cells by argmax of the interpolated logits.

    Args:
      logits: float32 [h · w, classes].
      thing_classes: class indices of things.
      grid_size: int32 [2], h and w.

    Returns:
      `Semantics`.
    """
    num_cells = tf.shape(logits)[0]
    label = ops.best_of_rows(logits)
    is_thing = is_any(label, thing_classes)
    is_mixed = upsample.disagree(label, grid_size)
    mixed = grid.indices(is_mixed)
    pixels, compared = semantic_pixels(logits, label, mixed, grid_size)

    # Only where all classes were compared can one surface that no corner has.
    corners = upsample.corners(tf.gather(mixed, compared), grid_size)
    is_bare = ~tf.reduce_any(tf.gather(is_thing, corners), axis=1)
    surfaces = tf.reduce_any(is_any(tf.gather(pixels, compared), thing_classes), axis=1)
    corners = tf.boolean_mask(corners, is_bare & surfaces)
    orphans = tf.gather(mixed, tf.boolean_mask(compared, is_bare & surfaces))
    is_orphan = grid.flags(orphans, num_cells)
    orphan_corners = grid.indices(grid.flags(tf.reshape(corners, [-1]), num_cells))
    return Semantics(
        label, is_thing, is_mixed, mixed, pixels, is_orphan, grid.indices(is_thing), orphan_corners
    )


def is_any(labels, classes):
    """Which labels are among some classes: int32 [...], not negative; class indices -> bool [...]."""
    found = []
    # One comparison for each range.
    for first in sorted(label for label in classes if label - 1 not in classes):
        last = next(label for label in itertools.count(first) if label + 1 not in classes)
        found.append(labels <= last if first == 0 else (labels >= first) & (labels <= last))
    return functools.reduce(tf.logical_or, found) if found else tf.zeros_like(labels, tf.bool)


def semantic_pixels(logits, label, cells, grid_size):
    """Best class of every pixel of flat cells, by interpolated logits.

    Args:
      logits: float32 [h · w, classes].
      label: int32 [h · w], best class of each cell.
      cells: int32 [n].
      grid_size: int32 [2], h and w.

    Returns:
      int32 [n, 16]; and int32 [d], rows of the cells in which all classes were compared, not only
      two.
    """
    num_cells, num_classes = tf.shape(logits)[0], logits.shape[1]
    corners = upsample.corners(cells, grid_size)
    corner_label = tf.gather(label, corners)
    low, high = upsample.range_of_corners(corner_label)

    def scores(candidate):
        return ops.read(tf.reshape(logits, [-1]), corners * num_classes + candidate[:, None])

    # Each corner belongs to several cells: the highest of its other classes is sought once.
    met = grid.indices(grid.flags(tf.reshape(corners, [-1]), num_cells))
    own = ops.read(_NEVER * tf.eye(num_classes), tf.gather(label, met))
    others = ops.read(logits, met) - own
    others = tf.gather(
        tf.reduce_max(others, axis=1), tf.gather(upsample.row_of_cell(met, num_cells), corners)
    )
    is_third = (corner_label != low[:, None]) & (corner_label != high[:, None])
    others = tf.where(is_third, logits.dtype.max, others)

    def compare_all(cells):
        values = tf.gather(logits, upsample.corners(cells, grid_size))  # [d, 4, classes]
        return ops.best(ops.matmul(upsample.PIXEL_WEIGHTS, values))

    best, doubtful = upsample.better_of_pixels(
        low, high, scores(low), scores(high), others, upsample.interpolate
    )
    doubtful = grid.indices(tf.reshape(doubtful, [-1])) // upsample.PIXELS
    doubtful = grid.indices(grid.flags(doubtful, tf.shape(cells)[0]))
    compared = upsample.in_chunks(compare_all, tf.gather(cells, doubtful))
    return tf.tensor_scatter_nd_update(best, doubtful[:, None], compared), doubtful
