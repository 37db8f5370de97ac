"""Writing picture files."""

from __future__ import annotations

import os
from collections.abc import Sequence

import cv2
import numpy as np

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.atomic import atomic_path


def encode(path: str | os.PathLike, pixels: np.ndarray, options: Sequence[int] = ()) -> bytes:
    """A picture in the format of the path's ending.

    Args:
      path, pixels, options: as of `write_encoded`.

    Raises:
      UserError: OpenCV cannot write such a picture in this format.
    """
    ending = storage.splitext(path)[1]
    try:
        done, encoded = cv2.imencode(ending, pixels, list(options))
    except cv2.error as error:
        raise _cannot_write(path, pixels) from error
    if not done:
        raise _cannot_write(path, pixels)
    return encoded.tobytes()


def write_encoded(path: str | os.PathLike, pixels: np.ndarray, options: Sequence[int] = ()) -> None:
    """Writes a picture in the format of the path's ending, whole or not at all.

    Args:
      path: image file, with any characters that the disk takes: OpenCV does not see its name.
      pixels: as OpenCV wants them, BGR.
      options: of `cv2.imencode`.

    Raises:
      UserError: OpenCV cannot write such a picture in this format, or the disk is full.
    """
    write_bytes(path, encode(path, pixels, options))


def write_bytes(path: str | os.PathLike, content: bytes) -> None:
    """Writes an encoded picture, whole or not at all."""
    with atomic_path(path) as temporary, storage.open(temporary, "wb") as file:
        file.write(content)


def _cannot_write(path, pixels):
    height, width = pixels.shape[:2]
    return UserError(
        f"cannot write {path}: OpenCV refuses to write {width} x {height} pixels in the format of "
        "its ending; choose .png or .jpg, or a smaller picture."
    )
