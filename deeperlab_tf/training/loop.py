"""Trains a network: builds or resumes a run, and hands it to Keras' `fit`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf
from absl import logging
from ml_collections import ConfigDict

from deeperlab_tf.backbones.initial_checkpoint import find_backbone, load_initial_checkpoint
from deeperlab_tf.compat import keras
from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.schema import Dataset
from deeperlab_tf.training.callbacks import Meter, Profile, Progress, Run
from deeperlab_tf.training.checkpoints import Store, checkpoint_paths
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


class Task(NamedTuple):
    """What is trained, and on what.

    Attributes:
      dataset: the classes, kept beside the config.
      make_train_data: function (start_step, tf.distribute.InputContext) -> tf.data.Dataset of
        (images, targets), in batches for one replica, from the batch `start_step` on.
      build_network: function that gives the keras.Model; a new run then loads
        `config.train.initial_checkpoint`.
      loss: as of `Trainer`.
      loss_names: as of `Trainer`.
    """

    dataset: Dataset
    make_train_data: Callable[..., tf.data.Dataset]
    build_network: Callable[[], keras.Model]
    loss: Callable[..., Any]
    loss_names: tuple[str, ...]


class RunOptions(NamedTuple):
    """How a training runs on this machine, which is no matter of its config.

    Attributes:
      strategy: tf.distribute.Strategy; None: one device.
      evaluate: function of the network that gives a dict of metrics, run every
        `config.train.evaluate_every` steps; None: none.
      make_callbacks: function of the `Run` that gives more Keras callbacks; None: none.
      accept_changes: go on in a folder whose config differs.
      deterministic: repeatable to the bit on one machine, slower.
      profile: record TensorBoard's profile of ten steps.
    """

    strategy: tf.distribute.Strategy | None = None
    evaluate: Callable[[keras.Model], dict[str, Any]] | None = None
    make_callbacks: Callable[[Run], list[keras.callbacks.Callback]] | None = None
    accept_changes: bool = False
    deterministic: bool = False
    profile: bool = False


DEFAULT_OPTIONS = RunOptions()


def fit(
    config: ConfigDict, workdir: str, task: Task, options: RunOptions = DEFAULT_OPTIONS
) -> keras.Model:
    """Trains any network until `config.train.steps`; on the same folder again, it goes on.

    Args:
      config: the full config; of it, `train` counts here.
      workdir: folder of the run; made where missing. Several hosts share it.
      task: what is trained.
      options: how it runs.

    Returns:
      The trained network.

    Raises:
      UserError: for bad config values or a folder of another run.
    """
    train = config.train
    strategy = options.strategy or build_strategy("one_device")
    _check(train, strategy)
    trainer = _build_trainer(config, workdir, task, strategy, options.deterministic)
    if is_chief(strategy):
        prepare_workdir(workdir, config, task.dataset, options.accept_changes)
        write_provenance(workdir)

    # === Resume ===
    store = _open_store(workdir, CHECKPOINT_DIR, trainer, strategy)
    path = store.restore_newest()
    if path:
        logging.info("resumed from %s", path)
    start = int(trainer.optimizer.iterations.numpy())
    if start >= train.steps:
        logging.info("%s is already trained for %d steps", workdir, start)
        return trainer.network

    # === Train ===
    def make_data(context):
        return task.make_train_data(start, context)

    callbacks = _callbacks(Run(config, workdir, strategy, start), store, trainer, options)
    data = strategy.distribute_datasets_from_function(make_data)
    try:
        trainer.fit(data, steps_per_epoch=train.steps - start, callbacks=callbacks, verbose=0)
    finally:
        store.close()
    return trainer.network


def _check(train: ConfigDict, strategy: tf.distribute.Strategy) -> None:
    if train.mixed_precision not in PRECISIONS:
        raise UserError(
            f"config.train.mixed_precision is {train.mixed_precision!r}; known are {PRECISIONS}."
        )
    check_batch(strategy, train.batch_size, train.accumulation_steps)


def _build_trainer(
    config: ConfigDict,
    workdir: str,
    task: Task,
    strategy: tf.distribute.Strategy,
    deterministic: bool,
) -> Trainer:
    """The trainer of a new network, compiled; nothing of the run is restored yet."""
    train = config.train
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(train.seed)
    keras.mixed_precision.set_global_policy(train.mixed_precision)
    with strategy.scope():
        network = task.build_network()
        if not checkpoint_paths(storage.join(workdir, CHECKPOINT_DIR)):
            load_initial_checkpoint(network, train)
        trainer = Trainer(network, config, task.loss, task.loss_names)
        trainer.times_input = not deterministic  # TensorFlow has no clock then
        trainer.compile(
            optimizer=build_optimizer(config, find_backbone(network).trainable_variables),
            jit_compile=train.jit_compile or None,
            steps_per_execution=train.steps_per_execution,
        )
        trainer.optimizer.build(network.trainable_variables)
    return trainer


def _open_store(
    workdir: str, name: str, trainer: Trainer, strategy: tf.distribute.Strategy
) -> Store:
    keep = 1 if name == BEST_DIR else trainer.config.train.keep_checkpoints
    return Store(
        storage.join(workdir, name),
        trainer.network,
        trainer.optimizer,
        keep,
        chief=is_chief(strategy),
        passed_on=lost_host_errors(strategy),
    )


def _callbacks(
    run: Run, store: Store, trainer: Trainer, options: RunOptions
) -> list[keras.callbacks.Callback]:
    # The meter comes first: a network whose loss is not a number must not be saved.
    callbacks = [Meter(run), SaveCheckpoints(run, store)]
    if options.evaluate is not None and run.config.train.evaluate_every:
        best = _open_store(run.workdir, BEST_DIR, trainer, run.strategy)
        callbacks.append(Evaluate(run, best, options.evaluate))
    if run.is_chief:
        callbacks.append(Progress(run))
    if run.is_chief and options.profile:
        callbacks.append(Profile(run))
    if options.make_callbacks is not None:
        callbacks += options.make_callbacks(run)
    return callbacks
