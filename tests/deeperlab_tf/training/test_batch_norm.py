"""Synchronised batch norm against the textbook's formula; that replicas agree is shown in
test_multi_worker.
"""

import numpy as np
import pytest
import tensorflow as tf

from deeperlab_tf.compat import keras
from deeperlab_tf.layers import BatchNorm
from deeperlab_tf.model import build_model
from deeperlab_tf.training import batch_norm
from deeperlab_tf.training.optimizer import build_optimizer
from deeperlab_tf.training.trainer import Trainer

EPSILON = 1e-3


@pytest.fixture
def values():
    rng = np.random.default_rng(0)
    # Channels whose mean is large beside their deviation, and one that is constant.
    inputs = rng.normal([0, 30, -5, 2], [1, 0.5, 4, 0], [3, 5, 7, 4])
    return [
        tf.constant(x, tf.float32)
        for x in (inputs, rng.normal(1, 1, 4), rng.normal(0, 1, 4), rng.random((3, 5, 7, 4)))
    ]


def formula(inputs, scale, offset):
    mean, variance = tf.nn.moments(inputs, [0, 1, 2])
    return scale * (inputs - mean) / tf.sqrt(variance + EPSILON) + offset, mean, variance


@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-4), ("bfloat16", 0.05)])
def test_outputs_moments_and_gradients_are_those_of_the_formula(values, dtype, tolerance):
    *arguments, seed = values

    def run(function, dtype):
        # The same rounding.
        inputs = tf.cast(tf.cast(arguments[0], "bfloat16" if tolerance > 0.01 else dtype), dtype)
        sources = [inputs, *arguments[1:]]
        with tf.GradientTape() as tape:
            tape.watch(sources)
            outputs, mean, variance = function(*sources)
            loss = tf.reduce_sum(tf.cast(outputs, tf.float32) * seed)
        return outputs, mean, variance, *tape.gradient(loss, sources)

    expected = run(formula, "float32")
    actual = run(lambda *sources: batch_norm.synchronised_batch_norm(*sources, EPSILON), dtype)
    assert (
        actual[0].dtype == dtype
        and actual[3].dtype == dtype
        and actual[1].dtype == actual[4].dtype == tf.float32
    )
    for one, other in zip(actual, expected):
        scale = tf.reduce_max(tf.abs(other)) + 1e-3
        np.testing.assert_allclose(tf.cast(one, tf.float32) / scale, other / scale, atol=tolerance)


def test_layers_keep_their_type_and_use_their_moving_moments_outside_training(values):
    inputs = values[0]
    network = keras.Sequential(
        [keras.layers.BatchNormalization(momentum=0.75, epsilon=EPSILON, input_shape=(5, 7, 4))]
    )
    batch_norm.synchronise(network)
    layer = network.layers[0]
    layer.set_weights([values[1].numpy(), values[2].numpy(), np.ones(4), np.full(4, 2.0)])
    expected, mean, variance = formula(inputs, *values[1:3])
    np.testing.assert_allclose(network(inputs, training=True), expected, atol=1e-3)
    np.testing.assert_allclose(layer.moving_mean, 0.75 + 0.25 * mean, rtol=1e-5)
    # Keras' own moving variance is that of the population too.
    count = inputs[..., 0].numpy().size
    unbiased = variance * count / (count - 1)
    np.testing.assert_allclose(layer.moving_variance, 1.5 + 0.25 * unbiased, rtol=1e-4)
    still = layer.get_weights()
    frozen = (
        values[1] * (inputs - layer.moving_mean) / tf.sqrt(layer.moving_variance + EPSILON)
        + values[2]
    )
    np.testing.assert_allclose(network(inputs, training=False), frozen, atol=1e-4)
    np.testing.assert_array_equal(still, layer.get_weights())
    assert type(layer) is keras.layers.BatchNormalization


# === One value per channel ===


def batch_norm_of_pixels(layer_type):
    layer = layer_type(momentum=0.75, epsilon=EPSILON)
    layer.build([None, 1, 1, 4])
    layer.set_weights([np.full(4, 2.0), np.ones(4), np.full(4, 0.5), np.full(4, 3.0)])
    return layer


@pytest.mark.both_stacks
@pytest.mark.parametrize("batch", [1, 2, 3])
@pytest.mark.parametrize("known", [True, False])
def test_a_single_value_is_normalised_as_in_evaluation(batch, known):
    inputs = tf.constant(np.random.default_rng(0).normal(size=[batch, 1, 1, 4]), tf.float32)
    ours = batch_norm_of_pixels(BatchNorm)
    keras_layer = batch_norm_of_pixels(keras.layers.BatchNormalization)
    expected = keras_layer(inputs, training=batch > 1)
    shape = [batch if known else None, 1, 1, 4]
    run = tf.function(lambda x: ours(x, training=True), [tf.TensorSpec(shape)])
    np.testing.assert_allclose(run(inputs), expected, atol=1e-5)
    for one, other in zip(ours.get_weights(), keras_layer.get_weights()):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_the_network_is_the_same_in_training_and_evaluation(
    tiny_config, toy_dataset, noise_batches
):
    """Also where each part of the batch is a single image."""
    tiny_config.model.update(aspp_dropout=0.0, batch_norm_momentum=0.5)
    train = tiny_config.train
    train.update(batch_size=2, accumulation_steps=2, steps=100, learning_rate=1e-6)
    network = build_model(tiny_config.model, toy_dataset)
    trainer = Trainer(network, tiny_config)
    trainer.compile(build_optimizer(tiny_config))
    step = tf.function(trainer.train_step)
    # With Keras' batch norm the moving variance falls to 2 ** -40.
    for images, targets in noise_batches(tiny_config).take(20):
        step((images, targets))

    pooled = network.get_layer("aspp_image_bn").output
    branch = keras.Model(network.input, pooled)
    in_training, in_evaluation = (branch(images[:1], training=mode) for mode in (True, False))
    assert tf.reduce_max(tf.abs(in_training - in_evaluation)) < 1
