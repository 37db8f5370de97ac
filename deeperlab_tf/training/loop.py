"""Trains a network: builds or resumes a run, and hands it to Keras' `fit`."""

import os

import tensorflow as tf
from absl import logging

from deeperlab_tf.backbones.initial_checkpoint import load_initial_checkpoint
from deeperlab_tf.compat import keras
from deeperlab_tf.errors import UserError
from deeperlab_tf.training.callbacks import Meter, Profile, Progress
from deeperlab_tf.training.checkpoints import (
    Store,
    checkpoint_paths,
)
from deeperlab_tf.training.cluster import lost_host_errors
from deeperlab_tf.training.optimizer import build_optimizer
from deeperlab_tf.training.saving import Evaluate, SaveCheckpoints
from deeperlab_tf.training.strategy import build_strategy, check_batch, is_chief
from deeperlab_tf.training.trainer import Trainer
from deeperlab_tf.training.workdir import (
    BEST_DIR,
    CHECKPOINT_DIR,
    prepare_workdir,
    write_provenance,
)

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


def fit(
    config,
    workdir,
    dataset,
    make_train_data,
    build_network,
    loss,
    loss_names,
    *,
    strategy=None,
    evaluate=None,
    more_callbacks=None,
    accept_changes=False,
    deterministic=False,
    profile=False,
):
    """Trains any network until `config.train.steps`; called again on the same folder, it goes on
    where it was.

    Args:
      config: the full config; of it, `train` counts here.
      workdir: folder of the run; made where missing. Several hosts share it.
      dataset: `schema.Dataset`, kept beside the config.
      make_train_data: function (start_step, tf.distribute.InputContext) -> tf.data.Dataset of
        (images, targets), in batches for one replica, from the batch `start_step` on.
      build_network: function that gives the keras.Model; a new run then loads
        `config.train.initial_checkpoint`.
      loss, loss_names: as of `Trainer`.
      strategy: tf.distribute.Strategy; None: one device.
      evaluate: function of the network that gives a dict of metrics, run every
        `config.train.evaluate_every` steps.
      more_callbacks: function (TensorBoard's folder, or None on other hosts than the chief; step to
        start from) -> list of Keras callbacks.
      accept_changes: go on in a folder whose config differs.
      deterministic: repeatable to the bit on one machine, slower.
      profile: record TensorBoard's profile of ten steps.

    Returns:
      The trained network.

    Raises:
      UserError: for bad config values or a folder of another run.
    """
    # === Checks ===
    strategy = strategy or build_strategy("one_device")
    chief = is_chief(strategy)
    if config.train.mixed_precision not in PRECISIONS:
        raise UserError(
            f"config.train.mixed_precision is {config.train.mixed_precision!r}; known are {PRECISIONS}."
        )
    check_batch(strategy, config.train.batch_size, config.train.accumulation_steps)

    # === Model ===
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(config.train.seed)
    keras.mixed_precision.set_global_policy(config.train.mixed_precision)
    with strategy.scope():
        network = build_network()
        if not checkpoint_paths(os.path.join(workdir, CHECKPOINT_DIR)):
            load_initial_checkpoint(network, config.train)
        trainer = Trainer(network, config, loss, loss_names)
        trainer.times_input = not deterministic  # TensorFlow has no clock then
        trainer.compile(
            optimizer=build_optimizer(config),
            jit_compile=config.train.jit_compile or None,
            steps_per_execution=config.train.steps_per_execution,
        )
        trainer.optimizer.build(network.trainable_variables)

    # === Run folder ===
    if chief:
        prepare_workdir(workdir, config, dataset, accept_changes)
        write_provenance(workdir)

    # === Resume ===
    folder = os.path.join(workdir, CHECKPOINT_DIR)
    hosts = dict(chief=chief, passed_on=lost_host_errors(strategy))
    store = Store(folder, network, trainer.optimizer, config.train.keep_checkpoints, **hosts)
    path = store.restore_newest()
    if path:
        logging.info("resumed from %s", path)
    start = int(trainer.optimizer.iterations.numpy())
    if start >= config.train.steps:
        logging.info("%s is already trained for %d steps", workdir, start)
        return network

    # === Train ===
    board = os.path.join(workdir, "tensorboard") if chief else None
    callbacks = [Meter(board, config, start), SaveCheckpoints(store, config, start, strategy)]
    if evaluate is not None and config.train.evaluate_every:
        best = Store(os.path.join(workdir, BEST_DIR), network, trainer.optimizer, 1, **hosts)
        callbacks.append(Evaluate(board, config, start, workdir, best, evaluate))
    if chief:
        callbacks.append(Progress(config, start))
    if profile and chief:
        callbacks.append(Profile(board, config, start))
    callbacks += more_callbacks(board, start) if more_callbacks else []
    data = strategy.distribute_datasets_from_function(
        lambda context: make_train_data(start, context)
    )
    try:
        trainer.fit(
            data, steps_per_epoch=config.train.steps - start, callbacks=callbacks, verbose=0
        )
    finally:
        store.close()
    return network
