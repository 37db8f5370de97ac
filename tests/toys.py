"""The smallest network and dataset, which tests share: as fixtures of conftest.py, or from here
where a test runs in a process of its own.
"""

from __future__ import annotations

import os

from ml_collections import ConfigDict

from deeperlab_tf.config import default_config
from deeperlab_tf.schema import Category, Dataset


def toy_dataset() -> Dataset:
    """Two stuff and two thing classes."""
    return Dataset(
        "toy",
        (
            Category("sky", False, (90, 160, 220), 0),
            Category("ground", False, (120, 100, 80), 1),
            Category("disc", True, (220, 60, 60), 2),
            Category("box", True, (60, 180, 90), 3),
        ),
    )


def tiny_config() -> ConfigDict:
    """Every part of the paper's model, as small as it goes, and a training of four steps."""
    config = default_config()
    config.model.update(
        width=0.1,
        kernel_size=3,
        keypoint_radius=8.0,
        batch_norm_momentum=0.9,
        aspp_channels=8,
        low_level_channels=4,
        decoder_channels=8,
        decoder_kernel_size=3,
        head_kernel_size=3,
        semantic_head_channels=8,
        instance_head_channels=8,
    )
    config.data.crop_size = (65, 65)
    config.eval.image_size = (65, 65)
    config.train.update(
        batch_size=2,
        steps=4,
        checkpoint_every=2,
        log_every=2,
        panels_every=4,
    )
    return config


def save_untrained(folder: str | os.PathLike, dataset: Dataset) -> str:
    """Makes a folder the workdir of a tiny network with random weights; gives its path.

    Its parses have several classes.
    """
    # Imported here: most tests do without TensorFlow, which takes seconds.
    import tensorflow as tf

    from deeperlab_tf.model import build_model
    from deeperlab_tf.training.workdir import prepare_workdir

    config = tiny_config()
    prepare_workdir(str(folder), config, dataset)
    network = build_model(config.model, dataset)
    kernel = network.get_layer("semantic_logits_conv").kernel
    kernel.assign(tf.random.stateless_normal(kernel.shape, seed=[1, 2]))
    tf.train.Checkpoint(network=network).save(os.path.join(folder, "checkpoints", "ckpt"))
    return str(folder)
