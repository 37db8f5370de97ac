"""The working folder of a run: what it holds, and whether it belongs to the same run.

WORKDIR/config.json     every value of the config
WORKDIR/dataset.json    the dataset's descriptor
WORKDIR/run.json        git commit and versions of the newest start
WORKDIR/checkpoints/    network, optimizer and step
WORKDIR/best/           the one that evaluated best, and best.json
WORKDIR/tensorboard/    scalars and image panels

A workdir may be in a bucket that TensorFlow can write to (gs://...).
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from typing import Any

import tensorflow as tf
from ml_collections import ConfigDict

from deeperlab_tf.compat import keras
from deeperlab_tf.config import check_config
from deeperlab_tf.config_json import config_from_json, config_to_json
from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.atomic import write_text
from deeperlab_tf.model import build_model
from deeperlab_tf.models.shipped import CONFIG_FILE, DATASET_FILE, WEIGHTS_FILE, is_shipped, verify
from deeperlab_tf.models.weights import fill, read_weights
from deeperlab_tf.schema import Dataset
from deeperlab_tf.training.checkpoints import restore_newest
from deeperlab_tf.training.frozen import freeze
from deeperlab_tf.training.optimizer import build_optimizer

RUN_FILE = "run.json"
CHECKPOINT_DIR = "checkpoints"
BEST_DIR = "best"
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


# === Config and dataset ===


def prepare_workdir(
    workdir: str, config: ConfigDict, dataset: Dataset, accept_changes: bool = False
) -> None:
    """Makes `workdir`, or checks that it belongs to the same run.

    Args:
      workdir: folder of the run.
      config: the full config.
      dataset: the classes.
      accept_changes: True: take the new config where it differs from the one in the folder.

    Raises:
      UserError: the folder cannot be written, or holds a run with another config or dataset (names
        the keys).
    """
    if not storage.is_read_by_tensorflow(workdir):
        raise UserError(
            f"TensorFlow, which writes the checkpoints, has no file system for {workdir}; install "
            "tensorflow-io, which has more of them, or choose another --workdir."
        )
    if storage.exists(storage.join(workdir, CONFIG_FILE)):
        old_config, old_dataset = read_run(workdir)
        changed = changed_keys(old_config.to_dict(), config.to_dict())
        changed = [key for key in changed if key not in FREE_KEYS]
        if changed and not accept_changes:
            raise UserError(
                f"{workdir} holds a run with another config ({', '.join(changed)} differ); "
                "use another --workdir, or go on with the new values by --accept_changes."
            )
        if old_dataset != dataset:
            raise UserError(
                f"{workdir} holds a run on other classes ({DATASET_FILE} differs); "
                "choose another --workdir."
            )
    else:
        _check_nobodys(workdir)
    write_text(storage.join(workdir, CONFIG_FILE), config_to_json(config) + "\n")
    write_text(storage.join(workdir, DATASET_FILE), dataset.to_json() + "\n")


def _check_nobodys(workdir: str) -> None:
    """Raises UserError if a folder that holds no run has files with the names of a run's."""
    for name in (DATASET_FILE, RUN_FILE):
        if storage.exists(storage.join(workdir, name)):
            raise UserError(
                f"{workdir} has a {name} but holds no run; choose another --workdir, which may be "
                "a new folder."
            )


def changed_keys(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """Dotted keys whose values differ between two nested dicts."""
    changed = []
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            changed += changed_keys(before, after, f"{prefix}{key}.")
        elif before != after:
            changed.append(prefix + key)
    return changed


def read_run(workdir: str) -> tuple[ConfigDict, Dataset]:
    """(config, dataset) of a run's folder.

    Raises:
      UserError: no such folder, no run in it, or a broken file.
    """
    if not storage.isdir(workdir):
        raise UserError(f"there is no folder {workdir}; give the --workdir of a training.")
    config_path = storage.join(workdir, CONFIG_FILE)
    dataset_path = storage.join(workdir, DATASET_FILE)
    config_text = _read_text(config_path, workdir)
    dataset_text = _read_text(dataset_path, workdir)
    config = check_config(config_from_json(config_text, config_path))
    return config, Dataset.from_json(dataset_text, dataset_path)


def _read_text(path: str, workdir: str) -> str:
    try:
        with storage.open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(
            f"{workdir} is not a run's folder: cannot read {path} ({reason})."
        ) from error


# === The trained network ===


def load_run(workdir: str, best: bool = False) -> tuple[keras.Model, ConfigDict, Dataset]:
    """The trained network of a run; its weights' moving average where the config keeps one.

    Args:
      workdir: folder of a training, or of a shipped model.
      best: True: from the checkpoint that evaluated best, False: from the newest.

    Returns:
      (network, config, dataset): keras.Model, full config, classes.

    Raises:
      UserError: no run, no checkpoint yet, or one that does not fit; a damaged shipped model.

    Example:
      network, config, dataset = load_run("runs/shapes")
    """
    if is_shipped(workdir):
        return _load_shipped(workdir)
    config, dataset = read_run(workdir)
    network = build_model(config.model, dataset)
    freeze(network, config.train)
    variables = network.trainable_variables
    parts = {"network": network}
    if config.train.ema:
        # The averages are the optimizer's.
        optimizer = build_optimizer(config)
        optimizer.build(variables)
        parts["optimizer"] = optimizer

    folder = storage.join(workdir, BEST_DIR if best else CHECKPOINT_DIR)
    if restore_newest(tf.train.Checkpoint(**parts), folder) is None:
        raise _no_checkpoint(workdir, folder, best)
    if config.train.ema:
        optimizer.finalize_variable_values(variables)
    return network, config, dataset


def _load_shipped(folder: str) -> tuple[keras.Model, ConfigDict, Dataset]:
    """`load_run` of a shipped model: its weights are the averages."""
    verify(folder)
    config, dataset = read_run(folder)
    network = build_model(config.model, dataset)
    path = storage.join(folder, WEIGHTS_FILE)
    fill(network, read_weights(path), path)
    return network, config, dataset


def _no_checkpoint(workdir: str, folder: str, best: bool) -> UserError:
    if best:
        return UserError(
            f"{folder} has no checkpoint; train with config.train.evaluate_every to get a best one."
        )
    return UserError(
        f"{workdir} has no checkpoint yet; train first (scripts/train.py --workdir={workdir})."
    )


# === The best evaluation ===


def write_best(workdir: str, step: int, metrics: dict[str, float]) -> None:
    """Writes best.json: the step and the metrics of the best checkpoint, finite ones only."""
    finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
    text = json.dumps({"step": step, **finite}, indent=2)
    write_text(storage.join(workdir, BEST_DIR, BEST_FILE), text + "\n")


def read_best(workdir: str) -> dict[str, float] | None:
    """What best.json of a run holds, or None where there is none."""
    path = storage.join(workdir, BEST_DIR, BEST_FILE)
    if not storage.exists(path):
        return None
    with storage.open(path) as file:
        return json.loads(file.read())


# === Provenance ===


def write_provenance(workdir: str) -> None:
    """Writes run.json: git commit (None outside a checkout), versions, command and time."""
    commit, changes = _git_state()
    values = {
        "git_commit": commit,
        "git_changes": changes,
        "tensorflow": tf.__version__,
        "python": sys.version.split()[0],
        "command": sys.argv,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    write_text(storage.join(workdir, RUN_FILE), json.dumps(values, indent=2) + "\n")


def _git_state() -> tuple[str | None, bool | None]:
    """(commit of this program's checkout, whether its files differ from it)."""
    try:
        commit = _git("rev-parse", "HEAD")
        changes = _git("status", "--porcelain", "--untracked-files=no")
    except OSError:  # no git here
        return None, None
    return commit, None if changes is None else bool(changes)


def _git(*arguments: str) -> str | None:
    checkout = storage.dirname(storage.dirname(storage.dirname(storage.abspath(__file__))))
    command = ["git", "-C", checkout, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout.strip() if result.returncode == 0 else None
