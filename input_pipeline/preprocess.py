"""From a labelled image of any size to one of the network's: augmentation for training, fitting for evaluation.

A sample is a dict of `image` uint8 [H, W, 3], `semantic` int32 [H, W], `instance` int32 [H, W] and `crowd` bool [H, W].
Every random choice is a stateless function of a seed. Images are padded with the mean 127.5 (127 as uint8), labels with
ignore (paper Sec. 4; DeepLab).
"""

import tensorflow as tf

from deeperlab_tf import image_size
from deeperlab_tf.schema import IGNORE_LABEL

CROWD_BIT = 2**8  # packed labels: semantic in bits 0-7, crowd in bit 8, instance from bit 9 on
INSTANCE_UNIT = 2**9


def augment(sample, data, seed):
    """Random scale, crop, flip and photometric changes: a sample of static size `data.crop_size`.

    Only the part of the image that ends up in the crop is resampled, so the cost hardly depends on the image's size.

    Args:
      sample: dict, see above.
      data: config.data; reads longer_side, *_scale, scale_step, crop_size, flip, brightness, contrast, saturation.
      seed: int32 or int64 [2].
    """
    scale_seed, place_seed, flip_seed, photo_seed = tf.unstack(tf.random.split(seed, 4))
    size = tf.shape(sample["image"])[:2]
    height, width = image_size.scaled_size(size[0], size[1], data.longer_side)
    factor = tf.cast(_random_scale(data, scale_seed), tf.float64)
    scaled = tf.maximum(tf.cast(tf.round(tf.cast(tf.stack([height, width]), tf.float64) * factor), tf.int32), 1)

    crop = list(data.crop_size)
    room = scaled - crop  # negative where the crop is larger: the image lies somewhere inside it
    place = tf.cast(
        tf.floor(tf.random.stateless_uniform([2], place_seed) * tf.cast(tf.abs(room) + 1, tf.float32)), tf.int32
    )
    origin = tf.sign(room) * tf.minimum(place, tf.abs(room))

    image = _resample_image(sample["image"], scaled, origin, crop)
    image = _photometric(image, data, photo_seed)
    labels = _resample_labels(_pack_labels(sample), scaled, origin, crop)
    inside = _inside(scaled, origin, crop)
    image = tf.where(inside[..., None], tf.cast(image, tf.uint8), tf.cast(image_size.PADDING_VALUE, tf.uint8))
    labels = tf.where(inside, labels, tf.cast(IGNORE_LABEL, tf.int64))
    if data.flip:
        flip = tf.random.stateless_uniform([], flip_seed) < 0.5
        image, labels = tf.cond(
            flip, lambda: (tf.reverse(image, [1]), tf.reverse(labels, [1])), lambda: (image, labels)
        )
    image = tf.ensure_shape(image, [*crop, 3])
    return {"image": image, **_unpack_labels(tf.ensure_shape(labels, crop))}


def fit(sample, config):
    """The whole image at its size for evaluation, padded at the bottom and right: the counterpart of `augment`.

    Adds `content_size` int32 [2]: the part of the padded image that the original fills.
    """
    size = tf.shape(sample["image"])[:2]
    content = tf.stack(image_size.content_size(size[0], size[1], config))
    height, width = image_size.network_size(content[0], content[1], config)
    image = image_size.resize_image(sample["image"], content[0], content[1])
    labels = _resample_labels(_pack_labels(sample), content, tf.zeros([2], tf.int32), content)
    paddings = [[0, height - content[0]], [0, width - content[1]]]
    labels = tf.pad(labels, paddings, constant_values=tf.cast(IGNORE_LABEL, tf.int64))
    image = image_size.pad_image(image, height, width)
    if config.eval.pad_to_size:
        image = tf.ensure_shape(image, [*config.eval.image_size, 3])
        labels = tf.ensure_shape(labels, config.eval.image_size)
    return {"image": image, **_unpack_labels(labels), "content_size": content}


def _random_scale(data, seed):
    """One of min_scale, min_scale + scale_step, …, max_scale; anything in between where scale_step is 0."""
    if data.min_scale == data.max_scale:
        return tf.constant(data.min_scale)
    if data.scale_step <= 0:
        return tf.random.stateless_uniform([], seed, data.min_scale, data.max_scale)
    steps = round((data.max_scale - data.min_scale) / data.scale_step) + 1
    step = tf.random.stateless_uniform([], seed, 0, steps, dtype=tf.int32)
    return data.min_scale + tf.cast(step, tf.float32) * data.scale_step


def _resample_image(image, scaled, origin, crop):
    """The window `crop` at `origin` of the image resized to `scaled`; float32 [*crop, 3], arbitrary outside the image.

    Bilinear, antialiased where it shrinks: the same pixels as `image_size.resize_image`.
    """
    size = tf.shape(image)[:2]
    scale = tf.cast(scaled, tf.float32) / tf.cast(size, tf.float32)
    margin = tf.maximum(1.0, 1.0 / scale) + 1.0  # reach of the kernel, source pixels
    first = tf.cast(tf.floor(tf.cast(origin, tf.float32) / scale - margin), tf.int32)
    last = tf.cast(tf.math.ceil(tf.cast(origin + crop, tf.float32) / scale + margin), tf.int32)
    first, last = tf.clip_by_value(first, 0, size - 1), tf.clip_by_value(last, 1, size)
    part = tf.cast(image[first[0] : last[0], first[1] : last[1]], tf.float32)
    translation = tf.cast(first, tf.float32) * scale - tf.cast(origin, tf.float32)
    resampled = tf.raw_ops.ScaleAndTranslate(
        images=part[None], size=crop, scale=scale, translation=translation, kernel_type="triangle", antialias=True
    )[0]
    return tf.clip_by_value(tf.round(resampled), 0, 255)


def _resample_labels(labels, scaled, origin, crop):
    """The window `crop` at `origin` of `labels` resized to `scaled` by nearest neighbour (of pixel centres)."""
    for axis in range(2):
        side = tf.shape(labels)[axis]
        position = tf.cast(origin[axis] + tf.range(crop[axis]), tf.float64) + 0.5
        source = tf.floor(position * tf.cast(side, tf.float64) / tf.cast(scaled[axis], tf.float64))
        labels = tf.gather(labels, tf.clip_by_value(tf.cast(source, tf.int32), 0, side - 1), axis=axis)
    return labels


def _inside(scaled, origin, crop):
    """bool [*crop]: which pixels of the window lie in the image."""
    rows, columns = (
        (origin[axis] + tf.range(crop[axis]) >= 0) & (origin[axis] + tf.range(crop[axis]) < scaled[axis])
        for axis in range(2)
    )
    return rows[:, None] & columns[None, :]


def _photometric(image, data, seed):
    """Random brightness, contrast and saturation of a float32 image [H, W, 3] in 0-255."""
    if not (data.brightness or data.contrast or data.saturation):
        return image
    change = tf.random.stateless_uniform([3], seed, -1.0, 1.0)
    gray = tf.image.rgb_to_grayscale(image)
    image = gray + (image - gray) * (1 + change[0] * data.saturation)
    mean = tf.reduce_mean(gray)
    image = mean + (image - mean) * (1 + change[1] * data.contrast) + 255 * change[2] * data.brightness
    return tf.clip_by_value(tf.round(image), 0, 255)


def _pack_labels(sample):
    """All three label maps in one int64 map, so that they are resampled in one go."""
    semantic, instance = tf.cast(sample["semantic"], tf.int64), tf.cast(sample["instance"], tf.int64)
    return instance * INSTANCE_UNIT + tf.cast(sample["crowd"], tf.int64) * CROWD_BIT + semantic


def _unpack_labels(labels):
    return {
        "semantic": tf.cast(labels % CROWD_BIT, tf.int32),
        "instance": tf.cast(labels // INSTANCE_UNIT, tf.int32),
        "crowd": labels // CROWD_BIT % 2 == 1,
    }
