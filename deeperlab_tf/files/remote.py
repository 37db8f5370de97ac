"""What `storage` does in buckets, by `etils.epath`: through TensorFlow's file systems, or
fsspec's where TensorFlow has none of that name.

All paths are str with `://`.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import functools
import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import IO, Any

import fsspec
from etils.epath import backend

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.paths import Facts, basename, dirname, join, split

_COPIED_AT_A_TIME = 2**24  # bytes
# Of what TensorFlow, and the clients of the buckets, raise: by name, for they have no class in
# common and may not be installed.
_MISSING = ("NotFoundError", "FileNotFoundError", "NoSuchBucket")
_FORBIDDEN = (
    "PermissionDeniedError",
    "UnauthenticatedError",
    "PermissionError",
    "NoCredentialsError",
    "DefaultCredentialsError",
)
_ADVICE = {
    errno.ENOENT: "check the name",
    errno.EACCES: "log in, or ask the bucket's owner for access",
    errno.EIO: "check the address and the network, and run again",
    errno.ENOTSUP: "install the package that has it, such as s3fs for s3://",
}
_APPENDS = ("ram",)  # those that, told to write a file anew, add to what is there
_MARKS_FOLDERS = ("gs",)  # schemes of TensorFlow whose listings end folders' names in a slash


class RemoteError(UserError, OSError):
    """What cannot be read or written in a bucket; an `OSError` with `errno` and `strerror`."""

    def __init__(self, path: str, number: int, reason: str) -> None:
        OSError.__init__(self, number, reason, path)

    def __str__(self) -> str:
        return f"{self.filename}: {self.strerror}; {_ADVICE[self.errno]}."


def missing(path: str | os.PathLike) -> RemoteError:
    """The error that a file is not there."""
    return RemoteError(os.fspath(path), errno.ENOENT, "there is no such file or bucket")


@contextlib.contextmanager
def _told(path: str) -> Iterator[None]:
    """Context in which whatever a file system raises becomes a `RemoteError`."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        kinds = {kind.__name__ for kind in type(error).__mro__}
        lines = str(getattr(error, "message", error)).splitlines()
        reason = lines[0] if lines else type(error).__name__
        if kinds.intersection(_MISSING):
            raise missing(path) from error
        if kinds.intersection(_FORBIDDEN):
            raise RemoteError(path, errno.EACCES, f"this is not allowed ({reason})") from error
        if isinstance(error, (ImportError, ValueError)):
            reason = f"its file system is not known here ({reason})"
            raise RemoteError(path, errno.ENOTSUP, reason) from error
        raise RemoteError(path, errno.EIO, f"it cannot be reached ({reason})") from error


# === File systems ===


class _Fsspec(type(backend.fsspec_backend)):
    """epath's, which knows four schemes, with all that fsspec has."""

    @functools.cache  # noqa: B019 - there is one of these
    def _of(self, scheme: str) -> fsspec.AbstractFileSystem:
        # Others write while we read: a listing that is kept is soon wrong.
        return fsspec.filesystem(scheme, use_listings_cache=False)

    def fs(self, path: str) -> fsspec.AbstractFileSystem:
        return self._of(_scheme(path))


_FSSPEC = _Fsspec()


def known_to_tensorflow(path: str) -> bool:
    """Whether TensorFlow has a file system for a path."""
    return _scheme(path) in _tensorflow_schemes()


@functools.cache
def _tensorflow_schemes() -> tuple[str, ...]:
    # Imported here: what only fsspec knows does without it.
    import tensorflow as tf

    return tuple(tf.io.gfile.get_registered_schemes())


def _scheme(path: str) -> str:
    return path.split("://", 1)[0]


def _system(path: str) -> Any:
    """epath's backend for a path."""
    return backend.tf_backend if known_to_tensorflow(path) else _FSSPEC


# === What is there ===


def facts(path: str) -> Facts | None:
    """What is known of a file or folder; None if it does not exist."""
    path = path.rstrip("/")
    if path.endswith(":"):
        return Facts(True, 0, 0)
    try:
        with _told(path):
            if known_to_tensorflow(path):
                found = backend.tf_backend.gfile.stat(path)
                return Facts(found.is_directory, found.length, found.mtime_nsec)
            found = _FSSPEC.fs(path).info(path)
            return Facts(found["type"] == "directory", found.get("size") or 0, _changed(found))
    except RemoteError as error:
        if error.errno == errno.ENOENT:
            return None
        raise


def _changed(info: dict) -> int:
    """When an object changed, in nanoseconds; each file system has its own word for it."""
    for key in ("mtime", "LastModified", "last_modified", "updated", "created"):
        value = info.get(key)
        if hasattr(value, "timestamp"):
            return int(value.timestamp() * 1e9)
        if isinstance(value, (int, float)):
            return int(value * 1e9)
    return 0


def scan(folder: str) -> tuple[list[str], list[str]]:
    """(names of the folders, names of the files) in a folder."""
    with _told(folder):
        if not known_to_tensorflow(folder):
            entries = _FSSPEC.fs(folder).ls(folder, detail=True)
            folders = [_last(e["name"]) for e in entries if e["type"] == "directory"]
            names = [_last(e["name"]) for e in entries if e["type"] != "directory"]
            return _named(folders), _named(names)
        entries = backend.tf_backend.gfile.listdir(folder.rstrip("/") + "/")
    marked = _scheme(folder) in _MARKS_FOLDERS
    folders, names = [], []
    for entry in entries:
        name = entry.rstrip("/")
        is_folder = entry.endswith("/")
        if not marked and not is_folder:
            found = facts(join(folder, name))
            if found is None:
                continue  # `ram://` lists `a.b` as `.b` of a folder `a`
            is_folder = found.is_folder
        (folders if is_folder else names).append(name)
    return _named(folders), _named(names)


def _last(name: str) -> str:
    return name.rstrip("/").rsplit("/", 1)[-1]


def _named(names: list[str]) -> list[str]:
    """Without what stands for the folder itself."""
    return [name for name in names if name]


# === Reading and writing ===


def read(path: str) -> bytes:
    """All of a file."""
    with _told(path), _system(path).open(path, "rb") as file:
        return file.read()


@contextlib.contextmanager
def open_large(path: str) -> Iterator[IO[bytes]]:
    """A file to read parts of."""
    with _told(path), _system(path).open(path, "rb") as file:
        yield file


def write(path: str, data: bytes) -> None:
    """Writes a file in one go."""
    _make_way(path)
    with _told(path), _system(path).open(path, "wb") as file:
        file.write(data)


def send(source: str, target: str) -> None:
    """Copies a local file into a bucket."""
    _make_way(target)
    with open(source, "rb") as local, _told(target), _system(target).open(target, "wb") as file:
        shutil.copyfileobj(local, file, _COPIED_AT_A_TIME)


def fetch(source: str, target: str) -> None:
    """Copies a file of a bucket to this machine's disk."""
    with open(target, "wb") as local, _told(source), _system(source).open(source, "rb") as file:
        while block := file.read(_COPIED_AT_A_TIME):
            local.write(block)


def makedirs(folder: str) -> None:
    """Makes a folder where the file system has such a thing."""
    if _scheme(folder) in _MARKS_FOLDERS or folder.rstrip("/").endswith(":"):
        return
    with _told(folder):
        _system(folder).makedirs(folder, exist_ok=True)


def _make_way(path: str) -> None:
    makedirs(dirname(path))
    if _scheme(path) in _APPENDS and facts(path) is not None:
        remove(path)


def remove(path: str) -> None:
    """Removes a file."""
    with _told(path):
        _system(path).remove(path)


def rmtree(folder: str) -> None:
    """Removes a folder with all in it."""
    with _told(folder):
        _system(folder).rmtree(folder)


# === Local copies ===


def fetch_folder(folder: str) -> str:
    """A local copy of a folder that lives as long as the program; its name is the folder's."""
    target = os.path.join(_scratch(), basename(folder.rstrip("/")) or "bucket")
    _fetch_into(folder, target)
    return target


def _fetch_into(folder: str, target: str) -> None:
    os.mkdir(target)
    folders, names = scan(folder)
    for name in names:
        fetch(join(folder, name), os.path.join(target, name))
    for name in folders:
        _fetch_into(join(folder, name), os.path.join(target, name))


@functools.cache
def fetch_prefix(path: str) -> str:
    """The same of the files whose names are `path`, or begin with `path` and a point."""
    folder, name = split(path)
    target = _scratch()
    for found in scan(folder)[1]:
        if found == name or found.startswith(f"{name}."):
            fetch(join(folder, found), os.path.join(target, found))
    return os.path.join(target, name)


def _scratch() -> str:
    folder = tempfile.mkdtemp(prefix="deeperlab_copy_")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
