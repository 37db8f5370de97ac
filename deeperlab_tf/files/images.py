"""Pictures and masks from whatever image files people have."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator

import numpy as np
from PIL import Image, UnidentifiedImageError

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.lossless import check_lossless
from deeperlab_tf.files.orientation import UPRIGHT, orientation_of, turn_upright, upright_size
from deeperlab_tf.files.pixels import HEAD_BYTES, sample_bits, to_rgb
from deeperlab_tf.files.png_chunks import read_png_facts

# Larger files are taken for decompression bombs; a photo of 6000 x 4000 has 2.4e7.
MAX_PIXELS = 2**27

_MASK_MODES = ("1", "L", "P", "I", "I;16", "I;16B", "I;16L")
# Others are refused: some of Pillow's readers start other programs, or take any file for theirs.
_FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "JPEG2000", "AVIF")
# By which pictures are found in folders; what a file is, its content tells.
IMAGE_ENDINGS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff")
IMAGE_ENDINGS += (".gif", ".ppm", ".pgm", ".pnm", ".jp2", ".avif")
# Pictures that no reader here decodes; they are named rather than passed over.
UNREADABLE_ENDINGS = (".heic", ".heif", ".jxl", ".dng", ".nef", ".cr2", ".arw")
_TURNED_BY_PILLOW = ("TIFF",)  # when it loads
_FACTS = "chunks"  # where an opened PNG's are kept, beside Pillow's own
_SUBFILE_TAG, _THUMBNAIL = 254, 1  # of TIFF


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Reads a picture, turned upright as its metadata ask (`files.orientation`).

    Grey, palette, CMYK, 16-bit, float and transparent pictures are converted (`files.pixels`).

    Returns:
      uint8 [H, W, 3], RGB.

    Raises:
      UserError: the file is missing, broken, a film, of numbers whose range is not known, or so
        large that it is refused before it is decoded.
    """
    with open_image(path, "image") as image, decoding(path, "image"):
        bits = _sample_bits(image, path)
        orientation = image_orientation(image)
        pixels = to_rgb(image, bits, f"image {path}")
        image.close()  # frees its pixels, which are needed no more
    return turn_upright(pixels, orientation)


def _sample_bits(image, path):
    if image.format == "PNG":
        return _png_facts(image).bits
    with storage.open(path, "rb") as file:
        return sample_bits(image, file.read(HEAD_BYTES))


def read_mask(path: str | os.PathLike) -> np.ndarray:
    """Reads a mask of ids: 1-, 8-, 16- or 32-bit grey, or the indices (not colours) of a palette.

    It is turned upright by its own metadata, as a photo is by its.

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
        return turn_upright(np.asarray(image).astype(np.int32), image_orientation(image))


def image_file_size(path: str | os.PathLike) -> tuple[int, int]:
    """(height, width) of a file as `read_image` would give it; nothing is decoded."""
    with open_image(path, "image", load=False) as image, decoding(path, "image"):
        width, height = image.size
        # Pillow gives the size of a TIFF turned upright.
        return upright_size(height, width, image_orientation(image))


def file_orientation(path: str | os.PathLike) -> int:
    """The orientation 1-8 of an image file; only its head is read.

    Raises:
      UserError: as of `open_image`.
    """
    with open_image(path, "image", load=False) as image, decoding(path, "image"):
        return image_orientation(image)


def image_orientation(image: Image.Image) -> int:
    """The orientation 1-8 in which an opened image's pixels are stored; nothing is decoded."""
    if image.format == "PNG":
        return _png_facts(image).orientation
    if image.format in _TURNED_BY_PILLOW:
        return UPRIGHT
    exif, xmp = image.info.get("exif", b""), image.info.get("xmp", b"")
    return orientation_of(exif, xmp if isinstance(xmp, bytes) else b"")


def open_image(path: str | os.PathLike, what: str, load: bool = True) -> Image.Image:
    """Opens an image file, with errors for people.

    Args:
      path: the file.
      what: it should have been, for errors.
      load: False: only the file's head is read.

    Returns:
      the image, to be closed.

    Raises:
      UserError: the file is missing, broken, holds several pictures, or has more than `MAX_PIXELS`
        pixels.
    """
    image = open_frames(path, what)
    try:
        with decoding(path, what):
            _check_single(image, path, what)
            if image.format == "PNG" and not _png_facts(image).whole:
                raise EOFError("it is cut off")
            if load:
                image.load()
    except BaseException:
        image.close()
        raise
    return image


def open_frames(path: str | os.PathLike, what: str) -> Image.Image:
    """As `open_image`, for files that may hold several pictures; only the head is read."""
    with decoding(path, what):
        # Pillow closes by itself what it has opened by itself.
        file = storage.open(path, "rb") if storage.is_remote(str(path)) else path
        image = Image.open(file, formats=_known_formats())
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise _too_large(path, what)
    return image


def is_animated(path: str | os.PathLike) -> bool:
    """Whether an image file is a film: an animated GIF, PNG, WebP or AVIF.

    Raises:
      UserError: it is no image.
    """
    with open_frames(path, "image") as image, decoding(path, "image"):
        return _holds_frames(image)


@contextlib.contextmanager
def decoding(path: str | os.PathLike, what: str) -> Iterator[None]:
    """Context in which whatever a codec raises becomes a `UserError` about `path`."""
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(
            f"{what} {path} does not exist; restore it or take it off the list."
        ) from error
    except Image.DecompressionBombError as error:
        raise _too_large(path, what) from error
    # Broken files make codecs raise a dozen exceptions without a common parent.
    except Exception as error:
        raise UserError(
            f"{what} {path} cannot be read ({_reason(error)}); replace or remove it."
        ) from error


def _check_single(image, path, what):
    if _holds_frames(image):
        raise UserError(
            f"{what} {path} is a film of several frames; give it to predict.py by itself, or save "
            "the frame you mean."
        )
    if image.format == "TIFF" and _has_pages(image):
        raise UserError(f"{what} {path} has several pages; save each as a file of its own.")


def _holds_frames(image):
    if image.format == "PNG":
        return _png_facts(image).frames > 1
    return image.format in ("GIF", "WEBP", "AVIF") and getattr(image, "is_animated", False)


def _has_pages(image):
    """Whether a TIFF has a second picture that is not a smaller copy of the first."""
    number = 0
    try:
        while getattr(image, "is_animated", False):
            number += 1
            image.seek(number)
            if not int(image.tag_v2.get(_SUBFILE_TAG, 0)) & _THUMBNAIL:
                return True
    except EOFError:
        pass
    finally:
        if number:
            image.seek(0)
    return False


def _png_facts(image):
    """`read_png_facts` of an opened PNG, kept with it."""
    if _FACTS not in image.info:
        image.info[_FACTS] = read_png_facts(image.fp)
    return image.info[_FACTS]


@functools.cache
def _known_formats():
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _too_large(path, what):
    return UserError(f"{what} {path} has more than {MAX_PIXELS} pixels; refused, make it smaller.")


def _reason(error):
    if isinstance(error, UnidentifiedImageError):
        return "it is not an image of a known format"
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
