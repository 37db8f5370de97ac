"""What a training starts from: `config.train.initial_checkpoint`."""

from __future__ import annotations

from absl import logging
from ml_collections import ConfigDict

from deeperlab_tf.backbones import BACKBONES, load_slim_checkpoint
from deeperlab_tf.backbones.checkpoint_file import CheckpointFile
from deeperlab_tf.backbones.keras_weights import IMAGENET, is_hdf5, load_keras_weights
from deeperlab_tf.backbones.numpy_file import NumpyFile, find_weights
from deeperlab_tf.backbones.slots import Slot, WeightsFile, fill
from deeperlab_tf.compat import keras
from deeperlab_tf.errors import UserError

PARTS = ("backbone", "all_but_classes", "network")

_CLASSES = "semantic_logits_conv"  # the layer with a channel for each class
_AVERAGE = "average"  # Keras' scope for the moving averages of the weights


def load_initial_checkpoint(network: keras.Model, train: ConfigDict) -> None:
    """Fills a network, or a part of it, from ImageNet weights or a training of this project.

    Args:
      network: keras.Model that holds a backbone, of `build_model` or `build_classifier`.
      train: `config.train`; reads initial_checkpoint ("": nothing happens; "imagenet": weights of
        Keras Applications; or the path of such an HDF5 file, of a TF1 slim checkpoint, of a run or
        of a checkpoint of one; or the name or folder of a model that ships), initial_part and
        embed_kernels.

    Raises:
      UserError: the checkpoint is broken, of another architecture, or of another number of classes;
        the network is then left as it was.
    """
    path = train.initial_checkpoint
    if not path:
        return
    if train.initial_part not in PARTS:
        known = ", ".join(PARTS)
        raise UserError(
            f"config.train.initial_part is {train.initial_part!r}; known parts are {known}."
        )
    if path == IMAGENET or is_hdf5(path):
        _check_backbone_wanted(path, train)
        load_keras_weights(find_backbone(network), path, train.embed_kernels)
        return
    weights = find_weights(path)
    file = NumpyFile(weights) if weights else CheckpointFile(path)
    if weights or file.is_object_based:
        part = find_backbone(network) if train.initial_part == "backbone" else network
        without = (_CLASSES,) if train.initial_part == "all_but_classes" else ()
        load_own_weights(part, file, without, train.embed_kernels)
        return
    _check_backbone_wanted(file.path, train)
    load_slim_checkpoint(find_backbone(network), file.path, train.embed_kernels)


def _check_backbone_wanted(path: str, train: ConfigDict) -> None:
    if train.initial_part != "backbone":
        raise UserError(
            f"{path} holds a backbone only; set config.train.initial_part to 'backbone'."
        )


def load_own_weights(
    part: keras.Model,
    file: WeightsFile,
    without: tuple[str, ...] = (),
    embed_kernels: bool = False,
) -> None:
    """Fills a model, by the names of its variables, from a file that may hold more.

    Where the file has the moving average of a weight, this is taken, as in evaluation.

    Args:
      part: keras.Model.
      file: of a training of this project.
      without: names of layers that stay as they are.
      embed_kernels: as in `load_slim_checkpoint`.

    Raises:
      UserError: as `load_initial_checkpoint`.
    """
    keys = file.keys_by_name()
    slots, new = [], []
    for variable in part.variables:
        name = variable.name.split(":")[0]
        if name.split("/")[0] in without:
            new.append(name)
            continue
        key = keys.get(f"{_AVERAGE}/{name}", keys.get(name))
        slots.append(Slot(variable, name, key))
    fill(slots, file, embed_kernels)

    averaged = sum(f"{_AVERAGE}/{slot.name}" in keys for slot in slots)
    logging.info(
        "%s: %d variables from %s, %d of them moving averages",
        part.name,
        len(slots),
        file.path,
        averaged,
    )
    if new:
        logging.info("%s: not from there, but new: %s", part.name, ", ".join(new))
    left_out = _layers(keys) - {slot.name.split("/")[0] for slot in slots}
    if left_out:
        logging.info("left out of %s: %s", file.path, ", ".join(sorted(left_out)))


def _layers(names: dict[str, str]) -> set[str]:
    """Names of the layers in a file: not the optimizer's `m/layer/variable`, nor its step."""
    return {name.split("/")[0] for name in names if name.count("/") == 1}


def find_backbone(network: keras.Model) -> keras.Model:
    """The backbone inside a network."""
    return next(layer for layer in network.layers if layer.name in BACKBONES)
