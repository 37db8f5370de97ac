"""Text, colours and image files: what the pictures of `visualize` are drawn with."""

import colorsys
import functools
import os

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.atomic import atomic_path

_HATCH = 7  # pixels from stripe to stripe
_GOLDEN_ANGLE = 0.381966  # of a turn: successive multiples never come close to each other


def write_image(path, image):
    """Writes uint8 [H, W, 3], RGB, as the format of the path's ending, whole or not at all."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, 92] if path.lower().endswith((".jpg", ".jpeg")) else []
    with atomic_path(path) as temporary:
        if not cv2.imwrite(temporary, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), quality):
            raise UserError(f"cannot write {path}; check the folder and the free space.")


def shades(color, count):
    """`count` (r, g, b) variations of a colour that stay recognisable as its relatives and tell
    neighbours apart.
    """
    hue, saturation, value = colorsys.rgb_to_hsv(*(channel / 255 for channel in color))
    saturation = max(saturation, 0.35)
    result = []
    for index in range(count):
        turn = (0.5 + index * _GOLDEN_ANGLE) % 1.0 - 0.5
        other = (0.5 + index * _GOLDEN_ANGLE * _GOLDEN_ANGLE * 5) % 1.0 - 0.5
        shade = colorsys.hsv_to_rgb(
            (hue + 0.22 * turn) % 1.0,
            float(np.clip(saturation + 0.35 * other, 0.3, 1.0)),
            float(np.clip(max(value, 0.7) + 0.3 * turn, 0.5, 1.0)),
        )
        result.append(tuple(round(255 * channel) for channel in shade))
    return result


def vivid_colors(count):
    """`count` bright (r, g, b) colours, neighbours in the list far apart in hue."""
    return [
        tuple(
            round(255 * c)
            for c in colorsys.hsv_to_rgb(
                (0.02 + i * _GOLDEN_ANGLE) % 1.0, 0.8 - 0.25 * (i % 2), 1.0
            )
        )
        for i in range(count)
    ]


@functools.cache
def _font(size):
    return ImageFont.truetype(
        os.path.join(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), size
    )


def text_size(text, size):
    """(height, width) in pixels of the pill `draw_label` draws."""
    left, _, right, _ = _font(size).getbbox(text)
    return round(size * 1.5), int(right - left + size * 0.8)


def draw_label(image, text, top_left, size, color):
    """Draws `text` on a dark pill with a stripe of `color` into uint8 [H, W, 3], in place.

    Args:
      image: uint8 [H, W, 3], RGB; the pill has to lie inside.
      text: one line.
      top_left: (y, x) of the pill.
      size: font size in pixels.
      color: (r, g, b).
    """
    height, width = text_size(text, size)
    y, x = top_left
    below = image[y : y + height, x : x + width]
    patch = Image.fromarray(below)
    pill = Image.new("L", patch.size, 0)
    ImageDraw.Draw(pill).rounded_rectangle(
        (0, 0, width - 1, height - 1), radius=size // 3, fill=195
    )
    patch.paste((18, 18, 22), (0, 0), pill)
    draw = ImageDraw.Draw(patch)
    draw.rectangle((0, size // 3, max(size // 6, 1), height - size // 3), fill=tuple(color))
    draw.text((size * 0.45, height / 2), text, fill=(255, 255, 255), font=_font(size), anchor="lm")
    image[y : y + height, x : x + width] = np.asarray(patch)


def caption(text, width, height=28, left=None):
    """A dark strip with `text` in its middle, or from x = `left` on: uint8 [height, width, 3]."""
    strip = Image.new("RGB", (width, height), (24, 24, 28))
    size = max(height // 2, 9)
    room = width - 8 - (left or 0)
    while size > 7 and _font(size).getlength(text) > room:
        size -= 1
    x, anchor = (width / 2, "mm") if left is None else (left, "lm")
    ImageDraw.Draw(strip).text(
        (x, height / 2), text, fill=(235, 235, 235), font=_font(size), anchor=anchor
    )
    return np.array(strip)


def legend(colors, width, height=28, hatched=()):
    """A strip that tells what colours mean.

    Args:
      colors: dict name -> (r, g, b).
      width, height: of the strip, pixels.
      hatched: names whose swatch is striped.
    """
    cell = width // len(colors)
    parts = []
    for name, color in colors.items():
        part = caption(name.replace("_", " "), cell, height, left=height + 4)
        swatch = part[8 : height - 8, 8 : height - 8]
        swatch[stripes(swatch.shape[:2]) if name in hatched else ...] = color
        cv2.rectangle(part, (8, 8), (height - 8, height - 8), (200, 200, 200), 1)
        parts.append(part)
    strip = np.hstack(parts)
    return np.pad(strip, ((0, 0), (0, width - strip.shape[1]), (0, 0)), constant_values=24)


def stripes(size):
    """bool [H, W]: diagonal stripes."""
    rows, columns = np.ogrid[: size[0], : size[1]]
    return (rows + columns) % _HATCH < _HATCH // 2


def resize_picture(image, height, width):
    """Resizes uint8 [h, w, 3] for looking at: averaging where it shrinks, smooth where it grows."""
    shrinks = height * width < image.shape[0] * image.shape[1]
    return cv2.resize(
        image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    )
