"""Which form a trained model is in, and how it is loaded: a shipped one, a run, an export.

Each form is loaded by a module of its own, imported once it is known: a shipped model does without
importing TensorFlow, which takes longer than its first parse.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from deeperlab_tf import models
from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.models.shipped import (
    CONFIG_FILE,
    DATASET_FILE,
    WEIGHTS_FILE,
    is_shipped,
    read_description,
    verify,
)
from deeperlab_tf.models.weights import read_weights
from deeperlab_tf.prediction.c_library import CLibraryError, choose_kernels
from deeperlab_tf.prediction.graph import GraphFile, ParseGraph
from deeperlab_tf.prediction.overrides import Overrides, changed_parse, override_config
from deeperlab_tf.schema import Dataset

SAVED_MODEL_FILE = "saved_model.pb"
NETWORK_FILES = ("model.onnx", "model.tflite")

Outputs = Mapping[str, Any]  # arrays or tensors


class Model(NamedTuple):
    """A trained model, whatever form it came in.

    Attributes:
      parse: function of images, uint8 [B, H, W, 3], that gives the dict of `parse_images`.
      heads: function of images that gives the raw heads of `prepare_images`.
      config: the whole config, with what was overridden.
      dataset: what the classes mean.
    """

    parse: Callable[[np.ndarray], Outputs]
    heads: Callable[[np.ndarray], Outputs]
    config: ConfigDict
    dataset: Dataset


def load_model(path: str | os.PathLike, overrides: Overrides = MappingProxyType({})) -> Model:
    """Loads a trained model.

    Args:
      path, overrides: see `Predictor`.

    Raises:
      UserError: there is no model, or it does not fit, or is damaged; a value that this model
        cannot take.
    """
    choose_kernels()
    folder = models.find(path)
    if is_shipped(folder):
        return _load_shipped(folder, overrides)
    # Imported here: they load TensorFlow.
    from deeperlab_tf.prediction import forms

    exported = saved_model_folder(folder)
    if exported is not None:
        return Model(*forms.load_saved_model(exported, overrides))
    if _is_network_only(folder):
        return Model(*forms.load_network_only(folder, overrides))
    if storage.isfile(storage.join(folder, CONFIG_FILE)):
        return Model(*forms.load_workdir(folder, overrides))
    raise UserError(
        f"{folder} holds neither a training ({CONFIG_FILE}) nor an export (saved_model.pb, "
        "model.onnx or model.tflite); give the workdir of a training or the folder of an export."
    )


def read_dataset(path: str | os.PathLike) -> Dataset:
    """What the classes of a trained model mean, without loading it.

    Args:
      path: see `Predictor`.

    Raises:
      UserError: there is no such model, or it is damaged.
    """
    folder = models.find(path)
    exported = saved_model_folder(folder)
    described = folder if exported is None else storage.join(exported, "assets")
    file_path = storage.join(described, DATASET_FILE)
    try:
        with storage.open(file_path, encoding="utf-8") as file:
            return Dataset.from_json(file.read(), file_path)
    except OSError as error:
        raise UserError(
            f"{folder} is no trained model: cannot read {file_path} ({error.strerror})."
        ) from error


def is_export(folder: str) -> bool:
    """Whether a model's folder, of `models.find`, was written by scripts/export.py."""
    if is_shipped(folder):
        return False
    return saved_model_folder(folder) is not None or _is_network_only(folder)


def _is_network_only(folder):
    return any(storage.isfile(storage.join(folder, name)) for name in NETWORK_FILES)


def _load_shipped(folder, overrides):
    verify(folder)
    own, dataset = read_description(folder)
    config = override_config(own, overrides)
    # The graph holds the values that it was made with.
    if not changed_parse(own, config):
        weights = read_weights(storage.join(folder, WEIGHTS_FILE))
        try:
            graph = ParseGraph(GraphFile.read(folder), weights)
            return Model(graph.parse, graph.heads, config, dataset)
        except CLibraryError:
            pass
    # Slower to start, and the same: the network from its weights. Imported here, as above.
    from deeperlab_tf.prediction import forms

    return Model(*forms.load_workdir(folder, overrides))


def saved_model_folder(path):
    """`path` or its subfolder with the highest version number, if it is a SavedModel; else None."""
    if storage.isfile(storage.join(path, SAVED_MODEL_FILE)):
        return path
    if not storage.isdir(path):
        return None
    versions = []
    for name in storage.listdir(path):
        is_model = storage.isfile(storage.join(path, name, SAVED_MODEL_FILE))
        if name.isdigit() and is_model:
            versions.append(name)
    if not versions:
        return None
    return storage.join(path, max(versions, key=int))
