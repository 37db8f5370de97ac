"""Which weights a model has, without loading them."""

from __future__ import annotations

import hashlib
import json

from deeperlab_tf import models
from deeperlab_tf.files import storage
from deeperlab_tf.models.shipped import SUMS_FILE, is_shipped
from deeperlab_tf.prediction.loading import is_export, saved_model_folder


def weights_digest(model: str) -> str:
    """A checksum that changes with a model's weights.

    Args:
      model: a run, an export or the name of a shipped model.

    Returns:
      SHA-256 of the names, sizes and times of the files that hold them; of a shipped model, that of
      its own checksums.

    Raises:
      UserError: there is no such model.
    """
    folder = models.find(model)
    if is_shipped(folder):
        return storage.sha256(storage.join(folder, SUMS_FILE))
    if is_export(folder):
        folders = [saved_model_folder(folder) or folder]
    else:
        # Imported here: it loads TensorFlow.
        from deeperlab_tf.training.workdir import BEST_DIR, CHECKPOINT_DIR

        # Evaluations and reports may lie beside these.
        folders = [storage.join(folder, name) for name in (CHECKPOINT_DIR, BEST_DIR)]
    digest = hashlib.sha256()
    for each in folders:
        for entry in sorted(_entries(each)):
            digest.update(json.dumps(entry).encode())
    return digest.hexdigest()


def _entries(folder: str) -> list[tuple[str, int, int]]:
    """Name, bytes and time of each file."""
    entries = []
    for parent, _, names in storage.walk(folder) if storage.isdir(folder) else ():
        for name in names:
            path = storage.join(parent, name)
            found = storage.facts(path)
            if found is not None:
                entries.append((storage.relpath(path, folder), found.size, found.changed))
    return entries
