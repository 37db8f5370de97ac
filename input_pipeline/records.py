"""TFRecords: labelled images in shards, with the keys of DeepLab2's records, which load unchanged.

    {split}-00000-of-00010.tfrecord, …     the shards
    dataset.json                           the classes (deeperlab_tf.schema.Dataset)
    {split}.json                           manifest: images and SHA-256 of each shard

A label map is stored as raw int32 class * label_divisor + instance. A thing pixel with instance 0 is crowd.
"""

import concurrent.futures
import glob
import hashlib
import importlib
import io
import multiprocessing
import os
import struct

import cv2
import numpy as np
import tensorflow as tf
from PIL import Image
from tqdm import tqdm

from deeperlab_tf.config import config_from_json, config_to_json
from deeperlab_tf.errors import UserError
from deeperlab_tf.files import atomic_path, write_json
from deeperlab_tf.schema import Dataset
from input_pipeline.datasets import open_source

IMAGE, FORMAT, NAME = "image/encoded", "image/format", "image/filename"
HEIGHT, WIDTH, CHANNELS = "image/height", "image/width", "image/channels"
LABEL, LABEL_FORMAT = "image/segmentation/class/encoded", "image/segmentation/class/format"

_RECORD_HEAD, _RECORD_TAIL = 12, 4  # bytes around a record's data: length and its checksum, checksum of the data


# === Writing ===


def write_records(config, split, output, num_shards=10, processes=2):
    """Writes a split of `config.data` as shards into the folder `output`; shards that are there already are kept.

    Args:
      config: the full config; `data.dataset`, `data.root` and `data.classes` say what to read.
      split: train, val, ….
      output: folder, made if need be.
      num_shards: number of files.
      processes: how many work at once.

    Returns:
      The manifest, as written to `{split}.json`.

    Raises:
      UserError: bad data, or the disk is full; no broken shard is left under its final name.
    """
    source = open_source(config, split)
    num_shards = min(num_shards, len(source))
    _write_descriptor(source.dataset, os.path.join(output, "dataset.json"))
    paths = [os.path.join(output, f"{split}-{i:05d}-of-{num_shards:05d}.tfrecord") for i in range(num_shards)]
    others = set(glob.glob(os.path.join(glob.escape(output), f"{split}-*-of-*.tfrecord"))) - set(paths)
    if others:
        raise UserError(f"{output} holds shards of another division, such as {min(others)}; remove them first.")
    bounds = np.linspace(0, len(source), num_shards + 1).astype(int).tolist()
    tasks = [(path, first, last) for path, first, last in zip(paths, bounds, bounds[1:]) if not os.path.exists(path)]
    text = config_to_json(config)
    with tqdm(total=len(source), desc=split, unit="img") as bar, _pool(processes) as pool:
        bar.update(len(source) - sum(last - first for _, first, last in tasks))
        jobs = [pool.submit(_write_shard, text, split, *task) for task in tasks]
        try:
            for job in concurrent.futures.as_completed(jobs):
                bar.update(job.result())
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    shards = [dict(file=os.path.basename(p), images=len(record_offsets(p)), sha256=_sha256(p)) for p in paths]
    manifest = dict(dataset=source.dataset.name, split=split, images=sum(s["images"] for s in shards), shards=shards)
    write_json(os.path.join(output, f"{split}.json"), manifest)
    return manifest


def _pool(processes):
    """A thread does for one worker; several are processes, each of which loads TensorFlow first."""
    if processes == 1:
        return concurrent.futures.ThreadPoolExecutor(1)
    return concurrent.futures.ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"))


def _write_descriptor(dataset, path):
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            if Dataset.from_json(file.read(), path) != dataset:
                raise UserError(f"{path} describes other classes; choose another --output for {dataset.name}.")
        return
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(dataset.to_json())


def _write_shard(config_text, split, path, first, last):
    """Work of one process; returns how many images it wrote."""
    source = open_source(config_from_json(config_text), split)
    try:
        with atomic_path(path) as temporary, tf.io.TFRecordWriter(temporary) as writer:
            for index in range(first, last):
                photo = source.paths(index)[0] if hasattr(source, "paths") else None
                writer.write(encode_example(source[index], source.dataset, photo))
    except (OSError, tf.errors.OpError) as error:
        raise UserError(f"cannot write {path} ({error}); check the space on the disk, then run again.") from error
    return last - first


def encode_example(sample, dataset, photo=None):
    """A serialised tf.train.Example.

    Args:
      sample: as a source gives it.
      dataset: `Dataset`.
      photo: path of the sample's image file. Its bytes are kept if TensorFlow decodes them as they are; without it, or
        for rotated, CMYK and other special files, the picture is stored as a PNG.
    """
    divisor = dataset.label_divisor
    if sample["instance"].max(initial=0) >= divisor:
        raise UserError(f"image {sample['image_id']!r} has {divisor} instances or more; its labels cannot be encoded.")
    label = sample["semantic"].astype(np.int32) * divisor + sample["instance"]
    encoded, image_format = _encode_image(sample["image"], photo)
    height, width = label.shape

    def feature(value):
        if isinstance(value, int):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    values = {
        IMAGE: encoded,
        FORMAT: image_format.encode(),
        NAME: sample["image_id"].encode(),
        HEIGHT: height,
        WIDTH: width,
        CHANNELS: 3,
        LABEL: label.astype("<i4").tobytes(),
        LABEL_FORMAT: b"raw",
    }
    features = tf.train.Features(feature={key: feature(value) for key, value in values.items()})
    return tf.train.Example(features=features).SerializeToString(deterministic=True)


def _encode_image(image, photo):
    """(bytes, format)."""
    if photo is not None:
        with open(photo, "rb") as file:
            data = file.read()
        with Image.open(io.BytesIO(data)) as opened:
            plain = opened.mode == "RGB" and opened.getexif().get(0x0112, 1) == 1
            if plain and opened.format in ("JPEG", "PNG") and opened.size == image.shape[1::-1]:
                return data, opened.format.lower()
    return cv2.imencode(".png", image[..., ::-1])[1].tobytes(), "png"


def _sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(2**20), b""):
            digest.update(block)
    return digest.hexdigest()


# === Reading ===


def decode_example(serialized, dataset, unique_numbers=True):
    """Reads an example in TF ops.

    Args:
      serialized: string [].
      dataset: `Dataset`.
      unique_numbers: False for records such as DeepLab2's, which count the instances of each class anew: then
        class * label_divisor + number is the instance id.

    Returns:
      dict of `image` uint8 [H, W, 3], `semantic`, `instance` int32 [H, W], `crowd` bool [H, W], `image_id` string [].
    """
    keys = {key: tf.io.FixedLenFeature([], tf.string) for key in (IMAGE, NAME, LABEL)}
    keys[LABEL_FORMAT] = tf.io.FixedLenFeature([], tf.string, "raw")
    keys.update({key: tf.io.FixedLenFeature([], tf.int64) for key in (HEIGHT, WIDTH)})
    example = tf.io.parse_single_example(serialized, keys)
    image = tf.io.decode_image(example[IMAGE], channels=3, expand_animations=False)
    size = tf.stack([example[HEIGHT], example[WIDTH]])
    label = tf.cond(
        tf.equal(example[LABEL_FORMAT], "png"),
        lambda: tf.cast(tf.io.decode_png(example[LABEL], channels=1, dtype=tf.uint16)[..., 0], tf.int32),
        lambda: tf.reshape(tf.io.decode_raw(example[LABEL], tf.int32), size),
    )
    semantic, number = label // dataset.label_divisor, label % dataset.label_divisor
    known = (semantic < dataset.num_classes) | tf.equal(semantic, dataset.ignore_label)
    message = f"UserError: a record of {dataset.name} holds a class id outside its {dataset.num_classes} classes, image"
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(known), [message, example[NAME]])]):
        semantic = tf.identity(semantic)
    is_thing = tf.gather(_thing_table(dataset), tf.minimum(semantic, dataset.num_classes))
    return {
        "image": tf.ensure_shape(image, [None, None, 3]),
        "semantic": tf.ensure_shape(semantic, [None, None]),
        "instance": tf.where(is_thing & (number > 0), number if unique_numbers else label, 0),
        "crowd": is_thing & tf.equal(number, 0),
        "image_id": example[NAME],
    }


def _thing_table(dataset):
    return tf.constant([category.is_thing for category in dataset.categories] + [False])


def open_split(config, split):
    """The `RecordSource` of `config.data.records`; without `dataset.json`, the classes are `config.data.dataset`'s."""
    modules = {name: f"input_pipeline.datasets.{name}" for name in ("cityscapes", "coco", "vistas", "voc")}
    name = config.data.dataset
    dataset = importlib.import_module(modules[name]).DATASET if name in modules else None
    return RecordSource(config.data.records, split, dataset)


class RecordSource:
    """Random-access source of a split of records; see `input_pipeline.datasets`.

    Args:
      folder: of the shards.
      split: train, val, ….
      dataset: classes, for records without a `dataset.json`, such as DeepLab2's.
    """

    def __init__(self, folder, split, dataset=None):
        self.shards = find_shards(folder, split)
        path = os.path.join(folder, "dataset.json")
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                dataset = Dataset.from_json(file.read(), path)
        if dataset is None:
            raise UserError(f"there is no dataset.json in {folder}; write one, or build the records again.")
        self.dataset = dataset
        self.unique_numbers = has_manifest(folder, split)
        offsets = {shard: record_offsets(shard) for shard in self.shards}
        self.counts = {shard: len(places) for shard, places in offsets.items()}
        self._places = [(shard, *place) for shard, places in offsets.items() for place in places]

    def __len__(self):
        return len(self._places)

    def __getitem__(self, index):
        shard, offset, length = self._places[index]
        with open(shard, "rb") as file:
            file.seek(offset)
            data = file.read(length)
        try:
            sample = decode_example(data, self.dataset, self.unique_numbers)
        except tf.errors.OpError as error:
            message = error.message.splitlines()[0]
            raise UserError(
                f"record at byte {offset} of {shard} cannot be read ({message}); build it again."
            ) from error
        sample = {name: value.numpy() for name, value in sample.items()}
        return {**sample, "image_id": sample["image_id"].decode()}


def find_shards(folder, split):
    """Paths of a split's shards, in order; UserError if there is none or one is missing."""
    paths = sorted(glob.glob(os.path.join(glob.escape(folder), f"{split}-*-of-*.tfrecord")))
    if not paths:
        raise UserError(f"there is no {split}-*-of-*.tfrecord in {folder}; run scripts/build_records.py first.")
    count = int(paths[-1].rsplit("-of-")[-1].split(".")[0])
    if len(paths) != count:
        raise UserError(
            f"{folder} has {len(paths)} of the {count} shards of {split!r}; run scripts/build_records.py again."
        )
    return paths


def record_offsets(path):
    """[(offset, length)] of the data of each record of a file, found from the records' heads alone."""
    places, offset, size = [], 0, os.path.getsize(path)
    with open(path, "rb") as file:
        while offset < size:
            file.seek(offset)
            head = file.read(_RECORD_HEAD)
            length = struct.unpack("<Q", head[:8])[0] if len(head) == _RECORD_HEAD else size
            end = offset + _RECORD_HEAD + length + _RECORD_TAIL
            if end > size:
                raise UserError(f"{path} is cut off or corrupt at byte {offset}, record {len(places)}; build it again.")
            places.append((offset + _RECORD_HEAD, length))
            offset = end
    return places


def has_manifest(folder, split):
    """Whether `write_records` made these records, not DeepLab2 or somebody else."""
    return os.path.exists(os.path.join(folder, f"{split}.json"))
