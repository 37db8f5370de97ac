"""From the ids in a mask to the labels of a sample."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from deeperlab_tf.errors import UserError
from deeperlab_tf.pixels.label_maps import runs
from deeperlab_tf.schema import IGNORE_LABEL, Dataset
from input_pipeline.datasets.orientation import size_hint

_MOST_A_PIXEL = 4  # values of that table for each pixel
_MOST_COUNTED = 2**20  # up to there a table of all values is quicker than sorting an image's pixels


def labels_by_id(dataset: Dataset) -> dict[int, int]:
    """From the ids in a dataset's files to the places of the classes in its list."""
    return {category.original_id: label for label, category in enumerate(dataset.categories)}


def map_ids(
    ids: np.ndarray, label_of_id: Mapping[int, int], path: str, ignored: Collection[int] = ()
) -> np.ndarray:
    """Replaces the ids of a mask by classes.

    Args:
      ids: integer [H, W].
      label_of_id: class of each id.
      path: file of the mask, for the error.
      ignored: ids that become 255.

    Returns:
      int32 [H, W].

    Raises:
      UserError: an id is neither known nor ignored.
    """
    # There are a hundred times fewer runs than pixels.
    lengths, (ids_of_runs,) = runs([ids.reshape(-1)])
    values, place = unique(ids_of_runs)
    table = np.full(len(values), IGNORE_LABEL, np.int32)
    for index, value in enumerate(values.tolist()):
        if value in label_of_id:
            table[index] = label_of_id[value]
        elif value not in ignored:
            raise UserError(
                f"mask {path} holds the class id {value}, which is not one of the dataset's "
                "classes; add it to the classes or to the ignored ids."
            )
    return np.repeat(table[place], lengths).reshape(ids.shape)


def things_and_crowd(
    semantic: np.ndarray, objects: np.ndarray, is_object: np.ndarray, dataset: Dataset
) -> tuple[np.ndarray, np.ndarray]:
    """Tells the instances apart; thing pixels that are no object's are crowd.

    Args:
      semantic: int32 [H, W], classes.
      objects: integer [H, W], equal for the pixels of a class that belong together.
      is_object: bool [H, W], where `objects` counts.
      dataset: says which classes are things.

    Returns:
      instance int32 [H, W], 1 … n, 0 elsewhere; crowd bool [H, W].
    """
    # All arrays are [runs] until the end.
    flat = [each.reshape(-1) for each in (semantic, objects, is_object)]
    lengths, (classes, numbers, counts) = runs(flat)
    is_thing = np.isin(classes, dataset.thing_classes)
    is_instance = is_thing & counts

    # An instance is a pair of class and object. With objects called 0, 1, …, pairs are small
    # numbers, too.
    _, numbers = unique(numbers[is_instance])
    num_numbers = numbers.max(initial=0) + 1
    pairs = classes[is_instance].astype(np.int64) * num_numbers + numbers
    _, place = unique(pairs)
    instance = np.zeros(len(lengths), np.int32)
    instance[is_instance] = place + 1
    crowd = is_thing & ~is_instance
    shape = semantic.shape
    return np.repeat(instance, lengths).reshape(shape), np.repeat(crowd, lengths).reshape(shape)


def unique(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What np.unique says of integers of any shape, but without sorting where they are small.

    Returns:
      the distinct values, ascending; the place of each element among them, in the shape of
      `values`.
    """
    most = min(_MOST_COUNTED, _MOST_A_PIXEL * values.size)
    if not values.size or values.min() < 0 or values.max() >= most:
        found, place = np.unique(values, return_inverse=True)
        return found, place.reshape(values.shape)
    is_present = np.bincount(values.ravel()) > 0
    found = np.flatnonzero(is_present)
    place_of_value = np.cumsum(is_present) - 1
    return found, place_of_value[values]


def check_size(
    mask: np.ndarray, mask_path: str, image_size: tuple[int, ...], image_path: str
) -> None:
    """Fails unless a mask fits its image.

    Args:
      mask: [H, W].
      mask_path: for errors.
      image_size: (height, width), or the shape of the image.
      image_path: for errors.

    Raises:
      UserError: names both files.
    """
    size = tuple(image_size[:2])
    if mask.shape == size:
        return
    hint = size_hint(image_path, mask.shape)
    raise UserError(
        f"mask {mask_path} is {mask.shape[0]} x {mask.shape[1]} but its image {image_path} is "
        f"{size[0]} x {size[1]} (height x width); they must be equal{hint}."
    )
