"""From images of any size to parses of the same size.

The one path of evaluation, prediction and exported models, so that all of them see the same pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from deeperlab_tf.compat import keras
from deeperlab_tf.fusion import fuse
from deeperlab_tf.heads import grid_side
from deeperlab_tf.pixels.image_size import (
    content_size,
    network_size,
    pad_image,
    resize_image,
    resize_labels,
)

_OFFSETS = ("short_offsets", "middle_offsets", "long_offsets")
_LABEL_MAPS = ("semantic", "instance", "panoptic")


def parse_images(
    network: keras.Model, images: tf.Tensor, config: ConfigDict, thing_classes: Sequence[int]
) -> dict[str, tf.Tensor]:
    """Resizes and pads (Sec. 4), runs the network once, fuses (Sec. 3.4), and maps the parse back.

    Args:
      network: of `build_model`.
      images: uint8 [B, H, W, 3], RGB, any size.
      config: the whole config.
      thing_classes: class indices of things.

    Returns:
      dict of `fusion.fuse`, label maps [B, H, W] and coordinates in the pixels of `images`.
    """
    heads = network(prepare_images(images, config), training=False)
    height, width = tf.shape(images)[1], tf.shape(images)[2]
    return parse_heads(heads, height, width, config, thing_classes)


def parse_heads(
    heads: Mapping[str, tf.Tensor],
    height: int | tf.Tensor,
    width: int | tf.Tensor,
    config: ConfigDict,
    thing_classes: Sequence[int],
) -> dict[str, tf.Tensor]:
    """The parse of `parse_images` from the raw heads of images that were `height` x `width`.

    Args:
      heads: what the network gives for `prepare_images`.
      height, width: int or int32 scalar, of the images before they were prepared.
      config: the whole config.
      thing_classes: class indices of things.

    Returns:
      As `parse_images`.
    """
    content = content_size(height, width, config)
    parse = fuse(heads, content, thing_classes, config.fusion)
    return _restore(parse, content, (height, width))


def prepare_images(images: tf.Tensor, config: ConfigDict) -> tf.Tensor:
    """The network's input for images: resized, then padded to sides 16k + 1.

    Args:
      images: uint8 [B, H, W, 3], RGB.
      config: the whole config.

    Returns:
      uint8 [B, H', W', 3].
    """
    content = content_size(tf.shape(images)[1], tf.shape(images)[2], config)
    resized = resize_image(images, *content)
    return pad_image(resized, *network_size(*content, config))


def instance_maps(
    heads: Mapping[str, tf.Tensor], height: int, width: int, config: ConfigDict
) -> dict[str, np.ndarray]:
    """The instance heads of one image as people look at them.

    Args:
      heads: what the network gives for `prepare_images`, batch of 1.
      height, width: of the image before it was prepared.
      config: the whole config.

    Returns:
      dict of float32 arrays at stride 4 of the network's input, padding cut off: `heatmap`
      [h, w, P] in 0-1, `short_offsets`, `long_offsets` [h, w, P, 2], `middle_offsets` [h, w, E, 2].
    """
    # What lies beyond the image's own cells is padding.
    content_height, content_width = content_size(height, width, config)
    rows, columns = grid_side(int(content_height)), grid_side(int(content_width))
    maps = {}
    for name in _OFFSETS:
        inside = np.asarray(heads[name])[0, :rows, :columns]
        maps[name] = inside.reshape(rows, columns, -1, 2)
    logits = np.asarray(heads["keypoint_logits"])[0, :rows, :columns]
    maps["heatmap"] = 1 / (1 + np.exp(-logits))
    return maps


def _restore(parse, content, original):
    """A parse at `content` size, as the network saw it, at the size of the original images."""
    # Decided in the graph: sizes differ from call to call.
    same_height = tf.equal(content[0], original[0])
    same = tf.logical_and(same_height, tf.equal(content[1], original[1]))
    factors = [tf.cast(big / small, tf.float32) for big, small in zip(original, content)]
    scale = tf.stack(factors)  # [2], (y, x)

    restored = dict(parse)
    for name in _LABEL_MAPS:
        restored[name] = _restore_labels(parse[name], original, same)
    restored["instance_box"] = parse["instance_box"] * tf.tile(scale, [2])
    if "instance_keypoints" in parse:
        restored["instance_keypoints"] = parse["instance_keypoints"] * scale
    return restored


def _restore_labels(labels, size, same):
    def unchanged():
        return tf.identity(labels)

    def resized():
        return resize_labels(labels, *size)

    return tf.cond(same, unchanged, resized)
