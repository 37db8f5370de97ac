"""Where the photo is that an annotation file names, as it was written on somebody's machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.images import IMAGE_ENDINGS
from deeperlab_tf.files.paths import path_inside
from deeperlab_tf.work.names import NameSet, kept_names, repeated_places
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


class PhotoFinder:
    """Finds the photos that an annotation file names.

    Args:
      folders: as of `find_photo`.
      where: the file.
    """

    def __init__(self, folders: Sequence[str], where: str):
        self._folders, self._where = folders, where
        self._asked, self._lacking, self._first_lacking = 0, 0, ""

    def __call__(self, file_name: str) -> str:
        """Path of a photo; where it should be, if there is none."""
        path = find_photo(file_name, self._folders)
        self._asked += 1
        if path is not None:
            return path
        self._first_lacking = self._first_lacking if self._lacking else file_name
        self._lacking += 1
        return storage.join(self._folders[0], file_name)

    def check(self, total: int) -> None:
        """Fails if no photo at all was found: then the folder is wrong, not a photo lost.

        Args:
          total: images of the file.

        Raises:
          UserError: says where was looked.
        """
        if self._lacking and self._lacking == total:
            raise UserError(
                f"none of the {total} photos of {self._where} was found, such as "
                f"{self._first_lacking!r}: looked in {', '.join(self._folders)}; put the photos "
                "there, or check config.data.root."
            )


def check_photos_once(
    photos: Sequence[str | None], annotations: Sequence[str], where: str = ""
) -> None:
    """Fails if two annotations are of one photo: it would be learned twice, with different labels.

    Args:
      photos: paths, None where one is not known.
      annotations: what annotates each of them.
      where: the file that the annotations are in, if it is one.

    Raises:
      UserError: names both annotations.
    """
    if repeated := repeated_places(photos):
        first, second = (annotations[place] for place in repeated)
        inside = f" in {where}" if where else ""
        raise UserError(
            f"{first} and {second}{inside} are both of the photo {photos[repeated[0]]}; remove one."
        )


def unnamed_photos(
    named: Iterable[str], of_others: Callable[[], Iterable[str]], besides: str = ""
) -> list[str]:
    """Sentences about photos beside those of a split that are in none.

    Looked at are the folders in which its photos lie, not those below: anything may lie there.

    Args:
      named: paths of the photos; gone through twice.
      of_others: gives those of the other splits; asked only if there are photos left.
      besides: a folder whose pictures are no photos.
    """
    known = NameSet(map(storage.normpath, named))
    folders = {storage.dirname(storage.normpath(path)) for path in named}
    folders -= {storage.normpath(besides)}
    left = {}
    for folder in sorted(folder for folder in folders if storage.isdir(folder)):
        left[folder] = kept_names(
            n for n in _pictures(folder) if storage.join(folder, n) not in known
        )
    others = NameSet(map(storage.normpath, of_others()) if any(left.values()) else ())
    sentences = []
    for folder, names in left.items():
        names = sorted(name for name in names if storage.join(folder, name) not in others)
        if names:
            sentences.append(f"{len(names)} photos in {folder} are in no split: {', '.join(names)}")
    return sentences


def _pictures(folder: str) -> Iterator[str]:
    """Names of what looks like an image and is not hidden."""
    for name, _ in storage.scan(folder):
        if name.lower().endswith(IMAGE_ENDINGS) and name[0] != ".":
            yield name
