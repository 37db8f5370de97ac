"""From a labelled image of any size to one of the network's: augmentation for training, fitting for
evaluation.

A sample is a dict of `image` uint8 [H, W, 3], `semantic` int32 [H, W], `instance` int32 [H, W] and
`crowd` bool [H, W]. Every random choice is a stateless function of a seed. Images are padded with
the mean 127.5 (127 as uint8), labels with ignore (paper Sec. 4; DeepLab).
"""

from __future__ import annotations

import typing

import tensorflow as tf
from ml_collections import ConfigDict

from deeperlab_tf.pixels import image_size
from deeperlab_tf.schema import IGNORE_LABEL

LABELS = ("semantic", "instance", "crowd")

_MEAN = image_size.PADDING_VALUE
_CROWD_BIT = 2**8
_INSTANCE_BITS = 9
_INSTANCE_UNIT = 2**_INSTANCE_BITS

Tensors = dict[str, tf.Tensor]


class Window(typing.NamedTuple):
    """A part of a resized image.

    Attributes:
      size: int32 [2], (height, width) of the original.
      scaled: int32 [2], what the original is resized to.
      origin: int32 [2], (y, x) of the part's first pixel in the resized image.
      extent: int32 [2], (height, width) of the part.
    """

    size: tf.Tensor
    scaled: tf.Tensor
    origin: tf.Tensor
    extent: tf.Tensor


class Crop(typing.NamedTuple):
    """What a crop holds of an image, which does not yet fill it.

    Attributes:
      image: [h, w, 3], whole numbers 0-255.
      labels: int64 [h, w], packed.
      before: int32 [2], (y, x) padding at the top and left that the crop lacks.
      after: int32 [2], the same at the bottom and right.
    """

    image: tf.Tensor
    labels: tf.Tensor
    before: tf.Tensor
    after: tf.Tensor


def augment(sample: Tensors, data: ConfigDict, seed: tf.Tensor) -> Tensors:
    """Random scale, crop, flip and photometric changes: a sample of static size `data.crop_size`.

    Only the part of the image that ends up in the crop is resampled, so the cost hardly depends on
    the image's size.

    Args:
      sample: dict, see above.
      data: config.data; reads longer_side, *_scale, scale_step, crop_size, flip, brightness,
        contrast, saturation.
      seed: int32 or int64 [2].
    """
    seeds = tf.random.split(seed, 4)
    scale_seed, place_seed, flip_seed, photo_seed = tf.unstack(seeds)
    crop = scale_and_crop(sample, data, scale_seed, place_seed)
    image = _photometric(crop.image, data, photo_seed)
    image = tf.cast(image, tf.uint8)
    labels = crop.labels
    if data.flip:
        flip = tf.random.stateless_uniform([], flip_seed) < 0.5
        image, labels = _mirror_if(flip, image, labels)
    image, labels = _pad(crop._replace(image=image, labels=labels))
    return _unpack(image, labels, data.crop_size)


def scale_and_crop(
    sample: Tensors, data: ConfigDict, scale_seed: tf.Tensor, place_seed: tf.Tensor
) -> Crop:
    """The first part of `augment`: what a random crop holds of the image at a random scale."""
    size = tf.shape(sample["image"])[:2]
    scaled = _random_size(size, data, scale_seed)

    # Where the image is larger than the crop, `place` is where the crop begins in it; where
    # smaller, the reverse.
    wanted = list(data.crop_size)
    places = tf.abs(scaled - wanted) + 1
    share = tf.random.stateless_uniform([2], place_seed)
    place = tf.floor(share * tf.cast(places, tf.float32))
    place = tf.cast(place, tf.int32)
    is_larger = scaled > wanted
    origin = tf.where(is_larger, place, 0)
    before = tf.where(is_larger, 0, place)

    # What of the crop the image fills.
    extent = tf.minimum(scaled, wanted)
    after = wanted - extent - before
    window = Window(size, scaled, origin, extent)
    image, labels = _resample(sample, window)
    return Crop(image, labels, before, after)


def fit(sample: Tensors, config: ConfigDict) -> Tensors:
    """The whole image at its size for evaluation, padded at the bottom and right: the counterpart
    of `augment`.

    Adds `content_size` int32 [2]: the part of the padded image that the original fills.
    """
    size = tf.shape(sample["image"])[:2]
    height, width = tf.unstack(size)
    content = tf.stack(image_size.content_size(height, width, config))
    padded = image_size.network_size(*tf.unstack(content), config)
    nothing = tf.zeros([2], tf.int32)
    whole = Window(size, content, nothing, content)
    image, labels = _resample(sample, whole)
    image = tf.cast(image, tf.uint8)
    after = list(padded) - content
    image, labels = _pad(Crop(image, labels, before=nothing, after=after))
    static_size = config.eval.image_size if config.eval.pad_to_size else (None, None)
    fitted = _unpack(image, labels, static_size)
    return {**fitted, "content_size": content}


def _random_size(size: tf.Tensor, data: ConfigDict, seed: tf.Tensor) -> tf.Tensor:
    """int32 [2]: an image's size after setting its longer side and scaling it at random."""
    height, width = tf.unstack(size)
    before = tf.stack(image_size.scaled_size(height, width, data.longer_side))
    before = tf.cast(before, tf.float64)
    factor = tf.cast(_random_scale(data, seed), tf.float64)
    scaled = tf.round(before * factor)
    scaled = tf.cast(scaled, tf.int32)
    return tf.maximum(scaled, 1)


def _random_scale(data: ConfigDict, seed: tf.Tensor) -> tf.Tensor:
    """One of min_scale, min_scale + scale_step, …, max_scale; anything in between where scale_step
    is 0.
    """
    if data.min_scale == data.max_scale:
        return tf.constant(data.min_scale)
    if data.scale_step <= 0:
        return tf.random.stateless_uniform([], seed, data.min_scale, data.max_scale)
    spread = data.max_scale - data.min_scale
    steps = round(spread / data.scale_step) + 1
    step = tf.random.stateless_uniform([], seed, 0, steps, dtype=tf.int32)
    step = tf.cast(step, tf.float32)
    return data.min_scale + step * data.scale_step


def _resample(sample: Tensors, window: Window) -> tuple[tf.Tensor, tf.Tensor]:
    """A window of the resized sample.

    The image is resampled bilinearly, antialiased where it shrinks: the same pixels as
    `image_size.resize_image`. Labels are resampled by nearest neighbour (of pixel centres).

    Returns:
      image float32 [*extent, 3] of whole numbers, packed labels int64 [*extent].
    """
    size, origin = window.size, window.origin
    begin = tf.cast(origin, tf.float32)
    end = tf.cast(origin + window.extent, tf.float32)
    scaled = tf.cast(window.scaled, tf.float32)
    scale = scaled / tf.cast(size, tf.float32)

    # The part of the original from which the window is made, with the kernel's reach around it.
    margin = tf.maximum(1.0, 1.0 / scale) + 1.0
    first = tf.floor(begin / scale - margin)
    first = tf.cast(first, tf.int32)
    first = tf.clip_by_value(first, 0, size - 1)
    last = tf.math.ceil(end / scale + margin)
    last = tf.cast(last, tf.int32)
    last = tf.clip_by_value(last, 1, size)
    pixels = _cut(sample["image"], first, last)
    labels = {name: _cut(sample[name], first, last) for name in LABELS}
    labels = _pack_labels(labels)

    # Where the window begins, seen from the part.
    shift = tf.cast(first, tf.float32) * scale - begin
    image = tf.raw_ops.ScaleAndTranslate(
        images=pixels[tf.newaxis],
        size=window.extent,
        scale=scale,
        translation=shift,
        kernel_type="triangle",
        antialias=True,
    )[0]
    return tf.round(image), _resample_labels(labels, first, window)


def _cut(pixels: tf.Tensor, first: tf.Tensor, last: tf.Tensor) -> tf.Tensor:
    """The part [first, last) of a map [H, W, …]."""
    top, left = first[0], first[1]
    bottom, right = last[0], last[1]
    return pixels[top:bottom, left:right]


def _resample_labels(labels: tf.Tensor, first: tf.Tensor, window: Window) -> tf.Tensor:
    """`_resample` for packed labels, of which only the part from `first` on is given."""
    rows = _nearest_pixels(window, axis=0) - first[0]
    columns = _nearest_pixels(window, axis=1) - first[1]
    width = tf.shape(labels)[1]
    places = rows[:, tf.newaxis] * width + columns
    return tf.gather(tf.reshape(labels, [-1]), places)


def _nearest_pixels(window: Window, axis: int) -> tf.Tensor:
    """int32 [extent]: of each row (axis 0) or column of the window, that of the original."""
    size = window.size[axis]
    scaled = tf.cast(window.scaled[axis], tf.float64)
    ratio = tf.cast(size, tf.float64) / scaled
    # Of each pixel's centre, in float64, so that large sizes do not round to a neighbour.
    within = tf.range(window.extent[axis])
    place = tf.cast(window.origin[axis] + within, tf.float64)
    nearest = tf.cast((place + 0.5) * ratio, tf.int32)
    return tf.minimum(nearest, size - 1)


def _mirror_if(flip: tf.Tensor, image: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    def mirrored():
        return tf.reverse(image, [1]), tf.reverse(labels, [1])

    def unchanged():
        return image, labels

    return tf.cond(flip, mirrored, unchanged)


def _pad(crop: Crop) -> tuple[tf.Tensor, tf.Tensor]:
    """Image and labels, padded with the mean and with ignore."""
    of_labels = tf.stack([crop.before, crop.after], axis=1)
    of_image = tf.pad(of_labels, [[0, 1], [0, 0]])  # none of the channels
    mean = tf.constant(_MEAN, tf.uint8)
    ignore = tf.constant(IGNORE_LABEL, tf.int64)
    image = tf.pad(crop.image, of_image, constant_values=mean)
    labels = tf.pad(crop.labels, of_labels, constant_values=ignore)
    return image, labels


def _photometric(image: tf.Tensor, data: ConfigDict, seed: tf.Tensor) -> tf.Tensor:
    """Random brightness, contrast and saturation of a float32 image [H, W, 3] in 0-255."""
    if not (data.brightness or data.contrast or data.saturation):
        return image
    change = tf.random.stateless_uniform([3], seed, -1.0, 1.0)
    saturation = 1 + change[0] * data.saturation
    contrast = 1 + change[1] * data.contrast
    brightness = 255 * change[2] * data.brightness

    # Around the pixel's grey, then around the image's mean.
    grey = tf.image.rgb_to_grayscale(image)
    image = grey + (image - grey) * saturation
    mean = tf.reduce_mean(grey)
    image = mean + (image - mean) * contrast + brightness
    return tf.clip_by_value(tf.round(image), 0, 255)


# === All label maps in one, so that they are resampled in one go ===


def _pack_labels(labels: Tensors) -> tf.Tensor:
    """int64 [H, W]: semantic in bits 0-7, crowd in bit 8, instance above."""
    semantic = tf.cast(labels["semantic"], tf.int64)
    instance = tf.cast(labels["instance"], tf.int64)
    crowd = tf.cast(labels["crowd"], tf.int64)
    return instance * _INSTANCE_UNIT + crowd * _CROWD_BIT + semantic


def _unpack(
    image: tf.Tensor, labels: tf.Tensor, static_size: tuple[int | None, int | None]
) -> Tensors:
    """A sample of an image and packed labels, with what is known of its size."""
    labels = tf.ensure_shape(labels, list(static_size))
    # All but the instance fits into an int32.
    low_bits = tf.cast(labels, tf.int32)
    low_bits = tf.bitwise.bitwise_and(low_bits, _INSTANCE_UNIT - 1)
    semantic = tf.bitwise.bitwise_and(low_bits, _CROWD_BIT - 1)
    crowd = low_bits >= _CROWD_BIT
    instance = tf.bitwise.right_shift(labels, _INSTANCE_BITS)
    instance = tf.cast(instance, tf.int32)
    image = tf.ensure_shape(image, [*static_size, 3])
    return {"image": image, "semantic": semantic, "instance": instance, "crowd": crowd}
