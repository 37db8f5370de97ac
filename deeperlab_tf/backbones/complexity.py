"""What a network costs and how far it sees, read off the network as it was built."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from deeperlab_tf.compat import keras

_CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)


def count_parameters(network: keras.Model) -> int:
    """Number of trainable parameters."""
    return sum(int(np.prod(variable.shape)) for variable in network.trainable_variables)


def count_flops(network: keras.Model) -> int:
    """Floating point operations of the convolutions and dense layers for one image.

    A multiply-add counts as two.

    Args:
      network: keras.Model, built with a static input shape.
    """
    return sum(_layer_flops(layer) for layer in network.layers)


def _layer_flops(layer: keras.layers.Layer) -> int:
    if isinstance(layer, keras.Model):
        return count_flops(layer)
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        kernel = layer.depthwise_kernel
    elif isinstance(layer, (keras.layers.Conv2D, keras.layers.Dense)):
        kernel = layer.kernel
    else:
        return 0
    positions = int(np.prod(layer.output_shape[1:-1]))
    return 2 * int(np.prod(kernel.shape)) * positions


def receptive_field(backbone: keras.Model, output: str = "features") -> int:
    """Side of the square of input pixels that one cell of an output depends on.

    That is 1 + Σ (k - 1) · rate · jump over the convolutions on the way that sees most, where
    `jump` is the stride so far (paper Sec. 3.1: 491 pixels for MobileNetV2, 981 for Wider
    MobileNetV2).

    Args:
      backbone: keras.Model of `build_backbone`.
      output: name of one of its outputs.
    """
    seen = {}  # layer name: (receptive field, jump)
    for layer in backbone.layers:
        before = tf.nest.flatten(layer.inbound_nodes[0].inbound_layers)
        field, jump = max((seen[other.name] for other in before), default=(1, 1))
        if isinstance(layer, _CONVOLUTIONS):
            field += (layer.kernel_size[0] - 1) * layer.dilation_rate[0] * jump
            jump *= layer.strides[0]
        seen[layer.name] = field, jump
    last = backbone.output[output].node.layer
    field, _ = seen[last.name]
    return field
