"""ImageNet-1K for pretraining: its folders of classes, or the usual sharded TFRecords.

    {train,val}/n01440764/*.JPEG, …                                   config.data.root; a folder a
    class, by name
    train-00000-of-01024, …, validation-00000-of-00128, …             config.data.records, with the
        features image/encoded (JPEG or PNG) and image/class/label (1 … 1000)

Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, IJCV 2015.
"""

import contextlib
import glob
import os
import re

import tensorflow as tf

from deeperlab_tf.errors import UserError
from deeperlab_tf.image_size import resize_image
from deeperlab_tf.schema import Category, Dataset
from input_pipeline.datasets.labels import first_existing
from input_pipeline.pipeline import ENDLESS, Numbers, read_shards, shuffled
from input_pipeline.records.files import record_offsets

_EXTENSIONS = (".jpeg", ".jpg", ".png")
_SPLITS = {"train": ("train",), "val": ("val", "validation")}
_NO_LABEL = 2**16 - 1  # more classes than a label map may have


def make_dataset(config, split, start_step=0, input_context=None):
    """Batches of classified images.

    `train` never ends, is shuffled anew each epoch and augmented (random-resized crop, flip) as a
    function of (config.data.seed, running number of the image) alone; `val` is passed through once:
    the middle of each image.

    Args:
      config: the full config.
      split: train | val.
      start_step: batches of `train` to skip.
      input_context: tf.distribute.InputContext, as for `input_pipeline.make_dataset`.

    Returns:
      tf.data.Dataset of (image uint8 [B, H, W, 3], dict of `label` int32 [B]).

    Raises:
      UserError: no such data, or another number of classes than `config.pretrain.num_classes`.
    """
    source = open_source(config, split)
    if split != "train":
        images = source.in_order().map(
            _prepare(config, _middle), num_parallel_calls=tf.data.AUTOTUNE
        )
        return images.batch(config.eval.batch_size).prefetch(tf.data.AUTOTUNE)
    numbers = Numbers(config.train.batch_size, input_context or tf.distribute.InputContext())
    images = source.endless(config, numbers, start_step)
    images = images.map(_prepare(config, _augmented), num_parallel_calls=tf.data.AUTOTUNE)
    return images.batch(numbers.replica_batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def open_source(config, split):
    """`Folders` or `Shards` of a split, whichever `config.data` names."""
    names = _SPLITS.get(split)
    if names is None:
        raise UserError(f"ImageNet has no split {split!r}; it has {', '.join(_SPLITS)}.")
    if config.data.records:
        return Shards(config.data.records, names, config.pretrain.num_classes)
    return Folders(config.data.root, names, config.pretrain.num_classes)


@contextlib.contextmanager
def naming_broken_images(config):
    """Context in which TensorFlow's error about an image it cannot decode, which names no file,
    becomes one that does.

    Args:
      config: the full config, whose data are read in it.
    """
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        reason = re.search(r"[^\n]*(JPEG|PNG|image)[^\n]*", error.message, re.IGNORECASE)
        if "UserError" in error.message or reason is None:
            raise
        sources = (
            []
            if config.data.records
            else [open_source(config, split) for split in ("train", "val")]
        )
        for path in (path for source in sources for path in source.paths):
            if not _looks_whole(path):
                raise UserError(f"image {path} is broken; replace or remove it.") from error
        raise UserError(
            f"an image cannot be decoded ({reason[0]}); replace or remove it."
        ) from error


def _looks_whole(path):
    """Whether a file begins and ends as a JPEG or PNG does; what lies between is not looked at."""
    with open(path, "rb") as file:
        head = file.read(4)
        file.seek(max(os.path.getsize(path) - 64, 0))
        tail = file.read()
    return (head[:2] == b"\xff\xd8" and b"\xff\xd9" in tail) or (
        head == b"\x89PNG" and b"IEND" in tail
    )


class Folders:
    """Images in a folder a class; elements are (running number, encoded image, label).

    Attributes:
      dataset: `Dataset`; classes are called as their folders.
      paths: list of the images' files.
    """

    def __init__(self, root, splits, num_classes):
        folder = first_existing(root, splits, "split of ImageNet")
        classes = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
        if len(classes) != num_classes:
            raise UserError(
                f"{folder} has {len(classes)} folders of classes but config.pretrain.num_classes is {num_classes}; "
                "set it to the number of classes."
            )
        self.paths, self._labels = [], []
        for label, name in enumerate(classes):
            paths = [
                e.path
                for e in os.scandir(os.path.join(folder, name))
                if e.name.lower().endswith(_EXTENSIONS)
            ]
            if not paths:
                raise UserError(
                    f"folder {os.path.join(folder, name)} holds no JPEG or PNG; remove or fill it."
                )
            self.paths += sorted(paths)
            self._labels += [label] * len(paths)
        self.dataset = _descriptor(classes)

    def in_order(self):
        """Every image once."""
        return tf.data.Dataset.range(len(self.paths)).map(self._reader())

    def endless(self, config, numbers, start_step):
        """Epoch after epoch, each in an order of its own, from a step on."""
        read = self._reader()

        def load(local):
            number = numbers.number(local)
            return (number, *read(shuffled(number, len(self.paths), config.data))[1:])

        first = start_step * numbers.local_batch_size
        return tf.data.Dataset.range(first, ENDLESS).map(load, num_parallel_calls=tf.data.AUTOTUNE)

    def _reader(self):
        paths, labels = tf.constant(self.paths), tf.constant(self._labels, tf.int32)
        return lambda index: (index, tf.io.read_file(paths[index]), labels[index])


class Shards:
    """Images in TFRecords; elements are (running number, encoded image, label).

    Attributes:
      dataset: `Dataset`; classes are called by their numbers, 1 ….
    """

    def __init__(self, folder, splits, num_classes):
        self.shards = next(
            filter(None, (sorted(glob.glob(_pattern(folder, split))) for split in splits)), []
        )
        if not self.shards:
            raise UserError(
                f"there is no {splits[-1]}-*-of-* in {folder}; give the folder of ImageNet's TFRecords."
            )
        expected = int(self.shards[0].rsplit("-of-")[-1].split(".")[0])
        if len(self.shards) != expected:
            raise UserError(
                f"{folder} has {len(self.shards)} of {expected} shards of {splits[-1]!r}; fetch the others."
            )
        self.dataset = _descriptor([str(number) for number in range(1, num_classes + 1)])

    @property
    def counts(self):
        """dict from each shard to its number of images."""
        return {shard: len(record_offsets(shard)) for shard in self.shards}

    def in_order(self):
        return tf.data.TFRecordDataset(self.shards).enumerate().map(self._decode)

    def endless(self, config, numbers, start_step):
        return read_shards(self, config, numbers, start_step).map(
            self._decode, num_parallel_calls=tf.data.AUTOTUNE
        )

    def _decode(self, number, record):
        keys = {"image/encoded": tf.io.FixedLenFeature([], tf.string)}
        keys["image/class/label"] = tf.io.FixedLenFeature([], tf.int64)
        example = tf.io.parse_single_example(record, keys)
        label, classes = example["image/class/label"], self.dataset.num_classes
        message = f"UserError: a record has a label outside 1 ... {classes}, config.pretrain.num_classes; it has"
        with tf.control_dependencies(
            [tf.debugging.Assert((label >= 1) & (label <= classes), [message, label])]
        ):
            label = tf.cast(label - 1, tf.int32)
        return number, example["image/encoded"], label


def _pattern(folder, split):
    return os.path.join(glob.escape(folder), f"{split}-*-of-*")


def _descriptor(classes):
    categories = tuple(
        Category(name, False, (0, 0, 0), index) for index, name in enumerate(classes)
    )
    return Dataset("imagenet", categories, ignore_label=_NO_LABEL)


# === Images ===


def _prepare(config, crop):
    """Function (number, encoded, label) -> (image, targets); `crop` is `_augmented` or `_middle`."""

    def prepare(number, encoded, label):
        image = crop(encoded, number, config)
        return image, {"label": label}

    return prepare


def _augmented(encoded, number, config):
    """A part of random area and shape, resized to the crop, flipped by chance; uint8 [*crop_size,
    3].
    """
    seeds = tf.random.split(
        tf.stack([tf.cast(config.data.seed, tf.int64), tf.cast(number, tf.int64)]), 2
    )
    ratio = config.pretrain.max_aspect_ratio
    begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
        _image_shape(encoded),
        tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
        seeds[0],
        min_object_covered=0.0,
        aspect_ratio_range=(1 / ratio, ratio),
        area_range=(config.pretrain.min_area, 1.0),
        max_attempts=10,
        use_image_if_no_bounding_boxes=True,
    )
    image = resize_image(_decode_part(encoded, begin[:2], size[:2]), *config.data.crop_size)
    if config.data.flip:
        flip = tf.random.stateless_uniform([], seeds[1]) < 0.5
        image = tf.cond(flip, lambda: tf.reverse(image, [1]), lambda: image)
    return tf.ensure_shape(image, [*config.data.crop_size, 3])


def _middle(encoded, number, config):
    """The middle square, `pretrain.center_crop` of the shorter side, resized; uint8
    [*eval.image_size, 3].
    """
    del number
    size = _image_shape(encoded)[:2]
    side = tf.cast(tf.cast(tf.reduce_min(size), tf.float32) * config.pretrain.center_crop, tf.int32)
    image = _decode_part(encoded, (size - side) // 2, tf.stack([side, side]))
    return tf.ensure_shape(
        resize_image(image, *config.eval.image_size), [*config.eval.image_size, 3]
    )


def _image_shape(encoded):
    """int32 [3]; one of ImageNet's JPEGs is a PNG."""
    return tf.cond(
        tf.io.is_jpeg(encoded),
        lambda: tf.concat([tf.io.extract_jpeg_shape(encoded)[:2], [3]], axis=0),
        lambda: tf.shape(tf.io.decode_png(encoded, channels=3)),
    )


def _decode_part(encoded, begin, size):
    """uint8 [*size, 3]; of a JPEG, only this part is decoded."""

    def part_of_png():
        image = tf.io.decode_png(encoded, channels=3)
        return image[begin[0] : begin[0] + size[0], begin[1] : begin[1] + size[1]]

    return tf.cond(
        tf.io.is_jpeg(encoded),
        lambda: tf.io.decode_and_crop_jpeg(encoded, tf.concat([begin, size], axis=0), channels=3),
        part_of_png,
    )
