"""Batch norms of a network in training, with statistics over all replicas."""

from __future__ import annotations

import functools
from typing import Any

import tensorflow as tf

from deeperlab_tf.compat import keras


def batch_norms(network: keras.Model) -> list[keras.layers.BatchNormalization]:
    """The batch norm layers of a network, those of nested models too."""
    layers = network._flatten_layers()
    return [each for each in layers if isinstance(each, keras.layers.BatchNormalization)]


def synchronise(network: keras.Model) -> None:
    """The batch norms normalise with the statistics of the whole batch, not of a replica's share.

    Keras' own `synchronized=True` gives up the fused kernels for a dozen passes over each map and
    costs three reductions per layer, this one; and it would stay with the saved network.
    """
    for layer in batch_norms(network):
        layer.is_synchronised = True
        layer._fused_batch_norm = functools.partial(_normalise, layer)


def _normalise(
    layer: keras.layers.BatchNormalization, inputs: tf.Tensor, mask: Any, training: Any
) -> tf.Tensor:
    """In place of a layer's `_fused_batch_norm`."""
    if not training:
        return type(layer)._fused_batch_norm(layer, inputs, mask, training)
    outputs, mean, variance = synchronised_batch_norm(
        inputs, layer.gamma, layer.beta, layer.epsilon
    )
    # As Keras', the moving variance estimates that of the population.
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    count = replicas * _count(inputs)
    variance *= count / tf.maximum(count - 1.0, 1.0)
    layer._assign_moving_average(layer.moving_mean, mean, layer.momentum, None)
    layer._assign_moving_average(layer.moving_variance, variance, layer.momentum, None)
    return outputs


def synchronised_batch_norm(
    inputs: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor, epsilon: float
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Batch norm with the moments of all replicas, which have equal shares of the batch.

    x̂ = (x - μ) / σ, y = γ x̂ + β. The kernels are those of the fused batch norm of inference,
    which takes moments as they are; what the moments add to the gradient is put in by hand: with
    means over the whole batch, dx = γ / σ · (dy - mean(dy) - x̂ mean(dy x̂)).

    Args:
      inputs: [b, h, w, C], float32, bfloat16 or float16.
      scale: γ, float32 [C].
      offset: β, float32 [C].
      epsilon: what is added to the variance.

    Returns:
      Outputs as `inputs`; mean and variance float32 [C], without gradient.
    """

    @tf.custom_gradient
    def normalise(inputs, scale, offset):
        mean, variance = global_moments(inputs)
        outputs = _affine(inputs, scale, offset, mean, variance, epsilon)

        def gradient(outputs_gradient, *_):
            direct, scale_gradient, offset_gradient, *_ = tf.raw_ops.FusedBatchNormGradV3(
                y_backprop=outputs_gradient,
                x=inputs,
                scale=scale,
                reserve_space_1=mean,
                reserve_space_2=variance,
                reserve_space_3=tf.zeros([0]),
                epsilon=epsilon,
                is_training=False,
            )
            # mean(dy) and mean(dy x̂), [2, C]
            sums = tf.stack([offset_gradient, scale_gradient])
            means = _mean_of_replicas(sums / _count(inputs))
            slope = scale * tf.math.rsqrt(variance + epsilon)
            through_moments = _affine(
                inputs, -slope * means[1], -slope * means[0], mean, variance, epsilon
            )
            return direct + through_moments, scale_gradient, offset_gradient

        return (outputs, tf.stop_gradient(mean), tf.stop_gradient(variance)), gradient

    return normalise(inputs, scale, offset)


def global_moments(inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and variance of each channel over all replicas: [b, h, w, C] -> two float32 [C]."""
    ones = tf.ones(inputs.shape[-1:])
    _, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=inputs, scale=ones, offset=ones, mean=[], variance=[], is_training=True
    )
    count = _count(inputs)
    # The kernel estimates that of a population.
    variance *= (count - 1.0) / count
    moments = tf.stack([mean, variance + tf.square(mean)])
    mean_of_all, square = tf.unstack(_mean_of_replicas(moments))
    return mean_of_all, tf.maximum(square - tf.square(mean_of_all), 0.0)


def _count(inputs: tf.Tensor) -> tf.Tensor:
    """Number of values of a channel, float32."""
    return tf.cast(tf.reduce_prod(tf.shape(inputs)[:-1]), tf.float32)


def _affine(
    inputs: tf.Tensor,
    scale: tf.Tensor,
    offset: tf.Tensor,
    mean: tf.Tensor,
    variance: tf.Tensor,
    epsilon: float,
) -> tf.Tensor:
    """scale · (inputs - mean) / sqrt(variance + epsilon) + offset, in one pass."""
    return tf.raw_ops.FusedBatchNormV3(
        x=inputs,
        scale=scale,
        offset=offset,
        mean=mean,
        variance=variance,
        epsilon=epsilon,
        is_training=False,
    ).y


def _mean_of_replicas(values: tf.Tensor) -> tf.Tensor:
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return values
    return context.all_reduce("MEAN", values)
