"""The stand-in for a street dataset: its classes, and pictures of nothing."""

from __future__ import annotations

import cv2
import numpy as np

from deeperlab_tf.schema import Category, Dataset, distinct_colors

# As many as Mapillary Vistas has; the last ones are things.
NUM_CLASSES, NUM_THINGS = 66, 37


def street_dataset(num_classes: int = NUM_CLASSES, num_things: int = NUM_THINGS) -> Dataset:
    """A dataset whose first classes are stuff and whose last `num_things` are things."""
    first_thing = num_classes - num_things
    categories = []
    for index, color in enumerate(distinct_colors(num_classes)):
        category = Category(f"class {index}", index >= first_thing, color, index)
        categories.append(category)
    return Dataset("street", tuple(categories))


def pictures(count: int, size: tuple[int, int]) -> list[np.ndarray]:
    """Smooth noise of a size (H, W): uint8 [H, W, 3] each."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (count, 24, 24, 3)).astype(np.uint8)
    width_first = size[::-1]
    return [cv2.resize(noise, width_first, interpolation=cv2.INTER_CUBIC) for noise in small]


def jpegs(count: int, size: tuple[int, int]) -> list[bytes]:
    """The same pictures as JPEG files."""
    return [cv2.imencode(".jpg", picture)[1].tobytes() for picture in pictures(count, size)]
