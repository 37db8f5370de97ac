"""Speed of the input pipeline: images/s of each stage, by crop size and number of instances."""

import os
import tempfile
import time

import cv2
import numpy as np
import tensorflow as tf

from deeperlab_tf.config import default_config
from deeperlab_tf.files.images import read_image, read_mask
from input_pipeline import preprocess
from input_pipeline.pipeline import train_batches
from input_pipeline.targets import make_targets

SIZE = (1024, 2048)  # of the street scene every image is cropped from
THING = 11  # the first thing class of Cityscapes
CROPS = (513, 721)
INSTANCES = (0, 5, 40, 200)
ROUNDS = 30
PIPELINE_BATCH = 4
PIPELINE_BATCHES = 15


def run():
    """Rows of the benchmark, of images of 1024 x 2048 with the scale augmentation of the paper.

    Returns:
      list of dicts with `crop`, `instances`, `stage`, `milliseconds` per image and
      `images_per_second`. Of one core (processor time): `decode` reads image and masks from PNG
      files; `resize` resamples what falls into the crop; `augment` is that, flipped and padded;
      `targets` makes the targets; `batch` gathers finished samples into batches. Over all cores
      (elapsed time): `pipeline` is augment, targets and batching in tf.data, from decoded images;
      its `processor_milliseconds` per image are what other programs lengthen less.
    """
    scenes = {count: _scene(count) for count in INSTANCES}
    rows = []
    for count, sample in scenes.items():
        speed = _speed(_decode_seconds(sample))
        rows.append(dict(crop=None, instances=count, stage="decode", **speed))
    for crop in CROPS:
        config = default_config()
        config.data.crop_size = (crop, crop)
        config.train.batch_size = PIPELINE_BATCH
        for stage, measure in STAGES.items():
            for count, seconds in measure(scenes, config).items():
                speed = _speed(seconds)
                rows.append(dict(crop=crop, instances=count, stage=stage, **speed))
        for count, sample in scenes.items():
            speed = _pipeline_speed(sample, config)
            rows.append(dict(crop=crop, instances=count, stage="pipeline", **speed))
    return rows


def _speed(seconds):
    """Of the median round: other programs lengthen the mean."""
    seconds = float(np.median(seconds))
    return dict(milliseconds=1000 * seconds, images_per_second=1 / seconds)


def _scene(count):
    """A sample of `count` discs, smaller the more there are, on three stuff regions."""
    rng = np.random.default_rng(count)
    height, width = SIZE
    noise = rng.integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    instance = np.zeros(SIZE, np.int32)
    for number in range(1, count + 1):
        radius = int(height * 0.4 / np.sqrt(count) * rng.uniform(0.6, 1.4))
        center = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        cv2.circle(instance, center, radius, number, thickness=cv2.FILLED)
    stripe = np.arange(height, dtype=np.int32) * 3 // height
    semantic = np.repeat(stripe[:, np.newaxis], width, axis=1)
    semantic[instance > 0] = THING
    return {
        "image": cv2.resize(noise, (width, height)),
        "semantic": semantic,
        "instance": instance,
        "crowd": np.zeros(SIZE, bool),
        "image_id": str(count),
    }


def _decode_seconds(sample):
    times = []
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, f"{name}.png") for name in ("image", "semantic", "instance")]
        cv2.imwrite(paths[0], sample["image"])
        cv2.imwrite(paths[1], sample["semantic"].astype(np.uint8))
        cv2.imwrite(paths[2], sample["instance"].astype(np.uint16))
        for _ in range(ROUNDS // 3):
            start = time.process_time()
            read_image(paths[0]), read_mask(paths[1]), read_mask(paths[2])
            times.append(time.process_time() - start)
    return times


def _tensors(sample):
    return {name: tf.constant(value) for name, value in sample.items() if name != "image_id"}


def _all_tensors(scenes):
    return {count: _tensors(sample) for count, sample in scenes.items()}


def _resize_seconds(scenes, config):
    def resize(sample, number):
        seeds = tf.random.split(tf.stack([0, number]), 4)  # those of `augment`
        scale_seed, place_seed = tf.unstack(seeds)[:2]
        return preprocess.scale_and_crop(sample, config.data, scale_seed, place_seed)

    return _rounds(_all_tensors(scenes), tf.function(resize))


def _augment_seconds(scenes, config):
    def augment(sample, number):
        return preprocess.augment(sample, config.data, tf.stack([0, number]))

    return _rounds(_all_tensors(scenes), tf.function(augment))


def _targets_seconds(scenes, config):
    def targets(crop, number):
        del number
        return _targets(crop, config)

    return _rounds(_crops(scenes, config), tf.function(targets))


def _batch_seconds(scenes, config):
    """Of one image: a round is a batch."""
    batches = {}
    for count, crop in _crops(scenes, config).items():
        finished = (crop["image"], _targets(crop, config))
        dataset = tf.data.Dataset.from_tensors(finished).repeat().batch(PIPELINE_BATCH)
        batches[count] = iter(dataset)

    def next_batch(batches, number):
        del number
        return next(batches)

    times = _rounds(batches, next_batch)
    return {count: np.divide(rounds, PIPELINE_BATCH) for count, rounds in times.items()}


def _crops(scenes, config):
    seed = tf.constant([0, 0])
    crops = {}
    for count, sample in _all_tensors(scenes).items():
        crops[count] = preprocess.augment(sample, config.data, seed)
    return crops


def _targets(crop, config):
    return make_targets(crop["semantic"], crop["instance"], crop["crowd"], config)


def _rounds(samples, step):
    """Processor time of `step(sample, round)`, in turns, so that a disturbance meets all samples
    alike.
    """
    times = {count: [] for count in samples}
    for number in range(-2, ROUNDS):
        for count, sample in samples.items():
            start = time.process_time()
            step(sample, tf.constant(number))
            if number >= 0:  # the rounds before warm up
                times[count].append(time.process_time() - start)
    return times


def _pipeline_speed(sample, config):
    """One row's times of the whole pipeline, after a first batch that builds and tunes it."""
    samples = tf.data.Dataset.from_tensors(_tensors(sample)).repeat().enumerate()
    batches = iter(train_batches(samples, config, PIPELINE_BATCH))
    next(batches)
    elapsed, processor = time.perf_counter(), time.process_time()
    for _ in range(PIPELINE_BATCHES):
        next(batches)
    images = PIPELINE_BATCH * PIPELINE_BATCHES
    elapsed = (time.perf_counter() - elapsed) / images
    processor = (time.process_time() - processor) / images
    return dict(
        milliseconds=1000 * elapsed,
        images_per_second=1 / elapsed,
        processor_milliseconds=1000 * processor,
    )


STAGES = dict(
    resize=_resize_seconds,
    augment=_augment_seconds,
    targets=_targets_seconds,
    batch=_batch_seconds,
)
