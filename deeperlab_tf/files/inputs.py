"""Which of the files in a folder are to be parsed."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.images import IMAGE_ENDINGS, is_animated
from deeperlab_tf.files.made import results_among
from deeperlab_tf.work.names import sorted_names
from deeperlab_tf.work.walking import common_folder, is_pattern, matching, read_lines, walk

FILMS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts")
FILMS += (".3gp", ".3g2", ".wmv", ".flv", ".ogv")
# Images that often hold several frames; of a folder, only these are opened to see. An animated
# PNG, which is rare, is told when it is read.
_MAY_MOVE = (".gif", ".webp", ".avif")

LISTS = (".txt", ".lst")


class Inputs(NamedTuple):
    """The files that an --input names.

    Attributes:
      root: the folder they are in or below.
      images: paths of image files, sorted; of millions, on the disk.
      films: paths of films, sorted.
      passed_over: how many files of the folder are results of earlier parses.
    """

    root: str
    images: Sequence[str]
    films: Sequence[str]
    passed_over: int = 0


def find_inputs(path: str) -> Inputs:
    """What --input names: an image, a film, a folder of both with its subfolders, a list of files
    (.txt), or a pattern: photos/*/left_?.jpg, photos/**/*.png.

    Hidden files and folders are passed over, and so are results of earlier parses. Links are
    followed.

    Raises:
      UserError: there is nothing, or it holds no image and no film.
    """
    if storage.isfile(path):
        if path.lower().endswith(LISTS):
            return of_list(path)
        root = storage.dirname(path)
        return Inputs(root, [], [path]) if is_film(path) else Inputs(root, [path], [])
    if storage.isdir(path):
        files = find_files(path, IMAGE_ENDINGS + FILMS)
        return _of_folder(path, files, f"the folder {path} has")
    # What exists is never a pattern.
    if is_pattern(path):
        root, files = matching(path)
        fitting = (file for file in files if file.lower().endswith(IMAGE_ENDINGS + FILMS))
        return _of_folder(root, fitting, f"the pattern {path} leads to")
    raise UserError(
        f"there is no file or folder {path}; give an image, a folder of images, a list of files "
        "(.txt), a pattern (photos/*.jpg) or a video."
    )


def find_files(folder: str, endings: tuple[str, ...]) -> Iterator[str]:
    """Paths of the files of a folder and its subfolders with these endings, however written.

    Hidden files and folders are passed over, links are followed.

    Args:
      folder: where to look.
      endings: in lower case.
    """
    return walk(folder, lambda path: path.lower().endswith(endings))


def is_film(path: str) -> bool:
    """Whether a file is a film: by its ending, or as it holds several frames, as a GIF may.

    Raises:
      UserError: it is neither a film nor an image.
    """
    if path.lower().endswith(FILMS):
        return True
    return is_animated(path)


def _of_folder(root: str, files: Iterable[str], what_has: str) -> Inputs:
    is_ours = results_among(find_files(root, (".json",)))
    films, results = [], 0

    def images():
        nonlocal results
        for file in files:
            if is_ours(file):
                results += 1
            elif _moves(file):
                films.append(file)
            else:
                yield file

    found = sorted_names(images())
    if not found and not films:
        besides = f" besides {results} results of earlier parses" if results else ""
        kinds = ", ".join(IMAGE_ENDINGS)
        raise UserError(f"{what_has} no images{besides} ({kinds}) or films.")
    return Inputs(root, found, sorted(films), results)


def of_list(path: str) -> Inputs:
    """The files that a list names, one a line; what is not absolute is from the list's folder.

    They are not looked for: one that is not there is told when it is read.

    Raises:
      UserError: the list is empty, no text, or names a file twice.
    """
    films = []

    def images():
        for file in read_lines(path):
            if _moves(file):
                films.append(file)
            else:
                yield file

    found = sorted_names(images())
    films.sort()
    ends = [end for some in (found, films) if some for end in (some[0], some[-1])]
    if not ends:
        raise UserError(f"the list {path} is empty; write the path of one image per line.")
    for some in (found, films):
        neighbours = zip(some, itertools.islice(some, 1, None))
        twice = next((one for one, two in neighbours if one == two), None)
        if twice is not None:
            raise UserError(f"the list {path} names {twice!r} twice; name each image once.")
    return Inputs(common_folder(min(ends), max(ends)), found, films)


def _moves(file):
    """Whether a file of a folder is a film; a broken one is what its ending says."""
    if not file.lower().endswith(FILMS + _MAY_MOVE):
        return False
    try:
        return is_film(file)
    except UserError:
        return False
