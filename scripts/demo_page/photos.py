"""What the page takes as a photo, and what it refuses."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

import cv2
import numpy as np

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.images import open_image, read_image


class Limits(NamedTuple):
    """How much one visitor may ask for.

    Attributes:
      megabytes: of an uploaded file.
      megapixels: of a photo, read from the file's head before it is decoded.
      longer_side: pixels; larger photos are shrunk to it.
      queue: requests that may wait at a time.
    """

    megabytes: int = 20
    megapixels: int = 50
    longer_side: int = 1600
    queue: int = 16


def read_photo(path: str, limits: Limits) -> np.ndarray:
    """Reads an uploaded photo, upright and not larger than the page shows it.

    Args:
      path: the file.
      limits: `Limits`.

    Returns:
      uint8 [H, W, 3], RGB.

    Raises:
      UserError: it is no picture, or too large; names the file as its owner does, without the
        folder that it lies in here.
    """
    name = os.path.basename(path)
    if os.path.getsize(path) > limits.megabytes * 1e6:
        raise UserError(
            f"{name} has more than {limits.megabytes} MB; make it smaller, the network does not "
            "see more."
        )
    try:
        with open_image(path, "image", load=False) as image:
            width, height = image.size
        _refuse_huge(name, height, width, limits)
        image = read_image(path)
    except UserError as error:
        if path not in str(error):
            raise
        raise UserError(
            f"{name} cannot be read as a picture; give a JPEG, PNG or WebP file that is whole."
        ) from error
    return _shrink(image, limits.longer_side)


def file_stem(path: str) -> str:
    """The name of a photo's parse: letters, digits, - and _ of the photo's own name."""
    stem = os.path.splitext(os.path.basename(path))[0]
    return re.sub(r"[^\w-]+", "_", stem, flags=re.ASCII).strip("_")[:60] or "photo"


def _refuse_huge(name, height, width, limits):
    if height * width > limits.megapixels * 1e6:
        raise UserError(
            f"{name} has {width} × {height} pixels, more than {limits.megapixels} megapixels; "
            "make it smaller, the network does not see more."
        )


def _shrink(image, longer_side):
    height, width = image.shape[:2]
    factor = longer_side / max(height, width)
    if factor >= 1:
        return image
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
