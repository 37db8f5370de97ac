"""Reads tensors out of TensorFlow checkpoints, old or new, by the names of the variables.

Nothing is unpickled.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import trackable_object_graph_pb2

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.paths import plain_path

# Where a TF2 checkpoint keeps which object owns which tensor.
_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
# Whatever TensorFlow's reader raises.
_READ_ERRORS = (tf.errors.OpError, ValueError, RuntimeError, IndexError)


class CheckpointFile:
    """A checkpoint on disk.

    Args:
      path: its prefix (`model.ckpt-30000`), one of its files, a folder that holds it, or the folder
        of a run; local or in a bucket.

    Attributes:
      path: its prefix.
      shapes: dict from the keys of its tensors to their shapes.

    Raises:
      UserError: it is missing, cut off or corrupt.
    """

    def __init__(self, path: str):
        self.path = find_prefix(path)
        try:
            self._reader = tf.train.load_checkpoint(plain_path(storage.for_tensorflow(self.path)))
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
    if storage.isdir(path):
        return _find_in_folder(path)
    for extension in (".index", ".data-"):
        head, found, _ = path.rpartition(extension)
        if found:
            path = head
    folder, prefix = storage.split(path)
    if not any(name.startswith(prefix) for name in _names_in(folder)):
        raise UserError(
            f"there is no checkpoint {path}; "
            "give its prefix, without .index or .data-00000-of-00001."
        )
    return path


def _find_in_folder(path: str) -> str:
    for folder in (path, storage.join(path, "checkpoints")):
        is_read = storage.is_read_by_tensorflow(folder)
        newest = tf.train.latest_checkpoint(plain_path(folder)) if is_read else None
        if newest:
            return storage.join(folder, storage.basename(newest))
        indices = [name for name in _names_in(folder) if name.endswith(".index")]
        if len(indices) == 1:
            return storage.join(folder, indices[0][: -len(".index")])
        if indices:
            raise UserError(
                f"{folder} holds {len(indices)} checkpoints; "
                f"name one of them, such as {storage.join(folder, min(indices))}."
            )
    raise UserError(
        f"there is no checkpoint in the folder {path}; give one that holds a .index file."
    )


def _names_in(folder: str) -> list[str]:
    """Names in a folder, local or in a bucket; none where there is no such folder."""
    folder = folder or "."
    return storage.listdir(folder) if storage.isdir(folder) else []
