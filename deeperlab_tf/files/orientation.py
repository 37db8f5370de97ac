"""Which way up a picture is: one definition for every reader.

The EXIF orientation counts if there is one; else XMP's `tiff:Orientation`; else the picture is
upright. What cannot be read counts as none. `export.headers` reads the same in TensorFlow's
operations.
"""

from __future__ import annotations

import re

import numpy as np

UPRIGHT = 1
FIRST_SIDEWAYS = 5  # orientations 5-8 lie on their side
MIRRORED, UPSIDE_DOWN = (2, 3, 6, 7), (3, 4, 7, 8)  # once those on their side are transposed
ORIENTATION_TAG = 0x0112  # of TIFF and EXIF
EXIF_START = b"Exif\0\0"  # before EXIF data in a JPEG
MAX_ENTRIES = 256  # of an EXIF directory that are looked at
# Of XMP, as an attribute or as an element.
XMP_ORIENTATION = r"""tiff:Orientation(?:\s*=\s*["']|\s*>\s*)([1-8])"""

_ENTRY_BYTES = 12


def orientation_of(exif: bytes, xmp: bytes = b"") -> int:
    """The orientation 1-8 that a file's metadata ask for.

    Args:
      exif: EXIF data, with or without `EXIF_START`.
      xmp: the XMP packet.
    """
    found = _exif_orientation(exif)
    if found:
        return found
    told = re.search(XMP_ORIENTATION.encode(), xmp)
    return int(told[1]) if told else UPRIGHT


def turn_upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Undoes an orientation.

    Args:
      pixels: [H, W, ...], as stored.
      orientation: 1-8.

    Returns:
      [H, W, ...] or [W, H, ...], in one piece.
    """
    if orientation >= FIRST_SIDEWAYS:
        pixels = pixels.swapaxes(0, 1)
    if orientation in MIRRORED:
        pixels = pixels[:, ::-1]
    if orientation in UPSIDE_DOWN:
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def upright_size(height: int, width: int, orientation: int) -> tuple[int, int]:
    """(height, width) of a stored picture once it is turned upright."""
    return (width, height) if orientation >= FIRST_SIDEWAYS else (height, width)


def _exif_orientation(exif):
    """The orientation in the first TIFF directory; 0 where there is none."""
    if exif.startswith(EXIF_START):
        exif = exif[len(EXIF_START) :]
    order = "little" if exif[:1] == b"I" else "big"

    def number(start, count):
        # A field past the end is 0.
        data = exif[start : start + count]
        return int.from_bytes(data, order) if len(data) == count else 0

    # A directory is a count, and entries of a tag (2 bytes), a type, a count and a value.
    directory = number(4, 4)
    values = [0]
    for index in range(min(number(directory, 2), MAX_ENTRIES)):
        entry = directory + 2 + _ENTRY_BYTES * index
        if number(entry, 2) == ORIENTATION_TAG:
            values.append(number(entry + 8, 2))
    found = max(values)
    return found if UPRIGHT <= found <= 8 else 0
