"""The working folder of a run: its config, its dataset's description, its checkpoints.

WORKDIR/config.json     every value of the config
WORKDIR/dataset.json    the dataset's descriptor
WORKDIR/checkpoints/    network, optimizer and step
WORKDIR/tensorboard/    scalars and image panels
"""

import os

import tensorflow as tf

from deeperlab_tf.config import check_config, config_from_json, config_to_json
from deeperlab_tf.errors import UserError
from deeperlab_tf.files import atomic_path
from deeperlab_tf.model import build_model
from deeperlab_tf.schema import Dataset

CONFIG_FILE = "config.json"
DATASET_FILE = "dataset.json"
CHECKPOINT_DIR = "checkpoints"


def prepare_workdir(workdir, config, dataset, accept_changes=False):
    """Makes `workdir`, or checks that it belongs to the same run.

    Args:
      workdir: folder of the run.
      config: the full config.
      dataset: `schema.Dataset`.
      accept_changes: True: take the new config where it differs from the one in the folder.

    Raises:
      UserError: the folder cannot be written, or holds a run with another config or dataset (names the keys).
    """
    path = os.path.join(workdir, CONFIG_FILE)
    if os.path.exists(path):
        old_config, old_dataset = read_run(workdir)
        changed = changed_keys(old_config.to_dict(), config.to_dict())
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
        with atomic_path(os.path.join(workdir, name)) as temporary, open(temporary, "w", encoding="utf-8") as file:
            file.write(text + "\n")


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
    if not os.path.isdir(workdir):
        raise UserError(f"there is no folder {workdir}; give the --workdir of a training.")
    texts = []
    for name in (CONFIG_FILE, DATASET_FILE):
        path = os.path.join(workdir, name)
        try:
            with open(path, encoding="utf-8") as file:
                texts.append((file.read(), path))
        except OSError as error:
            raise UserError(f"{workdir} is not a run's folder: cannot read {path} ({error.strerror}).") from error
    return check_config(config_from_json(*texts[0])), Dataset.from_json(*texts[1])


def checkpoint_manager(workdir, network, optimizer, keep):
    """tf.train.CheckpointManager of a run: network, optimizer slots and step (the optimizer's iterations)."""
    checkpoint = tf.train.Checkpoint(network=network, optimizer=optimizer)
    return tf.train.CheckpointManager(checkpoint, os.path.join(workdir, CHECKPOINT_DIR), max_to_keep=keep)


def restore(checkpoint, path):
    """Restores objects from a checkpoint file and checks that all that exist were found.

    Raises:
      UserError: the checkpoint is of another network, or broken.
    """
    try:
        checkpoint.restore(path).assert_existing_objects_matched().expect_partial()
    except (AssertionError, ValueError, tf.errors.OpError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"checkpoint {path} does not fit this config's network ({reason}); use the config it was trained with."
        ) from error


def load_run(workdir):
    """The trained network of a run, from its newest checkpoint.

    Args:
      workdir: folder of a training.

    Returns:
      (network, config, dataset): keras.Model, full config, `schema.Dataset`.

    Raises:
      UserError: no run, no checkpoint yet, or one that does not fit.
    """
    config, dataset = read_run(workdir)
    path = tf.train.latest_checkpoint(os.path.join(workdir, CHECKPOINT_DIR))
    if path is None:
        raise UserError(f"{workdir} has no checkpoint yet; train first (scripts/train.py --workdir={workdir}).")
    network = build_model(config.model, dataset)
    restore(tf.train.Checkpoint(network=network), path)
    return network, config, dataset
