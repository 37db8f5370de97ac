"""Where the photo is that an annotation file names, as it was written on somebody's machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.images import IMAGE_ENDINGS
from deeperlab_tf.files.paths import path_inside
from input_pipeline.datasets.layout import existing_file


def find_photo(file_name: str, folders: Sequence[str]) -> str | None:
    """The first of `folders`/`file_name` that exists, or None.

    Backslashes count as slashes where they lead to nothing else, as do capitals of the ending.

    Raises:
      UserError: the name leaves the folders.
    """
    names = dict.fromkeys((file_name, file_name.replace("\\", "/")))
    for name in names:
        for folder in folders:
            path = existing_file(path_inside(folder, name))
            if path is not None:
                return path
    return None


def require_photos(
    lacking: Sequence[str], total: int, where: str, looked_in: Sequence[str]
) -> None:
    """Fails if no photo at all was found: then the folder is wrong, not a photo lost.

    Raises:
      UserError: says where was looked.
    """
    if lacking and len(lacking) == total:
        raise UserError(
            f"none of the {total} photos of {where} was found, such as {lacking[0]!r}: looked in "
            f"{', '.join(looked_in)}; put the photos there, or check config.data.root."
        )


def check_photos_once(annotated: Iterable[tuple[str | None, str]], where: str = "") -> None:
    """Fails if two annotations are of one photo: it would be learned twice, with different labels.

    Args:
      annotated: pairs of the path of a photo, None where it is not known, and what annotates it.
      where: the file that the annotations are in, if it is one.

    Raises:
      UserError: names both annotations.
    """
    first = {}
    for path, annotation in annotated:
        if path is None:
            continue
        if path in first:
            inside = f" in {where}" if where else ""
            raise UserError(
                f"{first[path]} and {annotation}{inside} are both of the photo {path}; remove one."
            )
        first[path] = annotation


def unnamed_photos(
    named: Iterable[str], of_others: Callable[[], set[str]], besides: str = ""
) -> list[str]:
    """Sentences about photos beside those of a split that are in none.

    Looked at are the folders in which its photos lie, not those below: anything may lie there.

    Args:
      named: paths of the photos.
      of_others: gives those of the other splits; asked only if there are photos left.
      besides: a folder whose pictures are no photos.
    """
    named = {storage.normpath(path) for path in named}
    folders = {storage.dirname(path) for path in named} - {storage.normpath(besides)}
    left = {}
    for folder in sorted(folder for folder in folders if storage.isdir(folder)):
        entries = [n for n in storage.listdir(folder) if n.lower().endswith(IMAGE_ENDINGS)]
        paths = {storage.join(folder, name): name for name in entries if name[0] != "."}
        left[folder] = {path: name for path, name in paths.items() if path not in named}
    others = {storage.normpath(path) for path in of_others()} if any(left.values()) else set()
    sentences = []
    for folder, paths in left.items():
        names = sorted(name for path, name in paths.items() if path not in others)
        if names:
            sentences.append(f"{len(names)} photos in {folder} are in no split: {', '.join(names)}")
    return sentences
