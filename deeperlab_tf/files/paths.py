"""Names of files: where they may lead, and that they are never patterns."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage

_PATTERN_CHARACTERS = "*?[]\\"  # which TensorFlow takes for patterns in the names of checkpoints


def path_inside(root: str | os.PathLike, name: str) -> str:
    """`root`/`name` as an absolute path.

    Names come from annotation files and datasets that strangers made. Links that lie in the folder
    are its owner's, and are followed.

    Raises:
      UserError: the name leaves `root`: it is absolute, or `..` leads out.
    """
    inside = os.path.normpath(name)
    leaves = storage.isabs(name) or inside.split(os.sep)[0] == os.pardir
    if leaves or "\0" in name:
        raise UserError(f"file name {name!r} leaves the folder {root}; refused.")
    return storage.abspath(storage.join(root, inside))


def plain_path(path: str) -> str:
    """`path`, or a link to it where it holds `[`, `]`, `*`, `?` or `\\`.

    TensorFlow takes the paths of checkpoints and SavedModels for patterns, and finds nothing. The
    link lives as long as the process, for variables may be restored later.

    Args:
      path: of a file or a folder, or the prefix of a checkpoint; its folder is what is linked.

    Raises:
      UserError: the path is in a bucket, or no link can be made.
    """
    if not any(character in path for character in _PATTERN_CHARACTERS):
        return path
    if storage.is_remote(path):
        raise UserError(
            f"{path} has one of {' '.join(_PATTERN_CHARACTERS)}, which TensorFlow takes for a "
            "pattern; choose another name."
        )
    folder, name = os.path.split(os.path.abspath(path))
    if any(character in name for character in _PATTERN_CHARACTERS):
        return _link(os.path.abspath(path))
    return os.path.join(_link(folder), name)


@functools.cache
def _link(folder: str) -> str:
    place = tempfile.mkdtemp(prefix="deeperlab_link_")
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    link = os.path.join(place, "folder")
    try:
        os.symlink(folder, link, target_is_directory=True)
    except OSError as error:
        raise UserError(
            f"TensorFlow takes the name {folder} for a pattern; rename the folder."
        ) from error
    return link
