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
    num_coordinates = 2 * keypoints.shape[1]
    coordinates = tf.reshape(keypoints, [-1, num_coordinates])
    # [N, 4] each: a side's coordinate at one of its ends, and at the other.
    one = tf.gather(coordinates, _ONE, axis=1)
    other = tf.gather(coordinates, _OTHER, axis=1)
    return (one + other) / 2


def _coordinates(*corners):
    """Where the y, x, y and x of four corners are among all coordinates."""
    axes = (0, 1, 0, 1)
    return [2 * corner + axis for corner, axis in zip(corners, axes)]


# The two corners of which the top, left, bottom and right sides are the mean.
_ONE = _coordinates(TOP_LEFT, TOP_LEFT, BOTTOM_LEFT, TOP_RIGHT)
_OTHER = _coordinates(TOP_RIGHT, BOTTOM_LEFT, BOTTOM_RIGHT, BOTTOM_RIGHT)


def box_sizes(boxes: Tensor) -> Tensor:
    """Heights and widths, outermost pixels included: float32 [..., 4] -> [..., 2].

    Not positive where a box is degenerate.
    """
    first = boxes[..., :2]
    last = boxes[..., 2:]
    return last - first + 1


def scale(boxes: Tensor) -> Tensor:
    """λ, the size of instances: square root of the box area. float32 [..., 4] -> [...], pixels."""
    sides = tf.maximum(box_sizes(boxes), 0.0)
    areas = tf.reduce_prod(sides, axis=-1)
    return tf.sqrt(areas)


def box_iou(boxes: Tensor) -> Tensor:
    """Intersection over union of all pairs of boxes: float32 [J, 4] -> [J, J]."""
    # Planes of pairs: short inner dimensions are slow.
    top, left, bottom, right = tf.unstack(boxes, axis=1)
    # [J, J]
    heights = _shared(top, bottom)
    widths = _shared(left, right)
    shared = tf.maximum(heights, 0.0) * tf.maximum(widths, 0.0)

    areas = tf.reduce_prod(box_sizes(boxes), axis=-1)
    both = areas[:, None] + areas[None, :]
    return shared / (both - shared)


def _shared(first, last):
    """Pixels that pairs of intervals share: float32 [J] twice -> [J, J]; not positive: none."""
    ends = tf.minimum(last[:, None], last)
    starts = tf.maximum(first[:, None], first)
    return ends - starts + 1
