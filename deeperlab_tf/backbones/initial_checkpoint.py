"""What a training starts from: `config.train.initial_checkpoint`."""

from absl import logging

from deeperlab_tf.backbones import BACKBONES
from deeperlab_tf.backbones.checkpoint_file import CheckpointFile, fill
from deeperlab_tf.backbones.slim_checkpoint import load_slim_checkpoint
from deeperlab_tf.errors import UserError

PARTS = ("backbone", "network")


def load_initial_checkpoint(network, config):
    """Fills a network, or its backbone, from a published TF1 slim checkpoint or one of this
    project's own.

    Args:
      network: keras.Model that holds a backbone, of `build_model` or `build_classifier`.
      config: config.train; reads initial_checkpoint ("": nothing happens), initial_part,
        embed_kernels.

    Raises:
      UserError: the checkpoint is broken, of another architecture, or of another number of classes;
        the network is then left as it was.
    """
    if not config.initial_checkpoint:
        return
    if config.initial_part not in PARTS:
        raise UserError(
            f"config.train.initial_part is {config.initial_part!r}; known parts are {', '.join(PARTS)}."
        )
    file = CheckpointFile(config.initial_checkpoint)
    if file.is_object_based:
        part = network if config.initial_part == "network" else find_backbone(network)
        load_own_checkpoint(part, file, config.embed_kernels)
    elif config.initial_part == "network":
        raise UserError(
            f"{file.path} holds a backbone only; set config.train.initial_part to 'backbone'."
        )
    else:
        load_slim_checkpoint(find_backbone(network), file.path, config.embed_kernels)


def load_own_checkpoint(part, file, embed_kernels=False):
    """Fills a model from a checkpoint of this project, which may hold more: by the names of the
    variables.

    Args:
      part: keras.Model.
      file: `CheckpointFile` written by TF2.
      embed_kernels: as in `load_slim_checkpoint`.

    Raises:
      UserError: as `load_initial_checkpoint`.
    """
    keys = file.keys_by_name()
    names = [variable.name.split(":")[0] for variable in part.variables]
    fill(
        [(variable, name, keys.get(name)) for variable, name in zip(part.variables, names)],
        file,
        embed_kernels,
    )
    logging.info("%s: %d variables from %s", part.name, len(names), file.path)


def find_backbone(network):
    """The backbone inside a network."""
    return next(layer for layer in network.layers if layer.name in BACKBONES)
