"""A tf.train.Example of a labelled image, read in TF ops; `records.example` makes it."""

from __future__ import annotations

import contextlib

import tensorflow as tf

from deeperlab_tf.files.images import MAX_PIXELS
from deeperlab_tf.schema import Dataset
from input_pipeline.records.bombs import inflate, picture_size
from input_pipeline.records.encoding import LabelEncoding, own_encoding
from input_pipeline.records.example import HEIGHT, IMAGE, LABEL, LABEL_FORMAT, NAME, WIDTH, ZLIB

_BYTES = tf.io.FixedLenFeature([], tf.string)
_INTEGER = tf.io.FixedLenFeature([], tf.int64)
_FEATURES = {
    IMAGE: _BYTES,
    NAME: _BYTES,
    LABEL: _BYTES._replace(default_value=""),
    LABEL_FORMAT: _BYTES._replace(default_value="raw"),
    HEIGHT: _INTEGER,
    WIDTH: _INTEGER,
}
_BIT_DEPTH = 24  # byte of a PNG file
_OTHER_SIZE = "has another size than it states"


def decode_example(
    serialized: tf.Tensor, dataset: Dataset, encoding: LabelEncoding | None = None
) -> dict[str, tf.Tensor]:
    """Reads an example in TF ops.

    Args:
      serialized: string [].
      dataset: its classes.
      encoding: of the labels; None: that of `encode_example`.

    Returns:
      dict of `image` uint8 [H, W, 3], `semantic`, `instance` int32 [H, W], `crowd` bool [H, W],
      `image_id` string []. Without labels, as in DeepLab2's test splits, all is ignored.

    Raises:
      tf.errors.InvalidArgumentError: with "UserError: …" in its message, when the record does not
        hold a labelled image.
    """
    encoding = encoding or own_encoding(dataset)
    example = tf.io.parse_single_example(serialized, _FEATURES)
    name = example[NAME]
    size = tf.stack([example[HEIGHT], example[WIDTH]])
    # Before the picture is decoded: what is larger may be a decompression bomb.
    is_allowed = tf.reduce_all(size >= 0) & (tf.reduce_prod(size) <= MAX_PIXELS)
    stated = tf.reduce_all(tf.equal(picture_size(example[IMAGE]), size))
    small = _require(is_allowed, f"is larger than {MAX_PIXELS} pixels", name)
    with small, _require(stated, f"{_OTHER_SIZE}, or is neither a JPEG nor a PNG", name):
        # decode_jpeg reads PNGs too. Accurately, as every other reader does: else pixels differ by
        # 2 on average.
        image = tf.io.decode_jpeg(example[IMAGE], channels=3, dct_method="INTEGER_ACCURATE")
        label = _decode_label(example, size, encoding)

    # A wrong size or class is an error that names the image.
    semantic = _semantic(label, dataset, encoding)
    outside = f"holds a class id outside its {dataset.num_classes} classes"
    image_size = tf.shape(image, tf.int64)[:2]
    label_size = tf.shape(label, tf.int64)
    image_fits = tf.equal(image_size, size)
    label_fits = tf.equal(label_size, size)
    fits = tf.reduce_all(image_fits & label_fits)
    known = _require(_is_known(semantic, dataset), outside, name)
    with known, _require(fits, _OTHER_SIZE, name):
        semantic = tf.identity(semantic)

    instance, crowd = _instance_and_crowd(semantic, label, dataset, encoding)
    image = tf.ensure_shape(image, [None, None, 3])
    semantic = tf.ensure_shape(semantic, [None, None])
    return {
        "image": image,
        "semantic": semantic,
        "instance": instance,
        "crowd": crowd,
        "image_id": name,
    }


def _decode_label(
    example: dict[str, tf.Tensor], size: tf.Tensor, encoding: LabelEncoding
) -> tf.Tensor:
    """int32 [H, W]: class * divisor + instance."""
    label = example[LABEL]

    def from_png():
        # TensorFlow would widen 8 bits to 16 without a word.
        depth = tf.strings.substr(label, _BIT_DEPTH, 1)
        depth = tf.io.decode_raw(depth, tf.uint8)
        is_wide = tf.reduce_all(tf.equal(depth, 16))
        stated = tf.reduce_all(tf.equal(picture_size(label), size))
        wide = _require(is_wide, "has labels of 8 bits, without instances", example[NAME])
        with wide, _require(stated, "has labels of another size than it states", example[NAME]):
            decoded = tf.io.decode_png(label, channels=1, dtype=tf.uint16)
            decoded = decoded[..., 0]
            return tf.cast(decoded, tf.int32)

    def from_raw(label=label):
        decoded = tf.io.decode_raw(label, tf.int32)
        return tf.reshape(decoded, size)

    def from_zlib():
        num_bytes = tf.reduce_prod(size) * tf.int32.size
        inflated = inflate(label, num_bytes)
        fits = tf.equal(tf.cast(tf.strings.length(inflated), tf.int64), num_bytes)
        with _require(fits, "has labels that inflate to more or less than its size", example[NAME]):
            return from_raw(tf.identity(inflated))

    def nothing():
        return tf.fill(size, encoding.void * encoding.divisor)

    is_missing = tf.equal(label, "")
    is_png = tf.equal(example[LABEL_FORMAT], "png")
    is_zlib = tf.equal(example[LABEL_FORMAT], ZLIB)
    cases = [(is_missing, nothing), (is_png, from_png), (is_zlib, from_zlib)]
    return tf.case(cases, default=from_raw)


def _semantic(label: tf.Tensor, dataset: Dataset, encoding: LabelEncoding) -> tf.Tensor:
    """int32 [H, W]: the dataset's classes."""
    number_of_class = label // encoding.divisor
    is_void = tf.equal(number_of_class, encoding.void)
    semantic = number_of_class - encoding.first_class
    return tf.where(is_void, dataset.ignore_label, semantic)


def _is_known(semantic: tf.Tensor, dataset: Dataset) -> tf.Tensor:
    """bool []: whether there are no classes but the dataset's, and ignore."""
    is_class = (semantic >= 0) & (semantic < dataset.num_classes)
    is_ignored = tf.equal(semantic, dataset.ignore_label)
    return tf.reduce_all(is_class | is_ignored)


def _instance_and_crowd(
    semantic: tf.Tensor, label: tf.Tensor, dataset: Dataset, encoding: LabelEncoding
) -> tuple[tf.Tensor, tf.Tensor]:
    """int32 and bool [H, W]; a thing pixel with instance 0 is crowd."""
    # Its last entry stands for ignored pixels.
    table = [category.is_thing for category in dataset.categories] + [False]
    place = tf.minimum(semantic, dataset.num_classes)
    is_thing = tf.gather(tf.constant(table), place)

    number = label % encoding.divisor
    unique = number if encoding.unique_numbers else label
    instance = tf.where(is_thing & (number > 0), unique, 0)
    crowd = is_thing & tf.equal(number, 0)
    return instance, crowd


def _require(
    condition: tf.Tensor, message: str, name: tf.Tensor
) -> contextlib.AbstractContextManager:
    """Context whose ops run only if `condition` holds; an error says `message` of image `name`."""
    sentence = tf.strings.join(["UserError: the record of image '", name, f"' {message}"])
    return tf.control_dependencies([tf.debugging.Assert(condition, [sentence])])
