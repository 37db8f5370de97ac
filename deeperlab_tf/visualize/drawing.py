"""Text, colours and image files: what all pictures are drawn with."""

from __future__ import annotations

import colorsys
import functools
from collections.abc import Collection, Mapping

import cv2
import numpy as np
from PIL import Image, ImageDraw

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.encode import write_encoded
from deeperlab_tf.visualize.fonts import font_for

Color = tuple[int, int, int]  # red, green, blue, 0-255
Picture = np.ndarray  # uint8 [H, W, 3], RGB

BACKGROUND = 24  # grey value of sheets and wheels
STRIP_HEIGHT = 28  # pixels, of captions and legends

LARGEST_JPEG_SIDE = 65_500  # pixels that libjpeg writes

_JPEG_QUALITY = 92
_SMALLEST_FONT = 7  # pixels, of captions
_SWATCH_MARGIN = 8  # pixels around a legend's patch of colour
_STRIPES = 7  # pixels from stripe to stripe
_GOLDEN_ANGLE = 0.381966  # of a turn: successive multiples never come close to each other


# === Files ===


def write_image(path: str, image: Picture) -> None:
    """Writes a picture in the format of the path's ending, whole or not at all.

    Args:
      path: image file.
      image: uint8 [H, W, 3], RGB.

    Raises:
      UserError: the file cannot be written.
    """
    options = []
    if path.lower().endswith((".jpg", ".jpeg")):
        options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
        if max(image.shape) > LARGEST_JPEG_SIDE:
            raise UserError(
                f"cannot write {path}: a JPEG has at most {LARGEST_JPEG_SIDE} pixels a side, this "
                f"picture has {image.shape[1]} x {image.shape[0]}; write a PNG."
            )
    write_encoded(path, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)


# === Colours ===


def shades(color: Color, count: int) -> list[Color]:
    """Variations of a colour that stay recognisable as its relatives and tell neighbours apart."""
    red, green, blue = (channel / 255 for channel in color)
    hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
    # Grey and dark colours have no relatives: these have.
    saturation = max(saturation, 0.35)
    value = max(value, 0.7)

    result = []
    for index in range(count):
        # Two sequences in -0.5 ... 0.5 that fill it evenly, independent of each other.
        turn = (0.5 + index * _GOLDEN_ANGLE) % 1.0 - 0.5
        other = (0.5 + index * _GOLDEN_ANGLE * _GOLDEN_ANGLE * 5) % 1.0 - 0.5
        shade_hue = (hue + 0.22 * turn) % 1.0
        shade_saturation = min(max(saturation + 0.35 * other, 0.3), 1.0)
        shade_value = min(max(value + 0.3 * turn, 0.5), 1.0)
        result.append(_rgb(shade_hue, shade_saturation, shade_value))
    return result


def vivid_colors(count: int) -> list[Color]:
    """Bright colours; neighbours in the list are far apart in hue."""
    result = []
    for index in range(count):
        hue = (0.02 + index * _GOLDEN_ANGLE) % 1.0
        saturation = 0.8 - 0.25 * (index % 2)
        result.append(_rgb(hue, saturation, 1.0))
    return result


def _rgb(hue: float, saturation: float, value: float) -> Color:
    channels = colorsys.hsv_to_rgb(hue, saturation, value)
    return tuple(round(255 * channel) for channel in channels)


# === Text ===


@functools.lru_cache(maxsize=4096)
def text_size(text: str, size: int) -> tuple[int, int]:
    """(height, width) in pixels of the pill that `draw_label` draws in font size `size`."""
    text, font = font_for(text, size)
    left, _, right, _ = font.getbbox(text)
    return round(size * 1.5), int(right - left + size * 0.8)


def draw_label(
    image: Picture, text: str, top_left: tuple[int, int], size: int, color: Color
) -> None:
    """Draws a line of text on a dark pill with a stripe of colour into an image, in place.

    Args:
      image: uint8 [H, W, 3], RGB; the pill has to lie inside.
      text: one line.
      top_left: (y, x) of the pill.
      size: font size in pixels.
      color: of the stripe.
    """
    height, width = text_size(text, size)
    y, x = top_left
    patch = np.ascontiguousarray(image[y : y + height, x : x + width])

    pill, letters = _label_masks(text, size)
    _blend(patch, (18, 18, 22), pill)
    patch[size // 3 : height - size // 3 + 1, : max(size // 6, 1) + 1] = color
    _blend(patch, (255, 255, 255), letters)
    image[y : y + height, x : x + width] = patch


@functools.lru_cache(maxsize=1024)
def _label_masks(text, size):
    """How much of a label's pixels is pill, a little transparent, and letters: uint8 [h, w] each.

    Photos of one kind have the same labels again and again.
    """
    height, width = text_size(text, size)
    pill = Image.new("L", (width, height), 0)
    outline = (0, 0, width - 1, height - 1)
    ImageDraw.Draw(pill).rounded_rectangle(outline, radius=size // 3, fill=195)

    letters = Image.new("L", (width, height), 0)
    drawn, font = font_for(text, size)
    start = (size * 0.45, height / 2)
    ImageDraw.Draw(letters).text(start, drawn, fill=255, font=font, anchor="lm")
    return np.asarray(pill), np.asarray(letters)


def _blend(picture, color, mask):
    alpha = mask.reshape(-1, 1) * np.float32(1 / 255)
    blend_at(picture, np.s_[:], color, alpha)


def blend_at(picture: Picture, places: np.ndarray | slice, color: Color, alpha: np.ndarray) -> None:
    """Blends a colour into some pixels of a picture, in place.

    Args:
      picture: uint8 [H, W, 3], contiguous.
      places: of the pixels, row by row: int [N].
      color: what they are blended with.
      alpha: how much of the colour each gets: float32 [N, 1], 0-1.
    """
    pixels = picture.reshape(-1, 3)
    under = pixels[places].astype(np.float32)
    mixed = under + alpha * (np.array(color, np.float32) - under)
    pixels[places] = mixed + 0.5  # rounded, as the cast cuts off


def caption(text: str, width: int, height: int = STRIP_HEIGHT, left: int | None = None) -> Picture:
    """A dark strip with a line of text, smaller where it has no room.

    Args:
      text: one line.
      width, height: of the strip, pixels.
      left: x where the text begins; None: it is centred.

    Returns:
      uint8 [height, width, 3].
    """
    strip = Image.new("RGB", (width, height), (24, 24, 28))
    # The font shrinks until the text fits.
    size = max(height // 2, 9)
    room = width - 8 - (left or 0)
    text, font = font_for(text, size)
    while size > _SMALLEST_FONT and font.getlength(text) > room:
        size -= 1
        text, font = font_for(text, size)
    x, anchor = (width / 2, "mm") if left is None else (left, "lm")
    place = (x, height / 2)
    ImageDraw.Draw(strip).text(place, text, fill=(235, 235, 235), font=font, anchor=anchor)
    return np.array(strip)


# === Strips and patterns ===


def legend(
    colors: Mapping[str, Color],
    width: int,
    height: int = STRIP_HEIGHT,
    hatched: Collection[str] = (),
) -> Picture:
    """A strip that tells what colours mean.

    Args:
      colors: the colour of each name.
      width, height: of the strip, pixels.
      hatched: names whose patch of colour is striped.

    Returns:
      uint8 [height, width, 3].
    """
    part_width = width // len(colors)
    first, last = _SWATCH_MARGIN, height - _SWATCH_MARGIN
    parts = []
    for name, color in colors.items():
        part = caption(name.replace("_", " "), part_width, height, left=height + 4)
        swatch = part[first:last, first:last]
        painted = stripes(swatch.shape[:2]) if name in hatched else ...
        swatch[painted] = color
        cv2.rectangle(part, (first, first), (last, last), (200, 200, 200), 1)
        parts.append(part)
    # Whole cells may leave some pixels over.
    strip = np.hstack(parts)
    return extend(strip, right=width - strip.shape[1])


def stripes(size: tuple[int, int]) -> np.ndarray:
    """Diagonal stripes: bool [height, width] for (height, width)."""
    rows, columns = np.ogrid[: size[0], : size[1]]
    return (rows + columns) % _STRIPES < _STRIPES // 2


def extend(picture: Picture, below: int = 0, right: int = 0) -> Picture:
    """uint8 [H, W, 3] with so many rows and columns of background added."""
    return np.pad(picture, ((0, below), (0, right), (0, 0)), constant_values=BACKGROUND)


# === Sizes ===


def enlarge(image: Picture, scale: int) -> Picture:
    """uint8 [H, W, 3] smoothly enlarged: [H · scale, W · scale, 3]."""
    size = (image.shape[1] * scale, image.shape[0] * scale)
    return cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)


def resize_picture(image: Picture, height: int, width: int) -> Picture:
    """uint8 [h, w, 3] resized for looking at: averaged where it shrinks, smooth where it grows."""
    shrinks = height * width < image.shape[0] * image.shape[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return cv2.resize(image, (width, height), interpolation=interpolation)
