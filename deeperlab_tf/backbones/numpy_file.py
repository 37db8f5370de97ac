"""The weights of a model that ships: an .npz file, from names of variables to arrays."""

from __future__ import annotations

import zipfile
import zlib

import numpy as np

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.models.shipped import SUMS_FILE, verify
from deeperlab_tf.models.weights import check_inflated

_FILE = "weights.npz"
_SHIPPED = storage.join(storage.dirname(storage.dirname(storage.abspath(__file__))), "models")
# Whatever NumPy raises for a broken file; the last two, for a file of one array.
_READ_ERRORS = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    zipfile.BadZipFile,
    zlib.error,
    AttributeError,
    TypeError,
)


def find_weights(path: str) -> str | None:
    """The .npz file that `path` means; None where it means none.

    Args:
      path: such a file, a folder with `weights.npz`, or the name of a model that ships, unless
        there is a file or folder of that name.

    Raises:
      UserError: it is a model that ships, and damaged.
    """
    if path.endswith(".npz"):
        return path
    folder = path if storage.exists(path) else storage.join(_SHIPPED, path)
    if storage.isfile(storage.join(folder, SUMS_FILE)):
        verify(folder)
    weights = storage.join(folder, _FILE)
    return weights if storage.isfile(weights) else None


class NumpyFile:
    """An .npz file of weights; nothing in it is unpickled, and its checksums are checked.

    Args:
      path: the file.

    Raises:
      UserError: it is missing, cut off or corrupt.
    """

    def __init__(self, path: str):
        self.path = path
        try:
            with storage.open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
                check_inflated(file, storage.getsize(path))
                self._values = {name: file[name].astype(np.float32) for name in file.files}
        except _READ_ERRORS as error:
            raise UserError(
                f"the weights {path} are missing, cut off or corrupt ({error}); fetch them again."
            ) from error

    def keys_by_name(self) -> dict[str, str]:
        """dict from the name of each variable to itself."""
        return {name: name for name in self._values}

    def read(self, key: str) -> np.ndarray:
        """The array of a variable."""
        return self._values[key]
