"""What is odd in masks that can be read: objects that vanish, noise, 0 and 255 alone."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from deeperlab_tf.schema import IGNORE_LABEL, Dataset
from input_pipeline.datasets import Problem

NO_CLASS = "objects on pixels of stuff or of no class"
SPLIT = "objects on pixels of several thing classes"
NOISE = "masks with many tiny objects"
BINARY_CLASSES = "class masks of 0 and 255 alone"
BINARY_OBJECTS = "object masks of 0 and 255 alone, with several regions"

_WHITE = 255
_TINY = 10  # pixels of an object that may be noise …
_MANY_TINY = 5  # … if there are so many, and they are more than half


def mask_problems(
    name: str,
    numbers: dict[str, np.ndarray],
    semantic: np.ndarray,
    dataset: Dataset,
    label_of_id: dict[int, int],
) -> list[Problem]:
    """What to look at in an image's masks.

    Args:
      name: of the sample.
      numbers: integer [H, W], `semantic` and `instances` as they stand in the files.
      semantic: int32 [H, W], classes, 255 where none counts.
      dataset: the classes.
      label_of_id: the class of each number of the semantic mask.
    """
    found = []
    if "instances" in numbers:
        found += _lost_objects(name, numbers["instances"], semantic, dataset)
        found += _noise(name, numbers["instances"])
        found += _binary_objects(name, numbers["instances"])
    if "semantic" in numbers and _WHITE not in label_of_id:
        values = np.unique(numbers["semantic"])
        if values.tolist() == [0, _WHITE]:
            text = (
                f"the class mask of image {name!r} holds 0 and 255 alone, and 255 does not count: "
                "if it is the foreground, give that class the id 255 and write ignore: []"
            )
            found.append(Problem(BINARY_CLASSES, text))
    return found


def _lost_objects(name, objects, semantic, dataset):
    """Objects that lose pixels since the class mask disagrees, or that fall into several."""
    is_object = objects > 0
    if not is_object.any():
        return []
    numbers, place = np.unique(objects[is_object], return_inverse=True)
    classes = semantic[is_object]
    # Pixels of each object by class: [objects, 256].
    width = IGNORE_LABEL + 1
    counts = np.bincount(place.reshape(-1) * width + classes, minlength=len(numbers) * width)
    counts = counts.reshape(len(numbers), width)
    of_things = counts[:, list(dataset.thing_classes)]

    total, kept = counts.sum(1), of_things.sum(1)
    lost = total - kept
    found = []
    if lost.any():
        gone = int((kept == 0).sum())
        text = (
            f"image {name!r}: {int(lost.sum())} of {int(total.sum())} pixels of objects are stuff "
            f"or of no class in the class mask; {gone} of {len(numbers)} objects vanish"
        )
        found.append(Problem(NO_CLASS, text))
    mixed = numbers[(of_things > 0).sum(1) > 1]
    if mixed.size:
        text = (
            f"image {name!r}: {mixed.size} of {len(numbers)} objects have pixels of several thing "
            f"classes, and become one object of each; the first is number {mixed[0]}"
        )
        found.append(Problem(SPLIT, text))
    return found


def _noise(name, objects):
    values, areas = np.unique(objects[objects > 0], return_counts=True)
    tiny = int((areas < _TINY).sum())
    if tiny < _MANY_TINY or 2 * tiny <= len(values):
        return []
    text = (
        f"image {name!r}: {tiny} of {len(values)} objects have fewer than {_TINY} pixels, as if "
        "the mask had been a JPEG, or been resized smoothly"
    )
    return [Problem(NOISE, text)]


def _binary_objects(name, objects):
    if np.unique(objects).tolist() != [0, _WHITE]:
        return []
    _, regions = ndimage.label(objects > 0)
    if regions < 2:
        return []
    text = (
        f"the object mask of image {name!r} holds 0 and 255 alone: its {regions} separate regions "
        "are one object; number the objects 1, 2, … if they are several"
    )
    return [Problem(BINARY_OBJECTS, text)]
