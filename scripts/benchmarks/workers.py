"""Training throughput of several processes on this machine's cores beside one process that uses all
of them.

The processes are hosts of a MultiWorkerMirroredStrategy on loopback, one thread each, with the same
global batch. Light Wider MobileNetV2, noise in place of data: what is measured is the step and its
communication.
"""

import json
import os
import socket
import subprocess
import sys
import time

from deeperlab_tf.config import default_config
from deeperlab_tf.paper import set_network

CROPS = (257, 513)
NUM_CLASSES = 19
IMAGES_EACH = 2  # a process and step
WARM_UP, STEPS = 2, 6


def run():
    """Rows of the benchmark.

    Returns:
      list of dicts: `crop`, `processes`, `sync_batch_norm`, `images_per_second`, and `share` of
        what one process has.
    """
    count, rows = os.cpu_count(), []
    for crop in CROPS:
        alone = _measure(crop, 1, count, sync=True)
        rows.append(
            dict(crop=crop, processes=1, sync_batch_norm=True, images_per_second=alone, share=1.0)
        )
        for sync in (True, False):
            rate = _measure(crop, count, count, sync)
            row = dict(
                crop=crop,
                processes=count,
                sync_batch_norm=sync,
                images_per_second=rate,
                share=rate / alone,
            )
            rows.append(row)
    return rows


def _measure(crop, processes, cores, sync):
    """Images per second of the whole job."""
    ports = [_free_port() for _ in range(processes)]
    children = []
    for index in range(processes):
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
        environment.pop("TF_CONFIG", None)
        if processes > 1:
            cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
            environment["TF_CONFIG"] = json.dumps(
                {"cluster": cluster, "task": {"type": "worker", "index": index}}
            )
        arguments = map(str, (crop, cores // processes, IMAGES_EACH * cores, int(sync)))
        command = [sys.executable, "-m", "benchmarks.workers", *arguments]
        children.append(
            subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        )
    outputs = [child.communicate()[0] for child in children]
    for child in children:
        if child.returncode:
            raise RuntimeError(f"a process of the benchmark ended with status {child.returncode}")
    return json.loads(outputs[0].splitlines()[-1])


def _free_port():
    with socket.create_server(("127.0.0.1", 0)) as door:
        return door.getsockname()[1]


# === One of the processes ===


def _work(crop, threads, batch_size, sync):
    import tensorflow as tf

    from deeperlab_tf.compat import keras
    from deeperlab_tf.model import build_model
    from deeperlab_tf.schema import Category, Dataset, distinct_colors
    from deeperlab_tf.training.optimizer import build_optimizer
    from deeperlab_tf.training.strategy import build_strategy
    from deeperlab_tf.training.trainer import Trainer

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    strategy = build_strategy("auto")
    config = default_config()
    set_network(config.model, "light_wider_mobilenet_v2")
    config.train.batch_size, config.train.sync_batch_norm = batch_size, bool(sync)
    colors = distinct_colors(NUM_CLASSES)
    dataset = Dataset(
        "street", tuple(Category(str(i), i > 10, colors[i], i) for i in range(NUM_CLASSES))
    )
    with strategy.scope():
        trainer = Trainer(build_model(config.model, dataset), config)
        trainer.compile(build_optimizer(config))
    times = []

    class Clock(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            times.append(time.perf_counter())

    data = strategy.distribute_datasets_from_function(
        lambda context: _noise(context.get_per_replica_batch_size(batch_size), crop)
    )
    trainer.fit(data, steps_per_epoch=WARM_UP + STEPS, callbacks=[Clock()], verbose=0)
    print(json.dumps(STEPS * batch_size / (times[-1] - times[-1 - STEPS])))


def _noise(batch_size, side):
    import tensorflow as tf

    grid = (side - 1) // 4 + 1

    def noise(*shape):
        return tf.random.stateless_uniform([batch_size, *shape], (0, 0))

    image = tf.cast(255 * noise(side, side, 3), tf.uint8)
    targets = {
        "semantic": tf.cast(NUM_CLASSES * noise(side, side), tf.int32),
        "semantic_weight": tf.ones([batch_size, side, side]),
        "keypoint_heatmap": tf.round(noise(grid, grid, 5)),
        "keypoint_mask": tf.ones([batch_size, grid, grid]),
    }
    for name, items in (("short", 5), ("middle", 8), ("long", 5)):
        targets[f"{name}_offsets"] = noise(grid, grid, 2 * items)
        targets[f"{name}_mask"] = tf.ones([batch_size, grid, grid] + [items] * (name != "long"))
    return tf.data.Dataset.from_tensors((image, targets)).repeat()


if __name__ == "__main__":
    _work(*map(int, sys.argv[1:]))
