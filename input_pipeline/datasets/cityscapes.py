"""Cityscapes with fine annotations, as unpacked: 19 evaluated classes, 8 of them things.

    leftImg8bit/{train,val,test}/{city}/*_leftImg8bit.png
    gtFine/{train,val,test}/{city}/*_gtFine_instanceIds.png

Cordts et al., The Cityscapes Dataset, 2016. In instanceIds a value below 1000 is a class id (stuff,
or a group of things that nobody told apart: crowd here), a larger one is class * 1000 + number of
the instance.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from ml_collections import ConfigDict

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.images import read_image, read_mask
from deeperlab_tf.schema import Dataset
from deeperlab_tf.work.names import NameSet, hash_of, sorted_names
from input_pipeline.datasets import Sample, Source
from input_pipeline.datasets.class_table import read_class_table
from input_pipeline.datasets.labels import check_size, labels_by_id, map_ids, things_and_crowd
from input_pipeline.datasets.layout import (
    existing_file,
    first_existing,
    masks_without_photo,
    missing_files,
)

_TABLE = """
  7  stuff  128  64 128  road
  8  stuff  244  35 232  sidewalk
 11  stuff   70  70  70  building
 12  stuff  102 102 156  wall
 13  stuff  190 153 153  fence
 17  stuff  153 153 153  pole
 19  stuff  250 170  30  traffic light
 20  stuff  220 220   0  traffic sign
 21  stuff  107 142  35  vegetation
 22  stuff  152 251 152  terrain
 23  stuff   70 130 180  sky
 24  thing  220  20  60  person
 25  thing  255   0   0  rider
 26  thing    0   0 142  car
 27  thing    0   0  70  truck
 28  thing    0  60 100  bus
 31  thing    0  80 100  train
 32  thing    0   0 230  motorcycle
 33  thing  119  11  32  bicycle
"""

DATASET = Dataset(name="cityscapes", categories=read_class_table(_TABLE))
INSTANCE_DIVISOR = 1000  # of instanceIds
NUM_IDS = 34  # ids 0-33 exist, of which 19 are evaluated
LICENSE_PLATE = 2**16 - 1  # -1 in 16 bits

_LABEL_OF_ID = labels_by_id(DATASET)
_IGNORED = (set(range(NUM_IDS)) | {LICENSE_PLATE}) - set(_LABEL_OF_ID)
_PHOTO, _MASK = "_leftImg8bit.png", "_gtFine_instanceIds.png"


def open_split(config: ConfigDict, split: str) -> Cityscapes:
    """The `Cityscapes` that `config.data` describes."""
    return Cityscapes(config.data.root, split)


class Cityscapes(Source):
    """Source of a split: train | val | test.

    Args:
      root: folder of the two archives' contents.
      split: see above.

    Raises:
      UserError: a folder is missing or without photos.
    """

    dataset = DATASET

    def __init__(self, root: str, split: str):
        self._images = first_existing(root, [f"leftImg8bit/{split}"], "folder of photos")
        self._masks = first_existing(root, [f"gtFine/{split}"], "folder of masks")
        self._names = sorted_names(_names_below(self._images))
        self._repeated = NameSet(map(storage.basename, self._names)).repeated()
        if not self._names:
            raise UserError(
                f"there is no */*{_PHOTO} in {self._images}; "
                "unpack leftImg8bit_trainvaltest.zip there."
            )

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> Sample:
        image_path, mask_path = self.paths(index)
        image = read_image(image_path)
        ids = read_mask(mask_path)
        check_size(ids, mask_path, image.shape, image_path)

        # Groups of things that nobody told apart have the class id alone.
        is_object = (ids >= INSTANCE_DIVISOR) & (ids != LICENSE_PLATE)
        class_ids = np.where(is_object, ids // INSTANCE_DIVISOR, ids)
        semantic = map_ids(class_ids, _LABEL_OF_ID, mask_path, _IGNORED)
        instance, crowd = things_and_crowd(semantic, ids, is_object, DATASET)
        return {
            "image": image,
            "semantic": semantic,
            "instance": instance,
            "crowd": crowd,
            "image_id": self._image_id(index),
        }

    def paths(self, index: int) -> tuple[str, str]:
        """Paths of the photo and of the instanceIds."""
        photo = storage.join(self._images, self._names[index] + _PHOTO)
        mask = storage.join(self._masks, self._names[index] + _MASK)
        return existing_file(photo) or photo, existing_file(mask) or mask

    def incomplete(self) -> dict[int, str]:
        """Samples whose photo or mask is missing."""
        return missing_files(self._names, map(self.paths, range(len(self))))

    def unlabelled(self) -> list[str]:
        """Sentences about masks without a photo."""
        return masks_without_photo(self._masks, _MASK, self._names)

    def _image_id(self, index: int) -> str:
        """Without the city, unless two cities have a photo of one name."""
        name = self._names[index]
        plain = storage.basename(name)
        return name if hash_of(plain) in self._repeated else plain


def _is_photo(name: str) -> bool:
    stem, ending = storage.splitext(_PHOTO)
    return storage.splitext(name)[0].endswith(stem) and name.lower().endswith(ending)


def _names_below(folder: str) -> Iterator[str]:
    """CITY/NAME of the photos in the folders of the cities."""
    for city, is_folder in storage.scan(folder):
        inside = storage.join(folder, city)
        if city[0] != "." and is_folder:
            files = (name for name, _ in storage.scan(inside) if name[0] != ".")
            yield from (f"{city}/{name[: -len(_PHOTO)]}" for name in files if _is_photo(name))
