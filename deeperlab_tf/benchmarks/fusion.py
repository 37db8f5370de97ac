"""Speed and memory of the prediction fusion, beside a plain resize + argmax of the same logits."""

import ctypes
import os
import threading
import time

import numpy as np
import tensorflow as tf

from deeperlab_tf.benchmarks.scene import scene_heads
from deeperlab_tf.config import default_config
from deeperlab_tf.fusion import fuse
from deeperlab_tf.keypoints import keypoint_graph

SIZES = ((641, 641), (721, 721), (1441, 1441), (1025, 2049))
INSTANCES = (1, 5, 20, 100, 200)
NUM_CLASSES, NUM_THINGS = 66, 37  # Mapillary Vistas
REPEATS = 7


def run():
    """Times the fusion over image sizes and numbers of instances.

    Returns:
      list of rows: image_size, instances, found; yardstick_ms, fuse_ms, ratio (medians of calls that take turns);
      peak_mb, resident memory above that with the inputs in place, at most.
    """
    config = default_config().fusion
    graph = keypoint_graph(config.keypoint_graph)
    things = tuple(range(NUM_CLASSES - NUM_THINGS, NUM_CLASSES))
    parse = tf.function(lambda heads, size: fuse(heads, (size[0], size[1]), things, config), reduce_retracing=True)
    yardstick = tf.function(lambda heads, size: resize_argmax(heads["semantic_logits"], size), reduce_retracing=True)
    rows = []
    for size in SIZES:
        for count in INSTANCES:
            heads = scene_heads(size, count, NUM_CLASSES, NUM_THINGS, graph, config.keypoint_radius)
            arguments = {name: tf.constant(head) for name, head in heads.items()}, tf.constant(size)
            found = int(parse(*arguments)["num_instances"][0])  # traces, too
            yardstick(*arguments)
            peak = _peak_mb(lambda arguments=arguments: parse(*arguments))
            fuse_ms, yardstick_ms = _take_turns([parse, yardstick], arguments)
            row = dict(image_size=list(size), instances=count, found=found, fuse_ms=fuse_ms, yardstick_ms=yardstick_ms)
            rows.append(dict(row, ratio=fuse_ms / yardstick_ms, peak_mb=peak))
    return rows


def resize_argmax(logits, image_size):
    """The yardstick: labels at full resolution the plain way. float32 [B, h, w, classes] -> int32 [B, H, W]."""
    resized = tf.raw_ops.ResizeBilinear(images=logits, size=image_size, align_corners=True)
    return tf.argmax(resized, axis=-1, output_type=tf.int32)


def _take_turns(functions, arguments):
    """Median milliseconds of each function; they take turns, so that a busy machine slows them alike."""
    times = [[] for _ in functions]
    for _ in range(REPEATS):
        for function, record in zip(functions, times):
            start = time.perf_counter()
            tf.nest.map_structure(lambda x: x.shape, function(*arguments))
            record.append(1000 * (time.perf_counter() - start))
    return [float(np.median(record)) for record in times]


def _peak_mb(function):
    """Highest resident memory during a call above that before it, MB: sampled every millisecond (Linux)."""
    ctypes.CDLL(None).malloc_trim(0)  # free memory that is kept for reuse would hide what the call takes
    before, samples, done = _resident_mb(), [], threading.Event()

    def watch():
        while not done.wait(0.001):
            samples.append(_resident_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    function()
    done.set()
    watcher.join()
    return max([before, *samples]) - before


def _resident_mb():
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
