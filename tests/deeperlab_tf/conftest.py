"""A tiny model and dataset that the library's tests share."""

import pytest

from deeperlab_tf.config import default_config
from deeperlab_tf.schema import Category, Dataset


@pytest.fixture(scope="session")
def toy_dataset():
    """Two stuff and two thing classes."""
    names = ("sky", "ground", "disc", "box")
    colors = ((90, 160, 220), (120, 100, 80), (220, 60, 60), (60, 180, 90))
    return Dataset(
        "toy", tuple(Category(n, i >= 2, c, i) for i, (n, c) in enumerate(zip(names, colors)))
    )


@pytest.fixture
def tiny_config():
    """Every part of the paper's model, as small as it goes; a test may change it."""
    return _tiny_config()


@pytest.fixture(scope="session")
def small_sized_config():
    """The same for images of any size, not to be changed."""
    config = _tiny_config()
    config.eval.pad_to_size = False
    return config


def _tiny_config():
    config = default_config()
    config.model.width = 0.1
    config.model.kernel_size = 3
    config.model.keypoint_radius = 8.0
    config.model.batch_norm_momentum = 0.9
    config.model.aspp_channels = 8
    config.model.low_level_channels = 4
    config.model.decoder_channels = 8
    config.model.decoder_kernel_size = 3
    config.model.head_kernel_size = 3
    config.model.semantic_head_channels = 8
    config.model.instance_head_channels = 8
    config.data.crop_size = (65, 65)
    config.eval.image_size = (65, 65)
    config.train.batch_size = 2
    config.train.steps = 4
    config.train.checkpoint_every = 2
    config.train.log_every = 2
    config.train.panels_every = 4
    return config
