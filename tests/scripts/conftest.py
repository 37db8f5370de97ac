"""A tiny untrained network for the programs that use one."""

import os

import pytest
import tensorflow as tf

from deeperlab_tf.config import default_config
from deeperlab_tf.model import build_model
from deeperlab_tf.schema import Category, Dataset
from deeperlab_tf.training.workdir import prepare_workdir


@pytest.fixture(scope="session")
def toy_dataset():
    """A stuff and a thing class, whose numbers in files are others than in the network."""
    return Dataset(
        "toy",
        (Category("ground", False, (90, 140, 90), 7), Category("disc", True, (220, 60, 60), 21)),
    )


@pytest.fixture(scope="session")
def workdir(toy_dataset, tmp_path_factory):
    """Workdir of a network with random weights; its parses have both classes."""
    config = default_config()
    config.model.width = 0.1
    config.model.kernel_size = config.model.decoder_kernel_size = config.model.head_kernel_size = 3
    config.model.aspp_channels = config.model.decoder_channels = config.model.low_level_channels = 8
    config.model.semantic_head_channels = config.model.instance_head_channels = 8
    config.eval.image_size = (65, 65)
    folder = str(tmp_path_factory.mktemp("run"))
    prepare_workdir(folder, config, toy_dataset)
    network = build_model(config.model, toy_dataset)
    kernel = network.get_layer("semantic_logits_conv").kernel
    kernel.assign(tf.random.stateless_normal(kernel.shape, seed=[1, 2]))
    tf.train.Checkpoint(network=network).save(os.path.join(folder, "checkpoints", "ckpt"))
    return folder
