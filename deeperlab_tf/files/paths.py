"""Names of files: where they may lead."""

from __future__ import annotations

import os

from deeperlab_tf.errors import UserError


def path_inside(root: str | os.PathLike, name: str) -> str:
    """`root`/`name` as an absolute path.

    Names come from annotation files and datasets that strangers made. Links that lie in the folder
    are its owner's, and are followed.

    Raises:
      UserError: the name leaves `root`: it is absolute, or `..` leads out.
    """
    inside = os.path.normpath(name)
    leaves = os.path.isabs(name) or inside.split(os.sep)[0] == os.pardir
    if leaves or "\0" in name:
        raise UserError(f"file name {name!r} leaves the folder {root}; refused.")
    return os.path.abspath(os.path.join(root, inside))
