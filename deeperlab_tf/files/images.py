"""Pictures and masks from whatever image files people have."""

from __future__ import annotations

import os

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.lossless import check_lossless

# Larger files are taken for decompression bombs; a photo of 6000 x 4000 has 2.4e7.
MAX_PIXELS = 2**27

_WIDE_GREY_MODES = ("I", "I;16", "I;16B", "I;16L")
_MASK_MODES = ("1", "L", "P", *_WIDE_GREY_MODES)
_ORIENTATION_TAG = 0x0112  # of EXIF
_FIRST_SIDEWAYS = 5  # EXIF orientations 5-8 lie on their side
_UPRIGHT = 1


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Reads a picture, turned upright as its EXIF orientation asks.

    Grey, palette, CMYK, 16-bit and transparent pictures are converted; transparency is dropped.

    Returns:
      uint8 [H, W, 3], RGB.

    Raises:
      UserError: the file is missing, broken, or so large that it is refused before it is decoded.
    """
    with open_image(path, "image") as image:
        image = ImageOps.exif_transpose(image)
        if image.mode not in _WIDE_GREY_MODES:
            return np.array(image.convert("RGB"))
        grey = np.clip(np.asarray(image), 0, 2**16 - 1) >> 8
        return np.repeat(grey.astype(np.uint8)[..., np.newaxis], 3, axis=2)


def read_mask(path: str | os.PathLike) -> np.ndarray:
    """Reads a mask of ids: 1-, 8-, 16- or 32-bit grey, or the indices (not colours) of a palette.

    Returns:
      int32 [H, W].

    Raises:
      UserError: as of `read_image`; the picture is in colour, or stored with losses.
    """
    with open_image(path, "mask") as image:
        check_lossless(image, path)
        if image.mode not in _MASK_MODES:
            raise UserError(
                f"mask {path} is a picture of mode {image.mode}, not a map of ids; "
                "save it as a grey or palette PNG."
            )
        return np.array(image).astype(np.int32)


def image_file_size(path: str | os.PathLike) -> tuple[int, int]:
    """(height, width) of a file as `read_image` would give it; only the file's head is read."""
    with open_image(path, "image", load=False) as image:
        width, height = image.size
        orientation = image.getexif().get(_ORIENTATION_TAG, _UPRIGHT)
    return (width, height) if orientation >= _FIRST_SIDEWAYS else (height, width)


def open_image(path: str | os.PathLike, what: str, load: bool = True) -> Image.Image:
    """Opens an image file, with errors for people.

    Args:
      path: the file.
      what: it should have been, for errors.
      load: False: only the file's head is read.

    Returns:
      the image, to be closed.

    Raises:
      UserError: the file is missing, broken, or has more than `MAX_PIXELS` pixels.
    """
    try:
        image = Image.open(path)
        if image.width * image.height > MAX_PIXELS:
            raise Image.DecompressionBombError
        if load:
            image.load()
        return image
    except FileNotFoundError as error:
        raise UserError(
            f"{what} {path} does not exist; restore it or take it off the list."
        ) from error
    except Image.DecompressionBombError as error:
        raise UserError(
            f"{what} {path} has more than {MAX_PIXELS} pixels; refused, make it smaller."
        ) from error
    # Whatever the codecs raise.
    except (OSError, SyntaxError, ValueError, EOFError, UnidentifiedImageError) as error:
        raise UserError(f"{what} {path} cannot be read ({error}); replace or remove it.") from error


def file_orientation(path: str | os.PathLike) -> int:
    """The EXIF orientation 1-8 of an image file; only its head is read.

    Raises:
      UserError: as of `open_image`.
    """
    with open_image(path, "image", load=False) as image:
        return image.getexif().get(_ORIENTATION_TAG, _UPRIGHT)
