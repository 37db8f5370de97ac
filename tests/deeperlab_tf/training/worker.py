"""One of several processes that train and evaluate the same tiny experiment; run by
test_multi_worker.py.

python worker.py WORKDIR RESULT [STEP]

TF_CONFIG makes it one of several. With STEP it kills itself after that step, as soon as the
checkpoint is there. Writes RESULT.steps, a line of losses for each step, and RESULT.json.
"""

import functools
import json
import os
import signal
import sys
import time

import numpy as np
import tensorflow as tf

from deeperlab_tf.compat import keras
from deeperlab_tf.config import default_config
from deeperlab_tf.evaluation.distributed import make_evaluation
from deeperlab_tf.heads import HEAD_STRIDE, head_channels
from deeperlab_tf.keypoints import STAR
from deeperlab_tf.losses import LOSSES, total_loss
from deeperlab_tf.model import build_model
from deeperlab_tf.training.batch_norm import synchronise
from deeperlab_tf.training.callbacks import StepCallback
from deeperlab_tf.training.cluster import restart_where_host_is_lost
from deeperlab_tf.training.loop import RunOptions, Task, fit
from deeperlab_tf.training.strategy import build_strategy
from input_pipeline import make_dataset, open_source

SIDE = 33


def main(workdir, result, last_step=None):
    strategy = build_strategy("auto", timeout=120)
    restart_where_host_is_lost(strategy, lambda: work(strategy, workdir, result, last_step))


def work(strategy, workdir, result, last_step):
    config = tiny_config()
    held_out = open_source(config, "val")
    starts = []

    def build():
        network = build_model(config.model, held_out.dataset)
        # One process, too: Keras' fused kernel corrects the moving variance for N - 1.
        synchronise(network)
        starts.append(flat(network))
        return network

    class Collect(StepCallback):
        def on_step(self, logs):
            losses = {name: float(value) for name, value in logs.items() if name != "input_seconds"}
            with open(f"{result}.steps", "a") as file:
                file.write(json.dumps(dict(losses, step=self.step)) + "\n")
            if last_step and self.step == int(last_step):
                while not os.path.exists(
                    os.path.join(workdir, "checkpoints", f"ckpt-{last_step}.index")
                ):
                    time.sleep(0.1)
                os.kill(os.getpid(), signal.SIGKILL)

    task = Task(
        held_out.dataset,
        functools.partial(make_dataset, config, "train"),
        build,
        total_loss,
        LOSSES,
    )
    options = RunOptions(
        strategy=strategy,
        evaluate=make_evaluation(held_out, config, strategy),
        make_callbacks=lambda run: [Collect(run)],
    )
    network = fit(config, workdir, task, options)
    change = {name: (value - starts[0][name]).tolist() for name, value in flat(network).items()}
    with strategy.scope():
        network_of_colors = color_network(held_out.dataset)
    config.train.evaluate_images = 0
    metrics = make_evaluation(held_out, config, strategy)(network_of_colors)
    with open(f"{result}.json", "w") as file:
        values = {
            "replicas": strategy.num_replicas_in_sync,
            "change": change,
            "metrics": {name: value for name, value in metrics.items() if isinstance(value, float)},
        }
        json.dump(values, file)


def flat(network):
    """The weights, and the moving statistics, as one vector each."""
    groups = {"weights": network.trainable_variables, "moving": network.non_trainable_variables}
    return {
        name: np.concatenate([v.numpy().ravel() for v in group]) for name, group in groups.items()
    }


def color_network(dataset):
    """Tells classes by their colour and knows no instances: better than noise, and the same on
    every host.
    """
    image = keras.Input((None, None, 3))
    pixels = tf.cast(image, tf.float32)[:, ::HEAD_STRIDE, ::HEAD_STRIDE, tf.newaxis]
    distance = tf.reduce_sum(tf.square(pixels - tf.constant(dataset.colors, tf.float32)), axis=-1)
    zero = 0.0 * pixels[..., 0, :1]
    heads = {}
    for name, channels in head_channels(STAR, dataset.num_classes).items():
        heads[name] = tf.repeat(zero, channels, axis=-1)
    heads["semantic_logits"] = -distance / 1000
    heads["keypoint_logits"] -= 10
    return keras.Model(image, heads)


def tiny_config():
    config = default_config()
    config.data.shapes.image_size = config.data.crop_size = config.eval.image_size = (SIDE, SIDE)
    config.data.shapes.num_train, config.data.shapes.num_val = 8, 7
    config.data.min_scale = config.data.max_scale = 1.0
    config.model.width = 0.1
    config.model.kernel_size = config.model.decoder_kernel_size = config.model.head_kernel_size = 3
    config.model.keypoint_radius = 8.0
    config.model.batch_norm_momentum = 0.5
    config.model.aspp_channels = config.model.decoder_channels = 8
    config.model.semantic_head_channels = config.model.instance_head_channels = 8
    config.model.aspp_dropout = 0.0  # each replica draws masks of its own
    config.train.batch_size = 4
    config.train.steps = config.train.evaluate_every = 3
    config.train.checkpoint_every = 1
    config.train.learning_rate = 0.01
    config.train.evaluate_images = 2
    config.eval.batch_size = 2
    return config


if __name__ == "__main__":
    tf.config.threading.set_intra_op_parallelism_threads(1)
    # Costs more than it gains here.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    main(*sys.argv[1:])
