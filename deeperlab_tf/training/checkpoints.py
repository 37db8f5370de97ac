"""The checkpoints of a run: saved with care, restored with checks."""

import os
import re
import shutil
import tempfile

import tensorflow as tf
from absl import logging

from deeperlab_tf.errors import UserError

_PREFIX = "ckpt"


class Store:
    """The newest checkpoints of a run: network, optimizer slots, moving averages, and the step.

    Args:
      folder: where they are; made where missing.
      network, optimizer: what is saved.
      keep: how many.
      chief: False on the other hosts of several: they take part in saving, as TensorFlow demands,
        into a folder of their own that is removed at once.
      passed_on: errors of a save that are not about this store: another host was lost.
    """

    def __init__(self, folder, network, optimizer, keep, chief=True, passed_on=()):
        self.folder = folder
        self._passed_on = passed_on
        self._scratch = None if chief else tempfile.mkdtemp(prefix="deeperlab_")
        self.checkpoint = tf.train.Checkpoint(network=network, optimizer=optimizer)
        self._manager = tf.train.CheckpointManager(
            self.checkpoint, self._scratch or folder, keep, checkpoint_name=_PREFIX
        )
        if chief:
            _remove(os.path.join(folder, f"{_PREFIX}-*"), ("_temp*", "*.tempstate*"))

    def restore_newest(self):
        """Restores the newest checkpoint that can be read; returns its path, or None where there is
        none.

        Raises:
          UserError: it is of another network, or none can be read.
        """
        return restore_newest(self.checkpoint, self.folder)

    def save(self, step):
        """Saves; where there is no room it says so, and the checkpoints before stay. Returns
        whether it worked.
        """
        try:
            self._manager.save(checkpoint_number=step)
        except self._passed_on:
            raise
        except (tf.errors.OpError, OSError) as error:
            reason = str(getattr(error, "message", error)).splitlines()[0]
            _remove(os.path.join(self._scratch or self.folder, f"{_PREFIX}-{step}"))
            logging.error(
                "no checkpoint of step %d: %s; the ones before are kept: make room", step, reason
            )
            return False
        return True

    def close(self):
        """Removes the folder of a host that is not the chief."""
        if self._scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)


def restore_newest(checkpoint, folder):
    """Restores the newest checkpoint in `folder` that can be read, with a warning for each that
    cannot.

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
            reason = str(getattr(error, "message", error)).splitlines()[0]
            logging.warning("checkpoint %s is broken (%s); trying the one before", path, reason)
    if paths:
        raise UserError(
            f"none of the checkpoints in {folder} can be read; remove the folder to start anew."
        )
    return None


def checkpoint_paths(folder):
    """Prefixes of the checkpoints in a folder, the newest first."""
    found = []
    for path in tf.io.gfile.glob(os.path.join(folder, f"{_PREFIX}-*.index")):
        number = re.fullmatch(rf"{_PREFIX}-(\d+)\.index", os.path.basename(path))
        if number:
            found.append((int(number[1]), path[: -len(".index")]))
    return [path for _, path in sorted(found, reverse=True)]


def _remove(prefix, endings=(".*", "_temp*")):
    """Removes what a save that failed, or was cut off, has left."""
    for path in tf.io.gfile.glob([prefix + ending for ending in endings]):
        (tf.io.gfile.rmtree if tf.io.gfile.isdir(path) else tf.io.gfile.remove)(path)


def restore(checkpoint, path):
    """Restores objects from a checkpoint file and checks that all that exist were found.

    Raises:
      UserError: the checkpoint is of another network.
      tf.errors.OpError, IndexError: it is broken.
    """
    try:
        checkpoint.read(path).assert_existing_objects_matched().expect_partial()
    except (AssertionError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"checkpoint {path} does not fit this config's network ({reason}); use the config it was trained with."
        ) from error
