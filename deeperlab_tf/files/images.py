"""Pictures and masks from whatever image files people have."""

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from deeperlab_tf.errors import UserError
from deeperlab_tf.image_size import MAX_PIXELS

_WIDE_GRAY_MODES = ("I", "I;16", "I;16B", "I;16L")


def read_image(path):
    """Reads a picture as uint8 [H, W, 3] RGB, turned upright as its EXIF orientation asks.

    Grey, palette, CMYK, 16-bit and transparent pictures are converted; transparency is dropped.
    UserError names files that are missing, broken, or so large that they are refused before being
    decoded.
    """
    with _open(path, "image") as image:
        image = ImageOps.exif_transpose(image)
        if image.mode in _WIDE_GRAY_MODES:
            gray = (np.clip(np.asarray(image), 0, 2**16 - 1) >> 8).astype(np.uint8)
            return np.repeat(gray[..., np.newaxis], 3, axis=2)
        return np.array(image.convert("RGB"))


def read_mask(path):
    """Reads a mask of ids, as int32 [H, W]: 1-, 8-, 16- or 32-bit grey, or the indices (not
    colours) of a palette.
    """
    with _open(path, "mask") as image:
        if image.mode not in ("1", "L", "P", *_WIDE_GRAY_MODES):
            raise UserError(
                f"mask {path} is a picture of mode {image.mode}, not a map of ids; save it as a grey or palette PNG."
            )
        return np.array(image).astype(np.int32)


def read_rgb_ids(path):
    """Reads a mask that spreads its ids over the colours, as COCO panoptic does: int32 [H, W], R +
    256 G + 65536 B.
    """
    with _open(path, "mask") as image:
        rgb = np.asarray(image.convert("RGB")).astype(np.int32)
    return rgb[..., 0] + 256 * rgb[..., 1] + 65536 * rgb[..., 2]


def image_file_size(path):
    """(height, width) of an image file as `read_image` would give it; only the file's head is read."""
    with _open(path, "image", load=False) as image:
        width, height = image.size
        sideways = image.getexif().get(0x0112, 1) >= 5  # EXIF orientations 5-8 lie on their side
        return (width, height) if sideways else (height, width)


def _open(path, what, load=True):
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
