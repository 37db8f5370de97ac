"""What of a network keeps its initial values in training."""

from __future__ import annotations

from ml_collections import ConfigDict

from deeperlab_tf.backbones.initial_checkpoint import find_backbone
from deeperlab_tf.compat import keras
from deeperlab_tf.training.batch_norm import batch_norms


def freeze(network: keras.Model, train: ConfigDict) -> None:
    """Marks layers as not trainable; their batch norms then run as in evaluation.

    A network that reads a run's optimizer must be frozen as it was in training: moving averages and
    slots are those of the trainable variables.

    Args:
      network: keras.Model that holds a backbone.
      train: `config.train`; reads freeze_batch_norm and freeze_low_level.
    """
    if train.freeze_batch_norm:
        for layer in batch_norms(network):
            layer.trainable = False
    if train.freeze_low_level:
        for layer in _low_level_layers(find_backbone(network)):
            layer.trainable = False


def _low_level_layers(backbone: keras.Model) -> list[keras.layers.Layer]:
    """The layers up to the backbone's feature at stride 4."""
    return keras.Model(backbone.inputs, backbone.output["low_level"]).layers
