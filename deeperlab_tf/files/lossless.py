"""Masks have to be stored without losses: codecs for photos change the ids along every edge."""

from __future__ import annotations

import os

from PIL import Image

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage

LOSSY_ENDINGS = (".jpg", ".jpeg", ".jpe", ".jfif", ".jp2", ".avif")  # unless misnamed
_LOSSLESS = ("PNG", "BMP", "GIF", "PPM")
_LOSSY_IN_TIFF = ("jpeg", "webp", "old_jpeg", "tiff_jpeg")
_HEAD_BYTES = 2**16  # in which a WebP says how its first picture is stored


def check_lossless(image: Image.Image, path: str | os.PathLike) -> None:
    """Fails unless an opened mask is stored without losses.

    Args:
      image: as Pillow opened it.
      path: its file.

    Raises:
      UserError: it is a JPEG, say.
    """
    if _is_lossless(image, path):
        return
    raise UserError(
        f"mask {path} is stored as {image.format}, which changes the ids along every edge; "
        "write it as PNG from where it was made."
    )


def _is_lossless(image, path):
    if image.format == "TIFF":
        return str(image.info.get("compression", "raw")) not in _LOSSY_IN_TIFF
    if image.format == "WEBP":
        with storage.open(path, "rb") as file:
            return b"VP8L" in file.read(_HEAD_BYTES)
    return image.format in _LOSSLESS
