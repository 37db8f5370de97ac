"""What training costs: Eq. 1's selection, the semantic loss, and a step by its parts; crop 721, 66
classes, one image.

Without a GPU, times are processor time over all threads, so that other programs count little.
Rounds take turns and the fastest counts. Peak memory is the high-water mark of a fresh process
above what it held before its one call (Linux): TensorFlow keeps what it once had, so that a process
can measure only once.
"""

import os
import subprocess
import sys
import time

import tensorflow as tf

from benchmarks.memory import added_peak_mb
from deeperlab_tf.config import default_config
from deeperlab_tf.heads import HEAD_STRIDE
from deeperlab_tf.layers import upsample
from deeperlab_tf.losses import Pixels, hardest_share, semantic_loss, total_loss
from deeperlab_tf.model import build_model
from deeperlab_tf.paper import set_network
from deeperlab_tf.schema import Category, Dataset, distinct_colors
from deeperlab_tf.training.optimizer import build_optimizer
from deeperlab_tf.training.trainer import Trainer

NUM_CLASSES, NUM_THINGS = 66, 37  # Mapillary Vistas
ROUNDS = 4
PLAIN, MINED, PLAIN_STEP = "plain cross-entropy", "semantic loss", "step, plain cross-entropy"
_MODELS = {"full": "wider_mobilenet_v2", "light": "light_wider_mobilenet_v2"}


def run():
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
    for name, network in _MODELS.items():
        set_network(config.model, network)
        rows += _step_rows(name, config, targets)
        rows.append(dict(part=PLAIN_STEP, model=name))
    for row in rows:
        if row["part"] in (PLAIN, MINED, "step", PLAIN_STEP):
            row["peak_mb"] = _peak_megabytes(row["part"], row.get("model", "full"))
    return rows


# === Eq. 1 ===


def _selections(config):
    side = config.data.crop_size[0]
    values = tf.random.stateless_uniform([1, side * side], (0, 0))
    count = int(config.train.hard_pixel_fraction * side * side)

    @tf.function
    def by_sorting():
        threshold = tf.sort(values, direction="DESCENDING")[:, count - 1 : count]
        return tf.cast(values >= threshold, tf.float32)

    by_selection = tf.function(lambda: hardest_share(values, tf.constant([count])))
    return {"eq1 sort": by_sorting, "eq1 selection": by_selection}


def _cross_entropies(config, targets):
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


def plain_cross_entropy(logits, labels):
    """What Eq. 1 is compared to: logits upsampled as a whole, every pixel counts. float32 [B, H,
    W].
    """
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, upsample(logits, HEAD_STRIDE))


def _plain_total(heads, targets, config):
    """`total_loss` with it in place of Eq. 1's."""
    few = dict(heads, semantic_logits=heads["semantic_logits"][:, :2, :2])
    corner = {name: targets[name][:, :5, :5] for name in ("semantic", "semantic_weight")}
    total, losses = total_loss(few, dict(targets, **corner), config)
    plain = tf.reduce_mean(
        plain_cross_entropy(heads["semantic_logits"], targets["semantic"]), axis=(1, 2)
    )
    return total - losses["semantic"] + plain, dict(losses, semantic=plain)


# === A step ===


def _trainer(config, loss=total_loss):
    config.train.batch_size = 1
    trainer = Trainer(build_model(config.model, _dataset()), config, loss)
    trainer.compile(build_optimizer(config))
    return trainer


def _images(config):
    return tf.zeros([1, *config.data.crop_size, 3], tf.uint8)


def _step_rows(name, config, targets):
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

    tasks = {
        "step": tf.function(lambda: trainer.train_step((images, targets))),
        "forward": forward,
        "losses": losses,
        "there and back": there_and_back,
    }
    rows = {row["part"]: row for row in _times(tasks)}
    step = rows["step"]["milliseconds"]
    backward = rows.pop("there and back")["milliseconds"] - rows["forward"]["milliseconds"]
    update = step - backward - rows["forward"]["milliseconds"] - rows["losses"]["milliseconds"]
    rows["backward"] = dict(part="backward", milliseconds=backward)
    rows["update"] = dict(part="update", milliseconds=update)
    rows["input"] = dict(part="input", milliseconds=_input_milliseconds(config))
    return [dict(row, model=name, share=row["milliseconds"] / step) for row in rows.values()]


def _input_milliseconds(config):
    # The benchmark looks at both sides; nothing else here does.
    from input_pipeline.pipeline import train_batches

    data = _samples(config).repeat()
    batches = iter(
        train_batches(tf.data.Dataset.zip((tf.data.Dataset.range(10**6), data)), config, 1)
    )
    next(batches)
    count, start = 20, time.process_time()
    for _ in range(count):
        next(batches)
    return 1000 * (time.process_time() - start) / count


def _targets(config):
    from input_pipeline import make_targets

    sample = next(iter(_samples(config)))
    targets = make_targets(sample["semantic"], sample["instance"], sample["crowd"], config)
    return {name: values[tf.newaxis] for name, values in targets.items()}


def _samples(config):
    """One scene of blocks, 24 of them instances, as a tf.data.Dataset of one sample."""
    side = config.data.crop_size[0]
    rows, columns = tf.meshgrid(
        tf.range(side) * 8 // side, tf.range(side) * 8 // side, indexing="ij"
    )
    block = rows * 8 + columns
    thing = block % 8 < 3
    sample = {
        "image": tf.zeros([side, side, 3], tf.uint8),
        "semantic": tf.where(
            thing, NUM_CLASSES - NUM_THINGS + block % NUM_THINGS, block % (NUM_CLASSES - NUM_THINGS)
        ),
        "instance": tf.where(thing, block + 1, 0),
        "crowd": tf.zeros([side, side], tf.bool),
    }
    return tf.data.Dataset.from_tensors(sample)


def _dataset():
    colors = distinct_colors(NUM_CLASSES)
    things = NUM_CLASSES - NUM_THINGS
    return Dataset(
        "street",
        tuple(Category(f"class {i}", i >= things, colors[i], i) for i in range(NUM_CLASSES)),
    )


# === Measuring ===


def _times(tasks):
    clock = time.perf_counter if tf.config.list_logical_devices("GPU") else time.process_time
    best = dict.fromkeys(tasks, float("inf"))
    for task in tasks.values():
        task()  # traces
    for _ in range(ROUNDS):
        for name, task in tasks.items():
            start = clock()
            tf.nest.map_structure(lambda x: x.numpy(), task())
            best[name] = min(best[name], clock() - start)
    return [dict(part=name, milliseconds=1000 * seconds) for name, seconds in best.items()]


def _peak_megabytes(part, model):
    """Peak memory of one call of a part, measured by a process of its own."""
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
    command = [sys.executable, "-m", "benchmarks.loss", part, model]
    return float(
        subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout.split()[
            -1
        ]
    )


def _measure_memory(part, model):
    """Prints the peak memory of a part's first call, MB; NaN where the system does not tell."""
    config = default_config()
    set_network(config.model, _MODELS[model])
    targets = _targets(config)
    if part in (PLAIN, MINED):
        task = _cross_entropies(config, targets)[part]
    else:
        trainer, images = (
            _trainer(config, _plain_total if part == PLAIN_STEP else total_loss),
            _images(config),
        )
        trainer.optimizer.build(trainer.network.trainable_variables)
        task = tf.function(lambda: trainer.train_step((images, targets)))
    task.get_concrete_function()  # traces: graphs are no part of it
    print(added_peak_mb(task))


if __name__ == "__main__":
    _measure_memory(*sys.argv[1:])
