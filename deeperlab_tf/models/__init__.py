"""The models that ship: each a folder here, named as people name it.

`deeperlab_tf.models()` lists them, for this module can be called.
"""

from __future__ import annotations

import os
import sys
import types
from typing import Union

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage

_HERE = os.path.dirname(os.path.abspath(__file__))
_CONFIG_FILE = "config.json"  # what makes a folder a model

Model = Union[str, os.PathLike]  # a shipped name, or a path


def names() -> list[str]:
    """Names of the models that ship, sorted."""
    found = []
    for name in os.listdir(_HERE):
        if os.path.isfile(os.path.join(_HERE, name, _CONFIG_FILE)):
            found.append(name)
    return sorted(found)


def find(model: Model) -> str:
    """The folder of a model.

    Args:
      model: a shipped name, or the path of a folder, which stays as it is. A folder that is called
        as a shipped model is meant by `./street`.

    Returns:
      the path of a folder that exists, be it in a bucket.

    Raises:
      UserError: neither a shipped name nor a folder; lists the names.

    Example:
      >>> find("runs/shapes")
      'runs/shapes'
    """
    if model in names():
        return os.path.join(_HERE, model)
    path = os.fspath(model)
    if storage.isdir(path):
        return path
    if storage.exists(path):
        raise UserError(f"{path} is a file; give the folder of a training or of an export.")
    shipped = ", ".join(names()) or "none"
    raise UserError(
        f"there is no folder {path}, nor does a model of that name ship; "
        f"give the folder of a training or of an export, or the name of a shipped model: {shipped}."
    )


class _Callable(types.ModuleType):
    def __call__(self) -> list[str]:
        """Names of the models that ship."""
        return names()


sys.modules[__name__].__class__ = _Callable
