"""From outlines, boxes and run lengths to label maps.

Regions are COCO's run lengths, of which pycocotools makes masks one at a time.
"""

from __future__ import annotations

import typing
from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco_mask

from deeperlab_tf.schema import IGNORE_LABEL, Dataset
from input_pipeline.datasets.labels import things_and_crowd
from input_pipeline.datasets.values import shown, to_number

_SMALLEST_POLYGON = 3  # points
_CIRCLE_POINTS = 64

Size = tuple[int, int]  # (height, width)
RunLengths = dict  # COCO's {"size": [height, width], "counts": bytes}


class FaultyOutline(Exception):
    """What is wrong with an outline, without the name of its file."""


class Region(typing.NamedTuple):
    """A part of an image that has one class.

    Attributes:
      label: class, or 255 where it is not known what is in the region.
      runs: its pixels.
      is_crowd: whether its objects were not told apart.
    """

    label: int
    runs: RunLengths
    is_crowd: bool = False


class Painted(typing.NamedTuple):
    """Label maps of an image.

    Attributes:
      semantic, instance: int32 [H, W].
      crowd: bool [H, W].
      hidden: how many regions have no pixel left under the others.
    """

    semantic: np.ndarray
    instance: np.ndarray
    crowd: np.ndarray
    hidden: int


# === Regions ===


def polygon_runs(points: typing.Any, size: Size) -> RunLengths | None:
    """The region inside a polygon; None if it has fewer than three points.

    Args:
      points: [x, y, x, y, …] in pixels.
      size: of the image.

    Raises:
      FaultyOutline: they are not pairs of finite numbers, or lie far outside the image.
    """
    numbers = [to_number(value) for value in points] if isinstance(points, list) else [None]
    if None in numbers or len(numbers) % 2:
        raise FaultyOutline("has a polygon that is not a list of numbers x, y, x, y, …")
    # An outline may leave its image a little; runs of wild numbers would fill the memory.
    reach = max(size)
    if numbers and not -reach <= min(numbers) <= max(numbers) <= 2 * reach:
        raise FaultyOutline(
            f"has a polygon with the coordinate {max(numbers, key=abs):g}, far outside its "
            f"picture of {size[0]} x {size[1]} (height x width)"
        )
    if len(numbers) < 2 * _SMALLEST_POLYGON:
        return None
    return coco_mask.frPyObjects([numbers], *size)[0]


def box_runs(box: Sequence[float], size: Size) -> RunLengths | None:
    """The region of a box (x, y, width, height); None if it is none or has no area."""
    numbers = [to_number(value) for value in box] if isinstance(box, (list, tuple)) else [None]
    if None in numbers or len(numbers) != 4 or min(numbers[2:]) <= 0:
        return None
    x, y, width, height = numbers
    return polygon_runs([x, y, x + width, y, x + width, y + height, x, y + height], size)


def circle_runs(center: Sequence[float], edge: Sequence[float], size: Size) -> RunLengths | None:
    """The region of a circle by its centre and a point on it, each (x, y)."""
    radius = float(np.hypot(edge[0] - center[0], edge[1] - center[1]))
    angles = np.arange(_CIRCLE_POINTS) * (2 * np.pi / _CIRCLE_POINTS)
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1) * radius + center
    return polygon_runs(points.reshape(-1).tolist(), size)


def mask_runs(mask: np.ndarray) -> RunLengths:
    """The region where a bool [H, W] is true."""
    return coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))


def union(parts: Sequence[RunLengths]) -> RunLengths:
    """The region that any of some regions covers."""
    return parts[0] if len(parts) == 1 else coco_mask.merge(list(parts))


def check_runs(encoded: dict, size: Size) -> RunLengths:
    """Run lengths from a file, compressed (a text) or not (a list), as pycocotools takes them.

    Raises:
      FaultyOutline: they are broken, or of a picture of another size.
    """
    given = encoded.get("size")
    if not isinstance(given, (list, tuple)) or [to_number(v) for v in given] != list(size):
        raise FaultyOutline(
            f"has run lengths of a picture of {shown(given)}, but its photo is "
            f"{size[0]} x {size[1]} (height x width)"
        )
    counts = encoded.get("counts")
    lengths = _decompress(counts) if isinstance(counts, str) else counts
    is_list = isinstance(lengths, list) and all(type(n) is int and n >= 0 for n in lengths)
    if not is_list or sum(lengths) != size[0] * size[1]:
        raise FaultyOutline("has run lengths that do not fill its picture")
    return coco_mask.frPyObjects({"size": list(size), "counts": lengths}, *size)


def _decompress(text: str) -> list[int] | None:
    """The lengths of COCO's compressed form, checked before the C code sees them; None if broken.

    Each is in pieces of five bits, the lowest first; from the third on, the difference to the one
    two places before.
    """
    lengths, number, shift = [], 0, 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            return None
        number |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            number -= 1 << shift
        lengths.append(number + lengths[-2] if len(lengths) > 2 else number)
        number = shift = 0
    return None if shift else lengths


# === Painting ===


def paint(
    regions: Sequence[Region], size: Size, dataset: Dataset, uncovered: int, smaller_on_top: bool
) -> Painted:
    """Label maps of an image's regions.

    What is unknown lies at the bottom, crowds above it, all others on top: later ones above
    earlier, or smaller ones above larger.

    Args:
      regions: in the order of the file.
      size: of the image.
      dataset: the classes.
      uncovered: class of pixels that no region covers, or 255.
      smaller_on_top: see above.
    """
    semantic = np.full(size, uncovered, np.int32)
    painted_by = np.zeros(size, np.int32)  # number of the region, from 1
    is_object = np.zeros(len(regions) + 1, bool)
    for number in _order(regions, smaller_on_top):
        region = regions[number]
        x, y, width, height = coco_mask.toBbox(region.runs).astype(int)
        if not width or not height:
            continue
        place = np.s_[y : y + height, x : x + width]
        mask = coco_mask.decode(region.runs)[place].astype(bool)
        semantic[place][mask] = region.label
        painted_by[place][mask] = number + 1
        is_object[number + 1] = not region.is_crowd and region.label != IGNORE_LABEL

    objects = np.where(is_object[painted_by], painted_by, 0)
    instance, crowd = things_and_crowd(semantic, objects, objects > 0, dataset)
    seen = np.bincount(painted_by.ravel(), minlength=len(regions) + 1)[1:]
    hidden = sum(is_object[number + 1] and not seen[number] for number in range(len(regions)))
    return Painted(semantic, instance, crowd, int(hidden))


def _order(regions, smaller_on_top):
    """Numbers of the regions, from the bottom to the top."""

    def key(number):
        region = regions[number]
        height = 0 if region.label == IGNORE_LABEL else 1 if region.is_crowd else 2
        area = -int(coco_mask.area(region.runs)) if smaller_on_top else 0
        return height, area, number

    return sorted(range(len(regions)), key=key)
