"""The predicted semantic segmentation, "stuff" and "thing" apart (paper Sec. 3.4.2), at full resolution."""

import dataclasses

import tensorflow as tf

from deeperlab_tf.fusion import grid, upsample


@dataclasses.dataclass(frozen=True)
class Semantics:
    """Semantic labels of one image.

    Attributes:
      label: int32 [h · w], of grid cells.
      is_thing: bool [h · w].
      is_mixed: bool [h · w], cells whose corners disagree.
      mixed_pixels: int32 [m, 16], labels of the pixels of mixed cells.
      support: bool [h · w], where long-range offsets matter: thing cells, and the corners of orphans.
      is_orphan: bool [h · w], cells inside which a thing class surfaces although all four corners are stuff.
    """

    label: tf.Tensor
    is_thing: tf.Tensor
    is_mixed: tf.Tensor
    mixed_pixels: tf.Tensor
    support: tf.Tensor
    is_orphan: tf.Tensor

    def pixels_of(self, cells):
        """Labels of the pixels of flat cells: int32 [n] -> int32 [n, 16]."""
        return upsample.pixels_of(cells, self.is_mixed, self.mixed_pixels, self.label)


def semantics(logits, thing_classes, grid_size):
    """Labels the grid and the pixels of mixed cells by argmax of the interpolated logits.

    Args:
      logits: float32 [h · w, classes].
      thing_classes: class indices of things.
      grid_size: int32 [2], h and w.

    Returns:
      `Semantics`.
    """
    num_cells, num_classes = tf.shape(logits)[0], logits.shape[1]
    thing_table = tf.constant([label in thing_classes for label in range(num_classes)])
    label = tf.argmax(logits, axis=1, output_type=tf.int32)
    is_thing = tf.gather(thing_table, label)
    is_mixed = upsample.disagree(label, label, grid_size)
    mixed = grid.indices(is_mixed)
    pixels = semantic_pixels(logits, mixed, grid_size)

    corners = upsample.corners(mixed, grid_size)
    surfaces = tf.reduce_any(tf.gather(thing_table, pixels), axis=1)
    orphans = surfaces & ~tf.reduce_any(tf.gather(is_thing, corners), axis=1)
    is_orphan = _flags(tf.boolean_mask(mixed, orphans), num_cells)
    support = is_thing | _flags(tf.reshape(tf.boolean_mask(corners, orphans), [-1]), num_cells)
    return Semantics(label, is_thing, is_mixed, pixels, support, is_orphan)


def semantic_pixels(logits, cells, grid_size):
    """Best class of every pixel of flat cells, by interpolated logits: int32 [n] -> int32 [n, 16]."""

    def label(chunk):
        values = tf.gather(logits, upsample.corners(chunk, grid_size))  # [m, 4, classes]
        return tf.argmax(tf.matmul(upsample.PIXEL_WEIGHTS, values), axis=-1, output_type=tf.int32)

    return upsample.in_chunks(label, cells)


def _flags(cells, num_cells):
    """bool [num_cells], True at `cells` (int32 [n], repeats allowed)."""
    return tf.math.unsorted_segment_sum(tf.ones_like(cells), cells, num_cells) > 0
