"""Speed of the metrics: images/s of PQ + PC + mIoU on street-scene-sized maps, decoded and from PNG
files.
"""

import os
import tempfile
import time

import cv2
import numpy as np

from deeperlab_tf.files.coco_panoptic import PanopticFiles
from deeperlab_tf.files.panoptic_pair import compare
from deeperlab_tf.files.panoptic_writer import PanopticWriter
from deeperlab_tf.metrics import ParsingMetrics
from deeperlab_tf.prediction.parsing import Parsing
from deeperlab_tf.schema import Category, Dataset, distinct_colors

SIZE = (1024, 2048)
SEGMENTS = (20, 35, 100, 200)
ROUNDS = 15  # the fastest counts
NUM_CLASSES, FIRST_THING = 19, 11  # as Cityscapes


def run():
    """Rows of the benchmark.

    Returns:
      list of dicts with `input` (decoded | files), `segments`, `milliseconds` an image and
      `images_per_second`, of one
      core: processor time, so that other programs do not count.
    """
    dataset = _dataset()
    scenes = {count: _scene(count) for count in SEGMENTS}
    with tempfile.TemporaryDirectory() as folder:
        files = {
            count: _write(scene, os.path.join(folder, str(count)), dataset)
            for count, scene in scenes.items()
        }
        tasks = {("decoded", count): _score_maps(scene, dataset) for count, scene in scenes.items()}
        tasks.update({("files", count): _score_files(pair) for count, pair in files.items()})
        seconds = {key: [] for key in tasks}
        for _ in range(ROUNDS):  # in turns, so that a disturbance meets all of them
            for key, task in tasks.items():
                start = time.process_time()
                task()
                seconds[key].append(time.process_time() - start)
    return [
        dict(
            input=key[0],
            segments=key[1],
            milliseconds=1000 * min(times),
            images_per_second=1 / min(times),
        )
        for key, times in seconds.items()
    ]


def _dataset():
    colors = distinct_colors(NUM_CLASSES)
    return Dataset(
        "street",
        tuple(Category(f"class {i}", i >= FIRST_THING, colors[i], i) for i in range(NUM_CLASSES)),
    )


def _score_maps(scene, dataset):
    return lambda: ParsingMetrics(NUM_CLASSES, dataset.thing_classes).update(*scene)


def _score_files(pair):
    metrics = ParsingMetrics(NUM_CLASSES, pair[0].dataset.thing_classes)
    return lambda: metrics.add(compare(*pair, 0))


def _scene(count):
    """Truth and a prediction that is off by a few pixels: `count` regions with curved boundaries."""
    rng = np.random.default_rng(count)
    rows, columns = np.mgrid[: SIZE[0] // 4, : SIZE[1] // 4].astype(np.float32)
    nearest, region = np.full(rows.shape, np.inf, np.float32), np.zeros(rows.shape, np.int32)
    for index in range(count):
        y, x = rng.uniform(0, 1, 2) * rows.shape
        distance = np.hypot(rows - y, columns - x) * np.float32(rng.uniform(0.7, 1.4))
        region[distance < nearest] = index
        nearest = np.minimum(nearest, distance)
    region = cv2.resize(region.astype(np.uint8), SIZE[::-1], interpolation=cv2.INTER_NEAREST)
    semantic = rng.integers(0, NUM_CLASSES, count)[region].astype(np.int32)
    instance = np.where(semantic >= FIRST_THING, region.astype(np.int32) + 1, 0)
    return semantic, instance, np.roll(semantic, (5, 7), (0, 1)), np.roll(instance, (5, 7), (0, 1))


def _write(scene, folder, dataset):
    pair = []
    for name, (semantic, instance) in (("truth", scene[:2]), ("parse", scene[2:])):
        paths = (os.path.join(folder, name), os.path.join(folder, f"{name}.json"))
        writer = PanopticWriter(*paths, dataset)
        writer.add(Parsing.from_maps(semantic, instance, dataset), 0, "image")
        writer.close()
        pair.append(PanopticFiles(paths[1], paths[0], dataset))
    return pair
