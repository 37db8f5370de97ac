"""Names of files: where they may lead."""

from __future__ import annotations

import os

from deeperlab_tf.errors import UserError


def path_inside(root: str | os.PathLike, name: str) -> str:
    """`root`/`name` as an absolute path.

    Names come from annotation files and datasets that strangers made.

    Raises:
      UserError: the name leaves `root`: it is absolute, or has `..` or a link that leads out.
    """
    real_root = os.path.realpath(root)
    path = os.path.realpath(os.path.join(root, name))
    if os.path.commonpath([path, real_root]) != real_root:
        raise UserError(f"file name {name!r} leaves the folder {root}; refused.")
    return path
