"""The working folder of a run: its config, its dataset's description, its checkpoints.

WORKDIR/config.json     every value of the config
WORKDIR/dataset.json    the dataset's descriptor
WORKDIR/run.json        git commit and versions of each start
WORKDIR/checkpoints/    network, optimizer and step
WORKDIR/best/           the one that evaluated best, and best.json
WORKDIR/tensorboard/    scalars and image panels

A workdir may be in a bucket (gs://...).
"""

import json
import os
import re
import shutil
import tempfile

import tensorflow as tf
from absl import logging

from deeperlab_tf.config import check_config
from deeperlab_tf.config_json import config_from_json, config_to_json
from deeperlab_tf.errors import UserError
from deeperlab_tf.files.atomic import atomic_path
from deeperlab_tf.model import build_model
from deeperlab_tf.schema import Dataset
from deeperlab_tf.training.trainer import build_optimizer

CONFIG_FILE = "config.json"
DATASET_FILE = "dataset.json"
CHECKPOINT_DIR, BEST_DIR = "checkpoints", "best"
BEST_FILE = "best.json"
_PREFIX = "ckpt"

# How often and where a run saves may change between its starts; what it computes may not.
FREE_KEYS = (
    "train.checkpoint_every",
    "train.keep_checkpoints",
    "train.log_every",
    "train.panels_every",
    "train.num_panels",
    "train.steps_per_execution",
    "train.evaluate_every",
    "train.evaluate_images",
)


def prepare_workdir(workdir, config, dataset, accept_changes=False):
    """Makes `workdir`, or checks that it belongs to the same run.

    Args:
      workdir: folder of the run.
      config: the full config.
      dataset: `schema.Dataset`.
      accept_changes: True: take the new config where it differs from the one in the folder.

    Raises:
      UserError: the folder cannot be written, or holds a run with another config or dataset (names
        the keys).
    """
    path = os.path.join(workdir, CONFIG_FILE)
    if tf.io.gfile.exists(path):
        old_config, old_dataset = read_run(workdir)
        changed = changed_keys(old_config.to_dict(), config.to_dict())
        changed = [key for key in changed if key not in FREE_KEYS]
        if changed and not accept_changes:
            raise UserError(
                f"{workdir} holds a run with another config ({', '.join(changed)} differ); use another --workdir, or "
                f"go on with the new values by --accept_changes."
            )
        if old_dataset != dataset:
            raise UserError(
                f"{workdir} holds a run on other classes ({DATASET_FILE} differs); choose another --workdir."
            )
    for name, text in ((CONFIG_FILE, config_to_json(config)), (DATASET_FILE, dataset.to_json())):
        write_text(os.path.join(workdir, name), text + "\n")


def write_text(path, text):
    """Writes a file whole or not at all, in a folder that is made where missing, or in a bucket."""
    if "://" in path:  # an object of a bucket is there once it is whole
        with tf.io.gfile.GFile(path, "w") as file:
            file.write(text)
        return
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(text)


def changed_keys(old, new, prefix=""):
    """Dotted keys whose values differ between two nested dicts."""
    changed = []
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            changed += changed_keys(before, after, f"{prefix}{key}.")
        elif before != after:
            changed.append(prefix + key)
    return changed


def read_run(workdir):
    """(config, dataset) of a run's folder.

    Raises:
      UserError: no such folder, no run in it, or a broken file.
    """
    if not tf.io.gfile.isdir(workdir):
        raise UserError(f"there is no folder {workdir}; give the --workdir of a training.")
    texts = []
    for name in (CONFIG_FILE, DATASET_FILE):
        path = os.path.join(workdir, name)
        try:
            with tf.io.gfile.GFile(path) as file:
                texts.append((file.read(), path))
        except (tf.errors.OpError, UnicodeDecodeError) as error:
            reason = str(error).splitlines()[0].split("; ")[-1]
            raise UserError(
                f"{workdir} is not a run's folder: cannot read {path} ({reason})."
            ) from error
    return check_config(config_from_json(*texts[0])), Dataset.from_json(*texts[1])


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


def load_run(workdir, best=False):
    """The trained network of a run; its weights' moving average where the config keeps one.

    Args:
      workdir: folder of a training.
      best: True: from the checkpoint that evaluated best, False: from the newest.

    Returns:
      (network, config, dataset): keras.Model, full config, `schema.Dataset`.

    Raises:
      UserError: no run, no checkpoint yet, or one that does not fit.
    """
    config, dataset = read_run(workdir)
    network = build_model(config.model, dataset)
    parts = dict(network=network)
    if config.train.ema:
        parts["optimizer"] = build_optimizer(config)
        parts["optimizer"].build(network.trainable_variables)
    folder = os.path.join(workdir, BEST_DIR if best else CHECKPOINT_DIR)
    if restore_newest(tf.train.Checkpoint(**parts), folder) is None:
        if best:
            raise UserError(
                f"{folder} has no checkpoint; train with config.train.evaluate_every to get a best one."
            )
        raise UserError(
            f"{workdir} has no checkpoint yet; train first (scripts/train.py --workdir={workdir})."
        )
    if config.train.ema:
        parts["optimizer"].finalize_variable_values(network.trainable_variables)
    return network, config, dataset


def read_best(workdir):
    """What best.json of a run holds, or None."""
    path = os.path.join(workdir, BEST_DIR, BEST_FILE)
    if not tf.io.gfile.exists(path):
        return None
    with tf.io.gfile.GFile(path) as file:
        return json.loads(file.read())
