"""From what an image file stores to RGB of 8 bits: one definition of colour conversion.

Palettes and grey are spread out and transparency is dropped: the colours stay as they are stored.
Colour profiles (ICC, gamma) are not applied. CMYK becomes (255 - C)(255 - K) / 255. Of 16 bits the
upper 8 are kept. Numbers without a stated range are refused, not guessed.

`export.encoded` does the same to JPEGs and PNGs in TensorFlow's operations.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from deeperlab_tf.errors import UserError

WIDE_BITS = 16
# A picture of 16 bits with no sample of this many (of 256) or more may hold 12 bits or fewer.
DARK = 16

_WIDE_GREY_MODES = ("I;16", "I;16B", "I;16L", "I;16N")
_BITS_TAG, _PHOTOMETRIC_TAG = 258, 262  # of TIFF
_WHITE_TAGS = (281, 341)  # of TIFF: the largest sample value
_WHITE_IS_ZERO = 0


def to_rgb(image: Image.Image, bits: int, where: str) -> np.ndarray:
    """The pixels of a loaded image as stored, not turned upright.

    Args:
      image: of Pillow.
      bits: of a sample in the file, see `sample_bits`.
      where: which file it is, for errors.

    Returns:
      uint8 [H, W, 3], RGB.

    Raises:
      UserError: the range of its numbers is not known.
    """
    if image.mode in (*_WIDE_GREY_MODES, "I"):
        return _spread(_wide_grey(image, bits, where))
    if image.mode == "F":
        return _spread(_float_grey(image, where))
    pixels = _cmyk(image) if image.mode == "CMYK" else _by_pillow(image)
    if bits == WIDE_BITS and pixels.max() < DARK:
        raise _too_dark(where)
    return pixels


def sample_bits(image: Image.Image) -> int:
    """Bits of a sample in the file of an opened TIFF; 8 for other formats."""
    if image.format != "TIFF":
        return 8
    bits = image.tag_v2.get(_BITS_TAG, (1,))
    return int(max(bits)) if isinstance(bits, tuple) else int(bits)


def _by_pillow(image):
    # With it Pillow warns that it drops what is to be dropped.
    image.info.pop("transparency", None)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _cmyk(image):
    # Channel by channel, for the sake of memory.
    channels = [np.asarray(channel) for channel in image.split()]
    light = 255 - channels[3].astype(np.uint16)
    pixels = np.empty((*light.shape, 3), np.uint8)
    for index, ink in enumerate(channels[:3]):
        pixels[..., index] = (255 - ink) * light // 255
    return pixels


def _wide_grey(image, bits, where):
    """uint8 [H, W] from 12-, 16- or 32-bit grey."""
    # Pillow scales other formats' samples to 16 bits.
    if image.format == "TIFF" and image.mode == "I":
        raise UserError(
            f"{where} has samples of {bits} bits or with a sign, whose range is not known; "
            "save it with 8 or 16 bits."
        )
    grey = np.asarray(image)
    if image.mode == "I":
        grey = np.clip(grey, 0, 2**WIDE_BITS - 1).astype(np.uint16)
    white = 2**bits - 1 if image.format == "TIFF" and bits < WIDE_BITS else 2**WIDE_BITS - 1
    if bits == WIDE_BITS and grey.max() < DARK << 8:
        white = _stated_white(image, int(grey.max()))
        if white is None:
            raise _too_dark(where)
    if _is_white_zero(image):
        grey = white - np.minimum(grey, white)
    scaled = grey.astype(np.uint32) * 256 // (white + 1)
    return np.minimum(scaled, 255).astype(np.uint8)


def _float_grey(image, where):
    """uint8 [H, W] from numbers in 0-1."""
    grey = np.asarray(image)
    low, high = float(grey.min()), float(grey.max())
    if not (low >= 0 and high <= 1):  # NaN, too
        raise UserError(
            f"{where} has numbers from {low:g} to {high:g}, whose range is not known; "
            "scale them to 0-1, or save it with 8 bits."
        )
    if _is_white_zero(image):
        grey = 1 - grey
    return np.rint(grey * np.float32(255)).astype(np.uint8)


def _stated_white(image, largest):
    """The value of white that a TIFF states, or None."""
    if image.format != "TIFF":
        return None
    stated = [image.tag_v2.get(tag) for tag in _WHITE_TAGS]
    stated = [value[0] if isinstance(value, tuple) else value for value in stated if value]
    known = [int(value) for value in stated if largest <= value < 2**WIDE_BITS - 1]
    return known[0] if known else None


def _is_white_zero(image):
    return image.format == "TIFF" and image.tag_v2.get(_PHOTOMETRIC_TAG) == _WHITE_IS_ZERO


def _too_dark(where):
    return UserError(
        f"{where} has samples of 16 bits of which none reaches a sixteenth of white, as if it held "
        "12 bits or fewer; scale it to the full range, or save it with 8 bits."
    )


def _spread(grey):
    return np.repeat(grey[..., np.newaxis], 3, axis=2)
