"""Masks of a folder dataset: ids, colours, or numbers in some of the channels."""

from __future__ import annotations

import numpy as np

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.images import image_orientation, open_image, read_mask
from deeperlab_tf.files.lossless import check_lossless
from deeperlab_tf.files.orientation import turn_upright

CHANNELS = ("red", "green", "blue")
_COLOR_MODES = ("RGB", "RGBA", "P", "L")


def read_numbers(path: str, channels: tuple[int, ...]) -> np.ndarray:
    """The number of each pixel of a mask.

    Args:
      path: image file.
      channels: which of red, green and blue hold it, the lowest byte first; (): the mask is grey,
        or the indices of a palette.

    Returns:
      int32 [H, W].

    Raises:
      UserError: the file is missing, broken, stored with losses, or of another kind.
    """
    if not channels:
        return read_mask(path)
    with open_image(path, "mask") as image:
        check_lossless(image, path)
        if image.mode not in _COLOR_MODES:
            raise UserError(
                f"mask {path} is a picture of mode {image.mode}, not in colour; save it as RGB, or "
                "take semantic_in or instances_in out of the description."
            )
        pixels = np.asarray(image.convert("RGB")).astype(np.int32)
        pixels = turn_upright(pixels, image_orientation(image))
    numbers = np.zeros(pixels.shape[:2], np.int32)
    for place, channel in enumerate(channels):
        numbers += pixels[..., channel] << 8 * place
    return numbers


def pack_color(color: tuple[int, int, int]) -> int:
    """The number that `read_numbers` gives for a colour, of all three channels."""
    red, green, blue = color
    return red + (green << 8) + (blue << 16)


def unpack_color(number: int) -> tuple[int, int, int]:
    """The colour of a number of `pack_color`."""
    return number & 255, number >> 8 & 255, number >> 16
