"""Bounding boxes of instances, from their keypoints (paper Sec. 3.3.2), and their size λ."""

from __future__ import annotations

import tensorflow as tf
from tensorflow import Tensor

from deeperlab_tf.keypoints import BOTTOM_LEFT, BOTTOM_RIGHT, TOP_LEFT, TOP_RIGHT


def boxes_of(keypoints: Tensor) -> Tensor:
    """Bounding boxes from the four corner keypoints: float32 [N, P, 2] -> [N, 4], pixels.

    A box is (y1, x1, y2, x2). Each side is the mean of two corners, as y1 is of the upper left and
    the upper right one. The outermost pixels belong to the box, as in the targets: a one-pixel
    object has y1 = y2.
    """
    coordinates = tf.reshape(keypoints, [-1, 2 * keypoints.shape[1]])
    one = tf.gather(coordinates, _ONE, axis=1)
    other = tf.gather(coordinates, _OTHER, axis=1)
    return (one + other) / 2


# The two corners of each side, and which of their coordinates, y or x, it is the mean of.
_SIDES = (
    (TOP_LEFT, TOP_RIGHT, 0),
    (TOP_LEFT, BOTTOM_LEFT, 1),
    (BOTTOM_LEFT, BOTTOM_RIGHT, 0),
    (TOP_RIGHT, BOTTOM_RIGHT, 1),
)
_ONE = [2 * corner + axis for corner, _, axis in _SIDES]
_OTHER = [2 * corner + axis for _, corner, axis in _SIDES]


def box_sizes(boxes: Tensor) -> Tensor:
    """Heights and widths, outermost pixels included: float32 [..., 4] -> [..., 2].

    Not positive where a box is degenerate.
    """
    return boxes[..., 2:] - boxes[..., :2] + 1


def scale(boxes: Tensor) -> Tensor:
    """λ, the size of instances: square root of the box area. float32 [..., 4] -> [...], pixels."""
    sides = tf.maximum(box_sizes(boxes), 0.0)
    return tf.sqrt(tf.reduce_prod(sides, axis=-1))


def box_iou(boxes: Tensor) -> Tensor:
    """Intersection over union of all pairs of boxes: float32 [J, 4] -> [J, J]."""
    # Planes of pairs: short inner dimensions are slow.
    top, left, bottom, right = tf.unstack(boxes, axis=1)
    heights = _shared(top, bottom)
    widths = _shared(left, right)
    shared = tf.maximum(heights, 0.0) * tf.maximum(widths, 0.0)

    areas = tf.reduce_prod(box_sizes(boxes), axis=-1)
    return shared / (areas[:, None] + areas[None, :] - shared)


def _shared(first, last):
    """Pixels that pairs of intervals share: float32 [J] twice -> [J, J]; not positive: none."""
    ends = tf.minimum(last[:, None], last)
    starts = tf.maximum(first[:, None], first)
    return ends - starts + 1
