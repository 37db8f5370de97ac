"""From images of any size to parses of the same size: the one path of evaluation, prediction and
exported models.
"""

import numpy as np
import tensorflow as tf

from deeperlab_tf.fusion import fuse
from deeperlab_tf.heads import HEAD_STRIDE
from deeperlab_tf.image_size import (
    content_size,
    network_size,
    pad_image,
    resize_image,
    resize_labels,
)


def parse_images(network, images, config, thing_classes):
    """Resizes and pads (Sec. 4), runs the network once, fuses (Sec. 3.4), and maps the parse back.

    Args:
      network: keras.Model of `build_model`.
      images: uint8 [B, H, W, 3], RGB, any size.
      config: the full config.
      thing_classes: class indices of things.

    Returns:
      dict of `fusion.fuse`, label maps [B, H, W] and coordinates in the pixels of `images`.
    """
    heads = network(prepare_images(images, config), training=False)
    return parse_heads(heads, tf.shape(images)[1], tf.shape(images)[2], config, thing_classes)


def parse_heads(heads, height, width, config, thing_classes):
    """The parse of `parse_images` from raw heads of `prepare_images`, for images that were `height`
    x `width`.
    """
    content = content_size(height, width, config)
    parse = fuse(heads, content, thing_classes, config.fusion)
    return _restore(parse, content, (height, width))


def prepare_images(images, config):
    """The network's input for uint8 images [B, H, W, 3]: resized, then padded to sides 16k + 1.
    uint8.
    """
    content = content_size(tf.shape(images)[1], tf.shape(images)[2], config)
    return pad_image(resize_image(images, *content), *network_size(*content, config))


def instance_maps(heads, height, width, config):
    """The instance heads of one image as people look at them.

    Args:
      heads: dict of the raw heads of `prepare_images`, for one image that was `height` x `width`;
        batch of 1.
      height, width: int.
      config: the full config.

    Returns:
      dict of float32 NumPy arrays at stride 4 of the network's input, padding cut off: `heatmap`
      [h, w, P] in 0-1, `short_offsets`, `long_offsets` [h, w, P, 2], `middle_offsets` [h, w, E, 2].
    """
    rows, columns = (
        (int(side) - 1) // HEAD_STRIDE + 1 for side in content_size(height, width, config)
    )
    inside = {name: np.asarray(values)[0, :rows, :columns] for name, values in heads.items()}
    maps = {
        name: inside[name].reshape(rows, columns, -1, 2)
        for name in ("short_offsets", "middle_offsets", "long_offsets")
    }
    return dict(maps, heatmap=1 / (1 + np.exp(-inside["keypoint_logits"])))


def _restore(parse, content, original):
    """Maps a parse from the size the network saw to the size of the original images."""
    same = tf.logical_and(tf.equal(content[0], original[0]), tf.equal(content[1], original[1]))
    scale = tf.stack([tf.cast(big / small, tf.float32) for big, small in zip(original, content)])
    restored = dict(parse)
    for key in ("semantic", "instance", "panoptic"):
        restored[key] = tf.cond(
            same,
            lambda labels=parse[key]: tf.identity(labels),
            lambda labels=parse[key]: resize_labels(labels, *original),
        )
    restored["instance_box"] = parse["instance_box"] * tf.tile(scale, [2])
    if "instance_keypoints" in parse:
        restored["instance_keypoints"] = parse["instance_keypoints"] * scale
    return restored
