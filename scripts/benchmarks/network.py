"""Speed and memory of the network, beside the rate at which this machine multiplies matrices.

Each row is measured in a process of its own, so that its peak memory is its own. To measure another
form of the network (an export, say), add a function to `FORMS`.
"""

import concurrent.futures
import multiprocessing
import os
import time

import numpy as np
import tensorflow as tf

from benchmarks.memory import memory_mb
from deeperlab_tf import paper
from deeperlab_tf.backbones.complexity import count_flops, count_parameters, receptive_field
from deeperlab_tf.backbones.initial_checkpoint import find_backbone
from deeperlab_tf.heads import HEAD_STRIDE
from deeperlab_tf.keypoints import keypoint_graph
from deeperlab_tf.model import build_model
from deeperlab_tf.schema import Category, Dataset, distinct_colors
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
NUM_CLASSES = 65  # Mapillary Vistas
_MATRIX_SIDE = 2048


def plain(network):
    """The network as TensorFlow runs it in a graph: function of uint8 images [B, H, W, 3]."""
    return tf.function(lambda images: network(images, training=False))


FORMS = {"tensorflow": plain}  # name: function of a keras.Model that gives a function of images


def run():
    """Rows of the benchmark.

    Returns:
      list of dicts. Of inference: `variant`, `image_size`, `form` and what `measure_inference`
      gives. Of training steps with equal crops: `decoder`, `crop`, `batch_size` and what
        `measure_training` gives.
    """
    rows = []
    for variant, make_config in VARIANTS.items():
        for size in SIZES:
            for form in FORMS:
                row = in_own_process(
                    measure_inference, make_config().model, NUM_CLASSES, size, form
                )
                rows.append(dict(variant=variant, image_size=list(size), form=form, **row))
    for decoder in DECODERS:
        row = in_own_process(
            measure_training, decoder, TRAINING_CROP, TRAINING_BATCH, **WITHOUT_ONEDNN
        )
        rows.append(dict(decoder=decoder, crop=TRAINING_CROP, batch_size=TRAINING_BATCH, **row))
    return rows


def in_own_process(function, *arguments, **environment):
    """Calls a function of this module in a fresh process, with variables of its environment
    changed.
    """
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        with concurrent.futures.ProcessPoolExecutor(
            1, multiprocessing.get_context("spawn")
        ) as pool:
            return pool.submit(function, *arguments).result()
    finally:
        os.environ.clear()
        os.environ.update(before)


def measure_inference(model, num_classes, size, form="tensorflow"):
    """Time and memory of one image.

    Args:
      model: config.model.
      num_classes: of the semantic head.
      size: (H, W) of the image.
      form: key of `FORMS`.

    Returns:
      dict of `network_size`, `milliseconds` of the fastest call,
      `gflop_per_second`, `matrix_gflop_per_second` (before and after, the better one) and `share`
      of it that is achieved; `peak_mb`, resident memory of the whole process at most, and
      `added_mb`, that beyond what there was before the first call.
    """
    network = build_model(model, stand_in_dataset(num_classes), (*size, 3))
    predict, rate = FORMS[form](network), matrix_rate()
    image = np.random.default_rng(0).integers(0, 256, (1, *size, 3)).astype(np.uint8)
    before = memory_mb("VmRSS")
    seconds = []
    for _ in range(1 + REPEATS):
        start = time.perf_counter()
        tf.nest.map_structure(np.asarray, predict(image))
        seconds.append(time.perf_counter() - start)
    peak, rate, best = memory_mb("VmHWM"), max(rate, matrix_rate()), min(seconds[1:])
    size = network_size(network)
    return dict(
        **size,
        milliseconds=1000 * best,
        gflop_per_second=size["gflop"] / best,
        matrix_gflop_per_second=rate,
        share=size["gflop"] / best / rate,
        peak_mb=peak,
        added_mb=peak - before,
    )


def network_size(network):
    """dict of `parameters`, `receptive_field` of the backbone, `gflop` an image; the input's shape
    must be static.
    """
    return dict(
        parameters=count_parameters(network),
        receptive_field=receptive_field(find_backbone(network)),
        gflop=count_flops(network) / 1e9,
    )


def measure_training(decoder, crop, batch_size):
    """Memory and time of a training step of Wider MobileNetV2 with the full heads and the given
    decoder.

    S2D has 20 million weights that bilinear upsampling has not, and smaller feature maps: what
    counts with large crops and batches, as in the paper, are the maps.

    Returns:
      dict of `peak_mb` and `added_mb` as in `measure_inference`, `milliseconds` a step after the
      first.
    """
    config = paper.decoder_ablation(decoder, deep_heads=True, large_kernels=True)
    config.train.batch_size = batch_size
    trainer = Trainer(
        build_model(config.model, stand_in_dataset(NUM_CLASSES), (crop, crop, 3)), config
    )
    trainer.compile(build_optimizer(config))
    trainer.optimizer.build(trainer.network.trainable_variables)
    batches = tf.data.Dataset.from_tensors(_blank_batch(crop, batch_size, config)).repeat()
    before = memory_mb("VmRSS")
    trainer.fit(batches, steps_per_epoch=1, verbose=0)
    start = time.perf_counter()
    trainer.fit(batches, steps_per_epoch=TRAINING_STEPS, verbose=0)
    seconds, peak = (time.perf_counter() - start) / TRAINING_STEPS, memory_mb("VmHWM")
    return dict(milliseconds=1000 * seconds, peak_mb=peak, added_mb=peak - before)


def stand_in_dataset(num_classes):
    """A descriptor of so many classes."""
    colors = distinct_colors(num_classes)
    return Dataset(
        "benchmark", tuple(Category(f"class {i}", True, colors[i], i) for i in range(num_classes))
    )


def _blank_batch(crop, batch_size, config):
    """(images, targets) in which every pixel counts."""
    graph = keypoint_graph(config.model.keypoint_graph)
    grid = (batch_size, *[(crop - 1) // HEAD_STRIDE + 1] * 2)
    channels = {
        "short": graph.num_keypoints,
        "middle": graph.num_edges,
        "long": graph.num_keypoints,
    }
    targets = {
        "semantic": tf.zeros((batch_size, crop, crop), tf.int32),
        "semantic_weight": tf.ones((batch_size, crop, crop)),
        "keypoint_heatmap": tf.zeros((*grid, graph.num_keypoints)),
        "keypoint_mask": tf.ones(grid),
        **{f"{name}_offsets": tf.zeros((*grid, 2 * count)) for name, count in channels.items()},
        **{
            f"{name}_mask": tf.ones((*grid, count))
            for name, count in channels.items()
            if name != "long"
        },
        "long_mask": tf.ones(grid),
    }
    return tf.zeros((batch_size, crop, crop, 3), tf.uint8), targets


def matrix_rate():
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
