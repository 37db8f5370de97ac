"""Every exported form of one network: time, memory, size on disk, and how the exported model holds
up as a server.

The network is the paper's Light Wider MobileNetV2 with random weights. Random heads are no scene,
so fusion is given those of a made-up street instead; the network's own are computed all the same.
"""

import concurrent.futures
import os
import statistics
import tempfile
import time

import cv2
import numpy as np
import tensorflow as tf

from benchmarks.memory import memory_mb
from benchmarks.network import in_own_process, matrix_rate, network_size
from benchmarks.scene import scene_heads
from deeperlab_tf.config import default_config
from deeperlab_tf.export.encoded import check_headers, decode_image
from deeperlab_tf.export.headers import image_headers
from deeperlab_tf.export.onnx import export_onnx
from deeperlab_tf.export.saved_model import ExportOptions, export_saved_model
from deeperlab_tf.export.serving_files import warmup_requests
from deeperlab_tf.export.tflite import export_tflite
from deeperlab_tf.image_size import MAX_PIXELS
from deeperlab_tf.keypoints import keypoint_graph
from deeperlab_tf.model import build_model
from deeperlab_tf.paper import set_network
from deeperlab_tf.prediction.inference import parse_heads, prepare_images
from deeperlab_tf.prediction.predictor import Predictor
from deeperlab_tf.prediction.runtimes import load_network
from deeperlab_tf.schema import Category, Dataset
from deeperlab_tf.training.workdir import load_run, prepare_workdir

IMAGE_SIZE = (721, 721)
NUM_CLASSES, NUM_THINGS, NUM_INSTANCES = 66, 37, 20  # Mapillary Vistas, a street
ROUNDS = {1: 12, 4: 3}  # batch size: times that each form has its turn
CLIENTS, REQUESTS = 8, 48  # of the load test

FORMS = {
    "tensorflow": None,  # the workdir as Predictor runs it
    "saved_model": lambda run, path: export_saved_model(*run, path),
    "saved_model optimised": lambda run, path: export_saved_model(
        *run, path, ExportOptions(optimise=True)
    ),
    "saved_model bfloat16": lambda run, path: export_saved_model(
        *run, path, ExportOptions(optimise=True, precision="bfloat16")
    ),
    "onnx": lambda run, path: export_onnx(*run, path),
    "onnx int8": lambda run, path: export_onnx(*run, path, calibration_images=_pictures(8)),
    "tflite": lambda run, path: export_tflite(*run, path),
    "tflite float16": lambda run, path: export_tflite(*run, path, "float16"),
}


def run(forms=tuple(FORMS)):
    """Exports and measures the forms, and puts the SavedModel under load.

    Times are of forms that take turns in one process, with a matrix product in each turn, because
    the speed of a shared machine changes from one minute to the next.

    Returns:
      list of dicts. For each form: `form`, `disk_mb`, `load_s`, `first_answer_s` and `peak_mb` of a
      fresh process that parses one image. For each form and batch size, in milliseconds an image:
      `network_p50`, `network_p90`, `fusion_p50`, `fusion_p90`, `end_to_end_p50`, `end_to_end_p90`
      (JPEG bytes in, panoptic map out), and `share`, of the rate at which the machine multiplies
      float32 matrices, that the network reaches. Of a server's start, with and without warm-up:
      `load_s`, `warm_up_s`, `first_answer_s`, `second_answer_s`. Of the load test: `clients`,
      `requests`, `failed`, `images_per_s`, `p50_ms`, `p90_ms`.
    """
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        paths = {
            form: os.path.join(folder, form)
            for form in {"tensorflow": None, **dict.fromkeys(forms)}
        }
        in_own_process(_make_workdir, paths["tensorflow"])
        for form in forms:
            if form != "tensorflow":
                in_own_process(_export, form, paths["tensorflow"], paths[form])
            rows.append(dict(form=form, **in_own_process(_measure_start, paths[form])))
        for batch_size, rounds in ROUNDS.items():
            rows += in_own_process(
                _take_turns, {form: paths[form] for form in forms}, batch_size, rounds
            )
        if "saved_model" in forms:
            for warm in (False, True):
                rows.append(in_own_process(_measure_server_start, paths["saved_model"], warm))
            rows.append(in_own_process(_load_test, paths["saved_model"]))
    return rows


def _make_workdir(path):
    config = default_config()
    set_network(config.model, "light_wider_mobilenet_v2")
    config.eval.image_size = IMAGE_SIZE
    names = (f"class {index}" for index in range(NUM_CLASSES))
    first_thing = NUM_CLASSES - NUM_THINGS
    dataset = Dataset(
        "street",
        tuple(Category(name, i >= first_thing, (0, 0, 0), i) for i, name in enumerate(names)),
    )
    prepare_workdir(path, config, dataset)
    network = build_model(config.model, dataset)
    tf.train.Checkpoint(network=network).save(os.path.join(path, "checkpoints", "ckpt"))


def _export(form, workdir, path):
    FORMS[form](load_run(workdir), path)


def _pictures(count):
    """Smooth noise, uint8 [H, W, 3] each."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (count, 24, 24, 3)).astype(np.uint8)
    return [
        cv2.resize(picture, IMAGE_SIZE[::-1], interpolation=cv2.INTER_CUBIC) for picture in small
    ]


def _jpegs(count):
    return [cv2.imencode(".jpg", picture)[1].tobytes() for picture in _pictures(count)]


def _measure_start(path):
    """What a fresh process takes to the first answer."""
    (picture,) = _pictures(1)
    start = time.perf_counter()
    predictor = Predictor(path)
    loaded = time.perf_counter()
    predictor(picture)
    first = time.perf_counter()
    memory = memory_mb("VmHWM")
    return dict(
        disk_mb=_disk_mb(path), load_s=loaded - start, first_answer_s=first - loaded, peak_mb=memory
    )


def _measure_server_start(path, warm):
    """A row: what a server takes to the first answer, with the export's warm-up requests or
    without.
    """
    (jpeg,) = _jpegs(1)
    start = time.perf_counter()
    module = tf.saved_model.load(path)
    loaded = time.perf_counter()
    if warm:
        for signature, inputs in warmup_requests(path):
            module.signatures[signature](**inputs)
    ready = time.perf_counter()
    answers = []
    for _ in range(2):
        before = time.perf_counter()
        module.signatures["image_bytes"](image_bytes=tf.constant([jpeg]))["panoptic"].numpy()
        answers.append(time.perf_counter() - before)
    return dict(
        form="server start",
        warm_up=warm,
        load_s=loaded - start,
        warm_up_s=ready - loaded,
        first_answer_s=answers[0],
        second_answer_s=answers[1],
    )


def _take_turns(paths, batch_size, rounds):
    """A row for each form."""
    predictors = {form: Predictor(path) for form, path in paths.items()}
    networks = {form: load_network(path) or predictors[form]._heads for form, path in paths.items()}
    config, dataset = next((p.config, p.dataset) for p in predictors.values())
    prepare, fuse = _graphs(config, dataset)
    jpeg, heads = tf.constant(_jpegs(batch_size)), _street(config, batch_size)
    images = prepare(jpeg)

    def steps(network):
        return {
            "network": lambda: _ready(network(images)),
            "fusion": lambda: _ready(fuse(heads)),
            # What follows the network is given the street instead of its heads.
            "end_to_end": lambda: (_ready(network(prepare(jpeg))), _ready(fuse(heads))),
        }

    times = {form: {name: [] for name in steps(None)} for form in networks}
    rates = []
    for number in range(-1, rounds):  # the first round is for warming up
        rates.append(matrix_rate())
        for form, network in networks.items():
            for name, step in steps(network).items():
                start = time.perf_counter()
                step()
                if number >= 0:
                    times[form][name].append(1000 * (time.perf_counter() - start) / batch_size)
    gflop = network_size(build_model(config.model, dataset, (*IMAGE_SIZE, 3)))["gflop"]
    rate = statistics.median(rates)
    rows = []
    for form, measured in times.items():
        row = dict(form=form, batch_size=batch_size)
        for name, values in measured.items():
            row.update(
                {
                    f"{name}_p50": statistics.median(values),
                    f"{name}_p90": float(np.percentile(values, 90)),
                }
            )
        rows.append(
            dict(row, share=gflop / row["network_p50"] * 1000 / rate, matrix_gflop_per_second=rate)
        )
    return rows


def _street(config, batch_size):
    """Heads of a made-up street, with a batch dimension."""
    graph = keypoint_graph(config.model.keypoint_graph)
    scene = scene_heads(
        IMAGE_SIZE, NUM_INSTANCES, NUM_CLASSES, NUM_THINGS, graph, config.model.keypoint_radius
    )
    return {name: tf.repeat(tf.constant(head), batch_size, axis=0) for name, head in scene.items()}


def _graphs(config, dataset):
    """Graphs of everything but the network: JPEG bytes [B] -> its input, heads -> parse."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
    def prepare(encoded):
        headers = check_headers(image_headers(encoded), MAX_PIXELS)

        def one(index):
            return prepare_images(
                decode_image(encoded[index], headers[index], index)[tf.newaxis], config
            )[0]

        return tf.map_fn(one, tf.range(tf.size(encoded)), fn_output_signature=tf.uint8)

    @tf.function(reduce_retracing=True)
    def fuse(heads):
        return parse_heads(heads, *IMAGE_SIZE, config, dataset.thing_classes)

    return prepare, fuse


def _ready(outputs):
    """Waits for the outputs and hands them over, as NumPy arrays."""
    return {name: np.asarray(values) for name, values in outputs.items()}


def _disk_mb(path):
    return (
        sum(
            os.path.getsize(os.path.join(root, name))
            for root, _, names in os.walk(path)
            for name in names
        )
        / 2**20
    )


def _load_test(path):
    """A row: `CLIENTS` clients at once on a server in this process."""
    from benchmarks.local_server import LocalServer
    from deeperlab_tf.export.client import GrpcClient

    jpegs = _jpegs(4)

    def ask(index):
        start = time.perf_counter()
        try:
            clients[index % CLIENTS]([jpegs[index % len(jpegs)]])
        except ValueError:
            return None
        return 1000 * (time.perf_counter() - start)

    with (
        LocalServer(path, "benchmark") as server,
        concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool,
    ):
        clients = [GrpcClient(server.address, "benchmark", timeout=600) for _ in range(CLIENTS)]
        ask(0)
        start = time.perf_counter()
        times = list(pool.map(ask, range(REQUESTS)))
        seconds = time.perf_counter() - start
    good = [value for value in times if value is not None]
    return dict(
        form="server",
        clients=CLIENTS,
        requests=REQUESTS,
        failed=REQUESTS - len(good),
        images_per_s=len(good) / seconds,
        p50_ms=statistics.median(good),
        p90_ms=float(np.percentile(good, 90)),
        peak_mb=memory_mb("VmHWM"),
    )
