"""From an encoded picture to what a classifier sees of it: a random part, or the middle."""

from __future__ import annotations

import tensorflow as tf
from ml_collections import ConfigDict

from deeperlab_tf.pixels.image_size import resize_image
from input_pipeline.order import seed_pair

_MAX_ATTEMPTS = 10  # at finding a part of the wanted area and shape


def random_part(encoded: tf.Tensor, number: tf.Tensor, config: ConfigDict) -> tf.Tensor:
    """A part of random area and shape, resized to the crop, flipped by chance.

    Args:
      encoded: string [], a JPEG or PNG.
      number: running number of the image, on which the choice depends.
      config: the full config; reads pretrain.min_area, pretrain.max_aspect_ratio, data.crop_size,
        data.flip and data.seed.

    Returns:
      uint8 [*crop_size, 3].
    """
    data = config.data
    seeds = tf.random.split(seed_pair(data, number), 2)
    part_seed, flip_seed = tf.unstack(seeds)
    begin, size = _random_box(_image_shape(encoded), config.pretrain, part_seed)
    part = _decode_part(encoded, begin, size)
    image = resize_image(part, *data.crop_size)
    if data.flip:
        flip = tf.random.stateless_uniform([], flip_seed) < 0.5
        image = _mirror_if(flip, image)
    return tf.ensure_shape(image, [*data.crop_size, 3])


def middle(encoded: tf.Tensor, number: tf.Tensor, config: ConfigDict) -> tf.Tensor:
    """The middle square, `pretrain.center_crop` of the shorter side, resized.

    Args:
      encoded: string [], a JPEG or PNG.
      number: does not matter; as of `random_part`.
      config: the full config; reads pretrain.center_crop and eval.image_size.

    Returns:
      uint8 [*eval.image_size, 3].
    """
    del number
    size = _image_shape(encoded)[:2]
    shorter_side = tf.cast(tf.reduce_min(size), tf.float32)
    side = tf.cast(shorter_side * config.pretrain.center_crop, tf.int32)
    # (y, x) of its first pixel.
    begin = (size - side) // 2
    part = _decode_part(encoded, begin, tf.stack([side, side]))

    network_size = config.eval.image_size
    image = resize_image(part, *network_size)
    return tf.ensure_shape(image, [*network_size, 3])


def _mirror_if(flip: tf.Tensor, image: tf.Tensor) -> tf.Tensor:
    return tf.cond(flip, lambda: tf.reverse(image, [1]), lambda: image)


def _random_box(
    image_shape: tf.Tensor, pretrain: ConfigDict, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Begin and size of the random part, (y, x) int32 [2] each."""
    # [1, 1, 4]: the part need not hold any object but the image itself.
    whole = tf.constant([[[0.0, 0.0, 1.0, 1.0]]])
    ratio = pretrain.max_aspect_ratio
    begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
        image_shape,
        whole,
        seed,
        min_object_covered=0.0,
        aspect_ratio_range=(1 / ratio, ratio),
        area_range=(pretrain.min_area, 1.0),
        max_attempts=_MAX_ATTEMPTS,
        use_image_if_no_bounding_boxes=True,
    )
    return begin[:2], size[:2]


def _image_shape(encoded: tf.Tensor) -> tf.Tensor:
    """int32 [3]; one of ImageNet's JPEGs is a PNG."""

    def of_jpeg():
        shape = tf.io.extract_jpeg_shape(encoded)
        return tf.concat([shape[:2], [3]], axis=0)

    def of_png():
        image = tf.io.decode_png(encoded, channels=3)
        return tf.shape(image)

    return tf.cond(tf.io.is_jpeg(encoded), of_jpeg, of_png)


def _decode_part(encoded: tf.Tensor, begin: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """uint8 [*size, 3]; of a JPEG, only this part is decoded."""

    def of_jpeg():
        window = tf.concat([begin, size], axis=0)
        return tf.io.decode_and_crop_jpeg(encoded, window, channels=3)

    def of_png():
        image = tf.io.decode_png(encoded, channels=3)
        top, left = tf.unstack(begin)
        bottom, right = tf.unstack(begin + size)
        return image[top:bottom, left:right]

    return tf.cond(tf.io.is_jpeg(encoded), of_jpeg, of_png)
