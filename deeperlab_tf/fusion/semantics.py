"""The predicted semantic segmentation, "stuff" and "thing" apart (paper Sec. 3.4.2), at full resolution."""

import collections

import tensorflow as tf

from deeperlab_tf.fusion import upsample

# label, is_thing: of grid cells, int32 and bool [h · w].
# is_mixed: bool [h · w], cells whose corners disagree; pixels: int32 [m, 16], labels of their pixels.
# support: int32 [N], the cells whose long-range offsets matter: thing cells, and the corners of orphans.
# is_orphan: bool [h · w], cells inside which a thing class surfaces although all four corners are stuff.
# thing_table: bool [classes].
Semantics = collections.namedtuple(
    "Semantics", ["label", "is_thing", "is_mixed", "pixels", "support", "is_orphan", "thing_table"]
)


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
    mixed = tf.cast(tf.where(is_mixed)[:, 0], tf.int32)
    pixels = semantic_pixels(logits, mixed, grid_size)

    corners = upsample.corners(mixed, grid_size)
    surfaces = tf.reduce_any(tf.gather(thing_table, pixels), axis=1)
    orphans = surfaces & ~tf.reduce_any(tf.gather(is_thing, corners), axis=1)
    is_orphan = _flags(tf.boolean_mask(mixed, orphans), num_cells)
    support = is_thing | _flags(tf.reshape(tf.boolean_mask(corners, orphans), [-1]), num_cells)
    return Semantics(
        label, is_thing, is_mixed, pixels, tf.cast(tf.where(support)[:, 0], tf.int32), is_orphan, thing_table
    )


def semantic_pixels(logits, cells, grid_size):
    """Best class of every pixel of flat cells, by interpolated logits: int32 [n] -> int32 [n, 16]."""

    def label(chunk):
        values = tf.gather(logits, upsample.corners(chunk, grid_size))  # [m, 4, classes]
        return tf.argmax(tf.matmul(upsample.PIXEL_WEIGHTS, values), axis=-1, output_type=tf.int32)

    return upsample.in_chunks(label, cells)


def _flags(cells, num_cells):
    """bool [num_cells], True at `cells` (int32 [n], repeats allowed)."""
    return tf.math.unsorted_segment_sum(tf.ones_like(cells), cells, num_cells) > 0
