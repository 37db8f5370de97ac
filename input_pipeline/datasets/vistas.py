"""Mapillary Vistas v1.2: 28 stuff and 37 thing classes, from either archive as unpacked.

    v1.x:  {training,validation}/images/*.jpg, {training,validation}/instances/*.png
    v2.0:  {training,validation}/images/*.jpg, {training,validation}/v1.2/instances/*.png

Neuhold et al., The Mapillary Vistas Dataset, 2017. A pixel of `instances` is label * 256 + number,
the numbers of each class starting at 0; label 65 is unlabeled.
"""

import glob
import os

import numpy as np

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.images import read_image, read_mask
from input_pipeline.datasets.labels import (
    check_size,
    first_existing,
    map_ids,
    masks_without_photo,
    number_instances,
)
from input_pipeline.datasets.vistas_classes import DATASET

INSTANCE_DIVISOR = 256
UNLABELED = 65
_FOLDERS = {"train": ("training", "train"), "val": ("validation", "val")}
_LABEL_OF_ID = {category.original_id: label for label, category in enumerate(DATASET.categories)}


def open_split(config, split):
    """The `Vistas` that `config.data` describes."""
    return Vistas(config.data.root, split)


class Vistas:
    """Random-access source of a split (train | val); see `input_pipeline.datasets`."""

    dataset = DATASET

    def __init__(self, root, split):
        folders = _FOLDERS.get(split, (split,))
        self._images = first_existing(
            root, [f"{folder}/images" for folder in folders], "folder of photos"
        )
        masks = [f"{folder}/{version}instances" for folder in folders for version in ("v1.2/", "")]
        self._masks = first_existing(root, masks, "folder of v1.2 instance masks")
        paths = glob.glob(os.path.join(glob.escape(self._images), "*.jpg"))
        if not paths:
            raise UserError(
                f"there is no *.jpg in {self._images}; unpack the archive of Mapillary Vistas there."
            )
        self._ids = sorted(os.path.splitext(os.path.basename(path))[0] for path in paths)

    def __len__(self):
        return len(self._ids)

    def paths(self, index):
        """(path of the photo, path of the instance mask)."""
        name = self._ids[index]
        return os.path.join(self._images, f"{name}.jpg"), os.path.join(self._masks, f"{name}.png")

    def unlabeled(self):
        """Sentences about masks without a photo."""
        return masks_without_photo(self._masks, ".png", self._ids)

    def __getitem__(self, index):
        image_path, mask_path = self.paths(index)
        image, ids = read_image(image_path), read_mask(mask_path)
        check_size(ids, mask_path, image, image_path)
        semantic = map_ids(ids // INSTANCE_DIVISOR, _LABEL_OF_ID, mask_path, ignored={UNLABELED})
        is_thing = np.isin(semantic, DATASET.thing_classes)
        return {
            "image": image,
            "semantic": semantic,
            "instance": number_instances(is_thing, semantic, ids),
            "crowd": np.zeros_like(is_thing),
            "image_id": self._ids[index],
        }
