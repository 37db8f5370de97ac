"""Batch norms of a network in training: frozen, or with statistics over all replicas."""

import tensorflow as tf

from deeperlab_tf.compat import keras


def batch_norms(network):
    """The batch norm layers of a network, those of nested models too."""
    return [layer for layer in network._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]


def freeze(network):
    """The batch norms keep statistics, scale and offset, also in training."""
    for layer in batch_norms(network):
        layer.trainable = False


def synchronise(network):
    """The batch norms normalise with the statistics of the whole batch rather than of one replica's share.

    Keras' own `synchronized=True` costs three reductions a layer, this one; and it would stay with the saved network.
    """
    for layer in batch_norms(network):
        layer.fused = False
        layer._calculate_mean_and_var = global_moments


def global_moments(inputs, axes, keep_dims, mask=None):
    """Mean and variance over `axes` and all replicas, which have equal shares of the batch."""
    del mask
    mean, variance = tf.nn.moments(inputs, axes, keepdims=keep_dims)
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return mean, variance
    mean_of_all, square = tf.unstack(context.all_reduce("MEAN", tf.stack([mean, variance + tf.square(mean)])))
    return mean_of_all, tf.maximum(square - tf.square(mean_of_all), 0.0)
