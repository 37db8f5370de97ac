"""From what an image file stores to RGB of 8 bits: one definition of colour conversion.

Palettes and grey are spread out and transparency is dropped: the colours stay as they are stored.
Colour profiles (ICC, gamma) are not applied. CMYK becomes (255 - C)(255 - K) / 255. Of 16 bits the
upper 8 are kept. Numbers without a stated range are refused, not guessed.

`export.encoded` does the same to JPEGs and PNGs in TensorFlow's operations.
"""

from __future__ import annotations

import re

import numpy as np
from PIL import Image

from deeperlab_tf.errors import UserError

WIDE_BITS = 16
# A picture of 16 bits with no sample of this many (of 256) or more may hold 12 bits or fewer.
DARK = 16

_GREY_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I")  # of more than 8 bits
_STRIP_PIXELS = 2**20
_BITS_TAG, _PHOTOMETRIC_TAG = 258, 262  # of TIFF
_WHITE_TAGS = (281, 341)  # of TIFF: the largest sample value
_WHITE_IS_ZERO = 0
HEAD_BYTES = 4096  # in which the headers below are
_WITH_WHITE = (b"P2", b"P3", b"P5", b"P6")  # PGM and PPM; what follows: width, height, white
_JPEG2000_SIZES = b"\xff\x4f\xff\x51"  # where the sizes begin in a JPEG 2000
_DEPTH = 38  # from there to a byte: the bits of a sample less 1, the highest bit its sign
_WIDE_DEPTHS = (b"\x0f", b"\x8f")


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
    # With it Pillow warns that it drops what is to be dropped.
    image.info.pop("transparency", None)
    convert = _converter(image, bits, where)
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for rows, strip in _strips(image):
        pixels[rows] = convert(strip)
    # Pillow rounds the samples of a PPM; of others it keeps the upper 8 bits.
    dark = DARK + 1 if image.format == "PPM" else DARK
    if bits == WIDE_BITS and image.mode not in _GREY_MODES and pixels.max() < dark:
        raise _too_dark(where)
    return pixels


def sample_bits(image: Image.Image, head: bytes) -> int:
    """Bits of a sample in the file of an opened image that is no PNG.

    Args:
      image: of Pillow.
      head: the first `HEAD_BYTES` of the file, or all of it.

    Returns:
      those of a TIFF; of other formats 16 where all of 16 bits is the range, 8 else: Pillow scales
      what has another range.
    """
    if image.format == "TIFF":
        bits = image.tag_v2.get(_BITS_TAG, (1,))
        return int(max(bits)) if isinstance(bits, tuple) else int(bits)
    is_wide = False
    if image.format == "PPM" and head[:2] in _WITH_WHITE:
        words = re.sub(rb"#[^\n]*", b"", head).split(None, 4)
        is_wide = int(words[3]) == 2**WIDE_BITS - 1
    elif image.format == "JPEG2000":
        _, _, sizes = head.partition(_JPEG2000_SIZES)
        is_wide = sizes[_DEPTH : _DEPTH + 1] in _WIDE_DEPTHS
    return WIDE_BITS if is_wide else 8


def _converter(image, bits, where):
    """Function of a strip of the image that gives its pixels, uint8 [h, W, 3] or [h, W, 1]."""
    if image.mode == "CMYK":
        return _from_cmyk
    if image.mode == "F":
        return _float_converter(image, where)
    if image.mode in _GREY_MODES:
        return _wide_grey_converter(image, bits, where)
    if image.mode == "RGB":  # which Pillow would copy
        return np.asarray
    return lambda strip: np.asarray(strip.convert("RGB"))


def _strips(image):
    """(slice of the rows, those rows of the image), few at a time: for the sake of memory."""
    count = max(_STRIP_PIXELS // image.width, 1)
    if count >= image.height:
        yield slice(None), image
        return
    for top in range(0, image.height, count):
        bottom = min(top + count, image.height)
        yield slice(top, bottom), image.crop((0, top, image.width, bottom))


def _from_cmyk(strip):
    cmyk = np.asarray(strip).astype(np.uint16)
    return (255 - cmyk[..., :3]) * (255 - cmyk[..., 3:]) // 255


def _wide_grey_converter(image, bits, where):
    """`_converter` of 12-, 16- or 32-bit grey."""
    # Pillow scales other formats' samples to 16 bits.
    if image.format == "TIFF" and image.mode == "I":
        raise UserError(
            f"{where} has samples of {bits} bits or with a sign, whose range is not known; "
            "save it with 8 or 16 bits."
        )
    largest = max(int(np.asarray(strip).max()) for _, strip in _strips(image))
    white = 2**bits - 1 if image.format == "TIFF" and bits < WIDE_BITS else 2**WIDE_BITS - 1
    if bits == WIDE_BITS and largest < DARK << 8:
        white = _stated_white(image, largest)
        if white is None:
            raise _too_dark(where)
    inverted = _is_white_zero(image)

    def convert(strip):
        grey = np.clip(np.asarray(strip), 0, white).astype(np.uint32)
        grey = white - grey if inverted else grey
        return (grey * 256 // (white + 1))[..., np.newaxis]

    return convert


def _float_converter(image, where):
    """`_converter` of numbers in 0-1."""
    ranges = [
        (strip.min(), strip.max())
        for strip in map(np.asarray, (strip for _, strip in _strips(image)))
    ]
    low, high = float(np.min(ranges)), float(np.max(ranges))
    if not (low >= 0 and high <= 1):  # NaN, too
        raise UserError(
            f"{where} has numbers from {low:g} to {high:g}, whose range is not known; "
            "scale them to 0-1, or save it with 8 bits."
        )
    inverted = _is_white_zero(image)

    def convert(strip):
        grey = np.asarray(strip)
        grey = 1 - grey if inverted else grey
        return np.rint(grey * np.float32(255))[..., np.newaxis]

    return convert


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
