"""Makes a shipped model's folder from a trained run; `models.shipped` says what is in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from deeperlab_tf.compat import keras
from deeperlab_tf.config_json import config_from_json, config_to_json
from deeperlab_tf.errors import UserError
from deeperlab_tf.export.saved_model import write_descriptions
from deeperlab_tf.files import storage
from deeperlab_tf.files.atomic import atomic_path, write_json
from deeperlab_tf.models.shipped import (
    CARD_FILE,
    METRICS_FILE,
    WEIGHTS_FILE,
    is_shipped,
    write_sums,
)
from deeperlab_tf.models.weights import write_weights
from deeperlab_tf.prediction.tracing import trace_parse
from deeperlab_tf.schema import Dataset

# Where things are on the machine of the training concerns nobody else.
_PRIVATE = ("data.root", "data.records", "data.classes", "train.initial_checkpoint")


def ship(
    run: tuple[keras.Model, ConfigDict, Dataset],
    path: str,
    card: str,
    metrics: Mapping[str, Any] | None = None,
    replace: bool = False,
) -> None:
    """Writes the folder of a model that ships, whole or not at all.

    Args:
      run: of `load_run`: network, config, dataset.
      path: folder to write.
      card: Markdown for README.md.
      metrics: what `evaluate` measured, if anything.
      replace: True: the shipped model that may be at `path` is replaced; False: there must be
        nothing.

    Raises:
      UserError: `path` exists and may not be replaced, or cannot be written.

    Example:
      run = load_run("runs/street")
      ship(run, "shipped/street", card="# street\n")
      deeperlab_tf.Predictor("shipped/street")("photo.jpg")
    """
    network, config, dataset = run
    config = _without_paths(config)
    # Everything is made before what it replaces goes away.
    with atomic_path(f"{path}.new" if replace else path) as temporary:
        storage.makedirs(temporary)
        write_descriptions(temporary, config, dataset)
        write_weights(storage.join(temporary, WEIGHTS_FILE), network)
        trace_parse(network, config, dataset).write(temporary)
        if metrics is not None:
            write_json(storage.join(temporary, METRICS_FILE), metrics)
        with storage.open(storage.join(temporary, CARD_FILE), "w", encoding="utf-8") as file:
            file.write(card)
        write_sums(temporary)
    if replace:
        _replace(f"{path}.new", path)


def _replace(new, path):
    """Puts the folder `new` in the place of a shipped model, or of nothing."""
    if storage.exists(path) and not (storage.isdir(path) and is_shipped(path)):
        storage.rmtree(new)
        raise UserError(f"{path} is no shipped model; it is not replaced: choose another --output.")
    storage.rmtree(path)
    storage.place(storage.local_folder(new), path)
    storage.rmtree(new)


def _without_paths(config):
    """A copy of the config without the places of files."""
    config = config_from_json(config_to_json(config))
    for key in _PRIVATE:
        section, name = key.split(".")
        config[section][name] = ""
    return config
