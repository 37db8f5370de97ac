"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.text import parse_json, read_text

SCRATCH = ".deeperlab-"  # how the hidden folders begin in which files are made
_RANDOM = 8  # characters that `tempfile` adds
_NAMED = 100  # characters of a file's name in that of its folder, whose length has a limit

# The disk, the user's share of it, the largest file allowed.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG)


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[str]:
    """A temporary path that becomes `path` when the block ends without an error.

    The caller may create a file or a folder there. What was written is removed on failure. Where
    `path` is a link, what it leads to is replaced.

    Yields:
      the temporary path, with the name of `path`: in a hidden folder beside it, or, if that is in a
      bucket, on this machine's disk.

    Raises:
      UserError: the folder cannot be written, the disk is full, there is a folder at `path`, or a
        file where the caller made a folder; neither is replaced.

    Example:
      with atomic_path("numbers.txt") as temporary, open(temporary, "w") as file:
          file.write("1 2 3")
    """
    name = storage.basename(storage.abspath(path))
    path = storage.realpath(path)
    if storage.isdir(path):
        raise _exists(path)
    if not storage.is_remote(path) and os.path.islink(path):
        raise UserError(f"the link {path} leads back to itself; remove it or choose another name.")

    with scratch_folder(storage.dirname(path), path) as scratch:
        # Keeps the extension: writers look at it.
        temporary = os.path.join(scratch, name)
        yield temporary
        if os.path.isdir(temporary) and storage.lexists(path):
            raise _exists(path)
        storage.place(temporary, path)


@contextlib.contextmanager
def scratch_folder(folder: str, what: str) -> Iterator[str]:
    """A hidden folder inside `folder`, which is made where missing; removed when the block ends.

    Args:
      folder: where it is made; for one in a bucket, where files are not moved but sent, it is among
        this machine's temporary ones.
      what: path of what is being written, for errors and for `remove_leftovers`.

    Raises:
      UserError: the folder cannot be written, or the disk is full.
    """
    try:
        if storage.is_remote(folder):
            scratch = tempfile.mkdtemp(prefix=SCRATCH[1:])
        else:
            storage.makedirs(folder)
            scratch = tempfile.mkdtemp(prefix=_scratch_prefix(what), dir=folder)
    except OSError as error:
        raise _cannot_write(what, error.strerror, "check the folder and its permissions") from error
    try:
        yield scratch
    except UserError:
        raise
    except Exception as error:
        no_room = _no_room(error)
        if no_room:
            raise _cannot_write(what, no_room, "make room and run again") from error
        if isinstance(error, OSError) and error.errno in _FORBIDDEN:
            raise _cannot_write(what, error.strerror, "choose another name or folder") from error
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _scratch_prefix(path: str) -> str:
    """How a folder begins in which `path` is made; what follows is `_RANDOM` characters long."""
    name = re.sub(r"[^\w.-]", "_", storage.basename(path), flags=re.ASCII)
    return f"{SCRATCH}{name[:_NAMED]}-"


def remove_leftovers(folder: str, paths: Iterable[str]) -> None:
    """Removes what writers of files left in a folder when they were killed.

    Args:
      folder: in a bucket there is nothing to remove.
      paths: those files; nobody may be writing them.
    """
    if storage.is_remote(folder) or not os.path.isdir(folder):
        return
    prefixes = {_scratch_prefix(path) for path in paths}
    for name in os.listdir(folder):
        if name[:-_RANDOM] in prefixes:
            shutil.rmtree(os.path.join(folder, name), ignore_errors=True)


@contextlib.contextmanager
def removing_new_folders(folder: str) -> Iterator[None]:
    """Context after whose failure the folders on the way to `folder` that it made are gone again,
    unless they hold something.
    """
    missing, path = [], storage.realpath(folder)
    while path and not storage.is_remote(path) and not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    try:
        yield
    except BaseException:
        for path in missing:
            with contextlib.suppress(OSError):
                os.rmdir(path)
        raise


def _exists(path):
    return UserError(f"{path} exists already; remove it or choose another --output.")


def _no_room(error: Exception) -> str:
    """Why there is no room, where an error says so; TensorFlow's own quote the system's."""
    for code in _FULL:
        text = os.strerror(code)
        if getattr(error, "errno", None) == code or text in str(error):
            return text
    return ""


def _cannot_write(what, reason, remedy):
    return UserError(f"cannot write {what}: {reason}; {remedy}.")


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes UTF-8 text, whole or not at all; errors are those of `atomic_path`."""
    write_pieces(path, [text])


def write_pieces(path: str | os.PathLike, pieces: Iterable[str]) -> None:
    """As `write_text`, of text in pieces; they are only held on their way to a bucket."""
    if storage.is_remote(path):  # where what is written appears whole
        with storage.open(path, "w") as file:
            file.writelines(pieces)
        return
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.writelines(pieces)


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Writes `value` as indented JSON, whole or not at all; errors are those of `atomic_path`.

    NaN and infinity become null, which every JSON reader understands.
    """
    write_text(path, json.dumps(_without_nan(value), indent=2) + "\n")


def read_json(path: str | os.PathLike, what: str = "file") -> Any:
    """Reads a JSON file.

    Args:
      path: the file.
      what: the file should have been, for errors.

    Raises:
      UserError: it is missing or broken.
    """
    return parse_json(read_text(path, what), path, what)


def _without_nan(value):
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
