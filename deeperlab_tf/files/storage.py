"""Files wherever they are: on this machine's disks, or in a bucket (`gs://…`, `s3://…`, `ram://…`).

Names and meanings are those of `os` and `os.path`, to which local paths go as they are. Others go
to `files.remote`, which is imported with the first of them. Nothing here takes a name for a
pattern.
"""

from __future__ import annotations

import builtins
import concurrent.futures
import contextlib
import errno
import hashlib
import io
import os
import shutil
import stat as stat_bits
import tempfile
from collections.abc import Iterator, Sequence
from typing import IO, Any

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.paths import (
    Facts,
    Path,
    abspath,
    basename,
    dirname,
    expanduser,
    is_remote,
    isabs,
    join,
    normpath,
    realpath,
    relpath,
    split,
    splitext,
)

# What the system says of a folder that is not there, or cannot be by its name.
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)
_ASKED_AT_ONCE = 16  # files of a bucket
_HASHED_AT_A_TIME = 2**20  # bytes

__all__ = [
    "Facts",
    "abspath",
    "basename",
    "copy",
    "dirname",
    "exists",
    "expanduser",
    "facts",
    "for_tensorflow",
    "getsize",
    "getsizes",
    "is_read_by_tensorflow",
    "is_remote",
    "isabs",
    "isdir",
    "isfile",
    "join",
    "lexists",
    "listdir",
    "local_copy",
    "local_folder",
    "makedirs",
    "normpath",
    "open",
    "open_large",
    "place",
    "realpath",
    "relpath",
    "remove",
    "rmtree",
    "scan",
    "sha256",
    "sha256_of",
    "split",
    "splitext",
    "walk",
]


def _remote():
    # Imported here: it may load TensorFlow, without which local files are read.
    from deeperlab_tf.files import remote

    return remote


# === What is there ===


def facts(path: Path) -> Facts | None:
    """What is known of a file or folder; None if it does not exist."""
    if is_remote(path):
        return _remote().facts(os.fspath(path))
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return Facts(stat_bits.S_ISDIR(found.st_mode), found.st_size, found.st_mtime_ns)


def exists(path: Path) -> bool:
    """Whether there is a file or a folder; a link that leads nowhere is neither."""
    return _remote().facts(os.fspath(path)) is not None if is_remote(path) else os.path.exists(path)


def lexists(path: Path) -> bool:
    """Whether there is anything, be it a link that leads nowhere."""
    return exists(path) if is_remote(path) else os.path.lexists(path)


def isfile(path: Path) -> bool:
    """Whether there is a file."""
    if not is_remote(path):
        return os.path.isfile(path)
    found = facts(path)
    return found is not None and not found.is_folder


def isdir(path: Path) -> bool:
    """Whether there is a folder."""
    if not is_remote(path):
        return os.path.isdir(path)
    found = facts(path)
    return found is not None and found.is_folder


def getsize(path: Path) -> int:
    """Bytes of a file; OSError if there is none."""
    if not is_remote(path):
        return os.path.getsize(path)
    found = facts(path)
    if found is None:
        raise _remote().missing(path)
    return found.size


def getsizes(paths: Sequence[Path]) -> list[int]:
    """`getsize` of many files, several at a time where each is a request."""
    if not any(map(is_remote, paths)):
        return list(map(getsize, paths))
    with concurrent.futures.ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
        return list(pool.map(getsize, paths))


def listdir(folder: Path) -> list[str]:
    """Names in a folder, in no order; OSError if there is none."""
    if not is_remote(folder):
        return os.listdir(folder)
    folders, names = _remote().scan(os.fspath(folder))
    return folders + names


def scan(folder: Path) -> Iterator[tuple[str, bool]]:
    """(name, whether it is a folder) of all in a folder, in no order; nothing where there is none.
    On a disk, names are not held; local links are followed.

    Raises:
      UserError: the folder is there, and may not be read.
    """
    if is_remote(folder):
        folders, names = _remote().scan(os.fspath(folder))
        yield from [*((name, True) for name in folders), *((name, False) for name in names)]
        return
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                yield entry.name, _is_folder(entry)
    except OSError as error:
        if error.errno not in _ABSENT:
            raise UserError(
                f"cannot list the folder {folder}: {error.strerror}; allow it to be read, or move "
                "it elsewhere."
            ) from error


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def walk(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """(folder, its folders, its files) of a folder and all below it; local links are followed.

    The caller may take names out of the list of folders, which are then passed over.
    """
    if not is_remote(folder):
        yield from os.walk(folder, followlinks=True)
        return
    folders, names = _remote().scan(os.fspath(folder))
    yield os.fspath(folder), folders, names
    for name in folders:
        yield from walk(join(folder, name))


# === Reading and writing ===


def open(
    path: Path, mode: str = "r", encoding: str | None = None
) -> contextlib.AbstractContextManager[IO[Any]]:
    """The built-in `open`, for `with`. What a bucket holds is read at once; what is written there
    is sent when the block ends without an error, so that it is there whole or not at all.
    """
    if not is_remote(path):
        return builtins.open(path, mode, encoding=encoding)
    text = "b" not in mode
    if "r" in mode:
        data = _remote().read(os.fspath(path))
        return io.StringIO(data.decode(encoding or "utf-8")) if text else io.BytesIO(data)
    return _sending(os.fspath(path), encoding or "utf-8" if text else None)


def open_large(path: Path) -> contextlib.AbstractContextManager[IO[bytes]]:
    """As `open`, for reading parts of a file too large to be read at once."""
    return _remote().open_large(os.fspath(path)) if is_remote(path) else builtins.open(path, "rb")


def sha256(path: Path) -> str:
    """Checksum of a file, as `sha256sum` prints it."""
    with open_large(path) as file:
        return sha256_of(file)


def sha256_of(file: IO[bytes]) -> str:
    """The same of what is left to read of an open file."""
    digest = hashlib.sha256()
    while block := file.read(_HASHED_AT_A_TIME):
        digest.update(block)
    return digest.hexdigest()


@contextlib.contextmanager
def _sending(path, encoding):
    buffer = io.StringIO() if encoding else io.BytesIO()
    yield buffer
    data = buffer.getvalue()
    _remote().write(path, data.encode(encoding) if encoding else data)


def makedirs(folder: Path) -> None:
    """Makes a folder and those above it, where missing; buckets have none to be made."""
    if is_remote(folder):
        _remote().makedirs(os.fspath(folder))
    else:
        # The folder may be a link to one that is not there yet.
        os.makedirs(os.path.realpath(folder), exist_ok=True)


def remove(path: Path) -> None:
    """Removes a file."""
    if is_remote(path):
        _remote().remove(os.fspath(path))
    else:
        os.remove(path)


def rmtree(folder: Path) -> None:
    """Removes a folder with all in it, where there is one."""
    if is_remote(folder):
        if isdir(folder):
            _remote().rmtree(os.fspath(folder))
    else:
        shutil.rmtree(folder, ignore_errors=True)


def copy(source: Path, target: Path) -> None:
    """Copies a file's content; what is in a bucket appears whole."""
    if not is_remote(source) and not is_remote(target):
        shutil.copyfile(source, target)
    elif is_remote(target):
        with local_copy(source) as path:
            _remote().send(path, os.fspath(target))
    else:
        _remote().fetch(os.fspath(source), os.fspath(target))


def place(source: str, target: Path) -> None:
    """Puts a local file or folder in the place of `target`, which a file replaces.

    On a disk both are on one, and it is one step. In a bucket each file appears whole; those of a
    folder after those of the folders in it, so that the file by which it is known comes last.
    """
    if not is_remote(target):
        os.replace(source, target)
        return
    if not os.path.isdir(source):
        _remote().send(source, os.fspath(target))
        return
    sent = []

    def send(path):
        inside = join(target, os.path.relpath(path, source))
        sent.append(inside)
        _remote().send(path, inside)

    try:
        with concurrent.futures.ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
            for folder, _, names in os.walk(source, topdown=False):
                list(pool.map(send, [os.path.join(folder, name) for name in sorted(names)]))
    except BaseException:
        for path in sent:
            with contextlib.suppress(OSError):
                remove(path)
        raise


# === For what reads nothing but local files ===


@contextlib.contextmanager
def local_copy(path: Path) -> Iterator[str]:
    """A local file with the content of `path`: itself, or a copy that is gone when the block ends.

    Example:
      with local_copy("gs://bucket/film.mp4") as path:
          cv2.VideoCapture(path)
    """
    if not is_remote(path):
        yield os.fspath(path)
        return
    with tempfile.TemporaryDirectory(prefix="deeperlab_copy_") as folder:
        copy_path = os.path.join(folder, basename(path))
        _remote().fetch(os.fspath(path), copy_path)
        yield copy_path


def local_folder(folder: str) -> str:
    """A local folder with the files of `folder` and those below it: itself, or a copy that is gone
    when the program ends.
    """
    if not is_remote(folder):
        return folder
    return _remote().fetch_folder(folder)


def is_read_by_tensorflow(path: str) -> bool:
    """Whether TensorFlow by itself reads and writes a path."""
    return not is_remote(path) or _remote().known_to_tensorflow(path)


def for_tensorflow(path: str) -> str:
    """`path` where TensorFlow can read it: itself, or a local copy that is gone when the program
    ends, if TensorFlow has no such file system.
    """
    if is_read_by_tensorflow(path):
        return path
    return _remote().fetch_prefix(path)
