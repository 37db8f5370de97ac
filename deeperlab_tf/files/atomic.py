"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

from deeperlab_tf.errors import UserError

# The disk, the user's share of it, the largest file allowed.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[str]:
    """A temporary path that becomes `path` when the block ends without an error.

    The caller may create a file or a folder there. What was written is removed on failure.

    Yields:
      the temporary path, with the name of `path`, in a hidden folder beside it.

    Raises:
      UserError: the folder cannot be written, the disk is full, or there is a folder at `path`,
        which is not replaced.

    Example:
      with atomic_path("numbers.txt") as temporary, open(temporary, "w") as file:
          file.write("1 2 3")
    """
    path = os.path.abspath(path)
    folder, name = os.path.split(path)
    if os.path.isdir(path):
        raise UserError(f"{path} exists already; remove it or choose another --output.")

    try:
        os.makedirs(folder, exist_ok=True)
        scratch = tempfile.mkdtemp(prefix=f".{name}.", dir=folder)
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror}; check the folder and its permissions."
        ) from error

    try:
        # Keeps the extension: writers look at it.
        temporary = os.path.join(scratch, name)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise UserError(
            f"cannot write {path}: {error.strerror}; make room and run again."
        ) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes UTF-8 text, whole or not at all; errors are those of `atomic_path`."""
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(text)


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
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except OSError as error:
        raise UserError(f"cannot read the {what} {path}: {error.strerror}.") from error
    except ValueError as error:
        raise UserError(f"the {what} {path} is not valid JSON ({error}).") from error


def _without_nan(value):
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
