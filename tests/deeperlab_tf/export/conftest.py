"""A tiny network whose parses have many segments, its workdir, and its export; images of several
sizes.
"""

import os

import numpy as np
import pytest
import tensorflow as tf

from deeperlab_tf.compat import keras
from deeperlab_tf.export.saved_model import ExportOptions, export_saved_model
from deeperlab_tf.model import build_model
from deeperlab_tf.prediction.predictor import Predictor
from deeperlab_tf.training.workdir import load_run, prepare_workdir

BATCH_SIZES = (1, 2)
COMPILED_SIZE = (50, 61)


@pytest.fixture(scope="session")
def workdir(small_sized_config, toy_dataset, tmp_path_factory):
    """Workdir of a network with random weights, batch norm statistics included."""
    network = build_model(small_sized_config.model, toy_dataset)
    rng = np.random.default_rng(0)
    for layer in (*network.layers, *network.get_layer("mobilenet_v2").layers):
        if isinstance(layer, keras.layers.BatchNormalization):
            size = layer.gamma.shape
            gamma, beta = rng.uniform(0.5, 1.5, size), rng.normal(0, 0.3, size)
            mean, variance = rng.normal(0, 0.3, size), rng.uniform(0.5, 2, size)
            layer.set_weights([gamma, beta, mean, variance])
    for name in ("semantic_logits", "keypoint_logits", "long_offsets"):
        kernel = network.get_layer(f"{name}_conv").kernel
        kernel.assign(tf.random.stateless_normal(kernel.shape, seed=[1, 2]))
    folder = str(tmp_path_factory.mktemp("run"))
    prepare_workdir(folder, small_sized_config, toy_dataset)
    tf.train.Checkpoint(network=network).save(os.path.join(folder, "checkpoints", "ckpt"))
    return folder


@pytest.fixture(scope="session")
def run(workdir):
    """(network, config, dataset) of `workdir`."""
    return load_run(workdir)


@pytest.fixture(scope="session")
def original(workdir):
    """The Predictor of `workdir`, whose way from image to parse is the evaluation's."""
    return Predictor(workdir)


@pytest.fixture(scope="session")
def exported(run, tmp_path_factory):
    """Its SavedModel, version 1 of the model `export`."""
    path = tmp_path_factory.mktemp("exports") / "export" / "1"
    export_saved_model(*run, str(path), ExportOptions(batch_sizes=BATCH_SIZES))
    return path


@pytest.fixture(scope="session")
def compiled_export(run, tmp_path_factory):
    """The same with its parse compiled, for images of `COMPILED_SIZE`."""
    path = tmp_path_factory.mktemp("compiled") / "1"
    options = ExportOptions(batch_sizes=BATCH_SIZES, compiled_size=COMPILED_SIZE)
    export_saved_model(*run, str(path), options)
    return path


@pytest.fixture(scope="session")
def signatures(exported):
    """Its signatures, and what keeps them alive."""
    module = tf.saved_model.load(str(exported))
    return {name: _alive(module, signature) for name, signature in module.signatures.items()}


def _alive(module, signature):
    return lambda _module=module, **inputs: signature(**inputs)


@pytest.fixture(scope="session")
def pictures():
    """Function (*sizes) that gives noise, which the parse depends on: uint8 [H, W, 3] each."""

    def make(*sizes):
        rng = np.random.default_rng(0)
        return [rng.integers(0, 256, (*size, 3)).astype(np.uint8) for size in sizes]

    return make
