"""Trainings on batches of noise, as small and quick as they go."""

import pytest
import tensorflow as tf

from deeperlab_tf.compat import keras
from deeperlab_tf.losses import LOSSES, total_loss
from deeperlab_tf.model import build_model
from deeperlab_tf.training.loop import fit


def _noise_batches(config, start_step=0):
    """Batches that depend on the step alone."""
    batch, side = config.train.batch_size, config.data.crop_size[0]
    grid = (side - 1) // 4 + 1

    def sample(step):
        def noise(salt, *shape):
            return tf.random.stateless_normal((batch, *shape), seed=tf.stack([step, salt]))

        def binary(salt, *shape):
            return tf.cast(noise(salt, *shape) > 0, tf.float32)

        image = tf.cast(tf.clip_by_value(noise(0, side, side, 3) * 50 + 127, 0, 255), tf.uint8)
        return image, {
            "semantic": tf.cast(binary(1, side, side), tf.int32),
            "semantic_weight": tf.ones((batch, side, side)),
            "keypoint_heatmap": binary(2, grid, grid, 5),
            "keypoint_mask": binary(3, grid, grid),
            "short_offsets": noise(4, grid, grid, 10),
            "middle_offsets": noise(5, grid, grid, 16),
            "long_offsets": noise(6, grid, grid, 10),
            "short_mask": binary(7, grid, grid, 5),
            "middle_mask": binary(8, grid, grid, 8),
            "long_mask": binary(9, grid, grid),
        }

    return tf.data.Dataset.range(start_step, 10**6).map(sample)


@pytest.fixture(scope="session")
def noise_batches():
    """Function (config, start_step=0) -> endless tf.data.Dataset of (images, targets)."""
    return _noise_batches


@pytest.fixture
def train_on_noise(tiny_config, toy_dataset):
    """Function (workdir, make_train_data=None, **options of `fit`) -> network, trained by
    `tiny_config`.
    """

    def train(workdir, make_train_data=None, **options):
        make_train_data = make_train_data or (
            lambda start, context: _noise_batches(tiny_config, start)
        )
        return fit(
            tiny_config,
            str(workdir),
            toy_dataset,
            make_train_data,
            lambda: build_model(tiny_config.model, toy_dataset),
            total_loss,
            LOSSES,
            **options,
        )

    yield train
    keras.mixed_precision.set_global_policy("float32")
