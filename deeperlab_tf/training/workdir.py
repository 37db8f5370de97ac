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
import subprocess
import sys
import time

import tensorflow as tf

from deeperlab_tf.config import check_config
from deeperlab_tf.config_json import config_from_json, config_to_json
from deeperlab_tf.errors import UserError
from deeperlab_tf.files.atomic import atomic_path
from deeperlab_tf.model import build_model
from deeperlab_tf.schema import Dataset
from deeperlab_tf.training.checkpoints import restore_newest
from deeperlab_tf.training.optimizer import build_optimizer

RUN_FILE = "run.json"
CONFIG_FILE = "config.json"
DATASET_FILE = "dataset.json"
CHECKPOINT_DIR, BEST_DIR = "checkpoints", "best"
BEST_FILE = "best.json"

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


def write_provenance(workdir):
    """Writes run.json."""
    write_text(os.path.join(workdir, RUN_FILE), _provenance())


def _provenance():
    """JSON text: the git commit this program is of (None outside a checkout), versions, command and
    time.
    """

    def git(*arguments):
        folder = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        result = subprocess.run(
            ["git", "-C", folder, *arguments], capture_output=True, text=True, check=False
        )
        return result.stdout.strip() if result.returncode == 0 else None

    try:
        commit, changes = (
            git("rev-parse", "HEAD"),
            git("status", "--porcelain", "--untracked-files=no"),
        )
    except OSError:  # no git here
        commit, changes = None, None
    values = {
        "git_commit": commit,
        "git_changes": None if changes is None else bool(changes),
        "tensorflow": tf.__version__,
        "python": sys.version.split()[0],
        "command": sys.argv,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    return json.dumps(values, indent=2) + "\n"
