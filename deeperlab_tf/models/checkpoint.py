"""A shipped model as what a training starts from."""

from __future__ import annotations

import os

import numpy as np

from deeperlab_tf import models
from deeperlab_tf.models.shipped import WEIGHTS_FILE, is_shipped, verify
from deeperlab_tf.models.weights import read_weights


def is_model(path: str) -> bool:
    """Whether a path is a shipped name, or the folder of a shipped model."""
    return path in models.names() or is_shipped(path)


class ShippedCheckpoint:
    """The weights of a shipped model, read as `backbones.checkpoint_file.CheckpointFile` is.

    Args:
      path: for which `is_model` holds.

    Attributes:
      path: of the folder.
      shapes: dict from the names of the variables to their shapes.

    Raises:
      UserError: the model is damaged.
    """

    is_object_based = True  # named as this project names variables

    def __init__(self, path: str) -> None:
        self.path = models.find(path)
        verify(self.path)
        self._weights = read_weights(os.path.join(self.path, WEIGHTS_FILE))
        self.shapes = {name: list(value.shape) for name, value in self._weights.items()}

    def read(self, key: str) -> np.ndarray:
        """The weights of a variable."""
        return self._weights[key]

    def keys_by_name(self) -> dict[str, str]:
        """dict from the name of each variable, without ":0", to its key: the same."""
        return {name: name for name in self.shapes}
