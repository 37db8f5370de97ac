"""Which size an image takes on its way into the network: longer side, fit, pad (paper Sec. 4).

Used by training data, evaluation, prediction and exported models alike, so that all of them see the
same pixels. Sizes are (height, width); Python integers or scalar int32 tensors work alike.
"""

import tensorflow as tf

PADDING_VALUE = 127  # the mean 127.5 of an image, which the network sees as (almost) zero
# Larger files are taken for decompression bombs; a photo of 6000 x 4000 has 2.4e7.
MAX_PIXELS = 2**27
STRIDE = 16  # of the encoder's output: network inputs have sides 16k + 1


def padded_side(side):
    """Smallest 16k + 1 (k >= 1) that is at least `side`."""
    return tf.maximum((side - 2) // STRIDE + 1, 1) * STRIDE + 1


def scaled_size(height, width, longer_side):
    """(height, width) scaled so that the longer side is `longer_side`; unchanged where that is 0."""
    if longer_side <= 0:
        return tf.convert_to_tensor(height), tf.convert_to_tensor(width)
    return _scale(height, width, longer_side / tf.cast(tf.maximum(height, width), tf.float64))


def content_size(height, width, config):
    """Size an image is resized to for evaluation: to `data.longer_side`, then shrunk to fit
    `eval.image_size`.
    """
    height, width = scaled_size(height, width, config.data.longer_side)
    limit_y, limit_x = config.eval.image_size
    factor = tf.minimum(limit_y / height, limit_x / width)
    return _scale(height, width, tf.minimum(factor, 1.0))


def network_size(content_height, content_width, config):
    """Size the resized image is padded to: `eval.image_size`, or the next 16k + 1 where
    `eval.pad_to_size` is off.
    """
    if config.eval.pad_to_size:
        return tuple(tf.constant(side) for side in config.eval.image_size)
    return padded_side(content_height), padded_side(content_width)


def resize_image(image, height, width):
    """Resizes uint8 images [..., H, W, 3] bilinearly, antialiased where it shrinks. Same size:
    returned untouched.
    """

    def resized():
        pixels = tf.image.resize(image, tf.stack([height, width]), antialias=True)
        return tf.cast(tf.clip_by_value(tf.round(pixels), 0, 255), tf.uint8)

    current = tf.shape(image)[-3:-1]
    same = tf.logical_and(tf.equal(current[0], height), tf.equal(current[1], width))
    return tf.cond(same, lambda: tf.identity(image), resized)


def pad_image(image, height, width):
    """Pads uint8 images [..., H, W, 3] at the bottom and right with `PADDING_VALUE`."""
    current = tf.shape(image)
    below, right = height - current[-3], width - current[-2]
    paddings = [[0, 0]] * (len(image.shape) - 3) + [[0, below], [0, right], [0, 0]]
    return tf.pad(image, paddings, constant_values=tf.constant(PADDING_VALUE, image.dtype))


def resize_labels(labels, height, width):
    """Resizes integer label maps [B, H, W] by nearest neighbour (pixel centres, as `resize_image`)."""
    resized = tf.image.resize(labels[..., tf.newaxis], tf.stack([height, width]), method="nearest")
    return resized[..., 0]


def _scale(height, width, factor):
    def scale(side):
        return tf.maximum(
            tf.cast(tf.round(tf.cast(side, tf.float64) * tf.cast(factor, tf.float64)), tf.int32), 1
        )

    return scale(height), scale(width)
