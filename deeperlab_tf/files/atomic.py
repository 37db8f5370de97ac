"""Files that are there whole or not at all."""

import contextlib
import errno
import json
import os
import shutil
import tempfile

from deeperlab_tf.errors import UserError

# The disk, the user's share of it, the largest file allowed.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def atomic_path(path):
    """Yields a temporary path beside `path`; renames it to `path` on success, removes it on
    failure.

    The caller may create a file or a folder there. A folder at `path` is not replaced: that raises
    UserError.
    """
    path = os.path.abspath(path)
    if os.path.isdir(path):
        raise UserError(f"{path} exists already; remove it or choose another --output.")
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        scratch = tempfile.mkdtemp(prefix=f".{os.path.basename(path)}.", dir=os.path.dirname(path))
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror}; check the folder and its permissions."
        ) from error
    try:
        # Keeps the extension: writers look at it.
        temporary = os.path.join(scratch, os.path.basename(path))
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


def write_json(path, value):
    """Writes `value` as indented JSON, atomically. NaN becomes null, which every JSON reader
    understands.
    """
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        json.dump(_without_nan(value), file, indent=2, sort_keys=False)
        file.write("\n")


def read_json(path, what="file"):
    """Reads JSON; UserError says which file is missing or broken, `what` it should have been."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except OSError as error:
        raise UserError(f"cannot read the {what} {path}: {error.strerror}.") from error
    except ValueError as error:
        raise UserError(f"the {what} {path} is not valid JSON ({error}).") from error


def path_inside(root, name):
    """`root`/`name`, refused if it leaves `root` (an absolute name, or `..`)."""
    path = os.path.realpath(os.path.join(root, name))
    if os.path.commonpath([path, os.path.realpath(root)]) != os.path.realpath(root):
        raise UserError(f"file name {name!r} leaves the folder {root}; refused.")
    return path


def _without_nan(value):
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    if isinstance(value, float) and value != value:
        return None
    return value
