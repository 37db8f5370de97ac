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
from deeperlab_tf.work.names import NameSet

MARK = "made_by.json"


def mark_folder(folder: str, **content: Any) -> None:
    """Says in a folder that all of it was made by a program.

    Args:
      folder: that was made anew.
      **content: what else is good to know about it.
    """
    write_json(storage.join(folder, MARK), dict(made_by=MAKER, **content))


def look_at_jsons(paths: Iterable[str]) -> tuple[NameSet, set[str]]:
    """What the JSONs among pictures tell: results have one beside them.

    Args:
      paths: of all JSONs that there are.

    Returns:
      which there are; the folders that are marked.
    """
    marks = []

    def passing():
        for path in paths:
            if storage.basename(path) == MARK:
                marks.append(path)
            yield path

    there = NameSet(passing())
    contents = {storage.dirname(path): read_json_object(path) for path in marks}
    made = {folder for folder, found in contents.items() if (found or {}).get("made_by") == MAKER}
    return there, made


def is_below(path: str, folders: Collection[str]) -> bool:
    """Whether a file is in one of these folders or below it."""
    parent = storage.dirname(path)
    while folders and parent not in folders:
        path, parent = parent, storage.dirname(parent)
        if parent == path:
            return False
    return bool(folders)
