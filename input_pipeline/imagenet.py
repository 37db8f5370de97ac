"""ImageNet-1K for pretraining: its folders of classes, or the usual sharded TFRecords.

    {train,val}/n01440764/*.JPEG, …                                   config.data.root
        a folder per class, which has its name
    train-00000-of-01024, …, validation-00000-of-00128, …             config.data.records
        with the features image/encoded (JPEG or PNG) and image/class/label (1 … 1000)

Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, IJCV 2015.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence

import tensorflow as tf
from ml_collections import ConfigDict

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.images import IMAGE_ENDINGS
from deeperlab_tf.schema import Category, Dataset
from input_pipeline.datasets.layout import first_existing
from input_pipeline.imagenet_crops import middle, random_part
from input_pipeline.order import ENDLESS, Numbers, sample_index
from input_pipeline.records.files import record_offsets, shard_count, shards_in
from input_pipeline.records.stream import read_shards

_DECODED = (".jpeg", ".jpg", ".jpe", ".jfif", ".png")  # of `IMAGE_ENDINGS`, by TensorFlow
_SPLITS = {"train": ("train",), "val": ("val", "validation")}
_NO_LABEL = 2**16 - 1  # more classes than a label map may have
_TAIL_BYTES = 64  # of a file, in which its format's end mark must be

_IMAGE, _LABEL = "image/encoded", "image/class/label"
_BYTES = tf.io.FixedLenFeature([], tf.string)
_INTEGER = tf.io.FixedLenFeature([], tf.int64)


def make_dataset(
    config: ConfigDict,
    split: str,
    start_step: int = 0,
    input_context: tf.distribute.InputContext | None = None,
) -> tf.data.Dataset:
    """Batches of classified images.

    `train` never ends, is shuffled anew each epoch and augmented (random-resized crop, flip) as a
    function of (config.data.seed, running number of the image) alone; `val` is passed through once:
    the middle of each image.

    Args:
      config: the full config.
      split: train | val.
      start_step: batches of `train` to skip.
      input_context: as for `input_pipeline.make_dataset`.

    Returns:
      tf.data.Dataset of (image uint8 [B, H, W, 3], dict of `label` int32 [B]).

    Raises:
      UserError: no such data, or another number of classes than `config.pretrain.num_classes`.
    """
    source = open_source(config, split)
    if split != "train":
        images = _crop(source.in_order(), middle, config)
        return images.batch(config.eval.batch_size).prefetch(tf.data.AUTOTUNE)
    context = input_context or tf.distribute.InputContext()
    numbers = Numbers(config.train.batch_size, context)
    images = source.endless(config.data, numbers, start_step)
    images = _crop(images, random_part, config)
    batches = images.batch(numbers.replica_batch_size, drop_remainder=True)
    return batches.prefetch(tf.data.AUTOTUNE)


def _crop(
    encoded_images: tf.data.Dataset, crop: Callable[..., tf.Tensor], config: ConfigDict
) -> tf.data.Dataset:
    """(image, targets) of (running number, encoded image, label)."""

    def prepare(number, encoded, label):
        return crop(encoded, number, config), {"label": label}

    return encoded_images.map(prepare, num_parallel_calls=tf.data.AUTOTUNE)


def open_source(config: ConfigDict, split: str) -> Folders | Shards:
    """The images of a split, in folders or in records, whichever `config.data` names.

    Raises:
      UserError: there is no such split, or not all of it.
    """
    names = _SPLITS.get(split)
    if names is None:
        raise UserError(f"ImageNet has no split {split!r}; it has {', '.join(_SPLITS)}.")
    if config.data.records:
        return Shards(config.data.records, names, config.pretrain.num_classes)
    return Folders(config.data.root, names, config.pretrain.num_classes)


@contextlib.contextmanager
def naming_broken_images(config: ConfigDict) -> Iterator[None]:
    """Context in which TensorFlow's error about an image it cannot decode, which names no file,
    becomes one that does.

    Args:
      config: the full config, whose data are read in it.
    """
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        # TensorFlow names what its decoder disliked, on one of many lines.
        reason = re.search(r"[^\n]*(JPEG|PNG|image)[^\n]*", error.message, re.IGNORECASE)
        if "UserError" in error.message or reason is None:
            raise
        path = None if config.data.records else _find_broken_image(config)
        if path is not None:
            raise UserError(f"image {path} is broken; replace or remove it.") from error
        raise UserError(
            f"an image cannot be decoded ({reason[0]}); replace or remove it."
        ) from error


def _find_broken_image(config: ConfigDict) -> str | None:
    for split in _SPLITS:
        for path in open_source(config, split).paths:
            if not _looks_whole(path):
                return path
    return None


def _looks_whole(path: str) -> bool:
    """Whether a file begins and ends as a JPEG or PNG does; what lies between is not looked at."""
    with storage.open(path, "rb") as file:
        head = file.read(4)
        size = storage.getsize(path)
        file.seek(max(size - _TAIL_BYTES, 0))
        tail = file.read()
    is_jpeg = head[:2] == b"\xff\xd8" and b"\xff\xd9" in tail
    is_png = head == b"\x89PNG" and b"IEND" in tail
    return is_jpeg or is_png


# === Files: elements are (running number, encoded image, label) ===


class Folders:
    """Images in one folder per class.

    Args:
      root: folder of the splits.
      splits: what the split's folder may be called.
      num_classes: how many there must be.

    Attributes:
      dataset: classes are called as their folders.
      paths: the images' files.
    """

    def __init__(self, root: str, splits: Sequence[str], num_classes: int):
        folder = first_existing(root, splits, "split of ImageNet")
        classes = sorted(name for name, is_folder in storage.scan(folder) if is_folder)
        if len(classes) != num_classes:
            raise UserError(
                f"{folder} has {len(classes)} folders of classes but config.pretrain.num_classes "
                f"is {num_classes}; set it to the number of classes."
            )
        self.paths, self._labels = [], []
        for label, name in enumerate(classes):
            paths = _image_files(storage.join(folder, name))
            self.paths += paths
            self._labels += [label] * len(paths)
        self.dataset = _describe(classes)

    def in_order(self) -> tf.data.Dataset:
        """Every image once."""
        indices = tf.data.Dataset.range(len(self.paths))
        return indices.map(self._reader())

    def endless(self, data: ConfigDict, numbers: Numbers, start_step: int) -> tf.data.Dataset:
        """Epoch after epoch, each in an order of its own, from a step on."""
        read = self._reader()

        def load(local):
            number = numbers.number(local)
            index = sample_index(number, len(self.paths), data)
            _, encoded, label = read(index)
            return number, encoded, label

        places = tf.data.Dataset.range(numbers.first_local(start_step), ENDLESS)
        return places.map(load, num_parallel_calls=tf.data.AUTOTUNE)

    def _reader(self) -> Callable[[tf.Tensor], tuple[tf.Tensor, ...]]:
        paths, read_file = tf.constant(self.paths), _file_reader(self.paths[0])
        labels = tf.constant(self._labels, tf.int32)

        def read(index):
            encoded = read_file(paths[index])
            return index, encoded, labels[index]

        return read


class Shards:
    """Images in TFRecords.

    Args:
      folder: of the records.
      splits: what the split's files may be called.
      num_classes: above all labels, which start at 1.

    Attributes:
      dataset: classes are called by their numbers, 1 ….
      shards: paths.
    """

    def __init__(self, folder: str, splits: Sequence[str], num_classes: int):
        self.shards = []
        for split in splits:
            self.shards = self.shards or shards_in(folder, split, "")
        if not self.shards:
            raise UserError(
                f"there is no {splits[-1]}-*-of-* in {folder}; "
                "give the folder of ImageNet's TFRecords."
            )
        expected = shard_count(self.shards[0])
        if len(self.shards) != expected:
            raise UserError(
                f"{folder} has {len(self.shards)} of {expected} shards of {splits[-1]!r}; "
                "fetch the others."
            )
        numbers = range(1, num_classes + 1)
        self.dataset = _describe([str(number) for number in numbers])

    @property
    def counts(self) -> dict[str, int]:
        """From each shard to its number of images."""
        return {shard: len(record_offsets(shard)) for shard in self.shards}

    def in_order(self) -> tf.data.Dataset:
        """Every image once."""
        shards = [storage.for_tensorflow(shard) for shard in self.shards]
        return tf.data.TFRecordDataset(shards).enumerate().map(self._decode)

    def endless(self, data: ConfigDict, numbers: Numbers, start_step: int) -> tf.data.Dataset:
        """Epoch after epoch, each in an order of its own, from a step on."""
        records = read_shards(self, data, numbers, start_step)
        return records.map(self._decode, num_parallel_calls=tf.data.AUTOTUNE)

    def _decode(self, number, record):
        features = {_IMAGE: _BYTES, _LABEL: _INTEGER}
        example = tf.io.parse_single_example(record, features)
        label = example[_LABEL]
        num_classes = self.dataset.num_classes
        is_known = (label >= 1) & (label <= num_classes)
        message = (
            f"UserError: a record has a label outside 1 ... {num_classes}, "
            "config.pretrain.num_classes; it has"
        )
        check = tf.debugging.Assert(is_known, [message, label])
        with tf.control_dependencies([check]):
            label = tf.cast(label - 1, tf.int32)
        return number, example[_IMAGE], label


def _file_reader(path: str) -> Callable[[tf.Tensor], tf.Tensor]:
    """Function from a path like this one, string [], to what the file holds."""
    if storage.is_read_by_tensorflow(path):
        return tf.io.read_file

    def read(name):
        with storage.open(name.decode(), "rb") as file:
            return file.read()

    return lambda name: tf.ensure_shape(tf.numpy_function(read, [name], tf.string), [])


def _image_files(folder: str) -> list[str]:
    names = sorted(name for name, _ in storage.scan(folder) if name[0] != ".")
    names = [name for name in names if name.lower().endswith(IMAGE_ENDINGS)]
    others = [name for name in names if not name.lower().endswith(_DECODED)]
    if others:
        raise UserError(
            f"image {storage.join(folder, others[0])} is neither a JPEG nor a PNG, which alone are "
            "read here; convert or remove it."
        )
    if not names:
        raise UserError(f"folder {folder} holds no JPEG or PNG; remove or fill it.")
    return [storage.join(folder, name) for name in names]


def _describe(classes: Sequence[str]) -> Dataset:
    black = (0, 0, 0)
    categories = [Category(name, False, black, index) for index, name in enumerate(classes)]
    return Dataset("imagenet", tuple(categories), ignore_label=_NO_LABEL)
