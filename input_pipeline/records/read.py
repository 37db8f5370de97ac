"""Reading records: examples in TF ops, and a split as a random-access source."""

import dataclasses
import importlib
import os

import tensorflow as tf

from deeperlab_tf.errors import UserError
from deeperlab_tf.image_size import MAX_PIXELS
from deeperlab_tf.schema import LABEL_DIVISOR, Dataset
from input_pipeline.records.files import find_shards, read_record, record_offsets

IMAGE, FORMAT, NAME = "image/encoded", "image/format", "image/filename"
HEIGHT, WIDTH, CHANNELS = "image/height", "image/width", "image/channels"
LABEL, LABEL_FORMAT = "image/segmentation/class/encoded", "image/segmentation/class/format"

_BIT_DEPTH = 24  # byte of a PNG file


@dataclasses.dataclass(frozen=True)
class LabelEncoding:
    """What the numbers of a label map mean: class * divisor + instance.

    Attributes:
      divisor: more than the instances of an image.
      void: the class that stands for no label.
      first_class: what class 0 of the dataset is called.
      unique_numbers: whether no two instances of an image share a number. If not, the class tells
        them apart.
    """

    divisor: int
    void: int
    first_class: int = 0
    unique_numbers: bool = True


def own_encoding(dataset):
    """The `LabelEncoding` of `encode_example`."""
    return LabelEncoding(LABEL_DIVISOR, dataset.ignore_label)


def deeplab2_encoding(dataset):
    """The `LabelEncoding` of DeepLab2's converters (deeplab2/data/dataset.py, build_coco_data.py)."""
    if dataset.name == "coco":
        return LabelEncoding(256, void=0, first_class=1, unique_numbers=False)
    return dataclasses.replace(own_encoding(dataset), unique_numbers=False)


def decode_example(serialized, dataset, encoding=None):
    """Reads an example in TF ops.

    Args:
      serialized: string [].
      dataset: `Dataset`.
      encoding: `LabelEncoding`; None: that of `encode_example`.

    Returns:
      dict of `image` uint8 [H, W, 3], `semantic`, `instance` int32 [H, W], `crowd` bool [H, W],
      `image_id` string []. Without labels, as in DeepLab2's test splits, all is ignored.
    """
    encoding = encoding or own_encoding(dataset)
    keys = {key: tf.io.FixedLenFeature([], tf.string) for key in (IMAGE, NAME)}
    keys[LABEL] = tf.io.FixedLenFeature([], tf.string, "")
    keys[LABEL_FORMAT] = tf.io.FixedLenFeature([], tf.string, "raw")
    keys.update({key: tf.io.FixedLenFeature([], tf.int64) for key in (HEIGHT, WIDTH)})
    example = tf.io.parse_single_example(serialized, keys)
    size = tf.stack([example[HEIGHT], example[WIDTH]])
    with _require(
        tf.reduce_prod(size) <= MAX_PIXELS, f"is larger than {MAX_PIXELS} pixels", example[NAME]
    ):
        # decode_jpeg reads PNGs too. Accurately, as every other reader does: else pixels differ by
        # 2 on average.
        image = tf.io.decode_jpeg(example[IMAGE], channels=3, dct_method="INTEGER_ACCURATE")
        label = _decode_label(example, size, encoding)
    number_of_class = label // encoding.divisor
    semantic = tf.where(
        tf.equal(number_of_class, encoding.void),
        dataset.ignore_label,
        number_of_class - encoding.first_class,
    )
    known = (semantic >= 0) & (semantic < dataset.num_classes) | tf.equal(
        semantic, dataset.ignore_label
    )
    fits = tf.reduce_all(
        tf.equal(tf.shape(image, tf.int64)[:2], size) & tf.equal(tf.shape(label, tf.int64), size)
    )
    outside = f"holds a class id outside its {dataset.num_classes} classes"
    with (
        _require(tf.reduce_all(known), outside, example[NAME]),
        _require(fits, "has another size", example[NAME]),
    ):
        semantic = tf.identity(semantic)
    is_thing = tf.gather(_thing_table(dataset), tf.minimum(semantic, dataset.num_classes))
    number = label % encoding.divisor
    return {
        "image": tf.ensure_shape(image, [None, None, 3]),
        "semantic": tf.ensure_shape(semantic, [None, None]),
        "instance": tf.where(
            is_thing & (number > 0), number if encoding.unique_numbers else label, 0
        ),
        "crowd": is_thing & tf.equal(number, 0),
        "image_id": example[NAME],
    }


def _decode_label(example, size, encoding):
    """int32 [H, W]: class * divisor + instance."""
    label = example[LABEL]

    def from_png():
        depth = tf.io.decode_raw(tf.strings.substr(label, _BIT_DEPTH, 1), tf.uint8)
        with _require(
            tf.reduce_all(tf.equal(depth, 16)),
            "has labels of 8 bits, without instances",
            example[NAME],
        ):
            return tf.cast(tf.io.decode_png(label, channels=1, dtype=tf.uint16)[..., 0], tf.int32)

    def from_raw():
        return tf.reshape(tf.io.decode_raw(label, tf.int32), size)

    def nothing():
        return tf.fill(size, encoding.void * encoding.divisor)

    cases = [(tf.equal(label, ""), nothing), (tf.equal(example[LABEL_FORMAT], "png"), from_png)]
    return tf.case(cases, default=from_raw)


def _require(condition, message, name):
    """Context whose ops run only if `condition` holds; an error tells `message` of the image
    `name`.
    """
    sentence = tf.strings.join(["UserError: the record of image '", name, f"' {message}"])
    return tf.control_dependencies([tf.debugging.Assert(condition, [sentence])])


def _thing_table(dataset):
    return tf.constant([category.is_thing for category in dataset.categories] + [False])


def open_split(config, split, skip_corrupt=False):
    """The `RecordSource` of `config.data.records`; without `dataset.json`, the classes are
    `config.data.dataset`'s.
    """
    modules = {
        name: f"input_pipeline.datasets.{name}" for name in ("cityscapes", "coco", "vistas", "voc")
    }
    name = config.data.dataset
    dataset = importlib.import_module(modules[name]).DATASET if name in modules else None
    return RecordSource(config.data.records, split, dataset, skip_corrupt)


class RecordSource:
    """Random-access source of a split of records; see `input_pipeline.datasets`.

    Args:
      folder: of the shards.
      split: train, val, ….
      dataset: classes, for records without a `dataset.json`, such as DeepLab2's.
      skip_corrupt: leave out what follows a damaged head, instead of raising UserError.

    Attributes:
      shards: paths.
      counts: dict from shard to its number of records.
      encoding: `LabelEncoding`.
    """

    def __init__(self, folder, split, dataset=None, skip_corrupt=False):
        self.shards = find_shards(folder, split)
        path = os.path.join(folder, "dataset.json")
        described = os.path.exists(path)
        if described:
            with open(path, encoding="utf-8") as file:
                dataset = Dataset.from_json(file.read(), path)
        if dataset is None:
            raise UserError(
                f"there is no dataset.json in {folder}; write one, or build the records again."
            )
        self.dataset = dataset
        encoding = own_encoding(dataset) if described else deeplab2_encoding(dataset)
        has_manifest = os.path.exists(os.path.join(folder, f"{split}.json"))
        self.encoding = dataclasses.replace(encoding, unique_numbers=has_manifest)
        offsets = {shard: record_offsets(shard, skip_corrupt) for shard in self.shards}
        self.counts = {shard: len(places) for shard, places in offsets.items()}
        self._places = [
            (shard, n, offset)
            for shard in self.shards
            for n, (offset, _) in enumerate(offsets[shard])
        ]

    def __len__(self):
        return len(self._places)

    def __getitem__(self, index):
        """The sample; UserError names a record that is corrupt or does not hold a labelled image."""
        shard, number, offset = self._places[index]
        data = read_record(shard, number, offset)
        try:
            sample = decode_example(data, self.dataset, self.encoding)
        except (tf.errors.OpError, ValueError) as error:
            message = str(getattr(error, "message", error)).splitlines()[0]
            raise UserError(
                f"record {number} of {shard} cannot be read ({message}); build it again."
            ) from error
        sample = {name: value.numpy() for name, value in sample.items()}
        return {**sample, "image_id": sample["image_id"].decode()}
