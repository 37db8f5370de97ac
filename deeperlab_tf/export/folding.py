"""Batch norm folded into the convolution before it: the same function with fewer operations, for
inference only.

y = gamma · (conv(x, w) − mean) / sqrt(variance + epsilon) + beta = conv(x, w · s) + (beta − mean ·
s) with s = gamma / sqrt(variance + epsilon), one factor an output channel.
"""

import numpy as np
import tensorflow as tf

from deeperlab_tf.compat import keras
from deeperlab_tf.errors import UserError
from deeperlab_tf.model import build_model

PRECISIONS = ("float32", "float16", "bfloat16")


class DilatedDepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """A depthwise convolution that states its dilation as an attribute.

    TensorFlow computes dilation by moving space into the batch and back, which converters carry
    along; its own CPU kernel knows no other way, so this layer is for conversion only.
    """

    def call(self, inputs):
        sides = [rate * (size - 1) // 2 for rate, size in zip(self.dilation_rate, self.kernel_size)]
        outputs = tf.raw_ops.DepthwiseConv2dNative(
            input=inputs,
            filter=self.depthwise_kernel,
            strides=[1, 1, 1, 1],
            dilations=[1, *self.dilation_rate, 1],
            padding="EXPLICIT",
            explicit_paddings=[0, 0, sides[0], sides[0], sides[1], sides[1], 0, 0],
        )
        return tf.nn.bias_add(outputs, self.bias) if self.use_bias else outputs


def fold_network(network, config, dataset, precision="float32", explicit_dilation=False):
    """A copy of a trained network without batch norm, for inference.

    Args:
      network: keras.Model of `build_model`, trained.
      config: config.model.
      dataset: `schema.Dataset`.
      precision: of weights and computation, one of `PRECISIONS`. The last convolution of each head
        stays in float32, as in mixed-precision training (Sec. 4 of the paper is silent).
      explicit_dilation: True: dilation as an attribute (`DilatedDepthwiseConv2D`), for the
        converter to ONNX.

    Returns:
      keras.Model with the inputs and outputs of `network`, outputs float32.

    Raises:
      UserError: an unknown precision.
    """
    if precision not in PRECISIONS:
        raise UserError(
            f"precision {precision!r} is not offered; choose one of {', '.join(PRECISIONS)}."
        )
    folded_norms = _folded_norms(network)
    dtypes = _layer_dtypes(config, dataset, precision)

    def clone(layer):
        if isinstance(layer, keras.Model):
            return keras.models.clone_model(layer, clone_function=clone)
        if layer.name in folded_norms.values():
            return keras.layers.Activation("linear", name=layer.name, dtype=dtypes[layer.name])
        settings = {**layer.get_config(), "dtype": dtypes[layer.name]}
        if layer.name in folded_norms:
            settings["use_bias"] = True
        kind = type(layer)
        if (
            explicit_dilation
            and kind is keras.layers.DepthwiseConv2D
            and max(layer.dilation_rate) > 1
        ):
            kind = DilatedDepthwiseConv2D
        return kind.from_config(settings)

    folded = keras.models.clone_model(network, clone_function=clone)
    originals, copies = _layers(network), _layers(folded)
    for name, layer in originals.items():
        if name in folded_norms:
            copies[name].set_weights(_folded_weights(layer, originals[folded_norms[name]]))
        elif name not in folded_norms.values():
            copies[name].set_weights(layer.get_weights())
    return folded


def _folded_norms(network):
    """dict convolution -> the batch norm that directly follows it, by name."""
    pairs = {}
    for layer in _layers(network).values():
        if not isinstance(layer, keras.layers.BatchNormalization):
            continue
        before = layer.inbound_nodes[0].inbound_layers
        is_convolution = isinstance(before, (keras.layers.Conv2D, keras.layers.DepthwiseConv2D))
        if is_convolution and not before.use_bias and len(before.outbound_nodes) == 1:
            pairs[before.name] = layer.name
    return pairs


def _folded_weights(convolution, norm):
    """[kernel, bias] of `convolution` followed by `norm`, computed in float64."""
    (kernel,) = (values.astype(np.float64) for values in convolution.get_weights())
    gamma, beta, mean, variance = (
        None if values is None else values.numpy().astype(np.float64)
        for values in (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
    )
    scale = (1.0 if gamma is None else gamma) / np.sqrt(variance + norm.epsilon)
    bias = (0.0 if beta is None else beta) - mean * scale
    # Depthwise kernels are [k, k, channels, 1], others [k, k, in, out].
    depthwise = isinstance(convolution, keras.layers.DepthwiseConv2D)
    kernel = kernel * (scale.reshape(kernel.shape[2:]) if depthwise else scale)
    return [kernel.astype(np.float32), bias.astype(np.float32)]


def _layer_dtypes(config, dataset, precision):
    """dict layer name -> dtype; heads that are built in float32 under mixed precision stay so."""
    policy = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(
        "float32" if precision == "float32" else f"mixed_{precision}"
    )
    try:
        template = build_model(config, dataset)
    finally:
        keras.mixed_precision.set_global_policy(policy)
    return {name: layer.compute_dtype for name, layer in _layers(template).items()}


def _layers(network):
    """dict name -> layer of a network and the networks inside it."""
    found = {}
    for layer in network.layers:
        found.update(_layers(layer) if isinstance(layer, keras.Model) else {layer.name: layer})
    return found
