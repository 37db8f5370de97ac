"""Batch norm folded into the convolution before it (`models.weights.fold`): the same function with
fewer operations, for inference only.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf
from ml_collections import ConfigDict

from deeperlab_tf.compat import keras
from deeperlab_tf.errors import UserError
from deeperlab_tf.model import build_model
from deeperlab_tf.models.weights import Norm, fold
from deeperlab_tf.schema import Dataset

PRECISIONS = ("float32", "float16", "bfloat16")


class DilatedDepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """A depthwise convolution that states its dilation as an attribute.

    TensorFlow computes dilation by moving space into the batch and back, which converters carry
    along; its own CPU kernel knows no other way, so this layer is for conversion only.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """[B, H, W, C] -> the same size, as padding="same"."""
        sizes = zip(self.dilation_rate, self.kernel_size)
        above, left = (rate * (size - 1) // 2 for rate, size in sizes)
        outputs = tf.raw_ops.DepthwiseConv2dNative(
            input=inputs,
            filter=self.depthwise_kernel,
            strides=[1, 1, 1, 1],
            dilations=[1, *self.dilation_rate, 1],
            padding="EXPLICIT",
            explicit_paddings=[0, 0, above, above, left, left, 0, 0],
        )
        return tf.nn.bias_add(outputs, self.bias) if self.use_bias else outputs


class _Plan(NamedTuple):
    """What becomes of the layers, by their names.

    Attributes:
      norms: convolution -> the batch norm that goes into it.
      dtypes: layer -> dtype.
      explicit_dilation: whether depthwise convolutions become `DilatedDepthwiseConv2D`.
    """

    norms: dict
    dtypes: dict
    explicit_dilation: bool

    def new_layer(self, layer):
        """The layer that takes the place of `layer`, without weights."""
        name, dtype = layer.name, self.dtypes[layer.name]
        if name in self.norms.values():
            return keras.layers.Activation("linear", name=name, dtype=dtype)

        settings = dict(layer.get_config(), dtype=dtype)
        if name in self.norms:
            settings["use_bias"] = True
        return self._layer_class(layer).from_config(settings)

    def _layer_class(self, layer):
        is_depthwise = type(layer) is keras.layers.DepthwiseConv2D
        if self.explicit_dilation and is_depthwise and max(layer.dilation_rate) > 1:
            return DilatedDepthwiseConv2D
        return type(layer)


def fold_network(
    network: keras.Model,
    model: ConfigDict,
    dataset: Dataset,
    precision: str = "float32",
    explicit_dilation: bool = False,
) -> keras.Model:
    """A copy of a trained network without batch norm, for inference.

    Args:
      network: of `build_model`, trained.
      model: config.model.
      dataset: what the classes mean.
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
    dtypes = _layer_dtypes(model, dataset, precision)
    plan = _Plan(folded_norms(network), dtypes, explicit_dilation)

    def clone(layer):
        if isinstance(layer, keras.Model):
            return keras.models.clone_model(layer, clone_function=clone)
        return plan.new_layer(layer)

    folded = keras.models.clone_model(network, clone_function=clone)

    originals, copies = layers_of(network), layers_of(folded)
    for name, layer in originals.items():
        if name in plan.norms:
            norm = originals[plan.norms[name]]
            copies[name].set_weights(_folded_weights(layer, norm))
        elif name not in plan.norms.values():
            copies[name].set_weights(layer.get_weights())
    return folded


def folded_norms(network: keras.Model) -> dict[str, str]:
    """dict convolution -> the batch norm that directly follows it, by the layers' names."""
    pairs = {}
    for layer in layers_of(network).values():
        if not isinstance(layer, keras.layers.BatchNormalization):
            continue
        before = layer.inbound_nodes[0].inbound_layers
        is_convolution = isinstance(before, (keras.layers.Conv2D, keras.layers.DepthwiseConv2D))
        # What others read of the convolution must not change.
        if is_convolution and not before.use_bias and len(before.outbound_nodes) == 1:
            pairs[before.name] = layer.name
    return pairs


def _folded_weights(convolution, norm):
    """[kernel, bias] of `convolution` followed by `norm`."""
    (kernel,) = convolution.get_weights()
    return list(fold(kernel, _norm_of(norm)))


def _norm_of(layer: keras.layers.BatchNormalization) -> Norm:
    """The `Norm` of a layer."""
    gamma, beta = (None if one is None else one.numpy() for one in (layer.gamma, layer.beta))
    mean, variance = layer.moving_mean.numpy(), layer.moving_variance.numpy()
    return Norm(gamma, beta, mean, variance, layer.epsilon)


def _layer_dtypes(model, dataset, precision):
    """dict layer name -> dtype; heads that are built in float32 under mixed precision stay so."""
    policy = keras.mixed_precision.global_policy()
    mixed = "float32" if precision == "float32" else f"mixed_{precision}"
    keras.mixed_precision.set_global_policy(mixed)
    try:
        template = build_model(model, dataset)
    finally:
        keras.mixed_precision.set_global_policy(policy)
    return {name: layer.compute_dtype for name, layer in layers_of(template).items()}


def layers_of(network: keras.Model) -> dict[str, keras.layers.Layer]:
    """dict name -> layer of a network and the networks inside it."""
    found = {}
    for layer in network.layers:
        found.update(layers_of(layer) if isinstance(layer, keras.Model) else {layer.name: layer})
    return found
