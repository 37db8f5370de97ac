"""The network of a trained model by itself: to run it on several devices, or to export it again."""

from __future__ import annotations

import os
from types import MappingProxyType

from ml_collections import ConfigDict

from deeperlab_tf import models
from deeperlab_tf.compat import keras
from deeperlab_tf.errors import UserError
from deeperlab_tf.model import build_model
from deeperlab_tf.models.weights import fill
from deeperlab_tf.prediction.forms import read_saved_model
from deeperlab_tf.prediction.loading import is_export, saved_model_folder
from deeperlab_tf.prediction.overrides import Overrides, override_config
from deeperlab_tf.schema import Dataset
from deeperlab_tf.training.workdir import load_run

Run = tuple[keras.Model, ConfigDict, Dataset]


def load_network(
    model: str | os.PathLike,
    overrides: Overrides = MappingProxyType({}),
    best: bool = False,
) -> Run:
    """The network of a run, of a shipped model, or of a SavedModel that has kept its weights.

    Args:
      model: a shipped name, or the folder of a run or an export.
      overrides: other values of its config, see `Predictor`.
      best: of a run, the checkpoint that evaluated best instead of the newest.

    Returns:
      (network, config, dataset), as of `load_run`.

    Raises:
      UserError: there is no such model; an export that holds the network in another form; a value
        that would change the network.

    Example:
      run = load_network("street", {"eval.image_size": (513, 1025)})
      export_saved_model(*run, "exports/street/1")
    """
    folder = models.find(model)
    if is_export(folder):
        network, config, dataset = _load_export(folder)
    else:
        network, config, dataset = load_run(folder, best)
    return network, override_config(config, overrides), dataset


def _load_export(folder: str) -> Run:
    path = saved_model_folder(folder)
    if path is None:
        raise _cannot_be_rebuilt(folder, "it holds the network for another runtime")
    config, dataset, module = read_saved_model(path)
    if not hasattr(module, "weights"):
        raise _cannot_be_rebuilt(folder, "--optimise has built its weights into the graph")
    network = build_model(config.model, dataset)
    weights = {variable.name.split(":")[0]: variable.numpy() for variable in module.weights}
    fill(network, weights, path)
    return network, config, dataset


def _cannot_be_rebuilt(folder, reason):
    return UserError(
        f"the export {folder} can be neither exported again nor compiled: {reason}; "
        "give the run it was made from."
    )
