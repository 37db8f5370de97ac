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
CROPS = (513, 721)
INSTANCES = (0, 5, 40, 200)
ROUNDS = 30
PIPELINE_BATCH = 4
PIPELINE_BATCHES = 15


def run():
    """Rows of the benchmark, of images of 1024 x 2048 with the scale augmentation of the paper.

    Returns:
      list of dicts with `crop`, `instances`, `stage`, `milliseconds` an image and
      `images_per_second`. Of one core (processor time): `decode` reads image and masks from PNG
      files; `resize` resamples what falls into the crop; `augment` is that, flipped and padded;
      `targets` makes the targets; `batch` gathers finished samples into batches. Over all cores
      (elapsed time): `pipeline` is augment, targets and batching in tf.data, from decoded images;
      its `processor_milliseconds` an image are what other programs lengthen less.
    """
    scenes = {count: _scene(count) for count in INSTANCES}
    rows = [
        dict(crop=None, instances=n, stage="decode", **_speed(_decode_seconds(s)))
        for n, s in scenes.items()
    ]
    stages = dict(
        resize=_resize_seconds,
        augment=_augment_seconds,
        targets=_targets_seconds,
        batch=_batch_seconds,
    )
    for crop in CROPS:
        config = default_config()
        config.data.crop_size = (crop, crop)
        config.train.batch_size = PIPELINE_BATCH
        for stage, seconds in stages.items():
            for count, times in seconds(scenes, config).items():
                rows.append(dict(crop=crop, instances=count, stage=stage, **_speed(times)))
        for count, sample in scenes.items():
            rows.append(
                dict(crop=crop, instances=count, stage="pipeline", **_pipeline_row(sample, config))
            )
    return rows


def _speed(seconds):
    """Of the median round: other programs lengthen the mean."""
    seconds = float(np.median(seconds))
    return dict(milliseconds=1000 * seconds, images_per_second=1 / seconds)


def _scene(count):
    """A sample of `count` discs, smaller the more there are, on three stuff regions."""
    rng = np.random.default_rng(count)
    noise = rng.integers(0, 256, (SIZE[0] // 8, SIZE[1] // 8, 3), np.uint8)
    instance = np.zeros(SIZE, np.int32)
    for number in range(1, count + 1):
        radius = int(SIZE[0] * 0.4 / np.sqrt(count) * rng.uniform(0.6, 1.4))
        cv2.circle(
            instance, tuple(int(rng.integers(0, side)) for side in SIZE[::-1]), radius, number, -1
        )
    semantic = np.repeat(np.arange(SIZE[0])[:, np.newaxis] * 3 // SIZE[0], SIZE[1], axis=1).astype(
        np.int32
    )
    semantic[instance > 0] = 11
    sample = {"image": cv2.resize(noise, SIZE[::-1]), "semantic": semantic, "instance": instance}
    return {**sample, "crowd": np.zeros(SIZE, bool), "image_id": str(count)}


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


def _resize_seconds(scenes, config):
    def resize(sample, number):
        seeds = tf.unstack(tf.random.split(tf.stack([0, number]), 4))[:2]  # those of `augment`
        return preprocess.scale_and_crop(sample, config.data, *seeds)

    return _rounds(
        {count: _tensors(sample) for count, sample in scenes.items()}, tf.function(resize)
    )


def _augment_seconds(scenes, config):
    step = tf.function(
        lambda sample, number: preprocess.augment(sample, config.data, tf.stack([0, number]))
    )
    return _rounds({count: _tensors(sample) for count, sample in scenes.items()}, step)


def _targets_seconds(scenes, config):
    step = tf.function(
        lambda s, number: make_targets(s["semantic"], s["instance"], s["crowd"], config)
    )
    return _rounds(_crops(scenes, config), step)


def _batch_seconds(scenes, config):
    """Of one image: a round is a batch."""
    samples = {}
    for count, crop in _crops(scenes, config).items():
        finished = (
            crop["image"],
            make_targets(crop["semantic"], crop["instance"], crop["crowd"], config),
        )
        dataset = tf.data.Dataset.from_tensors(finished).repeat().batch(PIPELINE_BATCH)
        samples[count] = iter(dataset)
    times = _rounds(samples, lambda batches, number: next(batches))
    return {
        count: [seconds / PIPELINE_BATCH for seconds in rounds] for count, rounds in times.items()
    }


def _crops(scenes, config):
    seed = tf.constant([0, 0])
    return {
        count: preprocess.augment(_tensors(sample), config.data, seed)
        for count, sample in scenes.items()
    }


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


def _pipeline_row(sample, config):
    """One row's times of the whole pipeline, after a first batch that builds and tunes it."""
    samples = tf.data.Dataset.from_tensors(_tensors(sample)).repeat().enumerate()
    batches = iter(train_batches(samples, config, PIPELINE_BATCH))
    next(batches)
    elapsed, processor = time.perf_counter(), time.process_time()
    for _ in range(PIPELINE_BATCHES):
        next(batches)
    images = PIPELINE_BATCH * PIPELINE_BATCHES
    elapsed, processor = (
        (time.perf_counter() - elapsed) / images,
        (time.process_time() - processor) / images,
    )
    return dict(
        milliseconds=1000 * elapsed,
        images_per_second=1 / elapsed,
        processor_milliseconds=1000 * processor,
    )
