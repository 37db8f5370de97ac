"""Photos whose metadata turn them: labels may have been drawn on the picture as it is stored."""

from __future__ import annotations

from deeperlab_tf.files.images import file_orientation, image_file_size
from input_pipeline.datasets import Problem

UPRIGHT = 1
FIRST_SIDEWAYS = 5  # orientations 5-8 lie on their side

KIND = "photos that their metadata turn"
MASK_KIND = "masks that their metadata turn"


def orientation_problems(name: str, path: str, is_sized: bool = True) -> list[Problem]:
    """What to look at in a photo whose labels could have been drawn before it was turned.

    Where turning changes the size, labels of the wrong one are refused, and the others are right.

    Args:
      name: of the sample.
      path: of its photo.
      is_sized: whether the labels have a size that was compared with the photo's.
    """
    orientation = file_orientation(path)
    height, width = image_file_size(path)
    is_compared = is_sized and orientation >= FIRST_SIDEWAYS and height != width
    if orientation == UPRIGHT or is_compared:
        return []
    text = (
        f"image {name!r} is turned upright by its EXIF orientation {orientation}: see on the sheet "
        "that its labels were drawn on the turned picture"
    )
    return [Problem(KIND, text)]


def mask_orientation_problems(path: str) -> list[Problem]:
    """What to look at in a mask that is turned: some tools copy the photo's metadata into masks
    that they have turned already.
    """
    orientation = file_orientation(path)
    if orientation == UPRIGHT:
        return []
    text = (
        f"mask {path} is turned upright by its own orientation {orientation}: see on the sheet "
        "that it fits its photo"
    )
    return [Problem(MASK_KIND, text)]


def size_hint(path: str, size: tuple[int, int]) -> str:
    """What to add to an error if labels of (height, width) fit a photo as it is stored; else ""."""
    orientation = file_orientation(path)
    if orientation >= FIRST_SIDEWAYS and tuple(size) == image_file_size(path)[::-1]:
        return (
            f" (they fit the photo as it is stored, before its EXIF orientation {orientation} "
            "turns it: turn the labels alike)"
        )
    return ""
