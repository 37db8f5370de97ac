"""What the readers of label files share."""

import glob
import os

import numpy as np

from deeperlab_tf.errors import UserError
from deeperlab_tf.schema import IGNORE_LABEL

_MOST_COUNTED = 2**20  # up to there a table of all values is quicker than sorting an image's pixels


def map_ids(ids, label_of_id, source, ignored=()):
    """Replaces the ids of a label map by classes.

    Args:
      ids: integer [H, W].
      label_of_id: dict from id to class.
      source: file the ids come from, for the error.
      ignored: ids that become 255.

    Returns:
      int32 [H, W].

    Raises:
      UserError: an id is neither known nor ignored.
    """
    values, place = unique(ids)
    table = np.full(len(values), IGNORE_LABEL, np.int32)
    for index, value in enumerate(values.tolist()):
        if value in label_of_id:
            table[index] = label_of_id[value]
        elif value not in ignored:
            raise UserError(
                f"mask {source} holds the class id {value}, which is not one of the dataset's classes; add it to the "
                "classes or to the ignored ids."
            )
    return table[place].reshape(ids.shape)


def number_instances(is_object, semantic, objects):
    """Gives each pair of class and object number among pixels `is_object` an id 1 … n; int32 [H,
    W], 0 elsewhere.
    """
    instance = np.zeros(semantic.shape, np.int32)
    objects = unique(objects[is_object])[1]  # 0, 1, …: then the pairs are small numbers, too
    pairs = semantic[is_object].astype(np.int64) * (objects.max(initial=0) + 1) + objects
    instance[is_object] = unique(pairs)[1] + 1
    return instance


def unique(values):
    """(ascending values, place of each element among them, in its shape), as of np.unique; small
    ones without sorting.

    Args:
      values: non-negative integers, any shape.
    """
    if not values.size or values.min() < 0 or values.max() >= _MOST_COUNTED:
        found, place = np.unique(values, return_inverse=True)
        return found, place.reshape(values.shape)
    present = np.bincount(values.ravel()) > 0
    return np.flatnonzero(present), (np.cumsum(present) - 1)[values]


def check_size(mask, mask_path, image, image_path):
    """Raises UserError, naming both files, unless `mask` [H, W] has the size of `image` [H, W, 3]."""
    if mask.shape != image.shape[:2]:
        (mask_height, mask_width), (height, width) = mask.shape, image.shape[:2]
        raise UserError(
            f"mask {mask_path} is {mask_height} x {mask_width} but its image {image_path} is {height} x {width} "
            "(height x width); they must be equal."
        )


def masks_without_photo(folder, ending, names):
    """Sentences about the masks `folder`/**/NAME`ending` of which no photo is called NAME."""
    paths = glob.glob(os.path.join(glob.escape(folder), "**", f"*{ending}"), recursive=True)
    extra = {os.path.relpath(path, folder)[: -len(ending)] for path in paths} - set(names)
    return [f"mask {os.path.join(folder, name + ending)} has no photo" for name in sorted(extra)]


def first_existing(root, names, what):
    """The first of `names` that exists under `root`; UserError tells what was looked for."""
    if not root or not os.path.isdir(root):
        raise UserError(
            f"dataset folder {root!r} does not exist; set config.data.root to the folder of the data."
        )
    for name in names:
        path = os.path.join(root, name)
        if os.path.exists(path):
            return path
    raise UserError(
        f"there is no {what} in {root}: looked for {', '.join(names)}; check config.data.root and the split."
    )


def read_list(path, what):
    """Lines of a text file, stripped, without empty ones; UserError if it is missing, empty or
    names one twice.
    """
    try:
        with open(path, encoding="utf-8") as file:
            names = [line.strip() for line in file if line.strip()]
    except OSError as error:
        raise UserError(f"cannot read the list {path} of {what}: {error.strerror}.") from error
    if not names:
        raise UserError(f"the list {path} of {what} is empty; write one image name a line.")
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise UserError(f"the list {path} names {repeated!r} twice; name each image once.")
    return names
