"""Speed and memory of the fusion, step by step, beside a plain resize + argmax of its logits."""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import tempfile
import time
from typing import Callable
from unittest import mock

import numpy as np
import tensorflow as tf

from benchmarks.hlo import count_operations
from benchmarks.memory import added_peak_mb
from benchmarks.options import Options
from benchmarks.scene import scene_heads
from deeperlab_tf import fusion
from deeperlab_tf.config import default_config
from deeperlab_tf.fusion import detect, ops
from deeperlab_tf.keypoints import keypoint_graph

SIZES = ((641, 641), (721, 721), (1441, 1441), (1025, 2049))
INSTANCES = (1, 5, 20, 100, 200)
NUM_CLASSES, NUM_THINGS = 66, 37  # Mapillary Vistas
THINGS = tuple(range(NUM_CLASSES - NUM_THINGS, NUM_CLASSES))
PEAK_INSTANCES = (5, 200)  # where memory is measured, which takes a process
REPEATS = 7
DEFAULT = Options()

# Functions that `fuse` calls, as they are called in their modules, and the step they belong to.
STEPS = (
    (fusion, "label_pixels", "semantics"),
    (fusion, "refine_support", "refine"),
    (fusion, "score_map", "vote"),
    (detect, "local_maxima", "peaks"),
    (fusion, "find_instances", "detect"),
    (fusion, "predict_instances", "assign"),
    (fusion, "assign_pixels", "assign"),
    (fusion, "merge_parse", "merge"),
)


def run(options: Options = DEFAULT) -> list[dict]:
    """Times the fusion over image sizes and numbers of instances.

    Args:
      options: which sizes, where; with `compile` the rows have compiled_ms, of the same as XLA
        compiles it, compile_seconds, of the first call, and operations, which are then left.

    Returns:
      list of rows: image_size, instances, found; yardstick_ms, total_ms (of `fuse`), their ratio;
      then semantics_ms to merge_ms, each step alone on the inputs it has in `fuse`; their sum
      exceeds the total, for there steps overlap, and peaks are part of detect. All are medians of
      calls that take turns. peak_mb is the highest memory of a process while it fuses (resident, or
      the GPU's) above what it held before, with the inputs and after a tiny image. It is None
      except for `PEAK_INSTANCES`. With `against`, the rows of `benchmarks.against`.
    """
    if options.against:
        # Imported here: it takes its scene from this module.
        from benchmarks import against

        return against.run(options)
    total = tf.function(_fuse, reduce_retracing=True)
    yardstick = tf.function(resize_argmax, reduce_retracing=True)
    settings = default_config().fusion
    graph = keypoint_graph(settings.keypoint_graph)
    radius = settings.keypoint_radius
    rows = []
    for size in options.sizes or SIZES:
        compiled = compiled_fusion(size)
        for count in INSTANCES:
            heads = scene_heads(size, count, NUM_CLASSES, NUM_THINGS, graph, radius)
            peak = peak_mb(heads, size) if count in PEAK_INSTANCES else None
            with options.placed():
                heads = {name: tf.constant(head) for name, head in heads.items()}
            image_size = tf.constant(size)
            calls = {
                "yardstick": functools.partial(yardstick, heads["semantic_logits"], image_size),
                "total": functools.partial(total, heads, image_size),
                **steps(heads, image_size),
            }
            if options.compile:
                calls["compiled"] = functools.partial(compiled, heads)
            found = int(calls["total"]()["num_instances"][0])
            cost = compilation(compiled, heads) if options.compile else {}
            times = _take_turns(calls)
            row = {"image_size": list(size), "instances": count, "found": found}
            row["ratio"] = times["total"] / times["yardstick"]
            row["peak_mb"] = peak
            row.update({f"{name}_ms": milliseconds for name, milliseconds in times.items()}, **cost)
            rows.append(row)
    return rows


def _fuse(heads, image_size):
    return fusion.fuse(heads, (image_size[0], image_size[1]), THINGS, default_config().fusion)


def compiled_fusion(size: tuple[int, int]) -> Callable:
    """`fuse` for images of a size, as XLA compiles it: a function of the heads."""

    @tf.function(jit_compile=True, autograph=False)
    def call(heads):
        with ops.one_form(compiled=True):
            return fusion.fuse(heads, size, THINGS, default_config().fusion)

    return call


def compilation(compiled: Callable, heads: dict[str, tf.Tensor]) -> dict[str, float]:
    """What compiling takes, the first time, and what is left: compile_seconds and operations."""
    start = time.perf_counter()
    compiled(heads)["num_instances"].numpy()
    seconds = time.perf_counter() - start
    text = compiled.experimental_get_compiler_ir(heads)(stage="optimized_hlo")
    return dict(compile_seconds=seconds, operations=count_operations(text))


def resize_argmax(logits: tf.Tensor, image_size: tf.Tensor) -> tf.Tensor:
    """The yardstick: labels at full resolution the plain way.

    Args:
      logits: float32 [B, h, w, classes].
      image_size: int32 [2], H and W.

    Returns:
      int32 [B, H, W].
    """
    resized = tf.raw_ops.ResizeBilinear(images=logits, size=image_size, align_corners=True)
    return tf.argmax(resized, axis=-1, output_type=tf.int32)


def steps(heads: dict[str, tf.Tensor], image_size: tf.Tensor) -> dict[str, Callable]:
    """The steps of `fuse` one by one, on the inputs they have there.

    Fuses once, listening to the calls of the functions in `STEPS`.

    Args:
      heads: dict of the five heads, batch of 1.
      image_size: int32 [2], H and W.

    Returns:
      dict of name -> function without arguments.
    """
    calls = {}

    def listen(function, step):
        def called(*arguments):
            calls.setdefault(step, []).append(functools.partial(function, *arguments))
            return function(*arguments)

        return called

    with contextlib.ExitStack() as stack:
        for module, name, step in STEPS:
            heard = listen(getattr(module, name), step)
            stack.enter_context(mock.patch.object(module, name, heard))
        _fuse(heads, image_size)
    return {step: _graph_of(calls[step]) for step in dict.fromkeys(step for *_, step in STEPS)}


def _graph_of(calls):
    """One graph that makes some calls, as a function without arguments."""

    def run_all():
        return [tf.nest.flatten(call()) for call in calls]

    return tf.function(run_all, autograph=False).get_concrete_function()


def _take_turns(functions):
    """Median milliseconds of each function.

    They take turns, so that a busy machine slows them alike.
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


def peak_mb(heads: dict[str, np.ndarray], image_size: tuple[int, int]) -> float:
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
    corner = {name: head[:, :17, :17] for name, head in heads.items()}
    for _ in range(2):
        call(corner, tf.constant([65, 65]))
    return added_peak_mb(lambda: call(heads, tf.constant(image_size)))
