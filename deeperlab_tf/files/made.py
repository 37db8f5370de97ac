"""Which pictures are results of this library's programs, and no photos.

Results of an input are listed in its JSON (`files.results`), PNGs of ids say so themselves
(`files.stamp`), and of a folder that a program made whole a file in it says so of the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from deeperlab_tf.files import storage
from deeperlab_tf.files.atomic import write_json
from deeperlab_tf.files.reports import read_json_object
from deeperlab_tf.files.results import is_result
from deeperlab_tf.files.stamp import MAKER, is_stamped
from deeperlab_tf.work.names import NameSet

MARK = "made_by.json"


def mark_folder(folder: str, **content: Any) -> None:
    """Says in a folder that all of it was made by a program.

    Args:
      folder: that was made anew.
      **content: what else is good to know about it.
    """
    write_json(storage.join(folder, MARK), dict(made_by=MAKER, **content))


def results_among(jsons: Iterable[str]) -> Callable[[str], bool]:
    """Function of a path that says whether the file is a result of an earlier parse.

    Args:
      jsons: paths of all JSONs that lie among the files.
    """
    there, made = _look_at(jsons)

    def is_ours(file):
        return _is_below(file, made) or is_result(file, there) or is_stamped(file)

    return is_ours


def _look_at(jsons):
    """Which JSONs there are; the folders that are marked."""
    marks = []

    def passing():
        for path in jsons:
            if storage.basename(path) == MARK:
                marks.append(path)
            yield path

    there = NameSet(passing())
    contents = {storage.dirname(path): read_json_object(path) for path in marks}
    made = {folder for folder, found in contents.items() if (found or {}).get("made_by") == MAKER}
    return there, made


def _is_below(path, folders):
    """Whether a file is in one of these folders or below it."""
    parent = storage.dirname(path)
    while folders and parent not in folders:
        path, parent = parent, storage.dirname(parent)
        if parent == path:
            return False
    return bool(folders)
