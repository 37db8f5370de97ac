"""Synchronised batch norm against the textbook's formula; that replicas agree is shown in
test_multi_worker.
"""

import numpy as np
import pytest
import tensorflow as tf

from deeperlab_tf.compat import keras
from deeperlab_tf.training import batch_norm

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
    np.testing.assert_allclose(layer.moving_variance, 1.5 + 0.25 * variance, rtol=1e-4)
    still = layer.get_weights()
    frozen = (
        values[1] * (inputs - layer.moving_mean) / tf.sqrt(layer.moving_variance + EPSILON)
        + values[2]
    )
    np.testing.assert_allclose(network(inputs, training=False), frozen, atol=1e-4)
    np.testing.assert_array_equal(still, layer.get_weights())
    assert type(layer) is keras.layers.BatchNormalization
