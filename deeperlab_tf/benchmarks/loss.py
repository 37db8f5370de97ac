"""What training costs: Eq. 1's selection, the semantic loss, and a step by its parts; crop 721, 66 classes, one image.

Without a GPU, times are processor time over all threads, so that other programs count little. Rounds take turns and the
fastest counts. Peak memory is the process' high-water mark above what it held before, on Linux.
"""

import ctypes
import time

import tensorflow as tf

from deeperlab_tf.config import default_config, light_decoder
from deeperlab_tf.layers import upsample
from deeperlab_tf.losses import hardest_share, semantic_loss, total_loss
from deeperlab_tf.model import HEAD_STRIDE, build_model
from deeperlab_tf.schema import Category, Dataset, distinct_colors
from deeperlab_tf.training.trainer import Trainer, build_optimizer

NUM_CLASSES, NUM_THINGS = 66, 37  # Mapillary Vistas
ROUNDS = 4
_MODELS = {"full": lambda model: model, "light": light_decoder}


def run():
    """Rows of the benchmark.

    Returns:
      list of dicts: `part`, `milliseconds`, and, where it means something, `share` of the step and `peak_mb`. Parts:
      `eq1 sort`, `eq1 selection` (which pixels are the hardest), `plain cross-entropy`, `semantic loss` (both with
      their gradient), and for the models `full` and `light` the whole `step`, its `forward`, `losses` (with their
      gradient to the heads), `backward` (through the network), `update`, and the `input` it takes.
    """
    config = default_config()
    targets = _targets(config)
    rows = _times(_selections(config))
    cross_entropies = _cross_entropies(config, targets)
    rows += _times(cross_entropies, memory=True)
    for name, change in _MODELS.items():
        change(config.model)
        rows += _step_rows(name, config, targets)
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
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, upsample(logits, HEAD_STRIDE))

    def mined(logits):
        return semantic_loss(logits, labels, weight, config.train.hard_pixel_fraction)

    def with_gradient(loss):
        @tf.function
        def function():
            with tf.GradientTape() as tape:
                tape.watch(logits)
                value = tf.reduce_mean(loss(logits))
            return tape.gradient(value, logits)

        return function

    return {"plain cross-entropy": with_gradient(plain), "semantic loss": with_gradient(mined)}


# === A step ===


def _step_rows(name, config, targets):
    dataset = _dataset()
    config.train.batch_size = 1
    side = config.data.crop_size[0]
    images = tf.zeros([1, side, side, 3], tf.uint8)
    trainer = Trainer(build_model(config.model, dataset), config)
    trainer.compile(build_optimizer(config))
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
    rows["step"]["peak_mb"] = peak_megabytes(tasks["step"])
    step = rows["step"]["milliseconds"]
    backward = rows.pop("there and back")["milliseconds"] - rows["forward"]["milliseconds"]
    update = step - backward - rows["forward"]["milliseconds"] - rows["losses"]["milliseconds"]
    rows["backward"] = dict(part="backward", milliseconds=backward)
    rows["update"] = dict(part="update", milliseconds=update)
    rows["input"] = dict(part="input", milliseconds=_input_milliseconds(config))
    return [dict(row, model=name, share=row["milliseconds"] / step) for row in rows.values()]


def _input_milliseconds(config):
    from input_pipeline.pipeline import train_batches  # the benchmark looks at both sides; nothing else here does

    data = _samples(config).repeat()
    batches = iter(train_batches(tf.data.Dataset.zip((tf.data.Dataset.range(10**6), data)), config, 1))
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
    rows, columns = tf.meshgrid(tf.range(side) * 8 // side, tf.range(side) * 8 // side, indexing="ij")
    block = rows * 8 + columns
    thing = block % 8 < 3
    sample = {
        "image": tf.zeros([side, side, 3], tf.uint8),
        "semantic": tf.where(thing, NUM_CLASSES - NUM_THINGS + block % NUM_THINGS, block % (NUM_CLASSES - NUM_THINGS)),
        "instance": tf.where(thing, block + 1, 0),
        "crowd": tf.zeros([side, side], tf.bool),
    }
    return tf.data.Dataset.from_tensors(sample)


def _dataset():
    colors = distinct_colors(NUM_CLASSES)
    things = NUM_CLASSES - NUM_THINGS
    return Dataset("street", tuple(Category(f"class {i}", i >= things, colors[i], i) for i in range(NUM_CLASSES)))


# === Measuring ===


def _times(tasks, memory=False):
    clock = time.perf_counter if tf.config.list_logical_devices("GPU") else time.process_time
    best = dict.fromkeys(tasks, float("inf"))
    for task in tasks.values():
        task()  # traces
    for _ in range(ROUNDS):
        for name, task in tasks.items():
            start = clock()
            tf.nest.map_structure(lambda x: x.numpy(), task())
            best[name] = min(best[name], clock() - start)
    rows = [dict(part=name, milliseconds=1000 * seconds) for name, seconds in best.items()]
    return [dict(row, peak_mb=peak_megabytes(tasks[row["part"]])) for row in rows] if memory else rows


def peak_megabytes(task):
    """How much more memory than before a call of `task` takes at its height; NaN where the system does not tell."""
    gpus = tf.config.list_logical_devices("GPU")
    if gpus:
        before = tf.config.experimental.get_memory_info("GPU:0")["current"]
        tf.config.experimental.reset_memory_stats("GPU:0")
        task()
        return (tf.config.experimental.get_memory_info("GPU:0")["peak"] - before) / 2**20
    try:
        ctypes.CDLL(None).malloc_trim(0)  # what is kept for reuse would hide what the call takes
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")  # starts the high-water mark anew
        before = _status("VmRSS")
        task()
        return (_status("VmHWM") - before) / 1024
    except OSError:
        return float("nan")


def _status(key):
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(key))
