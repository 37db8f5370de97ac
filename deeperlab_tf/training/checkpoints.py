"""The checkpoints of a run: saved with care, restored with checks."""

from __future__ import annotations

import re
import tempfile

import tensorflow as tf
from absl import logging

from deeperlab_tf.compat import keras
from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.paths import plain_path

_PREFIX = "ckpt"


class Store:
    """The newest checkpoints of a run: network, optimizer slots, moving averages, and the step.

    Args:
      folder: where they are; made where missing.
      network: what is saved.
      optimizer: what is saved.
      keep: how many.
      chief: False on the other hosts of several: they take part in saving, as TensorFlow demands,
        into a folder of their own that is removed at once.
      passed_on: errors of a save that are not about this store: another host was lost.
    """

    def __init__(
        self,
        folder: str,
        network: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        keep: int,
        chief: bool = True,
        passed_on: tuple[type[Exception], ...] = (),
    ):
        self.folder = folder
        self._passed_on = passed_on
        self._scratch = None if chief else tempfile.mkdtemp(prefix="deeperlab_")
        self._checkpoint = tf.train.Checkpoint(network=network, optimizer=optimizer)
        if not self._scratch:
            storage.makedirs(folder)
        self._manager = tf.train.CheckpointManager(
            self._checkpoint,
            plain_path(self._scratch or folder),
            keep,
            checkpoint_name=_PREFIX,
        )
        if chief:
            _remove(folder, rf"{_PREFIX}-.*(_temp|\.tempstate).*")

    def restore_newest(self) -> str | None:
        """Restores the newest checkpoint that can be read.

        Returns:
          Its path, or None where there is none.

        Raises:
          UserError: it is of another network, or none can be read.
        """
        return restore_newest(self._checkpoint, self.folder)

    def save(self, step: int) -> bool:
        """Saves; where there is no room it says so, and the checkpoints before stay.

        Returns:
          Whether it worked.
        """
        try:
            self._manager.save(checkpoint_number=step)
        except self._passed_on:
            raise
        except (tf.errors.OpError, OSError) as error:
            _remove(self._scratch or self.folder, rf"{_PREFIX}-{step}(\.|_temp).*")
            logging.error(
                "no checkpoint of step %d: %s; the ones before are kept: make room",
                step,
                _reason(error),
            )
            return False
        return True

    def close(self) -> None:
        """Removes the folder of a host that is not the chief."""
        if self._scratch:
            storage.rmtree(self._scratch)


def restore_newest(checkpoint: tf.train.Checkpoint, folder: str) -> str | None:
    """Restores the newest checkpoint in `folder` that can be read; warns of each that cannot.

    Returns:
      Its path, or None where the folder holds none.

    Raises:
      UserError: it is of another network, or none can be read.
    """
    paths = checkpoint_paths(folder)
    for path in paths:
        try:
            restore(checkpoint, path)
            return path
        # IndexError: TensorFlow's for a file that ends too early.
        except (tf.errors.OpError, IndexError) as error:
            logging.warning(
                "checkpoint %s is broken (%s); trying the one before", path, _reason(error)
            )
    if paths:
        raise UserError(
            f"none of the checkpoints in {folder} can be read; remove the folder to start anew."
        )
    return None


def restore(checkpoint: tf.train.Checkpoint, path: str) -> None:
    """Restores objects from a checkpoint file and checks that all that exist were found.

    Raises:
      UserError: the checkpoint is of another network.
      tf.errors.OpError, IndexError: it is broken.
    """
    try:
        status = checkpoint.read(plain_path(storage.for_tensorflow(path)))
        status.assert_existing_objects_matched().expect_partial()
    except (AssertionError, ValueError) as error:
        raise UserError(
            f"checkpoint {path} does not fit this config's network ({_reason(error)}); "
            "use the config it was trained with."
        ) from error


def checkpoint_paths(folder: str) -> list[str]:
    """Prefixes of the checkpoints in a folder, the newest first."""
    found = []
    for name in _names(folder):
        number = re.fullmatch(rf"{_PREFIX}-(\d+)\.index", name)
        if number:
            found.append((int(number[1]), storage.join(folder, name[: -len(".index")])))
    return [path for _, path in sorted(found, reverse=True)]


def _remove(folder: str, pattern: str) -> None:
    """Removes what a save that failed, or was cut off, has left: the names that match."""
    for name in _names(folder):
        if re.fullmatch(pattern, name):
            path = storage.join(folder, name)
            remove = storage.rmtree if storage.isdir(path) else storage.remove
            remove(path)


def _names(folder: str) -> list[str]:
    """Names in a folder, which may be missing."""
    return storage.listdir(folder) if storage.isdir(folder) else []


def _reason(error: Exception) -> str:
    return str(getattr(error, "message", error)).splitlines()[0]
