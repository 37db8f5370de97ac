"""What the instance heads predict: heatmaps, instance detections, offset fields."""

from __future__ import annotations

import cv2
import numpy as np

from deeperlab_tf.keypoints import (
    BOTTOM_LEFT,
    BOTTOM_RIGHT,
    CENTER,
    NUM_CORNERS,
    TOP_LEFT,
    TOP_RIGHT,
    KeypointGraph,
)
from deeperlab_tf.visualize.drawing import (
    BACKGROUND,
    Color,
    Picture,
    enlarge,
    legend,
    vivid_colors,
)
from deeperlab_tf.visualize.parses import Parse

_OUTLINE = (TOP_LEFT, TOP_RIGHT, BOTTOM_RIGHT, BOTTOM_LEFT, TOP_LEFT)
_FRACTION_BITS = 4  # of the coordinates of OpenCV's drawing functions
_SMALLEST_WHEEL = 24  # pixels


# === Heatmaps ===


def heatmap(probabilities: np.ndarray, image: Picture, scale: int = 1) -> Picture:
    """Keypoint probabilities as glows over the darkened image, one colour per keypoint.

    Args:
      probabilities: [h, w, P], or [h, w] of one keypoint, 0-1.
      image: uint8 [H, W, 3], RGB, which they are of.
      scale: the picture is this many times as large as the image.

    Returns:
      uint8 [H · scale, W · scale, 3].
    """
    image = enlarge(image, scale)
    height, width = image.shape[:2]
    probabilities = np.asarray(probabilities, np.float32)
    resized = cv2.resize(probabilities, (width, height), interpolation=cv2.INTER_LINEAR)
    resized = np.clip(resized.reshape(height, width, -1), 0, 1)

    # Where glows of several keypoints meet, their colours mix: [H, W, P] @ [P, 3].
    colors = np.array(vivid_colors(resized.shape[-1]), np.float32)
    strongest = resized.max(axis=-1, keepdims=True)
    total = resized.sum(axis=-1, keepdims=True)
    mixed = resized @ colors / np.maximum(total, 1e-6)
    return (image * 0.4 * (1 - strongest) + mixed * strongest).astype(np.uint8)


def heatmap_legend(graph: KeypointGraph, width: int) -> Picture:
    """A strip `width` pixels wide that tells which keypoint has which colour in `heatmap`."""
    return legend(keypoint_colors(graph), width)


def keypoint_colors(graph: KeypointGraph) -> dict[str, Color]:
    """Colour of each keypoint in `heatmap`, by its name."""
    names = (name.replace("_", " ") for name in graph.names)
    return dict(zip(names, vivid_colors(graph.num_keypoints)))


# === Detections ===


def detection(image: Picture, parsing: Parse, scale: int = 1) -> Picture:
    """The detected instances as in the paper's Fig. 10: their keypoints and arrows between them.

    With the star graph the arrows are the middle-range offsets from the centre to the corners, with
    the rectangle graph those around the box.

    Args:
      image: uint8 [H, W, 3], RGB.
      parsing: `Parsing` of it, with its `keypoints`.
      scale: the picture is this many times as large as the image.

    Returns:
      uint8 [H · scale, W · scale, 3], darkened where nothing is drawn.
    """
    picture = (enlarge(image, scale) * 0.55).astype(np.uint8)
    line = max(1, round(max(picture.shape) / 500))
    keypoints = np.asarray(parsing.keypoints, np.float64)
    for points, color in zip(keypoints, vivid_colors(len(keypoints))):
        if not points.any():  # a region of a thing's class in which no instance was detected
            continue
        pixels = np.round(points[:, ::-1] * scale).astype(int).tolist()  # [P, 2], (x, y)
        for source, target in _arrows(len(pixels)):
            _draw_arrow(picture, pixels[source], pixels[target], color, line)
        for point in pixels:
            _draw_disk(picture, point, 2 * line + 1, (255, 255, 255))
            _draw_disk(picture, point, 2 * line, color)
    return picture


def _arrows(num_keypoints):
    """(source, target) keypoint of each arrow."""
    if num_keypoints > NUM_CORNERS:
        return [(CENTER, corner) for corner in range(NUM_CORNERS)]
    return list(zip(_OUTLINE[:-1], _OUTLINE[1:]))


def _draw_arrow(picture, start, end, color: Color, line: int):
    length = max(np.hypot(*np.subtract(end, start)), 1.0)
    # OpenCV takes the tip as a share of the arrow; it should look the same on all.
    tip = min(6.0 * line / length, 0.5)
    cv2.arrowedLine(picture, start, end, color, line, cv2.LINE_AA, tipLength=tip)


def _draw_disk(picture, center, radius: int, color: Color):
    fixed = [coordinate << _FRACTION_BITS for coordinate in center]
    radius = radius << _FRACTION_BITS
    cv2.circle(picture, fixed, radius, color, -1, cv2.LINE_AA, _FRACTION_BITS)


# === Offsets ===


def offsets(field: np.ndarray, longest: float | None = None) -> Picture:
    """An offset field on the colour wheel: hue is the direction, white is no offset.

    Args:
      field: float [h, w, 2], (y, x).
      longest: length that is fully saturated; None: the longest there is.

    Returns:
      uint8 [h, w, 3].
    """
    field = np.asarray(field, np.float32)
    length, angle = cv2.cartToPolar(field[..., 1], field[..., 0], angleInDegrees=True)
    longest = max(float(longest or length.max(initial=0)), 1e-6)
    saturation = np.minimum(length / longest, 1)
    # OpenCV's HSV in float: degrees, 0-1, 0-1.
    hsv = np.stack([angle, saturation, np.ones_like(length)], axis=-1)
    rgb = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    return (rgb * 255).round().astype(np.uint8)


def color_wheel(side: int) -> Picture:
    """The colours of `offsets` for every direction, in a disc: uint8 [side, side, 3]."""
    rows, columns = np.mgrid[:side, :side] - (side - 1) / 2
    radius = side / 2 - 4
    picture = offsets(np.stack([rows, columns], axis=-1), radius)
    picture[np.hypot(rows, columns) > radius] = BACKGROUND
    return picture


def offset_overlay(
    field: np.ndarray, weight: np.ndarray, image: Picture, scale: int = 1
) -> Picture:
    """An offset field in the colours of `offsets`, over the darkened image where it counts.

    Args:
      field: float [h, w, 2], (y, x).
      weight: float [h, w], 0-1: how much each offset counts. What the losses leave free is noise.
      image: uint8 [H, W, 3], RGB, which the field is of.
      scale: the picture is this many times as large as the image.

    Returns:
      uint8 [H · scale, W · scale, 3], with the wheel of directions in its corner.
    """
    counted = np.linalg.norm(field, axis=-1)[weight > 0.5]
    colors = offsets(field, counted.max(initial=0) or None)
    picture = enlarge(image, scale)
    size = picture.shape[1::-1]
    colors = cv2.resize(colors, size, interpolation=cv2.INTER_LINEAR).astype(np.float32)
    opacity = cv2.resize(weight.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    opacity = 0.9 * np.clip(opacity, 0, 1)[..., np.newaxis]
    picture = picture * 0.4 * (1 - opacity) + colors * opacity
    picture = picture.astype(np.uint8)

    side = min(picture.shape[:2]) // 5
    if side > _SMALLEST_WHEEL:
        picture[-side:, -side:] = color_wheel(side)
    return picture
