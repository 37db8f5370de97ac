"""Speed and memory of the network, beside the rate at which this machine multiplies matrices.

Each row is measured in a process of its own, so that its peak memory is its own. How exported forms
of a network do is what `exported` measures.
"""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from benchmarks.memory import memory_mb
from benchmarks.options import Options
from benchmarks.street import street_dataset
from deeperlab_tf import paper
from deeperlab_tf.backbones.complexity import count_flops, count_parameters, receptive_field
from deeperlab_tf.backbones.initial_checkpoint import find_backbone
from deeperlab_tf.compat import keras
from deeperlab_tf.config import default_config
from deeperlab_tf.fusion import ops
from deeperlab_tf.heads import grid_side, head_channels
from deeperlab_tf.keypoints import keypoint_graph
from deeperlab_tf.model import build_model
from deeperlab_tf.prediction.folding import fold_network
from deeperlab_tf.prediction.inference import parse_images
from deeperlab_tf.training.optimizer import build_optimizer
from deeperlab_tf.training.trainer import Trainer

VARIANTS = {
    "Light Wider MNV2": lambda: paper.light(paper.vistas()),
    "Wider MNV2": paper.vistas,
    "Xception-71": lambda: paper.xception_71(paper.vistas()),
}
SIZES = ((321, 321), (513, 513), (721, 721))
REPEATS = 3  # calls after a first one; the fastest counts
DECODERS = ("s2d", "bilinear")  # of the training rows, as the last rows of each half of Table 4
TRAINING_CROP, TRAINING_BATCH, TRAINING_STEPS = 513, 6, 1  # the first step is not timed
# Its copies of weights in its own layouts would be all one sees.
WITHOUT_ONEDNN = {"TF_ENABLE_ONEDNN_OPTS": "0"}
NUM_CLASSES, NUM_THINGS = 65, 37  # Mapillary Vistas
DEFAULT = Options()
_MATRIX_SIDE = 2048


def run(options: Options = DEFAULT) -> list[dict[str, Any]]:
    """Rows of the benchmark.

    Args:
      options: which sizes and precision, where; with any of them there are rows of inference only,
        and with `compile` those of what XLA compiles, too.

    Returns:
      list of dicts. Of inference: `variant`, `image_size` and what `measure_inference` gives. Of
      training steps with equal crops: `decoder`, `crop`, `batch_size` and what `measure_training`
      gives.
    """
    rows = []
    for variant, make_config in VARIANTS.items():
        for size in options.sizes or SIZES:
            for compiled in (False, True)[: 1 + options.compile]:
                own = options._replace(compile=compiled)
                model = make_config().model
                row = in_own_process(measure_inference, model, NUM_CLASSES, size, own)
                rows.append(dict(variant=variant, image_size=list(size), **row))
    if options != DEFAULT:
        return rows
    for decoder in DECODERS:
        task = (decoder, TRAINING_CROP, TRAINING_BATCH)
        row = in_own_process(measure_training, *task, **WITHOUT_ONEDNN)
        rows.append(dict(decoder=decoder, crop=TRAINING_CROP, batch_size=TRAINING_BATCH, **row))
    return rows


def in_own_process(function: Callable, *arguments: Any, **environment: str) -> Any:
    """What a function of a module gives in a fresh process.

    Args:
      function: the function.
      *arguments: what it is called with.
      **environment: variables that the process has besides this one's.
    """
    before = dict(os.environ)
    os.environ.update(environment)
    context = multiprocessing.get_context("spawn")
    try:
        with concurrent.futures.ProcessPoolExecutor(1, context) as pool:
            return pool.submit(function, *arguments).result()
    finally:
        os.environ.clear()
        os.environ.update(before)


def measure_inference(
    model: ConfigDict, num_classes: int, size: tuple[int, int], options: Options = DEFAULT
) -> dict[str, float]:
    """Time and memory of one image.

    Args:
      model: config.model.
      num_classes: of the semantic head.
      size: (H, W) of the image.
      options: precision and device, and whether XLA compiles. With others than the default,
        `measure_parse` is measured, too.

    Returns:
      dict of `network_size`, `precision`, `compiled`, `milliseconds` of the fastest call,
      `gflop_per_second`, `matrix_gflop_per_second` (before and after, the better one) and `share`
      of it that is achieved; `peak_mb`, resident memory of the whole process at most, and
      `added_mb`, that beyond what there was before the first call.
    """
    dataset = street_dataset(num_classes, 0)
    network = build_model(model, dataset, (*size, 3))
    cost = network_size(network)
    if options.precision != "float32":
        network = fold_network(network, model, dataset, options.precision)

    @tf.function(jit_compile=options.compile or None, autograph=False)
    def predict(images):
        return network(images, training=False)

    image = np.random.default_rng(0).integers(0, 256, (1, *size, 3)).astype(np.uint8)
    rate, before = matrix_rate(), memory_mb("VmRSS")

    with options.placed():
        best = _fastest(predict, image)
        peak = memory_mb("VmHWM")
        parse = {} if options == DEFAULT else measure_parse(network, model, image, options)
    rate = max(rate, matrix_rate())
    return dict(
        **cost,
        precision=options.precision,
        compiled=options.compile,
        milliseconds=1000 * best,
        **parse,
        gflop_per_second=cost["gflop"] / best,
        matrix_gflop_per_second=rate,
        share=cost["gflop"] / best / rate,
        peak_mb=peak,
        added_mb=peak - before,
    )


def measure_parse(
    network: keras.Model, model: ConfigDict, image: np.ndarray, options: Options
) -> dict[str, float]:
    """`parse_milliseconds`: the fastest call from an image to its parse.

    Args:
      network: takes images of that size.
      model: its config.model.
      image: uint8 [1, H, W, 3].
      options: whether XLA compiles.
    """
    config = default_config()
    config.model.update(model.copy_and_resolve_references())
    config.eval.image_size = image.shape[1:3]
    classes = network.output["semantic_logits"].shape[-1]
    things = range(classes - min(NUM_THINGS, classes), classes)

    @tf.function(jit_compile=options.compile or None, autograph=False)
    def parse(images):
        with ops.one_form(options.compile):
            return parse_images(network, images, config, things)

    return dict(parse_milliseconds=1000 * _fastest(parse, image))


def _fastest(function, image):
    """Seconds of the fastest call but the first, which traces."""
    seconds = []
    for _ in range(1 + REPEATS):
        start = time.perf_counter()
        tf.nest.map_structure(np.asarray, function(image))
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


def network_size(network: keras.Model) -> dict[str, float]:
    """`parameters`, `receptive_field` of the backbone, `gflop` per image.

    The shape of the network's input must be static.
    """
    return dict(
        parameters=count_parameters(network),
        receptive_field=receptive_field(find_backbone(network)),
        gflop=count_flops(network) / 1e9,
    )


def measure_training(decoder: str, crop: int, batch_size: int) -> dict[str, float]:
    """Memory and time of a training step of Wider MobileNetV2 with the full heads.

    S2D has 20 million weights that bilinear upsampling has not, and smaller feature maps: what
    counts with large crops and batches, as in the paper, are the maps.

    Args:
      decoder: s2d | bilinear.
      crop: side of the images, pixels.
      batch_size: images per step.

    Returns:
      dict of `peak_mb` and `added_mb` as in `measure_inference`, `milliseconds` of a step after the
      first.
    """
    config = paper.decoder_ablation(decoder, deep_heads=True, large_kernels=True)
    config.train.batch_size = batch_size
    network = build_model(config.model, street_dataset(NUM_CLASSES, 0), (crop, crop, 3))
    trainer = Trainer(network, config)
    trainer.compile(build_optimizer(config))
    trainer.optimizer.build(trainer.network.trainable_variables)

    batches = tf.data.Dataset.from_tensors(_blank_batch(crop, batch_size, config)).repeat()
    before = memory_mb("VmRSS")
    trainer.fit(batches, steps_per_epoch=1, verbose=0)
    start = time.perf_counter()
    trainer.fit(batches, steps_per_epoch=TRAINING_STEPS, verbose=0)
    seconds = (time.perf_counter() - start) / TRAINING_STEPS
    peak = memory_mb("VmHWM")
    return dict(milliseconds=1000 * seconds, peak_mb=peak, added_mb=peak - before)


def _blank_batch(
    crop: int, batch_size: int, config: ConfigDict
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """(images, targets) in which every pixel counts."""
    graph = keypoint_graph(config.model.keypoint_graph)
    channels = head_channels(graph)
    pixels = (batch_size, crop, crop)
    cells = (batch_size, grid_side(crop), grid_side(crop))
    targets = {
        "semantic": tf.zeros(pixels, tf.int32),
        "semantic_weight": tf.ones(pixels),
        "keypoint_heatmap": tf.zeros((*cells, graph.num_keypoints)),
        "keypoint_mask": tf.ones(cells),
        "short_mask": tf.ones((*cells, graph.num_keypoints)),
        "middle_mask": tf.ones((*cells, graph.num_edges)),
        "long_mask": tf.ones(cells),
    }
    for name in ("short_offsets", "middle_offsets", "long_offsets"):
        targets[name] = tf.zeros((*cells, channels[name]))
    return tf.zeros((*pixels, 3), tf.uint8), targets


def matrix_rate() -> float:
    """GFLOP/s of a product of two large float32 matrices; the best of five."""
    matrix = tf.random.stateless_normal((_MATRIX_SIDE, _MATRIX_SIDE), (0, 0))
    multiply = tf.function(lambda: tf.reduce_sum(tf.matmul(matrix, matrix)))
    multiply()
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        multiply().numpy()
        seconds.append(time.perf_counter() - start)
    return 2 * _MATRIX_SIDE**3 / min(seconds) / 1e9
