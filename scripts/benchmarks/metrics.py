"""Speed of the metrics: images/s of PQ + PC + mIoU on street-scene-sized maps, decoded and from PNG
files.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import numpy as np

from benchmarks.street import street_dataset
from deeperlab_tf.files.panoptic_pair import PanopticPair, compare
from deeperlab_tf.files.panoptic_writer import PanopticWriter
from deeperlab_tf.metrics import ParsingMetrics
from deeperlab_tf.prediction.parsing import Parsing
from deeperlab_tf.schema import Dataset

SIZE = (1024, 2048)
SEGMENTS = (20, 35, 100, 200)
ROUNDS = 15  # the fastest counts
NUM_CLASSES, NUM_THINGS = 19, 8  # as Cityscapes
_SHIFT = (5, 7)  # pixels by which the prediction is off


class Scene(NamedTuple):
    """Truth and prediction of one image, int32 [H, W] each, in the order the metrics take them."""

    gt_semantic: np.ndarray
    gt_instance: np.ndarray
    pred_semantic: np.ndarray
    pred_instance: np.ndarray


def run() -> list[dict[str, Any]]:
    """Rows of the benchmark.

    Returns:
      list of dicts with `input` (decoded | files), `segments`, `milliseconds` per image and
      `images_per_second`, of one core: processor time, so that other programs do not count.
    """
    dataset = street_dataset(NUM_CLASSES, NUM_THINGS)
    scenes = {count: _scene(count) for count in SEGMENTS}
    tasks = {("decoded", count): _score_maps(scene, dataset) for count, scene in scenes.items()}
    with tempfile.TemporaryDirectory() as folder:
        for count, scene in scenes.items():
            pair = _write(scene, os.path.join(folder, str(count)), dataset)
            tasks["files", count] = _score_files(pair)
        seconds = _take_turns(tasks)

    return [
        dict(
            input=source,
            segments=count,
            milliseconds=1000 * best,
            images_per_second=1 / best,
        )
        for (source, count), best in seconds.items()
    ]


def _take_turns(tasks: dict[Any, Callable[[], object]]) -> dict[Any, float]:
    """Fastest seconds of each task; in turns, so that a disturbance meets all of them."""
    best = dict.fromkeys(tasks, float("inf"))
    for _ in range(ROUNDS):
        for key, task in tasks.items():
            start = time.process_time()
            task()
            best[key] = min(best[key], time.process_time() - start)
    return best


def _score_maps(scene: Scene, dataset: Dataset) -> Callable[[], object]:
    return lambda: ParsingMetrics(NUM_CLASSES, dataset.thing_classes).update(*scene)


def _score_files(files: PanopticPair) -> Callable[[], object]:
    metrics = ParsingMetrics(NUM_CLASSES, files.truth.dataset.thing_classes)
    return lambda: metrics.add(compare(files, 0).table)


def _scene(count: int) -> Scene:
    """`count` regions with curved boundaries, and a prediction that is off by a few pixels."""
    rng = np.random.default_rng(count)
    # A quarter of the size, for speed.
    rows, columns = np.mgrid[: SIZE[0] // 4, : SIZE[1] // 4].astype(np.float32)
    nearest = np.full(rows.shape, np.inf, np.float32)
    region = np.zeros(rows.shape, np.int32)
    for index in range(count):
        y, x = rng.uniform(0, 1, 2) * rows.shape
        distance = np.hypot(rows - y, columns - x) * np.float32(rng.uniform(0.7, 1.4))
        region[distance < nearest] = index
        nearest = np.minimum(nearest, distance)

    region = cv2.resize(region.astype(np.uint8), SIZE[::-1], interpolation=cv2.INTER_NEAREST)
    semantic = rng.integers(0, NUM_CLASSES, count)[region].astype(np.int32)
    is_thing = semantic >= NUM_CLASSES - NUM_THINGS
    instance = np.where(is_thing, region.astype(np.int32) + 1, 0)
    shifted = (np.roll(labels, _SHIFT, (0, 1)) for labels in (semantic, instance))
    return Scene(semantic, instance, *shifted)


def _write(scene: Scene, folder: str, dataset: Dataset) -> PanopticPair:
    """Truth and prediction as files."""
    maps = {
        "truth": (scene.gt_semantic, scene.gt_instance),
        "parse": (scene.pred_semantic, scene.pred_instance),
    }
    paths = []
    for name, (semantic, instance) in maps.items():
        pngs, json_path = os.path.join(folder, name), os.path.join(folder, f"{name}.json")
        writer = PanopticWriter(pngs, json_path, dataset)
        writer.add(Parsing.from_maps(semantic, instance, dataset), 0, "image")
        writer.close()
        paths += [json_path, pngs]
    return PanopticPair.open(tuple(paths))
