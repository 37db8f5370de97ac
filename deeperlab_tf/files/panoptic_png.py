"""Panoptic PNGs: pictures whose colours are segment ids, id = R + 256 G + 65536 B."""

from __future__ import annotations

import os
from collections.abc import Sequence

import cv2
import numpy as np

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.encode import write_encoded
from deeperlab_tf.files.images import open_image

VOID = 0  # id of pixels without a label
ID_LIMIT = 1 << 24  # a colour holds ids below this

_COLOR_MODES = ("RGB", "RGBA", "P")  # some tools save few ids as a palette, or add transparency
_BIT_DEPTH = 24  # byte of a PNG file


def read_ids(path: str | os.PathLike) -> np.ndarray:
    """Reads the segment ids of a panoptic PNG.

    Returns:
      uint32 [H, W], below `ID_LIMIT`.

    Raises:
      UserError: the file is missing, broken, larger than images may be, not in colour, or of 16
        bits, of which half would be lost.
    """
    if not os.path.isfile(path):
        raise UserError(f"there is no file {path}; restore it.")

    with open(path, "rb") as file:
        head = file.read(_BIT_DEPTH + 1)
    if head[1:4] == b"PNG" and head[_BIT_DEPTH:] == bytes([16]):
        raise UserError(f"{path} has colours of 16 bits; a panoptic PNG has 8: save it so.")

    with open_image(path, "panoptic PNG") as image:
        if image.mode not in _COLOR_MODES:
            raise UserError(
                f"{path} is not a panoptic PNG: its colours must be RGB, not {image.mode}."
            )
        pixels = np.asarray(image if image.mode == "RGB" else image.convert("RGB"))

    # Four bytes of a pixel are one little-endian number.
    rgba = cv2.cvtColor(pixels, cv2.COLOR_RGB2RGBA)
    return rgba.view("<u4")[..., 0] & (ID_LIMIT - 1)


def write_ids(path: str | os.PathLike, ids: np.ndarray) -> None:
    """Writes a panoptic PNG, whole or not at all.

    Args:
      path: the file.
      ids: integer [H, W], below `ID_LIMIT`.

    Raises:
      UserError: it cannot be written.
    """
    rgba = np.ascontiguousarray(ids, "<u4").view(np.uint8).reshape(*ids.shape, 4)
    write_encoded(path, cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGR))


def color_to_id(color: Sequence[int]) -> int:
    """Segment id of an (r, g, b) colour."""
    red, green, blue = (int(channel) for channel in color)
    return red + 256 * green + 65536 * blue
