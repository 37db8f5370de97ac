"""Cityscapes with fine annotations, as unpacked: 19 evaluated classes, 8 of them things.

    leftImg8bit/{train,val,test}/{city}/*_leftImg8bit.png
    gtFine/{train,val,test}/{city}/*_gtFine_instanceIds.png

Cordts et al., The Cityscapes Dataset, 2016. In instanceIds a value below 1000 is a class id (stuff,
or a group of things that nobody told apart: crowd here), a larger one is class * 1000 + number of
the instance.
"""

import glob
import os

import numpy as np

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.images import read_image, read_mask
from deeperlab_tf.schema import Category, Dataset
from input_pipeline.datasets.labels import (
    check_size,
    first_existing,
    map_ids,
    masks_without_photo,
    number_instances,
)

DATASET = Dataset(
    name="cityscapes",
    categories=(
        Category("road", False, (128, 64, 128), 7),
        Category("sidewalk", False, (244, 35, 232), 8),
        Category("building", False, (70, 70, 70), 11),
        Category("wall", False, (102, 102, 156), 12),
        Category("fence", False, (190, 153, 153), 13),
        Category("pole", False, (153, 153, 153), 17),
        Category("traffic light", False, (250, 170, 30), 19),
        Category("traffic sign", False, (220, 220, 0), 20),
        Category("vegetation", False, (107, 142, 35), 21),
        Category("terrain", False, (152, 251, 152), 22),
        Category("sky", False, (70, 130, 180), 23),
        Category("person", True, (220, 20, 60), 24),
        Category("rider", True, (255, 0, 0), 25),
        Category("car", True, (0, 0, 142), 26),
        Category("truck", True, (0, 0, 70), 27),
        Category("bus", True, (0, 60, 100), 28),
        Category("train", True, (0, 80, 100), 31),
        Category("motorcycle", True, (0, 0, 230), 32),
        Category("bicycle", True, (119, 11, 32), 33),
    ),
)
INSTANCE_DIVISOR = 1000  # of instanceIds
NUM_IDS = 34  # ids 0-33 exist, of which 19 are evaluated
LICENSE_PLATE = 2**16 - 1  # -1 in 16 bits

_LABEL_OF_ID = {category.original_id: label for label, category in enumerate(DATASET.categories)}
_IGNORED = (set(range(NUM_IDS)) | {LICENSE_PLATE}) - set(_LABEL_OF_ID)
_PHOTO, _MASK = "_leftImg8bit.png", "_gtFine_instanceIds.png"


def open_split(config, split):
    """The `Cityscapes` that `config.data` describes."""
    return Cityscapes(config.data.root, split)


class Cityscapes:
    """Random-access source of a split (train | val | test); see `input_pipeline.datasets`."""

    dataset = DATASET

    def __init__(self, root, split):
        self._images = first_existing(root, [f"leftImg8bit/{split}"], "folder of photos")
        self._masks = first_existing(root, [f"gtFine/{split}"], "folder of masks")
        paths = glob.glob(os.path.join(glob.escape(self._images), "*", f"*{_PHOTO}"))
        if not paths:
            raise UserError(
                f"there is no */*{_PHOTO} in {self._images}; unpack leftImg8bit_trainvaltest.zip there."
            )
        self._ids = sorted(os.path.relpath(path, self._images)[: -len(_PHOTO)] for path in paths)

    def __len__(self):
        return len(self._ids)

    def paths(self, index):
        """(path of the photo, path of the instanceIds)."""
        name = self._ids[index]
        return os.path.join(self._images, name + _PHOTO), os.path.join(self._masks, name + _MASK)

    def unlabeled(self):
        """Sentences about masks without a photo."""
        return masks_without_photo(self._masks, _MASK, self._ids)

    def __getitem__(self, index):
        image_path, mask_path = self.paths(index)
        image, ids = read_image(image_path), read_mask(mask_path)
        check_size(ids, mask_path, image, image_path)
        is_object = (ids >= INSTANCE_DIVISOR) & (ids != LICENSE_PLATE)
        semantic = map_ids(
            np.where(is_object, ids // INSTANCE_DIVISOR, ids), _LABEL_OF_ID, mask_path, _IGNORED
        )
        is_thing = np.isin(semantic, DATASET.thing_classes)
        return {
            "image": image,
            "semantic": semantic,
            "instance": number_instances(is_thing & is_object, semantic, ids),
            "crowd": is_thing & ~is_object,
            "image_id": os.path.basename(self._ids[index]),
        }
