"""Parses over their images, and their label maps in colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import cv2
import numpy as np

from deeperlab_tf.pixels.label_maps import dense
from deeperlab_tf.schema import Dataset
from deeperlab_tf.visualize.drawing import (
    Color,
    Picture,
    blend_at,
    draw_label,
    enlarge,
    shades,
    text_size,
    vivid_colors,
)

UNLABELLED_COLOR = (0, 0, 0)

_THING_OPACITY = 0.55
_STUFF_OPACITY = 0.4
_MAX_LABELS = 60
_SMALLEST_FONT = 11  # pixels


class Parse(Protocol):
    """What pictures read of a `prediction.parsing.Parsing`, which says what each is."""

    semantic: np.ndarray
    instance: np.ndarray
    panoptic: np.ndarray
    segments: Sequence[Any]
    dataset: Dataset
    keypoints: np.ndarray | None


# === Colours of labels ===


def paint(labels: np.ndarray, colors: Mapping[int, Color]) -> Picture:
    """Integer map [H, W] in the colours of its values: uint8 [H, W, 3]; others are black."""
    values, index = dense(np.asarray(labels, np.int64).reshape(-1))
    table = [colors.get(value, UNLABELLED_COLOR) for value in values.tolist()]
    colored = np.array(table, np.uint8).take(index, axis=0)
    return colored.reshape(*labels.shape, 3)


def semantic_map(labels: np.ndarray, dataset: Dataset) -> Picture:
    """Semantic map [H, W] in the dataset's colours: uint8 [H, W, 3]; ignored pixels are black."""
    return paint(labels, dict(enumerate(dataset.colors)))


def instance_map(labels: np.ndarray) -> Picture:
    """Instance map [H, W], each instance in its own colour: uint8 [H, W, 3]; the rest is black."""
    count = int(np.max(labels, initial=0))
    colors = dict(enumerate(vivid_colors(count), start=1))
    return paint(labels, colors)


def segment_colors(parsing: Parse) -> dict[int, Color]:
    """Colour of each segment of a parse, by segment id.

    Stuff has its class' colour, instances have shades of it. All differ, and none is black.
    """
    class_colors = parsing.dataset.colors
    shade_of = _instance_shades(parsing)
    colors = {}
    used = {UNLABELLED_COLOR}
    for segment in parsing.segments:
        color = shade_of.get(segment.id, class_colors[segment.class_index])
        while color in used:
            color = _next_color(color)
        used.add(color)
        colors[segment.id] = color
    return colors


def _instance_shades(parsing):
    """Shades of its class' colour for each instance, in the order of the instances' numbers."""
    class_colors = parsing.dataset.colors
    members = {}  # class -> its instances
    for segment in parsing.segments:
        if segment.instance:
            members.setdefault(segment.class_index, []).append(segment)

    shade_of = {}
    for class_index, segments in members.items():
        segments.sort(key=lambda segment: segment.instance)
        class_shades = shades(class_colors[class_index], len(segments))
        for segment, shade in zip(segments, class_shades):
            shade_of[segment.id] = shade
    return shade_of


def _next_color(color):
    """The colour whose number, R + 256 G + 65536 B, is one larger."""
    red, green, blue = color
    number = (red + 256 * green + 65536 * blue + 1) % (1 << 24)
    return number & 255, (number >> 8) & 255, number >> 16


# === Parses over images ===


def draw_parsing(
    image: Picture,
    parsing: Parse,
    colors: Mapping[int, Color] | None = None,
    scale: int = 1,
    names: bool = True,
) -> Picture:
    """A parse over its image: colours, boundaries, names and scores.

    Args:
      image: uint8 [H, W, 3], RGB.
      parsing: `Parsing` of the same size.
      colors: colour of each segment id; None: `segment_colors`.
      scale: the picture is this many times as large as the image, for legible names on small
        images.
      names: write names and scores.

    Returns:
      uint8 [H · scale, W · scale, 3].

    Example:
      picture = draw_parsing(image, parsing, scale=overlay_scale(image))
      write_image("overlay.jpg", picture)
    """
    colors = colors or segment_colors(parsing)
    is_thing = np.isin(parsing.semantic, parsing.dataset.thing_classes)
    opacity = np.where(is_thing, _THING_OPACITY, _STUFF_OPACITY).astype(np.float32)
    opacity[parsing.semantic == parsing.dataset.ignore_label] = 0.0

    # Everything at the picture's size; labels and opacity must not blur.
    opacity = _enlarge_labels(opacity, scale)
    color = _enlarge_labels(paint(parsing.panoptic, colors), scale)
    picture = cv2.blendLinear(enlarge(image, scale), color, 1 - opacity, opacity)

    labels = _enlarge_labels(parsing.panoptic, scale)
    on_thing = _enlarge_labels(is_thing.astype(np.uint8), scale)
    _draw_boundaries(picture, labels, on_thing)
    if names:
        _write_names(picture, parsing, colors, scale)
    return picture


def overlay_scale(image: Picture, longer_side: int = 900) -> int:
    """The `scale` that makes a small image's picture at least about `longer_side` pixels long."""
    return int(np.clip(np.ceil(longer_side / max(image.shape[:2])), 1, 16))


def boundaries(labels: np.ndarray, width: int = 1) -> np.ndarray:
    """Where labels change.

    Args:
      labels: integer [H, W].
      width: how far the lines are thickened, pixels.

    Returns:
      bool [H, W]: pixels whose right or lower neighbour has another label, thickened to lines of
      about 2 · width - 1 pixels.
    """
    edges = np.zeros(labels.shape, np.uint8)  # OpenCV dilates no bool
    edges[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    edges[:-1] |= labels[:-1] != labels[1:]
    if width > 1:
        edges = cv2.dilate(edges, np.ones((width, width), np.uint8))
    return edges > 0


def _enlarge_labels(labels, scale):
    size = (labels.shape[1] * scale, labels.shape[0] * scale)
    return cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)


def _draw_boundaries(picture, labels, on_thing):
    """Strokes white lines around things, dark ones elsewhere, into the picture."""
    width = max(1, round(max(labels.shape) / 700))
    edges = boundaries(labels, width)
    # A boundary counts as a thing's if the thing lies on either side of its line.
    reach = 2 * width + 1
    touches_thing = cv2.dilate(on_thing, np.ones((reach, reach), np.uint8)) > 0
    _stroke(picture, edges & ~touches_thing, (30, 30, 34), 0.5)
    _stroke(picture, edges & touches_thing, (255, 255, 255), 0.95)


def _stroke(picture, mask, color, opacity):
    """Blends `color` into a picture where `mask`, with softened edges, in place."""
    softened = cv2.GaussianBlur(mask.view(np.uint8) * 255, (0, 0), 0.6)
    # Lines are a few of the pixels.
    places = np.flatnonzero(softened > 0)
    alpha = softened.reshape(-1)[places, np.newaxis] * np.float32(1.3 / 255)
    alpha = np.minimum(alpha, 1) * np.float32(opacity)
    blend_at(picture, places, color, alpha)


# === Names ===


def _write_names(picture, parsing, colors, scale):
    """Writes name and score into the middle of each segment that has room.

    The largest segments come first; no name lies over another.
    """
    taken = np.zeros(picture.shape[:2], bool)
    largest_font = int(np.clip(max(picture.shape[:2]) / 64, 12, 30))
    for segment in parsing.segments[:_MAX_LABELS]:
        # The larger the segment, the larger its name.
        side = np.sqrt(segment.area) * scale
        font = int(np.clip(side / 6, _SMALLEST_FONT, largest_font))
        text = segment.name
        if segment.score is not None:
            text = f"{segment.name} {segment.score:.2f}"
        size = text_size(text, font)
        if not _has_room(segment, size, scale):
            continue

        top, left = _label_corner(parsing, segment, size, scale, picture.shape[:2])
        place = np.s_[top : top + size[0], left : left + size[1]]
        if taken[place].any() or taken[place].shape != size:
            continue
        taken[place] = True
        draw_label(picture, text, (top, left), font, colors[segment.id])


def _has_room(segment, label_size, scale):
    """Whether a label fits into a segment's box; it may stand out a little at the sides."""
    y1, x1, y2, x2 = segment.box
    height, width = label_size
    return (y2 - y1) * scale >= height and (x2 - x1) * scale >= 0.6 * width


def _label_corner(parsing, segment, label_size, scale, picture_size):
    """(y, x) of a label whose middle is the segment's pixel farthest from its boundary."""
    y1, x1, y2, x2 = segment.box
    is_segment = parsing.panoptic[y1:y2, x1:x2] == segment.id
    # Beyond the box, and beyond the image, it is outside.
    padded = cv2.copyMakeBorder(is_segment.view(np.uint8), *[1] * 4, cv2.BORDER_CONSTANT)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, 3)
    y, x = np.unravel_index(depth.argmax(), depth.shape)

    height, width = label_size
    corner = ((y1 + y) * scale - height // 2, (x1 + x) * scale - width // 2)
    last = np.maximum(np.subtract(picture_size, label_size), 0)
    return np.clip(corner, 0, last)
