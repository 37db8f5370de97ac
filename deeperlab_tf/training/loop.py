"""Trains a network: builds or resumes a run, and hands it to Keras' `fit`."""

import os

import tensorflow as tf
from absl import logging

from deeperlab_tf.compat import keras
from deeperlab_tf.errors import UserError
from deeperlab_tf.initial_checkpoint import load_initial_checkpoint
from deeperlab_tf.model import build_model
from deeperlab_tf.training.callbacks import ImagePanels, Progress, SaveCheckpoints, Scalars
from deeperlab_tf.training.checkpoints import CHECKPOINT_DIR, checkpoint_manager, prepare_workdir, restore
from deeperlab_tf.training.trainer import Trainer, build_optimizer

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


def train(config, workdir, dataset, make_train_data, panel_samples=(), accept_changes=False, deterministic=False):
    """Trains until `config.train.steps`; called again on the same folder, it goes on from the newest checkpoint.

    Args:
      config: the full config.
      workdir: folder of the run; made where missing.
      dataset: `schema.Dataset`.
      make_train_data: function of the step to start from, returning the tf.data.Dataset of (images, targets).
      panel_samples: samples (dicts of image, semantic, instance) shown in TensorBoard as the training goes on.
      accept_changes: go on in a folder whose config differs.
      deterministic: repeatable to the bit on one machine, slower.

    Returns:
      The trained network.

    Raises:
      UserError: for bad config values or a folder of another run.
    """
    # === Model ===
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    if config.train.mixed_precision not in PRECISIONS:
        raise UserError(f"config.train.mixed_precision is {config.train.mixed_precision!r}; known are {PRECISIONS}.")
    keras.utils.set_random_seed(config.train.seed)
    keras.mixed_precision.set_global_policy(config.train.mixed_precision)
    network = build_model(config.model, dataset)
    if tf.train.latest_checkpoint(os.path.join(workdir, CHECKPOINT_DIR)) is None:
        load_initial_checkpoint(network, config.model)
    trainer = Trainer(network, config)
    trainer.compile(optimizer=build_optimizer(config))
    trainer.optimizer.build(network.trainable_variables)

    # === Run folder ===
    prepare_workdir(workdir, config, dataset, accept_changes)

    # === Resume ===
    manager = checkpoint_manager(workdir, network, trainer.optimizer, config.train.keep_checkpoints)
    if manager.latest_checkpoint:
        restore(manager.checkpoint, manager.latest_checkpoint)
        logging.info("resumed from %s", manager.latest_checkpoint)
    start = int(trainer.optimizer.iterations.numpy())
    if start >= config.train.steps:
        logging.info("%s is already trained for %d steps", workdir, start)
        return network

    # === Train ===
    board = os.path.join(workdir, "tensorboard")
    callbacks = [
        SaveCheckpoints(manager, config, start),
        Progress(config, start),
        Scalars(board, config, start),
        ImagePanels(board, config, dataset, panel_samples, start),
    ]
    trainer.fit(make_train_data(start), steps_per_epoch=config.train.steps - start, callbacks=callbacks, verbose=0)
    return network
