"""Loading runs and exports, which takes TensorFlow; `loading` knows which of them a folder holds.

Each function gives what a `loading.Model` is made of: (parse, heads, config, dataset).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable

import tensorflow as tf
from ml_collections import ConfigDict

from deeperlab_tf.config_json import config_from_json
from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.paths import plain_path
from deeperlab_tf.models.weights import weights_of
from deeperlab_tf.prediction.c_library import CLibraryError, load_library
from deeperlab_tf.prediction.graph import ParseGraph
from deeperlab_tf.prediction.inference import parse_heads, parse_images, prepare_images
from deeperlab_tf.prediction.overrides import (
    Overrides,
    changed_parse,
    changed_sizes,
    override_config,
)
from deeperlab_tf.prediction.runtimes import TFLITE_FILE, load_network
from deeperlab_tf.prediction.tracing import trace_parse
from deeperlab_tf.schema import Dataset
from deeperlab_tf.training.workdir import CONFIG_FILE, DATASET_FILE, load_run, read_run

Parts = tuple[Callable, Callable, ConfigDict, Dataset]

_IMAGES = tf.TensorSpec([None, None, None, 3], tf.uint8)  # a batch of one size


def load_workdir(path: str, overrides: Overrides) -> Parts:
    """A training's folder, or a shipped one, whose network is built."""
    network, config, dataset = load_run(path)
    config = override_config(config, overrides)
    if not tf.config.list_physical_devices("GPU"):
        # Without what TensorFlow does to a graph before its first run, that takes a fifth.
        with contextlib.suppress(CLibraryError):
            load_library()
            graph = ParseGraph(trace_parse(network, config, dataset), weights_of(network))
            return graph.parse, graph.heads, config, dataset

    @tf.function(input_signature=[_IMAGES], autograph=False)
    def parse(images):
        return parse_images(network, images, config, dataset.thing_classes)

    @tf.function(input_signature=[_IMAGES], autograph=False)
    def heads(images):
        return network(prepare_images(images, config), training=False)

    return parse, heads, config, dataset


def load_network_only(path: str, overrides: Overrides) -> Parts:
    """An export of the network alone, which runs outside TensorFlow; see `runtimes`."""
    path = storage.local_folder(path)
    network = load_network(path)
    own, dataset = read_run(path)
    config = override_config(own, overrides)
    # TensorFlow Lite's takes images of one size, however that is reached.
    if storage.isfile(storage.join(path, TFLITE_FILE)):
        sizes = [key for key in changed_sizes(own, config) if key.startswith("eval.")]
        _refuse_fixed(path, sizes)

    @tf.function(input_signature=[_IMAGES], autograph=False)
    def prepare(images):
        return prepare_images(images, config)

    def heads(images):
        outputs = network(prepare(images))
        return {name: tf.constant(values) for name, values in outputs.items()}

    return _fused(heads, config, dataset), heads, config, dataset


def load_saved_model(path: str, overrides: Overrides) -> Parts:
    """A SavedModel's folder.

    Raises:
      UserError: it is not one of this project's exports, or its graph holds a value that is to be
        overridden.
    """
    own, dataset, module = read_saved_model(path)
    config = override_config(own, overrides)
    _refuse_fixed(path, changed_sizes(own, config))
    heads = _of_module(module, "heads")
    if changed_parse(own, config):
        # The graph's own fusion holds the values it was exported with.
        parse = _fused(heads, config, dataset)
    else:
        parse = _of_module(module, "serving_default")
    return parse, heads, config, dataset


def read_saved_model(path: str) -> tuple[ConfigDict, Dataset, tf.Module]:
    """(config, dataset, module) of a SavedModel's folder.

    Raises:
      UserError: it is not one of this project's exports.
    """
    try:
        config = config_from_json(*_read_asset(path, CONFIG_FILE))
        dataset = Dataset.from_json(*_read_asset(path, DATASET_FILE))
        module = tf.saved_model.load(plain_path(storage.local_folder(path)))
    except OSError as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} is not a DeeperLab export: {reason}; export it again.") from error
    for name in ("serving_default", "heads"):
        if name not in module.signatures:
            raise UserError(
                f"the SavedModel {path} has no signature {name!r}; "
                "export it with scripts/export.py."
            )
    return config, dataset, module


def _fused(heads, config, dataset):
    """The parse of images whose `heads` come from elsewhere."""

    # The heads' batch and sides become dynamic.
    @tf.function(reduce_retracing=True, autograph=False)
    def fuse(heads, size):
        return parse_heads(heads, size[0], size[1], config, dataset.thing_classes)

    def parse(images):
        return fuse(heads(images), tf.shape(images)[1:3])

    return parse


def _refuse_fixed(path, keys):
    if keys:
        raise UserError(
            f"config.{keys[0]} is built into the export {path}; give the run it was made from, or "
            f"export that again with --config.{keys[0]}."
        )


def _read_asset(path, name):
    """(text, path) of a file that travels with a SavedModel."""
    asset = storage.join(path, "assets", name)
    with storage.open(asset, encoding="utf-8") as file:
        return file.read(), asset


def _of_module(module, name):
    """A signature as a function of images that keeps the module's variables alive."""

    def call(images, _module=module):
        try:
            return _module.signatures[name](images=tf.constant(images))
        except tf.errors.InvalidArgumentError as error:
            # What the graph itself refuses: images of other sizes than it was compiled for.
            refusal = re.search(r"this model was compiled for [^.]*\.", error.message)
            if refusal is None:
                raise
            raise UserError(refusal[0]) from error

    return call
