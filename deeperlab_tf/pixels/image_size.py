"""Which size an image takes on its way into the network: longer side, fit, pad (paper Sec. 4).

Used by training data, evaluation, prediction and exported models alike, so that all of them see the
same pixels. Sizes are (height, width); Python integers or scalar int32 tensors work alike.
"""

from __future__ import annotations

from typing import Union

import tensorflow as tf
from ml_collections import ConfigDict

PADDING_VALUE = 127  # the mean 127.5 of an image, which the network sees as (almost) zero
STRIDE = 16  # of the encoder's output: network inputs have sides 16k + 1

Side = Union[int, tf.Tensor]  # pixels
Size = tuple[tf.Tensor, tf.Tensor]  # height and width


def padded_side(side: Side) -> tf.Tensor:
    """Smallest 16k + 1 (k >= 1) that is at least `side`."""
    return tf.maximum((side - 2) // STRIDE + 1, 1) * STRIDE + 1


def scaled_size(height: Side, width: Side, longer_side: int) -> Size:
    """(height, width) scaled so that the longer side is `longer_side`; 0 leaves them unchanged."""
    if longer_side <= 0:
        return tf.convert_to_tensor(height), tf.convert_to_tensor(width)
    # In 64 bits, or sides of thousands of pixels would be off by one.
    longest = tf.cast(tf.maximum(height, width), tf.float64)
    return _scale(height, width, longer_side / longest)


def content_size(height: Side, width: Side, config: ConfigDict) -> Size:
    """Size an image is resized to for evaluation.

    It is scaled to `config.data.longer_side`, then shrunk to fit `config.eval.image_size`.
    """
    height, width = scaled_size(height, width, config.data.longer_side)
    limit_y, limit_x = config.eval.image_size
    factor = tf.minimum(limit_y / height, limit_x / width)
    return _scale(height, width, tf.minimum(factor, 1.0))


def network_size(content_height: Side, content_width: Side, config: ConfigDict) -> Size:
    """Size the resized image is padded to.

    That is `config.eval.image_size`, or the next 16k + 1 where `config.eval.pad_to_size` is off.
    """
    if config.eval.pad_to_size:
        height, width = config.eval.image_size
        return tf.constant(height), tf.constant(width)
    return padded_side(content_height), padded_side(content_width)


def resize_image(image: tf.Tensor, height: Side, width: Side) -> tf.Tensor:
    """Resizes uint8 images [..., H, W, 3] bilinearly, antialiased where it shrinks.

    An image that has the size already is returned untouched.
    """

    def resized():
        size = tf.stack([height, width])
        pixels = tf.image.resize(image, size, antialias=True)
        pixels = tf.clip_by_value(tf.round(pixels), 0, 255)
        return tf.cast(pixels, tf.uint8)

    current = tf.shape(image)[-3:-1]
    same_height = tf.equal(current[0], height)
    same_width = tf.equal(current[1], width)
    same = tf.logical_and(same_height, same_width)
    return tf.cond(same, lambda: tf.identity(image), resized)


def pad_image(image: tf.Tensor, height: Side, width: Side) -> tf.Tensor:
    """Pads uint8 images [..., H, W, 3] at the bottom and right with `PADDING_VALUE`."""
    current = tf.shape(image)
    below = height - current[-3]
    right = width - current[-2]
    leading = [[0, 0]] * (len(image.shape) - 3)
    paddings = [*leading, [0, below], [0, right], [0, 0]]
    grey = tf.constant(PADDING_VALUE, image.dtype)
    return tf.pad(image, paddings, constant_values=grey)


def resize_labels(labels: tf.Tensor, height: Side, width: Side) -> tf.Tensor:
    """Resizes integer label maps [B, H, W] by nearest neighbour, aligned as `resize_image`."""
    # [B, H, W, 1]
    planes = labels[..., tf.newaxis]
    size = tf.stack([height, width])
    resized = tf.image.resize(planes, size, method="nearest")
    return resized[..., 0]


def _scale(height, width, factor):
    """Both sides times `factor`, rounded, at least 1: int32."""

    def scale(side):
        exact = tf.cast(side, tf.float64) * tf.cast(factor, tf.float64)
        rounded = tf.cast(tf.round(exact), tf.int32)
        return tf.maximum(rounded, 1)

    return scale(height), scale(width)
