"""Reads tensors out of TensorFlow checkpoints, old or new, by the names of the variables; nothing
is unpickled.
"""

import glob
import os

import numpy as np
import tensorflow as tf
from absl import logging
from tensorflow.core.protobuf import trackable_object_graph_pb2

from deeperlab_tf.errors import UserError

# Where a TF2 checkpoint keeps which object owns which tensor.
_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
# Whatever TensorFlow's reader raises.
_READ_ERRORS = (tf.errors.OpError, ValueError, RuntimeError, IndexError)
_NAMES_SHOWN = 20


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

    def __init__(self, path):
        self.path = find_prefix(path)
        try:
            self._reader = tf.train.load_checkpoint(self.path)
            self.shapes = self._reader.get_variable_to_shape_map()
        except _READ_ERRORS as error:
            raise self._broken(error) from error

    @property
    def is_object_based(self):
        """Whether TF2 wrote it."""
        return _OBJECT_GRAPH in self.shapes

    def read(self, key):
        """The tensor of a key, as a NumPy array."""
        try:
            return self._reader.get_tensor(key)
        except _READ_ERRORS as error:
            raise self._broken(error) from error

    def keys_by_name(self):
        """dict from the name of each variable, without ":0", to its key: the names Keras gave in a
        TF2 checkpoint.
        """
        if not self.is_object_based:
            return {key: key for key in self.shapes}
        graph = trackable_object_graph_pb2.TrackableObjectGraph()
        graph.ParseFromString(self.read(_OBJECT_GRAPH))
        return {
            attribute.full_name: attribute.checkpoint_key
            for node in graph.nodes
            for attribute in node.attributes
            if attribute.full_name and attribute.checkpoint_key in self.shapes
        }

    def _broken(self, error):
        reason = str(error).splitlines()[0]
        return UserError(
            f"checkpoint {self.path} is missing, cut off or corrupt ({reason}); fetch it again."
        )


def find_prefix(path):
    """The prefix of the checkpoint that `path` means, see `CheckpointFile`."""
    folders = [path, os.path.join(path, "checkpoints")] if os.path.isdir(path) else []
    for folder in folders:
        newest = tf.train.latest_checkpoint(folder)
        indices = glob.glob(os.path.join(glob.escape(folder), "*.index"))
        if newest or len(indices) == 1:
            return newest or indices[0][: -len(".index")]
        if indices:
            raise UserError(
                f"{folder} holds {len(indices)} checkpoints; name one of them, such as {min(indices)}."
            )
    if folders:
        raise UserError(
            f"there is no checkpoint in the folder {path}; give one that holds a .index file."
        )
    for extension in (".index", ".data-"):
        head, found, _ = path.rpartition(extension)
        if found:
            path = head
    if not glob.glob(f"{glob.escape(path)}*"):
        raise UserError(
            f"there is no checkpoint {path}; give its prefix, without .index or .data-00000-of-00001."
        )
    return path


def fill(variables, file, embed_kernels=False):
    """Assigns tensors of a checkpoint to variables: all of them, or none.

    Args:
      variables: list of (tf.Variable, its name in the checkpoint, its key there or None where it is
        missing).
      file: `CheckpointFile`.
      embed_kernels: put smaller kernels into the centre of the variables' larger ones, filled up
        with zeros.

    Returns:
      Number of kernels that were embedded.

    Raises:
      UserError: a variable is missing, or has another shape.
    """
    missing = [name for _, name, key in variables if key is None]
    if missing:
        shown = ", ".join(missing[:_NAMES_SHOWN])
        more = f" and {len(missing) - _NAMES_SHOWN} more" if len(missing) > _NAMES_SHOWN else ""
        raise UserError(
            f"checkpoint {file.path} is not of this architecture: {len(missing)} of {len(variables)} variables are "
            f"missing, {shown}{more}; it holds {_contents(file)}."
        )
    values, embedded = [], 0
    for variable, name, key in variables:
        value = file.read(key)
        if value.shape != variable.shape:
            if not _embeddable(value.shape, variable.shape):
                raise UserError(
                    f"checkpoint {file.path} has {name} in shape {value.shape} where the model has "
                    f"{tuple(variable.shape)}; use the number of classes, width and kernel size it was trained with."
                )
            if not embed_kernels:
                raise UserError(
                    f"checkpoint {file.path} has kernels of {value.shape[0]} where the model has "
                    f"{variable.shape[0]} ({name}); --config.train.embed_kernels puts the small ones into the centre."
                )
            value = _embed(value, variable.shape)
            embedded += 1
        values.append(value)
    for (variable, _, _), value in zip(variables, values):
        variable.assign(tf.cast(value, variable.dtype))
    if embedded:
        logging.warning(
            "%d kernels of %s were embedded in the centre of larger ones filled up with zeros: a start with the same "
            "features as the small ones', not a pretraining of the larger ones",
            embedded,
            file.path,
        )
    return embedded


def _contents(file):
    """What a checkpoint seems to be of: the outermost names of its variables."""
    names = sorted({name.split("/")[0] for name in file.keys_by_name() if "/" in name})
    return (
        "variables of " + ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
        if names
        else "no variables"
    )


def _embeddable(small, large):
    """Whether a kernel [k, k, …] of shape `small` fits into the middle of one of shape `large`."""
    return (
        len(small) == len(large) == 4
        and tuple(small[2:]) == tuple(large[2:])
        and all(a <= b and (b - a) % 2 == 0 for a, b in zip(small[:2], large[:2]))
    )


def _embed(kernel, shape):
    margins = [((large - small) // 2,) * 2 for small, large in zip(kernel.shape, shape)]
    return np.pad(kernel, margins)
