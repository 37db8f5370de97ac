"""A tiny untrained network for the programs that use one."""

import dataclasses
import os

import pytest
import tensorflow as tf

from deeperlab_tf.model import build_model
from deeperlab_tf.training.checkpoints import prepare_workdir
from tests.toys import tiny_config


@pytest.fixture(scope="session")
def toy_dataset(toy_dataset):
    """The toy dataset, whose classes have other numbers in files than in the network."""
    categories = tuple(
        dataclasses.replace(category, original_id=7 * (index + 1))
        for index, category in enumerate(toy_dataset.categories)
    )
    return dataclasses.replace(toy_dataset, categories=categories)


@pytest.fixture(scope="session")
def workdir(toy_dataset, tmp_path_factory):
    """Workdir of a network with random weights; its parses have several classes."""
    config, folder = tiny_config(), str(tmp_path_factory.mktemp("run"))
    prepare_workdir(folder, config, toy_dataset)
    network = build_model(config.model, toy_dataset)
    kernel = network.get_layer("semantic_logits_conv").kernel
    kernel.assign(tf.random.stateless_normal(kernel.shape, seed=[1, 2]))
    tf.train.Checkpoint(network=network).save(os.path.join(folder, "checkpoints", "ckpt"))
    return folder
