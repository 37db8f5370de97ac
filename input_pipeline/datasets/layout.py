"""Where the files of a dataset lie, with one clear error where they do not."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence

from deeperlab_tf.errors import UserError


def check_root(root: str | os.PathLike) -> None:
    """Raises UserError unless the dataset's folder exists."""
    if not root or not os.path.isdir(root):
        raise UserError(
            f"dataset folder {root!r} does not exist; "
            "set config.data.root to the folder of the data."
        )


def first_existing(root: str | os.PathLike, names: Sequence[str], what: str) -> str:
    """Path of the first of `names` that exists under `root`.

    Raises:
      UserError: says what was looked for.
    """
    check_root(root)
    for name in names:
        path = os.path.join(root, name)
        if os.path.exists(path):
            return path
    raise UserError(
        f"there is no {what} in {root}: looked for {', '.join(names)}; "
        "check config.data.root and the split."
    )


def find_names(before: str, after: str) -> list[str]:
    """What stands between `before` and `after` in the paths of the files there, sorted."""
    pattern = glob.escape(before) + "*" + glob.escape(after)
    paths = glob.glob(pattern)
    begin, end = len(before), len(after)
    return sorted(path[begin : len(path) - end] for path in paths)


def masks_without_photo(folder: str, ending: str, names: Iterable[str]) -> list[str]:
    """Sentences about the masks `folder`/**/NAME`ending` for which no photo is called NAME."""
    pattern = os.path.join(glob.escape(folder), "**", f"*{ending}")
    paths = glob.glob(pattern, recursive=True)
    files = [os.path.relpath(path, folder) for path in paths]
    masks = {file[: -len(ending)] for file in files}
    extra = [os.path.join(folder, name + ending) for name in sorted(masks - set(names))]
    return [f"mask {path} has no photo" for path in extra]


def read_list(path: str, what: str) -> list[str]:
    """Lines of a text file, stripped, without empty ones.

    Raises:
      UserError: it is missing or empty, or names one image twice.
    """
    try:
        with open(path, encoding="utf-8") as file:
            lines = [line.strip() for line in file]
    except OSError as error:
        raise UserError(f"cannot read the list {path} of {what}: {error.strerror}.") from error
    names = [line for line in lines if line]
    if not names:
        raise UserError(f"the list {path} of {what} is empty; write one image name per line.")
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise UserError(f"the list {path} names {repeated!r} twice; name each image once.")
    return names
