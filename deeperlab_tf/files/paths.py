"""Names of files and folders, on this machine or in a bucket: `os.path` for both; where names may
lead, and that they are never patterns.

Nothing here asks whether a file exists, but `realpath`.
"""

from __future__ import annotations

import atexit
import functools
import os
import posixpath
import re
import shutil
import tempfile
from typing import NamedTuple, Union

from deeperlab_tf.errors import UserError

_MARK = "://"
_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_PATTERN_CHARACTERS = "*?[]\\"  # which TensorFlow takes for patterns in the names of checkpoints

Path = Union[str, os.PathLike]


class Facts(NamedTuple):
    """What is known of a file without reading it.

    Attributes:
      is_folder: or what a bucket has for one: a name that others begin with.
      size: bytes.
      changed: when, in nanoseconds since 1970.
    """

    is_folder: bool
    size: int
    changed: int


def is_remote(path: Path) -> bool:
    """Whether a path is of another file system than this machine's own."""
    return _REMOTE.match(os.fspath(path)) is not None


def join(folder: Path, *names: Path) -> str:
    """`os.path.join`; what is absolute, a bucket's too, begins anew."""
    path = os.fspath(folder)
    for name in map(os.fspath, names):
        if is_remote(name):
            path = name
        else:
            path = (posixpath if is_remote(path) else os.path).join(path, name)
    return path


def split(path: Path) -> tuple[str, str]:
    """(folder, name); a bucket itself is the folder of nothing."""
    path = os.fspath(path)
    if not is_remote(path):
        return os.path.split(path)
    scheme, inside = path.split(_MARK, 1)
    folder, name = posixpath.split(inside)
    return scheme + _MARK + folder, name


def dirname(path: Path) -> str:
    """The folder a file is in."""
    return split(path)[0]


def basename(path: Path) -> str:
    """A file's name within its folder."""
    return split(path)[1]


def splitext(path: Path) -> tuple[str, str]:
    """("gs://b/x", ".png") of gs://b/x.png."""
    return os.path.splitext(os.fspath(path))


def isabs(path: Path) -> bool:
    """Whether a path means the same in every folder."""
    return is_remote(path) or os.path.isabs(path)


def normpath(path: Path) -> str:
    """The path without `.`, `..` and doubled slashes."""
    path = os.fspath(path)
    if not is_remote(path):
        return os.path.normpath(path)
    scheme, inside = path.split(_MARK, 1)
    inside = posixpath.normpath("/" + inside).strip("/")
    return scheme + _MARK + inside


def abspath(path: Path) -> str:
    """The normalised path from the root of the disk, or of the bucket."""
    return normpath(path) if is_remote(path) else os.path.abspath(path)


def realpath(path: Path) -> str:
    """The same, with links followed; buckets have none."""
    return normpath(path) if is_remote(path) else os.path.realpath(path)


def relpath(path: Path, start: Path = ".") -> str:
    """The way from folder `start` to `path`; `path` itself where there is none."""
    path, start = os.fspath(path), os.fspath(start)
    if not is_remote(path) and not is_remote(start):
        return os.path.relpath(path, start)
    parts = [where.split(_MARK, 1) for where in (normpath(path), normpath(start))]
    if len(parts[1]) == 1 or parts[0][0] != parts[1][0]:
        return path
    return posixpath.relpath(*("/" + inside for _, inside in parts))


def expanduser(path: Path) -> str:
    """The path with the home folder for `~`."""
    return os.fspath(path) if is_remote(path) else os.path.expanduser(path)


# === Where names may lead ===


def path_inside(root: Path, name: str) -> str:
    """`root`/`name` as an absolute path.

    Names come from annotation files and datasets that strangers made. Links that lie in the folder
    are its owner's, and are followed.

    Raises:
      UserError: the name leaves `root`: it is absolute, or `..` leads out.
    """
    inside = os.path.normpath(name)
    leaves = isabs(name) or inside.split(os.sep)[0] == os.pardir
    if leaves or "\0" in name:
        raise UserError(f"file name {name!r} leaves the folder {root}; refused.")
    return abspath(join(root, inside))


def plain_path(path: str) -> str:
    """`path`, or a link to it where it holds `[`, `]`, `*`, `?` or `\\`.

    TensorFlow takes the paths of checkpoints and SavedModels for patterns, and finds nothing. The
    link lives as long as the process, for variables may be restored later.

    Args:
      path: of a file or a folder, or the prefix of a checkpoint; its folder is what is linked.

    Raises:
      UserError: the path is in a bucket, or no link can be made.
    """
    if not _is_pattern(path):
        return path
    if is_remote(path):
        raise UserError(
            f"{path} has one of {' '.join(_PATTERN_CHARACTERS)}, which TensorFlow takes for a "
            "pattern; choose another name."
        )
    folder, name = os.path.split(os.path.abspath(path))
    if _is_pattern(name):
        return _link(os.path.abspath(path))
    return os.path.join(_link(folder), name)


def _is_pattern(path):
    # On Windows the backslash is what parts folders.
    return any(character in path for character in _PATTERN_CHARACTERS if character != os.sep)


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
