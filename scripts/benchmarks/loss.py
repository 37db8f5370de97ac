"""What training costs: Eq. 1's selection, the semantic loss, and a step by its parts; crop 721, 66
classes, one image.

Without a GPU, times are processor time over all threads, so that other programs count little.
Rounds take turns and the fastest counts. Peak memory is the high-water mark of a fresh process
above what it held before its one call (Linux): TensorFlow keeps what it once had, so that a process
can measure only once.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from ml_collections import ConfigDict

from benchmarks.memory import added_peak_mb
from benchmarks.street import NUM_CLASSES, NUM_THINGS, street_dataset
from deeperlab_tf.config import default_config
from deeperlab_tf.heads import HEAD_STRIDE
from deeperlab_tf.layers import upsample
from deeperlab_tf.losses import Pixels, hardest_share, semantic_loss, total_loss
from deeperlab_tf.model import build_model
from deeperlab_tf.paper import set_network
from deeperlab_tf.training.optimizer import build_optimizer
from deeperlab_tf.training.trainer import Trainer
from input_pipeline import make_targets
from input_pipeline.pipeline import train_batches

ROUNDS = 4
INPUT_BATCHES = 20
PLAIN, MINED, PLAIN_STEP = "plain cross-entropy", "semantic loss", "step, plain cross-entropy"
_MODELS = {"full": "wider_mobilenet_v2", "light": "light_wider_mobilenet_v2"}

Tasks = dict[str, Callable[[], Any]]  # by the name of their part
Row = dict[str, Any]


def run() -> list[Row]:
    """Rows of the benchmark.

    Returns:
      list of dicts: `part`, `milliseconds`, and, where it means something, `share` of the step and
      `peak_mb`. Parts: `eq1 sort`, `eq1 selection` (which pixels are the hardest), `plain
      cross-entropy`, `semantic loss` (both with their gradient), and for the models `full` and
      `light` the whole `step`, its `forward`, `losses` (with their gradient to the heads),
      `backward` (through the network), `update`, and the `input` it takes; `step, plain
      cross-entropy` has the memory of a step with that loss in place of Eq. 1's.
    """
    config = default_config()
    targets = _targets(config)
    rows = _times(_selections(config))
    rows += _times(_cross_entropies(config, targets))
    for model in _MODELS:
        rows += _step_rows(model, targets)
        rows.append(dict(part=PLAIN_STEP, model=model))

    for row in rows:
        if row["part"] in (PLAIN, MINED, "step", PLAIN_STEP):
            row["peak_mb"] = _peak_megabytes(row["part"], row.get("model", "full"))
    return rows


def _config_of(model: str) -> ConfigDict:
    config = default_config()
    set_network(config.model, _MODELS[model])
    return config


# === Eq. 1 ===


def _selections(config: ConfigDict) -> Tasks:
    side = config.data.crop_size[0]
    values = tf.random.stateless_uniform([1, side * side], (0, 0))
    count = int(config.train.hard_pixel_fraction * side * side)

    @tf.function
    def by_sorting():
        threshold = tf.sort(values, direction="DESCENDING")[:, count - 1 : count]
        return tf.cast(values >= threshold, tf.float32)

    by_selection = tf.function(lambda: hardest_share(values, tf.constant([count])))
    return {"eq1 sort": by_sorting, "eq1 selection": by_selection}


def _cross_entropies(config: ConfigDict, targets: dict[str, tf.Tensor]) -> Tasks:
    grid = targets["keypoint_mask"].shape[1]
    logits = tf.random.stateless_normal([1, grid, grid, NUM_CLASSES], (0, 1))
    labels, weight = targets["semantic"], targets["semantic_weight"]

    def plain(logits):
        return plain_cross_entropy(logits, labels)

    def mined(logits):
        return semantic_loss(logits, Pixels(labels, weight), config.train.hard_pixel_fraction)

    def with_gradient(loss):
        @tf.function
        def function():
            with tf.GradientTape() as tape:
                tape.watch(logits)
                value = tf.reduce_mean(loss(logits))
            return tape.gradient(value, logits)

        return function

    return {PLAIN: with_gradient(plain), MINED: with_gradient(mined)}


def plain_cross_entropy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """What Eq. 1 is compared to: logits upsampled as a whole, every pixel counts.

    Args:
      logits: float32 [B, h, w, classes].
      labels: int32 [B, H, W].

    Returns:
      float32 [B, H, W].
    """
    upsampled = upsample(logits, HEAD_STRIDE)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, upsampled)


def _plain_total(heads, targets, config, step=None):
    """`total_loss` with the plain cross-entropy in place of Eq. 1's."""
    # Eq. 1's costs nothing on a corner of four cells.
    few = dict(heads, semantic_logits=heads["semantic_logits"][:, :2, :2])
    corner = {name: targets[name][:, :5, :5] for name in ("semantic", "semantic_weight")}
    total, losses = total_loss(few, dict(targets, **corner), config, step)

    pixels = plain_cross_entropy(heads["semantic_logits"], targets["semantic"])
    plain = tf.reduce_mean(pixels, axis=(1, 2))
    return total - losses["semantic"] + plain, dict(losses, semantic=plain)


# === A step ===


def _trainer(config: ConfigDict, loss: Callable = total_loss) -> Trainer:
    config.train.batch_size = 1
    network = build_model(config.model, street_dataset())
    trainer = Trainer(network, config, loss)
    trainer.compile(build_optimizer(config))
    return trainer


def _images(config: ConfigDict) -> tf.Tensor:
    return tf.zeros([1, *config.data.crop_size, 3], tf.uint8)


def _step_rows(model: str, targets: dict[str, tf.Tensor]) -> list[Row]:
    """The step of a model as a whole, by its parts, and the input it takes."""
    config = _config_of(model)
    times = {row["part"]: row["milliseconds"] for row in _times(_step_parts(config, targets))}
    # What cannot be run alone is a difference.
    times["backward"] = times.pop("there and back") - times["forward"]
    times["update"] = times["step"] - times["forward"] - times["losses"] - times["backward"]
    times["input"] = _input_milliseconds(config)
    return [
        dict(part=part, milliseconds=value, model=model, share=value / times["step"])
        for part, value in times.items()
    ]


def _step_parts(config: ConfigDict, targets: dict[str, tf.Tensor]) -> Tasks:
    images, trainer = _images(config), _trainer(config)
    network, variables = trainer.network, trainer.network.trainable_variables
    heads = network(images, training=True)

    @tf.function
    def forward():
        return network(images, training=True)

    @tf.function
    def losses():
        with tf.GradientTape() as tape:
            tape.watch(heads)
            loss = tf.reduce_sum(total_loss(heads, targets, config)[0])
        return tape.gradient(loss, heads)

    seeds = losses()

    @tf.function
    def there_and_back():
        with tf.GradientTape() as tape:
            outputs = network(images, training=True)
        return tape.gradient(outputs, variables, output_gradients=seeds)

    return {
        "step": tf.function(lambda: trainer.train_step((images, targets))),
        "forward": forward,
        "losses": losses,
        "there and back": there_and_back,
    }


# === Data ===


def _input_milliseconds(config: ConfigDict) -> float:
    """Processor time to prepare a batch of one image."""
    samples = _samples(config).repeat().enumerate()
    batches = iter(train_batches(samples, config, 1))
    next(batches)
    start = time.process_time()
    for _ in range(INPUT_BATCHES):
        next(batches)
    return 1000 * (time.process_time() - start) / INPUT_BATCHES


def _targets(config: ConfigDict) -> dict[str, tf.Tensor]:
    """Targets of the scene, with a batch dimension of 1."""
    sample = next(iter(_samples(config)))
    targets = make_targets(sample["semantic"], sample["instance"], sample["crowd"], config)
    return {name: values[tf.newaxis] for name, values in targets.items()}


def _samples(config: ConfigDict) -> tf.data.Dataset:
    """One scene of 8 x 8 blocks, 24 of them instances, as a dataset of one sample."""
    side, num_stuff = config.data.crop_size[0], NUM_CLASSES - NUM_THINGS
    eighth = tf.range(side) * 8 // side
    rows, columns = tf.meshgrid(eighth, eighth, indexing="ij")
    block = rows * 8 + columns

    is_thing = block % 8 < 3
    semantic = tf.where(is_thing, num_stuff + block % NUM_THINGS, block % num_stuff)
    sample = {
        "image": tf.zeros([side, side, 3], tf.uint8),
        "semantic": semantic,
        "instance": tf.where(is_thing, block + 1, 0),
        "crowd": tf.zeros([side, side], tf.bool),
    }
    return tf.data.Dataset.from_tensors(sample)


# === Measuring ===


def _times(tasks: Tasks) -> list[Row]:
    """A row for each task: its fastest round."""
    clock = time.perf_counter if tf.config.list_logical_devices("GPU") else time.process_time
    for task in tasks.values():
        task()  # traces

    best = dict.fromkeys(tasks, float("inf"))
    for _ in range(ROUNDS):
        for name, task in tasks.items():
            start = clock()
            tf.nest.map_structure(lambda tensor: tensor.numpy(), task())
            best[name] = min(best[name], clock() - start)
    return [dict(part=name, milliseconds=1000 * seconds) for name, seconds in best.items()]


def _peak_megabytes(part: str, model: str) -> float:
    """Peak memory of one call of a part, measured by a process of its own."""
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
    command = [sys.executable, "-m", "benchmarks.loss", part, model]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return float(done.stdout.split()[-1])


def _measure_memory(part: str, model: str) -> None:
    """Prints the peak memory of a part's first call, MB; NaN where the system does not tell."""
    config = _config_of(model)
    targets = _targets(config)
    if part in (PLAIN, MINED):
        task = _cross_entropies(config, targets)[part]
    else:
        images = _images(config)
        trainer = _trainer(config, _plain_total if part == PLAIN_STEP else total_loss)
        trainer.optimizer.build(trainer.network.trainable_variables)
        task = tf.function(lambda: trainer.train_step((images, targets)))

    # Traces: graphs are not part of it.
    task.get_concrete_function()
    print(added_peak_mb(task))


if __name__ == "__main__":
    _measure_memory(*sys.argv[1:])
