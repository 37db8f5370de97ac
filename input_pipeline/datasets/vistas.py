"""Mapillary Vistas v1.2: 28 stuff and 37 thing classes, from either archive as unpacked.

    v1.x:  {training,validation}/images/*.jpg, {training,validation}/instances/*.png
    v2.0:  {training,validation}/images/*.jpg, {training,validation}/v1.2/instances/*.png

Neuhold et al., The Mapillary Vistas Dataset, 2017. A pixel of `instances` is label * 256 + number,
the numbers of each class starting at 0; label 65 is unlabeled.
"""

from __future__ import annotations

import numpy as np
from ml_collections import ConfigDict

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.images import read_image, read_mask
from input_pipeline.datasets import Sample, Source
from input_pipeline.datasets.labels import check_size, labels_by_id, map_ids, things_and_crowd
from input_pipeline.datasets.layout import (
    existing_file,
    find_names,
    first_existing,
    masks_without_photo,
    missing_files,
)
from input_pipeline.datasets.vistas_classes import DATASET

INSTANCE_DIVISOR = 256
UNLABELED = 65

_FOLDERS = {"train": ("training", "train"), "val": ("validation", "val")}
_LABEL_OF_ID = labels_by_id(DATASET)


def open_split(config: ConfigDict, split: str) -> Vistas:
    """The `Vistas` that `config.data` describes."""
    return Vistas(config.data.root, split)


class Vistas(Source):
    """Source of a split: train | val.

    Args:
      root: folder of the archive's contents.
      split: see above.

    Raises:
      UserError: a folder is missing or without photos.
    """

    dataset = DATASET

    def __init__(self, root: str, split: str):
        folders = _FOLDERS.get(split, (split,))
        images = [f"{folder}/images" for folder in folders]
        masks = [f"{folder}/{version}instances" for folder in folders for version in ("v1.2/", "")]
        self._images = first_existing(root, images, "folder of photos")
        self._masks = first_existing(root, masks, "folder of v1.2 instance masks")
        self._names = find_names(storage.join(self._images, ""), ".jpg")
        if not self._names:
            raise UserError(
                f"there is no *.jpg in {self._images}; "
                "unpack the archive of Mapillary Vistas there."
            )

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> Sample:
        image_path, mask_path = self.paths(index)
        image = read_image(image_path)
        ids = read_mask(mask_path)
        check_size(ids, mask_path, image.shape, image_path)

        class_ids = ids // INSTANCE_DIVISOR
        semantic = map_ids(class_ids, _LABEL_OF_ID, mask_path, ignored={UNLABELED})
        every_pixel = np.ones(ids.shape, bool)  # Vistas tells all things apart: none is a crowd
        instance, crowd = things_and_crowd(semantic, ids, every_pixel, DATASET)
        return {
            "image": image,
            "semantic": semantic,
            "instance": instance,
            "crowd": crowd,
            "image_id": self._names[index],
        }

    def paths(self, index: int) -> tuple[str, str]:
        """Paths of the photo and of the instance mask."""
        name = self._names[index]
        photo = storage.join(self._images, f"{name}.jpg")
        mask = storage.join(self._masks, f"{name}.png")
        return existing_file(photo) or photo, existing_file(mask) or mask

    def incomplete(self) -> dict[int, str]:
        """Samples whose photo or mask is missing."""
        return missing_files(self._names, map(self.paths, range(len(self))))

    def unlabelled(self) -> list[str]:
        """Sentences about masks without a photo."""
        return masks_without_photo(self._masks, ".png", self._names)
