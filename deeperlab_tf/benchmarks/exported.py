"""Every exported form of one network: time, memory, size on disk, and how the exported model holds up as a server.

The network is the paper's Light Wider MobileNetV2 with random weights. Random heads are no scene, so fusion is given
those of a made-up street instead; the network's own are computed all the same. Each form runs in a process of its own.
"""

import concurrent.futures
import os
import statistics
import tempfile
import time

import cv2
import numpy as np
import tensorflow as tf

from deeperlab_tf.benchmarks.network import in_own_process, matrix_rate, memory_mb, network_size
from deeperlab_tf.benchmarks.scene import scene_heads
from deeperlab_tf.config import default_config, light_decoder
from deeperlab_tf.export.encoded import check_headers, decode_image, image_headers
from deeperlab_tf.export.onnx import export_onnx
from deeperlab_tf.export.runtimes import load_network
from deeperlab_tf.export.saved_model import export_saved_model
from deeperlab_tf.export.tflite import export_tflite
from deeperlab_tf.image_size import MAX_PIXELS
from deeperlab_tf.inference import parse_heads, prepare_images
from deeperlab_tf.keypoints import keypoint_graph
from deeperlab_tf.model import build_model
from deeperlab_tf.predictor import Predictor
from deeperlab_tf.schema import Category, Dataset
from deeperlab_tf.training.checkpoints import load_run, prepare_workdir

IMAGE_SIZE = (721, 721)
NUM_CLASSES, NUM_THINGS, NUM_INSTANCES = 66, 37, 20  # Mapillary Vistas, a street
IMAGES = {1: 12, 4: 3}  # batch size: batches that are timed
CLIENTS, REQUESTS = 8, 48  # of the load test

FORMS = {
    "tensorflow": None,  # the workdir as Predictor runs it
    "saved_model": lambda run, path: export_saved_model(*run, path),
    "saved_model optimised": lambda run, path: export_saved_model(*run, path, optimise=True),
    "saved_model bfloat16": lambda run, path: export_saved_model(*run, path, optimise=True, precision="bfloat16"),
    "onnx": lambda run, path: export_onnx(*run, path),
    "onnx int8": lambda run, path: export_onnx(*run, path, calibration_images=_pictures(8)),
    "tflite": lambda run, path: export_tflite(*run, path),
    "tflite float16": lambda run, path: export_tflite(*run, path, "float16"),
}


def run(forms=tuple(FORMS)):
    """Exports and measures the forms, and puts the SavedModel under load.

    Returns:
      list of dicts: for each form and batch size `form`, `batch_size`, `disk_mb`, `load_s` and `first_answer_s` (a
      fresh process), and in milliseconds an image `network_p50`, `network_p90`, `fusion_p50`, `fusion_p90`,
      `end_to_end_p50`, `end_to_end_p90` (JPEG bytes in, panoptic map out); `share` of the rate at which the machine
      multiplies float32 matrices that the network reaches, `peak_mb` of the process; then a row of the load test,
      `clients`, `requests`, `failed`, `images_per_s`, `p50_ms`, `p90_ms`.
    """
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        workdir = os.path.join(folder, "run")
        in_own_process(_make_workdir, workdir)
        for form in forms:
            path = workdir if form == "tensorflow" else os.path.join(folder, form)
            if form != "tensorflow":
                in_own_process(_export, form, workdir, path)
            rows += [dict(form=form, **row) for row in in_own_process(_measure, path)]
        if "saved_model" in forms:
            rows.append(in_own_process(_load_test, os.path.join(folder, "saved_model")))
    return rows


def _make_workdir(path):
    config = default_config()
    light_decoder(config.model)
    config.eval.image_size = IMAGE_SIZE
    names = (f"class {index}" for index in range(NUM_CLASSES))
    first_thing = NUM_CLASSES - NUM_THINGS
    dataset = Dataset("street", tuple(Category(name, i >= first_thing, (0, 0, 0), i) for i, name in enumerate(names)))
    prepare_workdir(path, config, dataset)
    network = build_model(config.model, dataset)
    tf.train.Checkpoint(network=network).save(os.path.join(path, "checkpoints", "ckpt"))


def _export(form, workdir, path):
    FORMS[form](load_run(workdir), path)


def _pictures(count):
    """Smooth noise, uint8 [H, W, 3] each."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (count, 24, 24, 3)).astype(np.uint8)
    return [cv2.resize(picture, IMAGE_SIZE[::-1], interpolation=cv2.INTER_CUBIC) for picture in small]


def _jpegs(count):
    return [cv2.imencode(".jpg", picture)[1].tobytes() for picture in _pictures(count)]


def _measure(path):
    """Rows of one form, one for each batch size."""
    start = time.perf_counter()
    predictor = Predictor(path)
    load = time.perf_counter() - start
    config, dataset, jpegs = predictor.config, predictor.dataset, _jpegs(4)
    start = time.perf_counter()
    predictor([cv2.imdecode(np.frombuffer(jpegs[0], np.uint8), cv2.IMREAD_COLOR)])
    first = time.perf_counter() - start

    graph = keypoint_graph(config.model.keypoint_graph)
    scene = scene_heads(IMAGE_SIZE, NUM_INSTANCES, NUM_CLASSES, NUM_THINGS, graph, config.model.keypoint_radius)
    scene = {name: tf.constant(head) for name, head in scene.items()}
    prepare, fuse = _graphs(config, dataset)
    network = load_network(path) or predictor._heads
    gflop = network_size(build_model(config.model, dataset, (*IMAGE_SIZE, 3)))["gflop"]
    rows = []
    for batch_size, batches in IMAGES.items():
        jpeg = tf.constant(jpegs[:batch_size])
        heads = {name: tf.repeat(head, batch_size, axis=0) for name, head in scene.items()}
        images = prepare(jpeg)
        whole = {
            "network": lambda images=images: _ready(network(images)),
            "fusion": lambda heads=heads: _ready(fuse(heads)),
            # What follows the network is given the scene instead of its heads.
            "end_to_end": lambda jpeg=jpeg, heads=heads: (_ready(network(prepare(jpeg))), _ready(fuse(heads))),
        }
        row = dict(batch_size=batch_size, disk_mb=_disk_mb(path), load_s=load, first_answer_s=first)
        for name, function in whole.items():
            row.update(_percentiles(name, function, batches, batch_size))
        share = gflop / row["network_p50"] * 1000 / matrix_rate()
        rows.append(dict(row, share=share, peak_mb=memory_mb("VmHWM")))
    return rows


def _graphs(config, dataset):
    """Graphs of everything but the network: JPEG bytes [B] -> its input, heads -> parse."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
    def prepare(encoded):
        headers = check_headers(image_headers(encoded), MAX_PIXELS)

        def one(index):
            return prepare_images(decode_image(encoded[index], headers[index], index)[tf.newaxis], config)[0]

        return tf.map_fn(one, tf.range(tf.size(encoded)), fn_output_signature=tf.uint8)

    @tf.function(reduce_retracing=True)
    def fuse(heads):
        return parse_heads(heads, *IMAGE_SIZE, config, dataset.thing_classes)

    return prepare, fuse


def _ready(outputs):
    """Waits for the outputs and hands them over, as NumPy arrays."""
    return {name: np.asarray(values) for name, values in outputs.items()}


def _percentiles(name, function, repeats, images):
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(1000 * (time.perf_counter() - start) / images)
    return {f"{name}_p50": statistics.median(times), f"{name}_p90": float(np.percentile(times, 90))}


def _disk_mb(path):
    return sum(os.path.getsize(os.path.join(root, name)) for root, _, names in os.walk(path) for name in names) / 2**20


def _load_test(path):
    """A row: `CLIENTS` clients at once on a server in this process."""
    from deeperlab_tf.benchmarks.local_server import LocalServer
    from deeperlab_tf.export.client import GrpcClient

    jpegs = _jpegs(4)

    def ask(index):
        start = time.perf_counter()
        try:
            clients[index % CLIENTS]([jpegs[index % len(jpegs)]])
        except ValueError:
            return None
        return 1000 * (time.perf_counter() - start)

    with LocalServer(path, "benchmark") as server, concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        clients = [GrpcClient(server.address, "benchmark", timeout=600) for _ in range(CLIENTS)]
        ask(0)
        start = time.perf_counter()
        times = list(pool.map(ask, range(REQUESTS)))
        seconds = time.perf_counter() - start
    good = [value for value in times if value is not None]
    return dict(
        form="server", clients=CLIENTS, requests=REQUESTS, failed=REQUESTS - len(good),
        images_per_s=len(good) / seconds, p50_ms=statistics.median(good), p90_ms=float(np.percentile(good, 90)),
        peak_mb=memory_mb("VmHWM"),
    )  # fmt: skip
