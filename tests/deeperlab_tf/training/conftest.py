"""Trainings on batches of noise, as small and quick as they go."""

import pytest
import tensorflow as tf

from deeperlab_tf.compat import keras
from deeperlab_tf.heads import grid_side, head_channels
from deeperlab_tf.keypoints import STAR
from deeperlab_tf.training.loop import RunOptions
from deeperlab_tf.training.train import train


def _noise_batches(config, start_step=0):
    """Batches that depend on the step alone."""
    batch, side = config.train.batch_size, config.data.crop_size[0]
    grid, channels = grid_side(side), head_channels(STAR)

    def sample(step):
        def noise(salt, *shape):
            return tf.random.stateless_normal((batch, *shape), seed=tf.stack([step, salt]))

        def binary(salt, *shape):
            return tf.cast(noise(salt, *shape) > 0, tf.float32)

        image = tf.cast(tf.clip_by_value(noise(0, side, side, 3) * 50 + 127, 0, 255), tf.uint8)
        return image, {
            "semantic": tf.cast(binary(1, side, side), tf.int32),
            "semantic_weight": tf.ones((batch, side, side)),
            "keypoint_heatmap": binary(2, grid, grid, STAR.num_keypoints),
            "keypoint_mask": binary(3, grid, grid),
            "short_offsets": noise(4, grid, grid, channels["short_offsets"]),
            "middle_offsets": noise(5, grid, grid, channels["middle_offsets"]),
            "long_offsets": noise(6, grid, grid, channels["long_offsets"]),
            "short_mask": binary(7, grid, grid, STAR.num_keypoints),
            "middle_mask": binary(8, grid, grid, STAR.num_edges),
            "long_mask": binary(9, grid, grid),
        }

    return tf.data.Dataset.range(start_step, 10**6).map(sample)


@pytest.fixture(scope="session")
def noise_batches():
    """Function (config, start_step=0) -> endless tf.data.Dataset of (images, targets)."""
    return _noise_batches


@pytest.fixture
def train_on_noise(tiny_config, toy_dataset):
    """Function (workdir, make_train_data=None, **`RunOptions`) -> network, trained by
    `tiny_config`.
    """

    def train_on_noise(workdir, make_train_data=None, **options):
        make_train_data = make_train_data or (
            lambda start, context: _noise_batches(tiny_config, start)
        )
        return train(tiny_config, str(workdir), toy_dataset, make_train_data, RunOptions(**options))

    yield train_on_noise
    keras.mixed_precision.set_global_policy("float32")
