"""Parameters, operations and receptive field, against the paper, known sizes, and the gradient
itself.
"""

import numpy as np
import pytest
import tensorflow as tf

from deeperlab_tf import build_model
from deeperlab_tf.backbones import build_backbone
from deeperlab_tf.backbones.complexity import count_flops, count_parameters, receptive_field
from input_pipeline.datasets.vistas_classes import DATASET


def gradient_support(backbone, side, depthwise_sum):
    """Rows of a tall image that the feature in its middle depends on: (first, last).

    All kernels are positive, so that nothing cancels out; and such that no ReLU6 saturates
    (residuals are small) and the product of the weights on the longest way is still a number
    (`depthwise_sum` of each depthwise kernel).
    """
    for variable in backbone.trainable_variables:
        kind = variable.name.split("/")[-1]
        if kind == "depthwise_kernel:0":
            variable.assign(tf.fill(variable.shape, depthwise_sum / variable.shape[0] ** 2))
        elif kind == "kernel:0":
            total = 0.2 if "project" in variable.name else 1.0
            variable.assign(tf.fill(variable.shape, float(total / np.prod(variable.shape[:3]))))
        elif kind == "beta:0":
            variable.assign(tf.fill(variable.shape, 1e-2))
    image = tf.ones([1, side, 17, 3]) * 0.1
    with tf.GradientTape() as tape:
        tape.watch(image)
        features = backbone(image)["features"]
        middle = tf.reduce_sum(features[:, features.shape[1] // 2])
    rows = np.flatnonzero(np.any(tape.gradient(middle, image)[0].numpy() != 0, axis=(1, 2)))
    return rows[0], rows[-1]


@pytest.mark.parametrize("kernel_size, expected", [(3, 491), (5, 981), (7, 1471)])
def test_receptive_field_is_the_papers_and_the_gradients(kernel_size, expected):
    backbone = build_backbone("mobilenet_v2", kernel_size=kernel_size, width=0.1)
    assert receptive_field(backbone) == expected
    side = 32 * (expected // 32 + 2) + 1
    first, last = gradient_support(backbone, side, depthwise_sum=1.0)
    assert first > 0 and last < side - 1
    assert last - first + 1 == expected


def test_receptive_field_of_xception_65_is_the_gradients():
    backbone = build_backbone("xception_65", width=0.02)
    field = receptive_field(backbone)
    side = 32 * (field // 32 + 2) + 1
    first, last = gradient_support(backbone, side, depthwise_sum=3.0)
    assert first > 0 and last < side - 1
    assert last - first + 1 == field


def test_operations_at_721_are_those_known_of_the_papers_models():
    """Counted by other means on the same architecture: 113 and 42 GFLOP."""
    for name, expected in (("wider_mobilenet_v2", 113), ("light_wider_mobilenet_v2", 42)):
        network = build_model(name, DATASET, (721, 721, 3))
        assert count_flops(network) / 1e9 == pytest.approx(expected, rel=0.03)


def test_parameters_leave_out_the_moving_averages():
    network = build_backbone("mobilenet_v2")
    assert count_parameters(network) == 1_811_712 < network.count_params()
