"""From images of any size to parses of the same size.

The one path of evaluation, prediction and exported models, so that all of them see the same pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from deeperlab_tf.compat import keras
from deeperlab_tf.fusion import fuse, ops
from deeperlab_tf.heads import grid_side
from deeperlab_tf.pixels.image_size import (
    Side,
    Size,
    content_size,
    network_size,
    pad_image,
    resize_image,
    resize_labels,
)
from deeperlab_tf.prediction import resizing

_OFFSETS = ("short_offsets", "middle_offsets", "long_offsets")
LABEL_MAPS = ("semantic", "instance", "panoptic")


def parse_images(
    network: keras.Model, images: tf.Tensor, config: ConfigDict, thing_classes: Sequence[int]
) -> dict[str, tf.Tensor]:
    """Resizes and pads (Sec. 4), runs the network once, fuses (Sec. 3.4), and maps the parse back.

    Of images of known shape, a tf.function around it may have jit_compile=True.

    Args:
      network: of `build_model`.
      images: uint8 [B, H, W, 3], RGB, any size.
      config: the whole config.
      thing_classes: class indices of things.

    Returns:
      dict of `fusion.fuse`, label maps [B, H, W] and coordinates in the pixels of `images`.
    """
    heads = network(prepare_images(images, config), training=False)
    return parse_heads(heads, *_sides(images), config, thing_classes)


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
    content = _known(content_size, height, width, config)
    parse = fuse(heads, content, thing_classes, config.fusion)
    return restore(parse, content, (height, width))


def prepare_images(images: tf.Tensor, config: ConfigDict) -> tf.Tensor:
    """The network's input for images: resized, then padded to sides 16k + 1.

    Args:
      images: uint8 [B, H, W, 3], RGB.
      config: the whole config.

    Returns:
      uint8 [B, H', W', 3].
    """
    content = _known(content_size, *_sides(images), config)
    size = _known(network_size, *content, config)

    def prepared():
        resize = resizing.resize_image if ops.is_compiled() else resize_image
        return pad_image(resize(images, *content), *size)

    if not _are_known(content):
        return prepared()
    # TensorFlow does not infer it.
    return tf.ensure_shape(ops.in_both_forms(prepared), [images.shape[0], *size, 3])


def _sides(images):
    """Height and width of images: ints where they are known, or int32 scalars."""
    known = images.shape[1:3]
    if not tf.executing_eagerly() and known.is_fully_defined():
        return known.as_list()
    return tf.shape(images)[1], tf.shape(images)[2]


def _are_known(sides):
    return all(isinstance(side, int) for side in sides)


def _known(size_of, height, width, config):
    """size_of(height, width, config), as ints where height and width are."""
    if not _are_known((height, width)):
        return size_of(height, width, config)
    # Outside the graph that is being made.
    with tf.init_scope():
        return [int(side) for side in size_of(height, width, config)]


def prepared_size(height: Side, width: Side, config: ConfigDict) -> Size:
    """(H', W') that `prepare_images` gives images of a size."""
    return network_size(*content_size(height, width, config), config)


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


def restore(
    parse: Mapping[str, tf.Tensor], content: Sequence[Side], original: Sequence[Side]
) -> dict[str, tf.Tensor]:
    """A parse at the size of the original images.

    Args:
      parse: of `fuse`.
      content: (H, W) at which it was made.
      original: (H, W) of the images.

    Returns:
      As `parse_images`.
    """
    # Decided in the graph: sizes differ from call to call.
    same_height = tf.equal(content[0], original[0])
    same = tf.logical_and(same_height, tf.equal(content[1], original[1]))
    factors = [tf.cast(big / small, tf.float32) for big, small in zip(original, content)]
    scale = tf.stack(factors)  # [2], (y, x)

    def labels():
        maps = [parse[name] for name in LABEL_MAPS]
        if ops.is_compiled():
            maps = [tf.ensure_shape(each, [None, *content]) for each in maps]
            return [resizing.resize_labels(each, *original) for each in maps]
        return [_restore_labels(each, original, same) for each in maps]

    restored = dict(parse)
    maps = ops.in_both_forms(labels) if _are_known((*content, *original)) else labels()
    restored.update(zip(LABEL_MAPS, maps))
    if "instance_box" in parse:
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
