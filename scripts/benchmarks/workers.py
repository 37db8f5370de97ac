"""Training throughput of several processes on this machine's cores beside one process that uses all
of them.

The processes are hosts of a MultiWorkerMirroredStrategy on loopback, one thread each, with the same
global batch. Light Wider MobileNetV2, noise in place of data: what is measured is the step and its
communication.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from ml_collections import ConfigDict

from benchmarks.street import street_dataset
from deeperlab_tf.config import default_config
from deeperlab_tf.heads import grid_side, head_channels
from deeperlab_tf.keypoints import keypoint_graph
from deeperlab_tf.paper import set_network

if TYPE_CHECKING:
    import tensorflow as tf

CROPS = (257, 513)
NUM_CLASSES, NUM_THINGS = 19, 8  # as Cityscapes
IMAGES_EACH = 2  # per process and step
WARM_UP, STEPS = 2, 6


class Job(NamedTuple):
    """What one of the processes does.

    Attributes:
      crop: side of the images, pixels.
      threads: of this process.
      batch_size: images per step, of all processes.
      sync_batch_norm: whether batch norm counts over all processes.
    """

    crop: int
    threads: int
    batch_size: int
    sync_batch_norm: bool


def run() -> list[dict[str, Any]]:
    """Rows of the benchmark.

    Returns:
      list of dicts: `crop`, `processes`, `sync_batch_norm`, `images_per_second`, and `share` of
      what one process has.
    """
    cores, rows = os.cpu_count(), []
    for crop in CROPS:
        alone = None
        for processes, sync in ((1, True), (cores, True), (cores, False)):
            job = Job(crop, cores // processes, IMAGES_EACH * cores, sync)
            rate = _measure(job, processes)
            alone = alone or rate
            row = dict(
                crop=crop,
                processes=processes,
                sync_batch_norm=sync,
                images_per_second=rate,
                share=rate / alone,
            )
            rows.append(row)
    return rows


def _measure(job: Job, processes: int) -> float:
    """Images per second of all processes together."""
    addresses = [f"127.0.0.1:{_free_port()}" for _ in range(processes)]
    arguments = [str(int(value)) for value in job]
    command = [sys.executable, "-m", "benchmarks.workers", *arguments]
    children = []
    for index in range(processes):
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
        environment.pop("TF_CONFIG", None)
        if processes > 1:
            task = {"type": "worker", "index": index}
            cluster = {"cluster": {"worker": addresses}, "task": task}
            environment["TF_CONFIG"] = json.dumps(cluster)
        child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        children.append(child)

    outputs = [child.communicate()[0] for child in children]
    for child in children:
        if child.returncode:
            raise RuntimeError(f"a process of the benchmark ended with status {child.returncode}")
    return json.loads(outputs[0].splitlines()[-1])


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as door:
        return door.getsockname()[1]


# === One of the processes ===


def _work(job: Job) -> None:
    """Trains for a few steps and prints the images per second."""
    # Imported here, as all of TensorFlow is: the process that starts the others does without.
    import tensorflow as tf

    from deeperlab_tf.compat import keras
    from deeperlab_tf.model import build_model
    from deeperlab_tf.training.optimizer import build_optimizer
    from deeperlab_tf.training.strategy import build_strategy
    from deeperlab_tf.training.trainer import Trainer

    tf.config.threading.set_intra_op_parallelism_threads(job.threads)
    tf.config.threading.set_inter_op_parallelism_threads(job.threads)
    strategy, config = build_strategy("auto"), _config(job)
    dataset = street_dataset(NUM_CLASSES, NUM_THINGS)
    with strategy.scope():
        trainer = Trainer(build_model(config.model, dataset), config)
        trainer.compile(build_optimizer(config))

    times = []

    class Clock(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            times.append(time.perf_counter())

    def batches(context):
        return _noise(context.get_per_replica_batch_size(job.batch_size), config)

    data = strategy.distribute_datasets_from_function(batches)
    trainer.fit(data, steps_per_epoch=WARM_UP + STEPS, callbacks=[Clock()], verbose=0)
    seconds = times[-1] - times[-1 - STEPS]
    print(json.dumps(STEPS * job.batch_size / seconds))


def _config(job: Job) -> ConfigDict:
    config = default_config()
    set_network(config.model, "light_wider_mobilenet_v2")
    config.data.crop_size = (job.crop, job.crop)
    config.train.batch_size = job.batch_size
    config.train.sync_batch_norm = job.sync_batch_norm
    return config


def _noise(batch_size: int, config: ConfigDict) -> tf.data.Dataset:
    """The same batch of noise for ever."""
    # As in `_work`.
    import tensorflow as tf

    height, width = config.data.crop_size
    grid = (grid_side(height), grid_side(width))
    graph = keypoint_graph(config.model.keypoint_graph)
    channels = head_channels(graph, NUM_CLASSES)

    def noise(*shape: int) -> tf.Tensor:
        return tf.random.stateless_uniform([batch_size, *shape], (0, 0))

    image = tf.cast(255 * noise(height, width, 3), tf.uint8)
    targets = {
        "semantic": tf.cast(NUM_CLASSES * noise(height, width), tf.int32),
        "semantic_weight": tf.ones([batch_size, height, width]),
        "keypoint_heatmap": tf.round(noise(*grid, graph.num_keypoints)),
        "keypoint_mask": tf.ones([batch_size, *grid]),
        "short_mask": tf.ones([batch_size, *grid, graph.num_keypoints]),
        "middle_mask": tf.ones([batch_size, *grid, graph.num_edges]),
        "long_mask": tf.ones([batch_size, *grid]),
    }
    for name in ("short_offsets", "middle_offsets", "long_offsets"):
        targets[name] = noise(*grid, channels[name])
    return tf.data.Dataset.from_tensors((image, targets)).repeat()


if __name__ == "__main__":
    crop, threads, batch_size, sync = map(int, sys.argv[1:])
    _work(Job(crop, threads, batch_size, bool(sync)))
