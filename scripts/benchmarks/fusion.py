"""Speed and memory of the prediction fusion, step by step, beside a plain resize + argmax of the
same logits.
"""

import multiprocessing
import tempfile
import time

import numpy as np
import tensorflow as tf

from benchmarks.memory import added_peak_mb
from benchmarks.scene import scene_heads
from deeperlab_tf.config import default_config
from deeperlab_tf.fusion import assign, detect, fuse, hough, merge, refine, semantics
from deeperlab_tf.keypoints import keypoint_graph

SIZES = ((641, 641), (721, 721), (1441, 1441), (1025, 2049))
INSTANCES = (1, 5, 20, 100, 200)
NUM_CLASSES, NUM_THINGS = 66, 37  # Mapillary Vistas
THINGS = tuple(range(NUM_CLASSES - NUM_THINGS, NUM_CLASSES))
PEAK_INSTANCES = (5, 200)  # where memory is measured, which takes a process
REPEATS = 7


def run():
    """Times the fusion over image sizes and numbers of instances.

    Returns:
      list of rows: image_size, instances, found; yardstick_ms, total_ms (of `fuse`), their ratio;
      then semantics_ms to merge_ms, each step alone on the inputs it has in `fuse`; their sum
      exceeds the total, for there steps overlap. All are medians of calls that take turns. peak_mb
      is the highest memory of a process while it fuses (resident, or the GPU's) above what it held
      before, with the inputs and after a tiny image. It is None but for `PEAK_INSTANCES`.
    """
    config = default_config().fusion
    total = tf.function(_fuse, reduce_retracing=True)
    yardstick = tf.function(resize_argmax, reduce_retracing=True)
    rows = []
    for size in SIZES:
        for count in INSTANCES:
            heads = scene_heads(
                size, count, NUM_CLASSES, NUM_THINGS, keypoint_graph(config.keypoint_graph), 25.0
            )
            peak = peak_mb(heads, size) if count in PEAK_INSTANCES else None
            heads, image_size = (
                {name: tf.constant(head) for name, head in heads.items()},
                tf.constant(size),
            )
            calls = {
                "yardstick": lambda heads=heads, size=image_size: yardstick(
                    heads["semantic_logits"], size
                ),
                "total": lambda heads=heads, size=image_size: total(heads, size),
                **steps(heads, image_size, config),
            }
            found = int(calls["total"]()["num_instances"][0])
            times = {
                f"{name}_ms": milliseconds for name, milliseconds in _take_turns(calls).items()
            }
            ratio = times["total_ms"] / times["yardstick_ms"]
            row = dict(
                image_size=list(size), instances=count, found=found, ratio=ratio, peak_mb=peak
            )
            rows.append({**row, **times})
    return rows


def _fuse(heads, image_size):
    return fuse(heads, (image_size[0], image_size[1]), THINGS, default_config().fusion)


def resize_argmax(logits, image_size):
    """The yardstick: labels at full resolution the plain way. float32 [B, h, w, classes] -> int32
    [B, H, W].
    """
    resized = tf.raw_ops.ResizeBilinear(images=logits, size=image_size, align_corners=True)
    return tf.argmax(resized, axis=-1, output_type=tf.int32)


def steps(heads, image_size, config):
    """The steps of `fusion.fuse_image` one by one: dict of name -> function without arguments."""
    graph = keypoint_graph(config.keypoint_graph)
    size = tf.shape(heads["semantic_logits"])[1:3]
    logits = tf.reshape(heads["semantic_logits"], [-1, NUM_CLASSES])
    heatmap = tf.reshape(heads["keypoint_logits"], [-1, graph.num_keypoints])
    short, middle, long = (
        tf.reshape(heads[f"{name}_offsets"], [-1, number, 2])
        for name, number in (
            ("short", graph.num_keypoints),
            ("middle", graph.num_edges),
            ("long", graph.num_keypoints),
        )
    )
    # Each is run once here, for the inputs of those after it.
    calls, results = {}, {}

    def step(name, function):
        calls[name] = tf.function(lambda: tf.nest.flatten(function())).get_concrete_function()
        results[name] = function()

    step("semantics", lambda: vars(semantics.semantics(logits, THINGS, size)))
    found = semantics.Semantics(**results["semantics"])
    step("refine", lambda: refine.long_targets(long, heatmap, short, found.support, size, config))
    targets = results["refine"]
    of_things = [target[: tf.size(found.things)] for target in targets]
    step("vote", lambda: hough.score_map(heatmap, short, of_things, found.things, size, config))
    scores = results["vote"]
    step("peaks", lambda: detect.local_maxima(scores, size, config))
    step("detect", lambda: detect.detect(scores, heatmap, short, middle, size, graph, config))
    step("assign", lambda: assign.assign(found, targets, results["detect"], THINGS, size, config))
    step(
        "merge",
        lambda: merge.merge(
            results["assign"],
            results["detect"],
            NUM_CLASSES,
            THINGS,
            size,
            image_size,
            config.label_divisor,
        ),
    )
    return calls


def _take_turns(functions):
    """Median milliseconds of each function; they take turns, so that a busy machine slows them
    alike.
    """
    times = {name: [] for name in functions}
    for _ in range(REPEATS + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            tf.test.experimental.sync_devices()  # a GPU's answer comes before its work is done
            times[name].append(1000 * (time.perf_counter() - start))
    # The first traces.
    return {name: float(np.median(record[1:])) for name, record in times.items()}


def peak_mb(heads, image_size):
    """Memory that fusing takes at most above its inputs, MB, measured in a process of its own."""
    with tempfile.NamedTemporaryFile(suffix=".npz") as file:
        np.savez(file, **heads)
        file.flush()
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return pool.apply(_fusion_peak_mb, (file.name, image_size))


def _fusion_peak_mb(path, image_size):
    """Loads heads and fuses a tiny corner of them, which traces; then what fusing all takes."""
    call = tf.function(_fuse, reduce_retracing=True)
    with np.load(path) as file:
        heads = {name: tf.constant(file[name]) for name in file.files}
    for _ in range(2):
        call({name: head[:, :17, :17] for name, head in heads.items()}, tf.constant([65, 65]))
    return added_peak_mb(lambda: call(heads, tf.constant(image_size)))
