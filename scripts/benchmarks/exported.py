"""Every exported form of one network: time, memory, size on disk; and the SavedModel as a server.

The network is the paper's Light Wider MobileNetV2 with random weights. Random heads are no scene,
so fusion is given those of a made-up street instead; the network's own are computed all the same.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from benchmarks.memory import memory_mb
from benchmarks.network import in_own_process, matrix_rate, network_size
from benchmarks.scene import scene_heads
from benchmarks.served import load_test, server_start
from benchmarks.street import NUM_CLASSES, NUM_THINGS, jpegs, pictures, street_dataset
from deeperlab_tf.config import default_config
from deeperlab_tf.export.encoded import check_headers, decode_image
from deeperlab_tf.export.headers import image_headers
from deeperlab_tf.export.onnx import export_onnx
from deeperlab_tf.export.saved_model import ExportOptions, export_saved_model
from deeperlab_tf.export.tflite import export_tflite
from deeperlab_tf.files.images import MAX_PIXELS
from deeperlab_tf.keypoints import keypoint_graph
from deeperlab_tf.model import build_model
from deeperlab_tf.paper import set_network
from deeperlab_tf.prediction.inference import parse_heads, prepare_images
from deeperlab_tf.prediction.predictor import Predictor
from deeperlab_tf.prediction.runtimes import load_network
from deeperlab_tf.schema import Dataset
from deeperlab_tf.training.workdir import load_run, prepare_workdir

IMAGE_SIZE = (721, 721)
NUM_INSTANCES = 20
ROUNDS = {1: 12, 4: 3}  # batch size: times that each form has its turn

TENSORFLOW = "tensorflow"  # the workdir as Predictor runs it
# Of the others: function of the exporter, its options.
FORMS = {
    TENSORFLOW: None,
    "saved_model": (export_saved_model, {}),
    "saved_model optimised": (export_saved_model, {"options": ExportOptions(optimise=True)}),
    "saved_model bfloat16": (
        export_saved_model,
        {"options": ExportOptions(optimise=True, precision="bfloat16")},
    ),
    "onnx": (export_onnx, {}),
    "onnx int8": (export_onnx, {"calibration_images": 8}),
    "tflite": (export_tflite, {}),
    "tflite float16": (export_tflite, {"precision": "float16"}),
}


def run(forms: tuple[str, ...] = tuple(FORMS)) -> list[dict[str, Any]]:
    """Exports and measures the forms, and puts the SavedModel under load.

    Times are of forms that take turns in one process, with a matrix product in each turn, because
    the speed of a shared machine changes from one minute to the next.

    Returns:
      list of dicts. For each form: `form`, `disk_mb`, `load_s`, `first_answer_s` and `peak_mb` of a
      fresh process that parses one image. For each form and batch size, in milliseconds per image:
      `network_p50`, `network_p90`, `fusion_p50`, `fusion_p90`, `end_to_end_p50`, `end_to_end_p90`
      (JPEG bytes in, panoptic map out), and `share`, of the rate at which the machine multiplies
      float32 matrices, that the network reaches. Of the SavedModel what `served` gives: a server's
      start, with and without warm-up, and the load test.
    """
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        workdir = os.path.join(folder, TENSORFLOW)
        paths = {form: os.path.join(folder, form) for form in forms}
        in_own_process(_make_workdir, workdir)
        for form, path in paths.items():
            if form != TENSORFLOW:
                in_own_process(_export, form, workdir, path)
            rows.append(dict(form=form, **in_own_process(_measure_start, path)))

        for batch_size, rounds in ROUNDS.items():
            rows += in_own_process(_take_turns, paths, batch_size, rounds)

        saved_model = paths.get("saved_model")
        if saved_model is not None:
            for warm in (False, True):
                rows.append(in_own_process(server_start, saved_model, jpegs(1, IMAGE_SIZE), warm))
            rows.append(in_own_process(load_test, saved_model, jpegs(4, IMAGE_SIZE)))
    return rows


# === The forms ===


def _make_workdir(path: str) -> None:
    """A run of the network with random weights."""
    config, dataset = default_config(), street_dataset()
    set_network(config.model, "light_wider_mobilenet_v2")
    config.eval.image_size = IMAGE_SIZE
    prepare_workdir(path, config, dataset)
    network = build_model(config.model, dataset)
    tf.train.Checkpoint(network=network).save(os.path.join(path, "checkpoints", "ckpt"))


def _export(form: str, workdir: str, path: str) -> None:
    exporter, options = FORMS[form]
    if "calibration_images" in options:
        options = {"calibration_images": pictures(options["calibration_images"], IMAGE_SIZE)}
    exporter(*load_run(workdir), path, **options)


# === Starting ===


def _measure_start(path: str) -> dict[str, float]:
    """What a fresh process takes to the first answer."""
    (picture,) = pictures(1, IMAGE_SIZE)
    start = time.perf_counter()
    predictor = Predictor(path)
    loaded = time.perf_counter()
    predictor(picture)
    first = time.perf_counter()
    return dict(
        disk_mb=_disk_mb(path),
        load_s=loaded - start,
        first_answer_s=first - loaded,
        peak_mb=memory_mb("VmHWM"),
    )


def _disk_mb(path: str) -> float:
    total = 0
    for root, _, names in os.walk(path):
        total += sum(os.path.getsize(os.path.join(root, name)) for name in names)
    return total / 2**20


# === The forms by turns ===


def _take_turns(paths: dict[str, str], batch_size: int, rounds: int) -> list[dict[str, Any]]:
    """A row for each form."""
    predictors = {form: Predictor(path) for form, path in paths.items()}
    first = next(iter(predictors.values()))
    config, dataset = first.config, first.dataset
    steps = _steps(paths, predictors, batch_size)

    times = {form: {name: [] for name in named} for form, named in steps.items()}
    rates = []
    # The first round is for warming up.
    for number in range(-1, rounds):
        rates.append(matrix_rate())
        for form, named in steps.items():
            for name, step in named.items():
                start = time.perf_counter()
                step()
                if number >= 0:
                    milliseconds = 1000 * (time.perf_counter() - start)
                    times[form][name].append(milliseconds / batch_size)

    gflop = network_size(build_model(config.model, dataset, (*IMAGE_SIZE, 3)))["gflop"]
    rate = statistics.median(rates)
    return [_row(form, batch_size, measured, gflop, rate) for form, measured in times.items()]


def _row(
    form: str, batch_size: int, measured: dict[str, list[float]], gflop: float, rate: float
) -> dict[str, Any]:
    row = dict(form=form, batch_size=batch_size)
    for name, values in measured.items():
        row[f"{name}_p50"] = statistics.median(values)
        row[f"{name}_p90"] = float(np.percentile(values, 90))
    row["share"] = 1000 * gflop / row["network_p50"] / rate
    row["matrix_gflop_per_second"] = rate
    return row


def _steps(
    paths: dict[str, str], predictors: dict[str, Predictor], batch_size: int
) -> dict[str, dict[str, Callable[[], object]]]:
    """What is timed of each form: dict form -> dict name -> function."""
    first = next(iter(predictors.values()))
    prepare, fuse = _graphs(first.config, first.dataset)
    encoded = tf.constant(jpegs(batch_size, IMAGE_SIZE))
    images, heads = prepare(encoded), _street(first.config, batch_size)

    def of_network(network: Callable) -> dict[str, Callable[[], object]]:
        def end_to_end() -> None:
            # What follows the network is given the street instead of its heads.
            _ready(network(prepare(encoded)))
            _ready(fuse(heads))

        return {
            "network": lambda: _ready(network(images)),
            "fusion": lambda: _ready(fuse(heads)),
            "end_to_end": end_to_end,
        }

    steps = {}
    for form, path in paths.items():
        network = load_network(path) or predictors[form]._heads
        steps[form] = of_network(network)
    return steps


def _street(config: ConfigDict, batch_size: int) -> dict[str, tf.Tensor]:
    """Heads of a made-up street, with a batch dimension."""
    graph, radius = keypoint_graph(config.model.keypoint_graph), config.model.keypoint_radius
    scene = scene_heads(IMAGE_SIZE, NUM_INSTANCES, NUM_CLASSES, NUM_THINGS, graph, radius)
    return {name: tf.repeat(tf.constant(head), batch_size, axis=0) for name, head in scene.items()}


def _graphs(config: ConfigDict, dataset: Dataset) -> tuple[Callable, Callable]:
    """Graphs of everything except the network: JPEG bytes [B] -> its input, heads -> parse."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
    def prepare(encoded):
        headers = check_headers(image_headers(encoded), MAX_PIXELS)

        def prepare_one(index):
            image = decode_image(encoded[index], headers[index], index)
            return prepare_images(image[tf.newaxis], config)[0]

        numbers = tf.range(tf.size(encoded))
        return tf.map_fn(prepare_one, numbers, fn_output_signature=tf.uint8)

    @tf.function(reduce_retracing=True)
    def fuse(heads):
        return parse_heads(heads, *IMAGE_SIZE, config, dataset.thing_classes)

    return prepare, fuse


def _ready(outputs: dict[str, Any]) -> dict[str, np.ndarray]:
    """Waits for the outputs and hands them over."""
    return {name: np.asarray(values) for name, values in outputs.items()}
