"""What a training starts from: `config.train.initial_checkpoint`."""

from __future__ import annotations

from absl import logging
from ml_collections import ConfigDict

from deeperlab_tf.backbones import BACKBONES, load_slim_checkpoint
from deeperlab_tf.backbones.checkpoint_file import CheckpointFile, Slot, fill
from deeperlab_tf.compat import keras
from deeperlab_tf.errors import UserError
from deeperlab_tf.models.checkpoint import ShippedCheckpoint, is_model

PARTS = ("backbone", "network")


def load_initial_checkpoint(network: keras.Model, train: ConfigDict) -> None:
    """Fills a network, or its backbone, from a checkpoint: TF1 slim's, or one of this project, or
    from a shipped model, by its name or folder.

    Args:
      network: keras.Model that holds a backbone, of `build_model` or `build_classifier`.
      train: `config.train`; reads initial_checkpoint ("": nothing happens), initial_part and
        embed_kernels.

    Raises:
      UserError: the checkpoint is broken, of another architecture, or of another number of classes;
        the network is then left as it was.
    """
    if not train.initial_checkpoint:
        return
    if train.initial_part not in PARTS:
        known = ", ".join(PARTS)
        raise UserError(
            f"config.train.initial_part is {train.initial_part!r}; known parts are {known}."
        )
    path = train.initial_checkpoint
    file = ShippedCheckpoint(path) if is_model(path) else CheckpointFile(path)
    wants_network = train.initial_part == "network"
    if wants_network and not file.is_object_based:
        raise UserError(
            f"{file.path} holds a backbone only; set config.train.initial_part to 'backbone'."
        )
    part = network if wants_network else find_backbone(network)
    if file.is_object_based:
        load_own_checkpoint(part, file, train.embed_kernels)
    else:
        load_slim_checkpoint(part, file.path, train.embed_kernels)


def load_own_checkpoint(
    part: keras.Model, file: CheckpointFile, embed_kernels: bool = False
) -> None:
    """Fills a model, by the names of its variables, from a checkpoint that may hold more.

    Args:
      part: keras.Model.
      file: `CheckpointFile` written by TF2.
      embed_kernels: as in `load_slim_checkpoint`.

    Raises:
      UserError: as `load_initial_checkpoint`.
    """
    keys = file.keys_by_name()
    slots = []
    for variable in part.variables:
        name = variable.name.split(":")[0]
        slots.append(Slot(variable, name, keys.get(name)))
    fill(slots, file, embed_kernels)
    logging.info("%s: %d variables from %s", part.name, len(slots), file.path)


def find_backbone(network: keras.Model) -> keras.Model:
    """The backbone inside a network."""
    return next(layer for layer in network.layers if layer.name in BACKBONES)
