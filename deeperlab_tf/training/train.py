"""Trains the network of the paper (Fig. 2) with its losses (Sec. 3.3)."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf
from ml_collections import ConfigDict

from deeperlab_tf.compat import keras
from deeperlab_tf.losses import LOSSES, total_loss
from deeperlab_tf.model import build_model
from deeperlab_tf.schema import Dataset
from deeperlab_tf.training.loop import DEFAULT_OPTIONS, RunOptions, Task, fit


def train(
    config: ConfigDict,
    workdir: str,
    dataset: Dataset,
    make_train_data: Callable[..., tf.data.Dataset],
    options: RunOptions = DEFAULT_OPTIONS,
) -> keras.Model:
    """Trains the network of `config.model`; called again on the same folder, it goes on.

    Args:
      config: the full config.
      workdir: folder of the run; made where missing.
      dataset: the classes.
      make_train_data: function (start_step, tf.distribute.InputContext) -> tf.data.Dataset of
        (images, targets); see `fit`.
      options: strategy, evaluation, callbacks and the like; see `fit`.

    Returns:
      The trained network.

    Raises:
      UserError: for bad config values or a folder of another run.

    Example:
      config = experiments.shapes.get_config()
      source = input_pipeline.open_source(config, "train")
      make_data = functools.partial(input_pipeline.make_dataset, config, "train")
      network = train(config, "runs/shapes", source.dataset, make_data)
    """

    def build_network():
        return build_model(config.model, dataset)

    task = Task(dataset, make_train_data, build_network, total_loss, LOSSES)
    return fit(config, workdir, task, options)
