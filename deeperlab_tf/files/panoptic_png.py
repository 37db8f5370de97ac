"""Panoptic PNGs: pictures whose colours are segment ids, id = R + 256 G + 65536 B."""

from __future__ import annotations

import os
from collections.abc import Sequence

import cv2
import numpy as np

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.encode import encode, write_bytes
from deeperlab_tf.files.images import open_image
from deeperlab_tf.files.stamp import stamped

VOID = 0  # id of pixels without a label
ID_LIMIT = 1 << 24  # a colour holds ids below this

_COLOR_MODES = ("RGB", "RGBA")  # some tools add transparency; others save few ids as a palette
_CHANNELS = 3
_BIT_DEPTH = 24  # byte of a PNG file


def read_ids(path: str | os.PathLike, strict: bool = True) -> np.ndarray:
    """Reads the segment ids of a panoptic PNG.

    Args:
      path: the file.
      strict: False: as COCO's evaluator does it, the first three channels of whatever is in colour
        (CMYK, say), and the upper halves of 16 bits.

    Returns:
      uint32 [H, W], below `ID_LIMIT`.

    Raises:
      UserError: the file is missing, broken, larger than images may be, or not in colour; where it
        is strict, too, of 16 bits, of which half would be lost.
    """
    if not storage.isfile(path):
        raise UserError(f"there is no file {path}; restore it.")
    if strict and has_sixteen_bits(path):
        raise UserError(f"{path} has colours of 16 bits; a panoptic PNG has 8: save it so.")

    with open_image(path, "panoptic PNG") as image:
        in_color = image.mode in _COLOR_MODES if strict else len(image.getbands()) >= _CHANNELS
        if not in_color and image.mode != "P":
            raise UserError(
                f"{path} is not a panoptic PNG: its colours must be RGB, not {image.mode}."
            )
        pixels = np.asarray(image.convert("RGB") if image.mode == "P" else image)

    # Four bytes of a pixel are one little-endian number.
    rgb = np.ascontiguousarray(pixels[..., :_CHANNELS])
    rgba = cv2.cvtColor(rgb, cv2.COLOR_RGB2RGBA)
    return rgba.view("<u4")[..., 0] & (ID_LIMIT - 1)


def has_sixteen_bits(path: str | os.PathLike) -> bool:
    """Whether a file is a PNG whose channels have 16 bits."""
    with storage.open(path, "rb") as file:
        head = file.read(_BIT_DEPTH + 1)
    return head[1:4] == b"PNG" and head[_BIT_DEPTH:] == bytes([16])


def write_ids(path: str | os.PathLike, ids: np.ndarray) -> None:
    """Writes a panoptic PNG, whole or not at all.

    Args:
      path: the file.
      ids: integer [H, W], below `ID_LIMIT`.

    Raises:
      UserError: it cannot be written.
    """
    write_bytes(path, encode_ids(path, ids))


def encode_ids(path: str | os.PathLike, ids: np.ndarray) -> bytes:
    """A panoptic PNG, which is stamped as no photo (`files.stamp`).

    Args:
      path, ids: as of `write_ids`.

    Raises:
      UserError: there are no such PNGs.
    """
    rgba = np.ascontiguousarray(ids, "<u4").view(np.uint8).reshape(*ids.shape, 4)
    return stamped(encode(path, cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGR)))


def color_to_id(color: Sequence[int]) -> int:
    """Segment id of an (r, g, b) colour."""
    red, green, blue = (int(channel) for channel in color)
    return red + 256 * green + 65536 * blue
