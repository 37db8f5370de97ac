"""Bounding boxes of instances, from their keypoints (paper Sec. 3.3.2)."""

import tensorflow as tf

from deeperlab_tf.keypoints import BOTTOM_LEFT, BOTTOM_RIGHT, TOP_LEFT, TOP_RIGHT


def boxes_of(keypoints):
    """Bounding boxes from the four corner keypoints: float32 [N, P, 2] -> [N, 4] (y1, x1, y2, x2),
    pixels.

    Each side is the mean of two corners, as y1 is of the upper left and the upper right one. The
    outermost pixels belong to the box, as in the targets: a one-pixel object has y1 = y2.
    """
    coordinates = tf.reshape(keypoints, [-1, 2 * keypoints.shape[1]])
    return (tf.gather(coordinates, _ONE, axis=1) + tf.gather(coordinates, _OTHER, axis=1)) / 2


# The two corners of each side, and which of their coordinates, y or x, it is the mean of.
_SIDES = (
    (TOP_LEFT, TOP_RIGHT, 0),
    (TOP_LEFT, BOTTOM_LEFT, 1),
    (BOTTOM_LEFT, BOTTOM_RIGHT, 0),
    (TOP_RIGHT, BOTTOM_RIGHT, 1),
)
_ONE, _OTHER = zip(*((2 * one + axis, 2 * other + axis) for one, other, axis in _SIDES))


def box_sizes(boxes):
    """Heights and widths, outermost pixels included: float32 [..., 4] -> [..., 2]. Not positive:
    degenerate.
    """
    return boxes[..., 2:] - boxes[..., :2] + 1


def scale(boxes):
    """λ, the size of instances: square root of the box area. float32 [..., 4] -> [...]."""
    return tf.sqrt(tf.reduce_prod(tf.maximum(box_sizes(boxes), 0.0), axis=-1))


def box_iou(boxes):
    """Intersection over union of all pairs of boxes: float32 [J, 4] -> [J, J]."""
    areas = tf.reduce_prod(box_sizes(boxes), axis=-1)
    # Planes of pairs: short inner dimensions are slow.
    top, left, bottom, right = tf.unstack(boxes, axis=1)
    heights = tf.minimum(bottom[:, None], bottom) - tf.maximum(top[:, None], top) + 1
    widths = tf.minimum(right[:, None], right) - tf.maximum(left[:, None], left) + 1
    shared = tf.maximum(heights, 0.0) * tf.maximum(widths, 0.0)
    return shared / (areas[:, None] + areas[None, :] - shared)
