"""Rates of the optimizer."""

import numpy as np
import pytest
import tensorflow as tf

from deeperlab_tf.config import check_config, default_config
from deeperlab_tf.errors import UserError
from deeperlab_tf.training.optimizer import build_optimizer

RATE = 0.01


@pytest.fixture
def config():
    config = default_config()
    config.train.update(learning_rate=RATE, power=0.0, steps=10)
    return config


def steps_of_two(config, strategy=None, number=2):
    """What two variables, one of the backbone and one of the heads, have moved, [number, 2, 3]."""
    strategy = strategy or tf.distribute.get_strategy()
    with strategy.scope():
        variables = [tf.Variable(tf.zeros([3]), name=name) for name in ("backbone", "head")]
        optimizer = build_optimizer(config, variables[:1])
        optimizer.build(variables)

    def step(gradient):
        gradients = [tf.identity(gradient), tf.identity(gradient)]
        pairs = zip(gradients, variables)
        optimizer.apply_gradients(pairs, skip_gradients_aggregation=True)

    run = tf.function(lambda gradient: strategy.run(step, args=(gradient,)))
    places = []
    for gradient in ([1.0, -2.0, 300.0], [0.5, 1.0, -100.0])[:number]:
        run(tf.constant(gradient))
        places.append([variable.numpy() for variable in variables])
    return np.array(places), optimizer


@pytest.mark.both_stacks
@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_the_backbone_goes_a_part_of_the_way(config, name):
    config.train.optimizer = name
    whole, _ = steps_of_two(config)
    np.testing.assert_array_equal(whole[:, 0], whole[:, 1])
    config.train.backbone_rate = 0.25
    places, optimizer = steps_of_two(config)
    np.testing.assert_array_equal(places[:, 1], whole[:, 1])
    np.testing.assert_allclose(places[:, 0], whole[:, 0] / 4, rtol=1e-6)
    assert abs(whole).min() > 0
    # What is logged is the rate of the others.
    assert float(optimizer.learning_rate) == pytest.approx(RATE)


@pytest.mark.both_stacks
def test_two_rates_on_several_replicas(config):
    config.train.update(optimizer="adam", backbone_rate=0.25)
    devices = [device.name[-5:] for device in tf.config.list_logical_devices("CPU")][:2]
    strategy = tf.distribute.MirroredStrategy(devices)
    expected, _ = steps_of_two(config)
    places, _ = steps_of_two(config, strategy)
    np.testing.assert_array_equal(places, expected)


@pytest.mark.both_stacks
def test_moving_averages_are_those_of_what_was_learnt(config):
    config.train.update(optimizer="adam", backbone_rate=0.25, ema=0.5)
    places, optimizer = steps_of_two(config, number=1)
    averages = [average.numpy() for average in optimizer._model_variables_moving_average]
    np.testing.assert_allclose(averages, 0.5 * places[0], rtol=1e-6)


@pytest.mark.parametrize("rate", [0.0, -0.1])
def test_a_rate_that_teaches_nothing_is_refused(config, rate):
    config.train.backbone_rate = rate
    with pytest.raises(UserError, match=r"train\.backbone_rate"):
        check_config(config)
