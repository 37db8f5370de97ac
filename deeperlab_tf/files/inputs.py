"""Which of the files in a folder are to be parsed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.images import IMAGE_ENDINGS, is_animated
from deeperlab_tf.files.made import without_results

FILMS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts")
FILMS += (".3gp", ".3g2", ".wmv", ".flv", ".ogv")
# Images that often hold several frames; of a folder, only these are opened to see. An animated
# PNG, which is rare, is told when it is read.
_MAY_MOVE = (".gif", ".webp", ".avif")

_NOT_THE_USERS = ("__MACOSX", "@eaDir")  # folders that unpacking and disk stations add


class Inputs(NamedTuple):
    """The files that an --input names.

    Attributes:
      root: the folder they are in or below.
      images: paths of image files, sorted.
      films: paths of films, sorted.
      passed_over: how many files of the folder are results of earlier parses.
    """

    root: str
    images: list[str]
    films: list[str]
    passed_over: int = 0


def find_inputs(path: str) -> Inputs:
    """What --input names: an image, a film, or a folder of both with its subfolders.

    Hidden files and folders are passed over, and so are results of earlier parses. Links are
    followed.

    Raises:
      UserError: there is nothing, or it holds no image and no film.
    """
    if storage.isfile(path):
        root = storage.dirname(path)
        return Inputs(root, [], [path]) if is_film(path) else Inputs(root, [path], [])
    if not storage.isdir(path):
        raise UserError(
            f"there is no file or folder {path}; give an image, a folder of images or a video."
        )
    return _of_folder(path)


def find_files(folder: str, endings: tuple[str, ...]) -> Iterator[str]:
    """Paths of the files of a folder and its subfolders with these endings, however written.

    Hidden files and folders are passed over, links are followed.

    Args:
      folder: where to look.
      endings: in lower case.
    """
    ways = {}  # of folders that are still to be looked into, the real folders on the way there
    for where, folders, names in storage.walk(folder):
        way = (*ways.pop(where, ()), storage.realpath(where))
        folders[:] = sorted(name for name in folders if _is_below(where, name, way))
        ways.update((storage.join(where, name), way) for name in folders)
        for name in sorted(names):
            if name.lower().endswith(endings) and not name.startswith("."):
                yield storage.join(where, name)


def is_film(path: str) -> bool:
    """Whether a file is a film: by its ending, or as it holds several frames, as a GIF may.

    Raises:
      UserError: it is neither a film nor an image.
    """
    if path.lower().endswith(FILMS):
        return True
    return is_animated(path)


def _of_folder(path):
    found = list(find_files(path, IMAGE_ENDINGS + FILMS))
    files = without_results(found, set(find_files(path, (".json",))))
    results = len(found) - len(files)
    films = [file for file in files if _moves(file)]
    images = sorted(set(files) - set(films))
    if not images and not films:
        besides = f" besides {results} results of earlier parses" if results else ""
        kinds = ", ".join(IMAGE_ENDINGS)
        raise UserError(f"the folder {path} has no images{besides} ({kinds}) or films.")
    return Inputs(path, images, sorted(films), results)


def _moves(file):
    """Whether a file of a folder is a film; a broken one is what its ending says."""
    if not file.lower().endswith(FILMS + _MAY_MOVE):
        return False
    try:
        return is_film(file)
    except UserError:
        return False


def _is_below(where, name, way):
    """Whether a subfolder is to be looked into; a link to a folder on or above the way to it would
    never end.
    """
    if name.startswith(".") or name in _NOT_THE_USERS:
        return False
    if storage.is_remote(where):
        return True
    target = storage.realpath(storage.join(where, name))
    return not any((real + os.sep).startswith(target + os.sep) for real in way)
