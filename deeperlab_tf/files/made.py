"""Which pictures are results of this library's programs, and no photos.

Results of an input are listed in its JSON (`files.results`), PNGs of ids say so themselves
(`files.stamp`), and of a folder that a program made whole a file in it says so of the rest.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from deeperlab_tf.files import storage
from deeperlab_tf.files.atomic import write_json
from deeperlab_tf.files.reports import read_json_object
from deeperlab_tf.files.results import is_result
from deeperlab_tf.files.stamp import MAKER, is_stamped

MARK = "made_by.json"


def mark_folder(folder: str, **content: Any) -> None:
    """Says in a folder that all of it was made by a program.

    Args:
      folder: that was made anew.
      **content: what else is good to know about it.
    """
    write_json(storage.join(folder, MARK), dict(made_by=MAKER, **content))


def without_results(files: Iterable[str], jsons: Collection[str]) -> list[str]:
    """Those of some files that are no results of earlier parses.

    Args:
      files: paths.
      jsons: paths of all JSONs that lie among them.
    """
    made = _made_folders(jsons)

    def is_ours(file):
        return _is_below(file, made) or is_result(file, jsons) or is_stamped(file)

    return [file for file in files if not is_ours(file)]


def _made_folders(jsons):
    """Folders that are marked."""
    marks = [path for path in jsons if storage.basename(path) == MARK]
    contents = {storage.dirname(path): read_json_object(path) for path in marks}
    return {folder for folder, found in contents.items() if (found or {}).get("made_by") == MAKER}


def _is_below(path, folders):
    """Whether a file is in one of these folders or below it."""
    parent = storage.dirname(path)
    while folders and parent not in folders:
        path, parent = parent, storage.dirname(parent)
        if parent == path:
            return False
    return bool(folders)
