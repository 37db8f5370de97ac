"""From a labelled image of any size to one of the network's: augmentation for training, fitting for
evaluation.

A sample is a dict of `image` uint8 [H, W, 3], `semantic` int32 [H, W], `instance` int32 [H, W] and
`crowd` bool [H, W]. Every random choice is a stateless function of a seed. Images are padded with
the mean 127.5 (127 as uint8), labels with ignore (paper Sec. 4; DeepLab).
"""

import tensorflow as tf

from deeperlab_tf import image_size
from deeperlab_tf.schema import IGNORE_LABEL

LABELS = ("semantic", "instance", "crowd")

_MEAN = image_size.PADDING_VALUE
_CROWD_BIT = 2**8
_INSTANCE_BITS = 9
_INSTANCE_UNIT = 2**_INSTANCE_BITS


def augment(sample, data, seed):
    """Random scale, crop, flip and photometric changes: a sample of static size `data.crop_size`.

    Only the part of the image that ends up in the crop is resampled, so the cost hardly depends on
    the image's size.

    Args:
      sample: dict, see above.
      data: config.data; reads longer_side, *_scale, scale_step, crop_size, flip, brightness,
        contrast, saturation.
      seed: int32 or int64 [2].
    """
    scale_seed, place_seed, flip_seed, photo_seed = tf.unstack(tf.random.split(seed, 4))
    image, labels, before, after = scale_and_crop(sample, data, scale_seed, place_seed)
    image = tf.cast(_photometric(image, data, photo_seed), tf.uint8)
    if data.flip:
        flip = tf.random.stateless_uniform([], flip_seed) < 0.5
        image, labels = tf.cond(flip, lambda: _mirror(image, labels), lambda: (image, labels))
    image, labels = _pad(image, labels, before, after)
    crop = list(data.crop_size)
    return {
        "image": tf.ensure_shape(image, [*crop, 3]),
        **_unpack_labels(tf.ensure_shape(labels, crop)),
    }


def scale_and_crop(sample, data, scale_seed, place_seed):
    """The first part of `augment`: what a random crop holds of the image at a random scale,
    resampled.

    Returns:
      image float32 [h, w, 3] of whole numbers, packed labels int64 [h, w], and the padding (y, x)
      before and after them, int32 [2] each, that makes a crop of them.
    """
    size = tf.shape(sample["image"])[:2]
    scaled = tf.stack(image_size.scaled_size(size[0], size[1], data.longer_side))
    factor = tf.cast(_random_scale(data, scale_seed), tf.float64)
    scaled = tf.maximum(tf.cast(tf.round(tf.cast(scaled, tf.float64) * factor), tf.int32), 1)

    # Where the image is larger than the crop, `place` is where the crop begins in it; where
    # smaller, the reverse.
    crop = list(data.crop_size)
    room = tf.cast(tf.abs(scaled - crop) + 1, tf.float32)
    place = tf.cast(tf.floor(tf.random.stateless_uniform([2], place_seed) * room), tf.int32)
    origin = tf.where(scaled > crop, place, 0)
    before = tf.where(scaled > crop, 0, place)
    window = tf.minimum(scaled, crop)
    return *_resample(sample, scaled, origin, window), before, crop - window - before


def fit(sample, config):
    """The whole image at its size for evaluation, padded at the bottom and right: the counterpart
    of `augment`.

    Adds `content_size` int32 [2]: the part of the padded image that the original fills.
    """
    size = tf.shape(sample["image"])[:2]
    content = tf.stack(image_size.content_size(size[0], size[1], config))
    height, width = image_size.network_size(content[0], content[1], config)
    image, labels = _resample(sample, content, tf.zeros([2], tf.int32), content)
    image, labels = _pad(
        tf.cast(image, tf.uint8), labels, tf.zeros([2], tf.int32), [height, width] - content
    )
    if config.eval.pad_to_size:
        image = tf.ensure_shape(image, [*config.eval.image_size, 3])
        labels = tf.ensure_shape(labels, config.eval.image_size)
    return {"image": image, **_unpack_labels(labels), "content_size": content}


def _random_scale(data, seed):
    """One of min_scale, min_scale + scale_step, …, max_scale; anything in between where scale_step
    is 0.
    """
    if data.min_scale == data.max_scale:
        return tf.constant(data.min_scale)
    if data.scale_step <= 0:
        return tf.random.stateless_uniform([], seed, data.min_scale, data.max_scale)
    steps = round((data.max_scale - data.min_scale) / data.scale_step) + 1
    step = tf.random.stateless_uniform([], seed, 0, steps, dtype=tf.int32)
    return data.min_scale + tf.cast(step, tf.float32) * data.scale_step


def _resample(sample, scaled, origin, window):
    """The part of size `window` at `origin` of the sample resized to `scaled`.

    The image is resampled bilinearly, antialiased where it shrinks: the same pixels as
    `image_size.resize_image`. Labels are resampled by nearest neighbour (of pixel centres).

    Returns:
      image float32 [*window, 3] of whole numbers, packed labels int64 [*window].
    """
    size = tf.shape(sample["image"])[:2]
    scale = tf.cast(scaled, tf.float32) / tf.cast(size, tf.float32)
    margin = tf.maximum(1.0, 1.0 / scale) + 1.0  # reach of the kernel, source pixels
    first = tf.cast(tf.floor(tf.cast(origin, tf.float32) / scale - margin), tf.int32)
    last = tf.cast(tf.math.ceil(tf.cast(origin + window, tf.float32) / scale + margin), tf.int32)
    first, last = tf.clip_by_value(first, 0, size - 1), tf.clip_by_value(last, 1, size)
    part = {name: sample[name][first[0] : last[0], first[1] : last[1]] for name in LABELS}

    image = tf.raw_ops.ScaleAndTranslate(
        images=sample["image"][first[0] : last[0], first[1] : last[1]][tf.newaxis],
        size=window,
        scale=scale,
        translation=tf.cast(first, tf.float32) * scale - tf.cast(origin, tf.float32),
        kernel_type="triangle",
        antialias=True,
    )[0]
    return tf.round(image), _resample_labels(
        _pack_labels(part), size, scaled, origin, window, first
    )


def _resample_labels(labels, size, scaled, origin, window, first):
    """`_resample` for packed labels, of which only the part from `first` on is given."""
    ratio = tf.cast(size, tf.float64) / tf.cast(scaled, tf.float64)
    rows, columns = (
        tf.cast(
            (tf.cast(origin[axis] + tf.range(window[axis]), tf.float64) + 0.5) * ratio[axis],
            tf.int32,
        )
        for axis in range(2)
    )
    rows, columns = (
        tf.minimum(rows, size[0] - 1) - first[0],
        tf.minimum(columns, size[1] - 1) - first[1],
    )
    return tf.gather(tf.reshape(labels, [-1]), rows[:, tf.newaxis] * tf.shape(labels)[1] + columns)


def _mirror(image, labels):
    return tf.reverse(image, [1]), tf.reverse(labels, [1])


def _pad(image, labels, before, after):
    """Pads with the mean and with ignore, `before` and `after` (y, x) the image."""
    paddings = tf.stack([before, after], axis=1)
    image = tf.pad(
        image, tf.pad(paddings, [[0, 1], [0, 0]]), constant_values=tf.constant(_MEAN, tf.uint8)
    )
    return image, tf.pad(labels, paddings, constant_values=tf.constant(IGNORE_LABEL, tf.int64))


def _photometric(image, data, seed):
    """Random brightness, contrast and saturation of a float32 image [H, W, 3] in 0-255."""
    if not (data.brightness or data.contrast or data.saturation):
        return image
    change = tf.random.stateless_uniform([3], seed, -1.0, 1.0)
    gray = tf.image.rgb_to_grayscale(image)
    image = gray + (image - gray) * (1 + change[0] * data.saturation)
    mean = tf.reduce_mean(gray)
    image = (
        mean + (image - mean) * (1 + change[1] * data.contrast) + 255 * change[2] * data.brightness
    )
    return tf.clip_by_value(tf.round(image), 0, 255)


def _pack_labels(labels):
    """All label maps in one int64 map, so that they are resampled in one go: semantic in bits 0-7,
    crowd in bit 8.
    """
    semantic, instance = (
        tf.cast(labels["semantic"], tf.int64),
        tf.cast(labels["instance"], tf.int64),
    )
    return instance * _INSTANCE_UNIT + tf.cast(labels["crowd"], tf.int64) * _CROWD_BIT + semantic


def _unpack_labels(labels):
    low = tf.bitwise.bitwise_and(tf.cast(labels, tf.int32), _INSTANCE_UNIT - 1)
    return {
        "semantic": tf.bitwise.bitwise_and(low, _CROWD_BIT - 1),
        "instance": tf.cast(tf.bitwise.right_shift(labels, _INSTANCE_BITS), tf.int32),
        "crowd": low >= _CROWD_BIT,
    }
