"""Writing records: shard by shard, in several processes, each shard whole or not at all."""

import concurrent.futures
import glob
import hashlib
import io
import multiprocessing
import os

import cv2
import numpy as np
import tensorflow as tf
from PIL import Image
from tqdm import tqdm

from deeperlab_tf.config_json import config_from_json, config_to_json
from deeperlab_tf.errors import UserError
from deeperlab_tf.files.atomic import atomic_path, write_json
from deeperlab_tf.schema import LABEL_DIVISOR, Dataset
from input_pipeline.records.files import record_offsets
from input_pipeline.records.read import (
    CHANNELS,
    FORMAT,
    HEIGHT,
    IMAGE,
    LABEL,
    LABEL_FORMAT,
    NAME,
    WIDTH,
)
from input_pipeline.sources import open_source


def write_records(config, split, output, num_shards=10, processes=2):
    """Writes a split of `config.data` as shards into the folder `output`; shards that are there
    already are kept.

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
    paths = [
        os.path.join(output, f"{split}-{i:05d}-of-{num_shards:05d}.tfrecord")
        for i in range(num_shards)
    ]
    others = set(glob.glob(os.path.join(glob.escape(output), f"{split}-*-of-*.tfrecord"))) - set(
        paths
    )
    if others:
        raise UserError(
            f"{output} holds shards of another division, such as {min(others)}; remove them first."
        )
    bounds = np.linspace(0, len(source), num_shards + 1).astype(int).tolist()
    tasks = [
        (path, first, last)
        for path, first, last in zip(paths, bounds, bounds[1:])
        if not os.path.exists(path)
    ]
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
    shards = [
        dict(file=os.path.basename(p), images=len(record_offsets(p)), sha256=_sha256(p))
        for p in paths
    ]
    manifest = dict(
        dataset=source.dataset.name,
        split=split,
        images=sum(s["images"] for s in shards),
        shards=shards,
    )
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
                raise UserError(
                    f"{path} describes other classes; choose another --output for {dataset.name}."
                )
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
        raise UserError(
            f"cannot write {path} ({error}); check the space on the disk, then run again."
        ) from error
    return last - first


def encode_example(sample, dataset, photo=None):
    """A serialised tf.train.Example.

    Args:
      sample: as a source gives it.
      dataset: `Dataset`.
      photo: path of the sample's image file. Its bytes are kept if TensorFlow decodes them as they
        are; without it, or for rotated, CMYK and other special files, the picture is stored as a
        PNG.
    """
    if sample["instance"].max(initial=0) >= LABEL_DIVISOR:
        raise UserError(
            f"image {sample['image_id']!r} has {LABEL_DIVISOR} instances or more; its labels cannot be encoded."
        )
    label = sample["semantic"].astype(np.int32) * LABEL_DIVISOR + sample["instance"]
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
