"""Reads tensors out of TensorFlow checkpoints, old or new, by the names of the variables.

Nothing is unpickled.
"""

from __future__ import annotations

import glob
import os
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from absl import logging
from tensorflow.core.protobuf import trackable_object_graph_pb2

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.paths import plain_path

# Where a TF2 checkpoint keeps which object owns which tensor.
_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
# Whatever TensorFlow's reader raises.
_READ_ERRORS = (tf.errors.OpError, ValueError, RuntimeError, IndexError)
_NAMES_SHOWN = 20
_SCOPES_SHOWN = 5


class CheckpointFile:
    """A checkpoint on disk.

    Args:
      path: its prefix (`model.ckpt-30000`), one of its files, a folder that holds it, or the folder
        of a run.

    Attributes:
      path: its prefix.
      shapes: dict from the keys of its tensors to their shapes.

    Raises:
      UserError: it is missing, cut off or corrupt.
    """

    def __init__(self, path: str):
        self.path = find_prefix(path)
        try:
            self._reader = tf.train.load_checkpoint(plain_path(self.path))
            self.shapes = self._reader.get_variable_to_shape_map()
        except _READ_ERRORS as error:
            raise self._broken(error) from error

    @property
    def is_object_based(self) -> bool:
        """Whether TF2 wrote it."""
        return _OBJECT_GRAPH in self.shapes

    def read(self, key: str) -> np.ndarray:
        """The tensor of a key."""
        try:
            return self._reader.get_tensor(key)
        except _READ_ERRORS as error:
            raise self._broken(error) from error

    def keys_by_name(self) -> dict[str, str]:
        """dict from the name of each variable, without ":0", to its key.

        In a TF2 checkpoint the names are those that Keras gave.
        """
        if not self.is_object_based:
            return {key: key for key in self.shapes}
        graph = trackable_object_graph_pb2.TrackableObjectGraph()
        graph.ParseFromString(self.read(_OBJECT_GRAPH))
        keys = {}
        for node in graph.nodes:
            for attribute in node.attributes:
                if attribute.full_name and attribute.checkpoint_key in self.shapes:
                    keys[attribute.full_name] = attribute.checkpoint_key
        return keys

    def _broken(self, error: Exception) -> UserError:
        reason = str(error).splitlines()[0]
        return UserError(
            f"checkpoint {self.path} is missing, cut off or corrupt ({reason}); fetch it again."
        )


def find_prefix(path: str) -> str:
    """The prefix of the checkpoint that `path` means, see `CheckpointFile`.

    Raises:
      UserError: there is none, or there are several to choose from.
    """
    if os.path.isdir(path):
        return _find_in_folder(path)
    for extension in (".index", ".data-"):
        head, found, _ = path.rpartition(extension)
        if found:
            path = head
    if not glob.glob(f"{glob.escape(path)}*"):
        raise UserError(
            f"there is no checkpoint {path}; "
            "give its prefix, without .index or .data-00000-of-00001."
        )
    return path


def _find_in_folder(path: str) -> str:
    for folder in (path, os.path.join(path, "checkpoints")):
        newest = tf.train.latest_checkpoint(plain_path(folder))
        if newest:
            return os.path.join(folder, os.path.basename(newest))
        indices = glob.glob(os.path.join(glob.escape(folder), "*.index"))
        if len(indices) == 1:
            return indices[0][: -len(".index")]
        if indices:
            raise UserError(
                f"{folder} holds {len(indices)} checkpoints; "
                f"name one of them, such as {min(indices)}."
            )
    raise UserError(
        f"there is no checkpoint in the folder {path}; give one that holds a .index file."
    )


class Slot(NamedTuple):
    """A variable that a tensor of a checkpoint is for.

    Attributes:
      variable: of the model.
      name: the variable's in the checkpoint.
      key: of its tensor in the checkpoint; None where it is missing.
    """

    variable: tf.Variable
    name: str
    key: str | None


def fill(slots: list[Slot], file: CheckpointFile, embed_kernels: bool = False) -> int:
    """Assigns tensors of a checkpoint to variables: all of them, or none.

    Args:
      slots: what to fill.
      file: the checkpoint.
      embed_kernels: put smaller kernels into the centre of the variables' larger ones, filled up
        with zeros.

    Returns:
      Number of kernels that were embedded.

    Raises:
      UserError: a variable is missing, or has another shape.
    """
    _check_complete(slots, file)
    values = []
    embedded = 0
    for slot in slots:
        value = file.read(slot.key)
        shape = slot.variable.shape
        if value.shape != shape:
            _check_embeddable(slot, value.shape, file, embed_kernels)
            value = _embed(value, shape)
            embedded += 1
        values.append(value)

    for slot, value in zip(slots, values):
        slot.variable.assign(tf.cast(value, slot.variable.dtype))
    if embedded:
        logging.warning(
            "%d kernels of %s were embedded in the centre of larger ones filled up with zeros: "
            "a start with the same features as the small ones', "
            "not a pretraining of the larger ones",
            embedded,
            file.path,
        )
    return embedded


def _check_complete(slots: list[Slot], file: CheckpointFile) -> None:
    missing = [slot.name for slot in slots if slot.key is None]
    if not missing:
        return
    shown = ", ".join(missing[:_NAMES_SHOWN])
    if len(missing) > _NAMES_SHOWN:
        shown += f" and {len(missing) - _NAMES_SHOWN} more"
    raise UserError(
        f"checkpoint {file.path} is not of this architecture: {len(missing)} of {len(slots)} "
        f"variables are missing, {shown}; it holds {_contents(file)}."
    )


def _check_embeddable(
    slot: Slot, found: tuple[int, ...], file: CheckpointFile, embed_kernels: bool
) -> None:
    """Raises UserError unless a tensor of shape `found` may, and can, be embedded in a variable."""
    wanted = tuple(slot.variable.shape)
    if not _fits_inside(found, wanted):
        raise UserError(
            f"checkpoint {file.path} has {slot.name} in shape {found} where the model has "
            f"{wanted}; use the number of classes, width and kernel size it was trained with."
        )
    if not embed_kernels:
        raise UserError(
            f"checkpoint {file.path} has kernels of {found[0]} where the model has {wanted[0]} "
            f"({slot.name}); --config.train.embed_kernels puts the small ones into the centre."
        )


def _contents(file: CheckpointFile) -> str:
    """What a checkpoint seems to be of: the outermost names of its variables."""
    scopes = sorted({name.split("/")[0] for name in file.keys_by_name() if "/" in name})
    if not scopes:
        return "no variables"
    more = " …" if len(scopes) > _SCOPES_SHOWN else ""
    return f"variables of {', '.join(scopes[:_SCOPES_SHOWN])}{more}"


def _fits_inside(small: tuple[int, ...], large: tuple[int, ...]) -> bool:
    """Whether a kernel [k, k, …] of shape `small` fits into the middle of one of shape `large`."""
    if not len(small) == len(large) == 4 or small[2:] != large[2:]:
        return False
    return all(a <= b and (b - a) % 2 == 0 for a, b in zip(small[:2], large[:2]))


def _embed(kernel: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    margins = [((large - small) // 2,) * 2 for small, large in zip(kernel.shape, shape)]
    return np.pad(kernel, margins)
