"""Folders that a program of this library made whole: every picture in them is a result.

What the benchmarks' servers take has no place of its own to say so: VOC's are PNGs alone. So a file
beside these folders does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from deeperlab_tf.files import storage
from deeperlab_tf.files.atomic import write_json
from deeperlab_tf.files.reports import read_json_object
from deeperlab_tf.files.results import MAKER

MARK = "made_by.json"


def mark_folder(folder: str, **content: Any) -> None:
    """Says in a folder that all of it was made by a program.

    Args:
      folder: that was made anew.
      **content: what else is good to know about it.
    """
    write_json(storage.join(folder, MARK), dict(made_by=MAKER, **content))


def made_folders(jsons: Iterable[str]) -> set[str]:
    """Folders that are marked.

    Args:
      jsons: paths of the JSONs that there are, the marks among them.
    """
    marks = [path for path in jsons if storage.basename(path) == MARK]
    contents = {storage.dirname(path): read_json_object(path) for path in marks}
    return {folder for folder, found in contents.items() if (found or {}).get("made_by") == MAKER}


def is_below(path: str, folders: Collection[str]) -> bool:
    """Whether a file is in one of these folders or below it."""
    parent = storage.dirname(path)
    while folders and parent not in folders:
        path, parent = parent, storage.dirname(parent)
        if parent == path:
            return False
    return bool(folders)
