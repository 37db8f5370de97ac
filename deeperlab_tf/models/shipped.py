"""A shipped model's folder: what is in it, and whether all of it is as it was made.

config.json, dataset.json   as in a run's folder
weights.npz                 of the network, see `models.weights`
graph.pb.gz, graph.json     the whole parse, see `prediction.graph`
metrics.json                figures, where it was evaluated
README.md                   the card: data and their terms, training, figures, limits
SHA256SUMS                  of all of these; `sha256sum -c` reads it
"""

from __future__ import annotations

from ml_collections import ConfigDict

from deeperlab_tf.config import check_config
from deeperlab_tf.config_json import config_from_json
from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.paths import path_inside
from deeperlab_tf.schema import Dataset

CONFIG_FILE, DATASET_FILE = "config.json", "dataset.json"
WEIGHTS_FILE = "weights.npz"
CARD_FILE, METRICS_FILE = "README.md", "metrics.json"
SUMS_FILE = "SHA256SUMS"

_LOADED = (CONFIG_FILE, DATASET_FILE, WEIGHTS_FILE)


def is_shipped(folder: str) -> bool:
    """Whether a folder is meant to be a shipped model."""
    return any(storage.isfile(storage.join(folder, name)) for name in (SUMS_FILE, WEIGHTS_FILE))


def write_sums(folder: str) -> None:
    """Writes `SUMS_FILE` over all files of a folder."""
    names = sorted(storage.listdir(folder))
    lines = [f"{storage.sha256(storage.join(folder, name))}  {name}\n" for name in names]
    with storage.open(storage.join(folder, SUMS_FILE), "w", encoding="ascii") as file:
        file.writelines(lines)


def verify(folder: str) -> None:
    """Checks that every file is as it was made.

    Raises:
      UserError: one is missing or changed, or the checksums themselves are.
    """
    sums = _read_sums(folder)
    for name in _LOADED:
        if name not in sums:
            raise _broken(folder, SUMS_FILE, f"it does not list {name}")
    for name, expected in sums.items():
        try:
            found = storage.sha256(path_inside(folder, name))
        except OSError as error:
            raise _broken(folder, name, error.strerror) from error
        if found != expected:
            raise _broken(folder, name, "its checksum differs")


def read_description(folder: str) -> tuple[ConfigDict, Dataset]:
    """(config, dataset) of a verified folder.

    Raises:
      UserError: one does not fit this version.
    """
    texts = {}
    for name in (CONFIG_FILE, DATASET_FILE):
        path = storage.join(folder, name)
        with storage.open(path, encoding="utf-8") as file:
            texts[name] = file.read(), path
    config = check_config(config_from_json(*texts[CONFIG_FILE]))
    return config, Dataset.from_json(*texts[DATASET_FILE])


def _read_sums(folder):
    """dict file name -> checksum."""
    try:
        with storage.open(storage.join(folder, SUMS_FILE), encoding="ascii") as file:
            lines = [line.split(maxsplit=1) for line in file.read().splitlines()]
        return {name: expected for expected, name in lines}
    except OSError as error:
        raise _broken(folder, SUMS_FILE, error.strerror) from error
    except ValueError as error:
        raise _broken(folder, SUMS_FILE, "it is no list of checksums") from error


def _broken(folder, name, reason):
    return UserError(
        f"the model in {folder} is damaged: {name} is not as it was made ({reason}); "
        "install it again."
    )
