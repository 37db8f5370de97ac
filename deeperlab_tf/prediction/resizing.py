"""Resizing by tables, for XLA, which has no kernels of TensorFlow's for it.

Sizes are known: which pixels make up which, and their shares, are constants.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow import Tensor


class _Shares(NamedTuple):
    """Of which pixels each of n new ones consists, along one side.

    Attributes:
      places: int32 [n, K].
      weights: float32 [n, K], which add up to 1.
    """

    places: np.ndarray
    weights: np.ndarray


def resize_image(images: Tensor, height: int, width: int) -> Tensor:
    """As `image_size.resize_image`: bilinearly, antialiased where it shrinks.

    Args:
      images: uint8 [B, H, W, 3], of known size.
      height, width: the new size.

    Returns:
      uint8 [B, height, width, 3].
    """
    if images.shape[1:3] == (height, width):
        return images
    pixels = tf.cast(images, tf.float32)
    for axis, side in ((1, height), (2, width)):
        places, weights = _shares(images.shape[axis], side)
        shape = [-1 if each == axis else 1 for each in range(4)]
        # One of the K at a time: XLA makes one loop of it.
        parts = [
            tf.gather(pixels, places[:, k], axis=axis) * weights[:, k].reshape(shape)
            for k in range(places.shape[1])
        ]
        pixels = tf.add_n(parts)
    pixels = tf.clip_by_value(tf.round(pixels), 0, 255)
    return tf.cast(pixels, tf.uint8)


def resize_labels(labels: Tensor, height: int, width: int) -> Tensor:
    """As `image_size.resize_labels`, by the nearest: int32 [B, H, W] -> [B, height, width]."""
    for axis, side in ((1, height), (2, width)):
        if labels.shape[axis] == side:
            continue
        labels = tf.gather(labels, _nearest(labels.shape[axis], side), axis=axis)
    return labels


def _nearest(old, new):
    """int32 [new], the nearest of `old` pixels."""
    scale = np.float32(old) / np.float32(new)
    centers = (np.arange(new, dtype=np.float32) + np.float32(0.5)) * scale
    return np.minimum(np.floor(centers).astype(np.int32), old - 1)


def _shares(old, new):
    """`_Shares` of `old` pixels in `new` ones: a triangle as wide as the larger pixel, twice."""
    scale = old / new
    reach = max(scale, 1.0)
    centers = (np.arange(new) + 0.5) * scale
    first = np.ceil(centers - reach - 0.5).astype(np.int32)
    places = first[:, None] + np.arange(2 * math.ceil(reach) + 1, dtype=np.int32)
    distances = np.abs(places + 0.5 - centers[:, None])
    weights = np.maximum(1 - distances / reach, 0)
    weights *= (places >= 0) & (places < old)
    weights /= weights.sum(axis=1, keepdims=True)
    return _Shares(np.clip(places, 0, old - 1), weights.astype(np.float32))
