"""PASCAL VOC 2012, with the extra labels of SBD if wanted: 20 thing classes and the background.

    JPEGImages/*.jpg, SegmentationClass/*.png, SegmentationObject/*.png,
    ImageSets/Segmentation/{train,val}.txt
    benchmark_RELEASE/dataset/{cls,inst}/*.mat, train.txt, val.txt      (split train_aug only)

The folder is VOCdevkit/VOC2012 or one that holds it; benchmark_RELEASE lies in either. Everingham
et al., 2014; Hariharan et al., Semantic Contours from Inverse Detectors, 2011. `train_aug` is
(train of VOC and all of SBD) without val of VOC: 10,582 images. Where both label an image, VOC
does.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.io
from ml_collections import ConfigDict

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.images import read_image, read_mask
from deeperlab_tf.files.paths import path_inside
from deeperlab_tf.schema import IGNORE_LABEL, Category, Dataset, voc_color
from input_pipeline.datasets import Sample, Source
from input_pipeline.datasets.labels import check_size, labels_by_id, map_ids, things_and_crowd
from input_pipeline.datasets.layout import existing_file, first_existing, missing_files, read_list

_NAMES = (
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
_BACKGROUND = 0
_SBD = "benchmark_RELEASE/dataset"


def _category(index: int, name: str) -> Category:
    return Category(name, index != _BACKGROUND, voc_color(index), index)


DATASET = Dataset("voc", tuple(_category(index, name) for index, name in enumerate(_NAMES)))
_LABEL_OF_ID = labels_by_id(DATASET)


def open_split(config: ConfigDict, split: str) -> Voc:
    """The `Voc` that `config.data` describes."""
    return Voc(config.data.root, split)


class Voc(Source):
    """Source of a split: train | val | trainval | train_aug.

    Args:
      root: VOCdevkit/VOC2012, or a folder that holds it.
      split: see above.

    Raises:
      UserError: the folder, a list or SBD is missing.
    """

    dataset = DATASET

    def __init__(self, root: str, split: str):
        self._root = first_existing(root, ["VOCdevkit/VOC2012", "VOC2012", "."], "VOC 2012")
        if split == "train_aug":
            self._list_with_sbd(root)
        else:
            self._names, self._labelled_by_sbd = self._listed(split), set()

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> Sample:
        name = self._names[index]
        (image_path,) = self.paths(index)
        image = read_image(image_path)
        read_masks = self._sbd_masks if name in self._labelled_by_sbd else self._voc_masks
        classes, objects, mask_path = read_masks(name)
        check_size(classes, mask_path, image.shape, image_path)
        check_size(objects, mask_path, image.shape, image_path)

        # What is void in either mask is ignored.
        semantic = map_ids(classes, _LABEL_OF_ID, mask_path, ignored={IGNORE_LABEL})
        semantic[objects == IGNORE_LABEL] = IGNORE_LABEL
        instance, crowd = things_and_crowd(semantic, objects, objects > 0, DATASET)
        return {
            "image": image,
            "semantic": semantic,
            "instance": instance,
            "crowd": crowd,
            "image_id": name,
        }

    def paths(self, index: int) -> tuple[str]:
        """Path of the photo."""
        path = path_inside(self._root, f"JPEGImages/{self._names[index]}.jpg")
        return (existing_file(path) or path,)

    def label_files(self, index: int) -> tuple[str, str]:
        """Paths of the masks of classes and of objects."""
        return self._masks_of(self._names[index])

    def incomplete(self) -> dict[int, str]:
        """Samples whose photo or mask is missing."""
        files = ((*self.paths(n), *self._masks_of(name)) for n, name in enumerate(self._names))
        return missing_files(self._names, files)

    def _list_with_sbd(self, root: str) -> None:
        within = storage.relpath(self._root, root)
        self._sbd = first_existing(root, [_SBD, storage.join(within, _SBD)], "SBD")
        by_voc, by_sbd = set(self._listed("train")), set()
        for part in ("train", "val"):
            by_sbd.update(read_list(storage.join(self._sbd, f"{part}.txt"), "SBD"))
        self._labelled_by_sbd = by_sbd - by_voc
        self._names = sorted((by_voc | by_sbd) - set(self._listed("val")))

    def _listed(self, split: str) -> Sequence[str]:
        path = storage.join(self._root, "ImageSets", "Segmentation", f"{split}.txt")
        return read_list(path, f"split {split!r}")

    def _masks_of(self, name: str) -> tuple[str, str]:
        """Paths of the masks of classes and of objects."""
        if name in self._labelled_by_sbd:
            root, files = self._sbd, ("cls/{}.mat", "inst/{}.mat")
        else:
            root, files = self._root, ("SegmentationClass/{}.png", "SegmentationObject/{}.png")
        classes, objects = (path_inside(root, file.format(name)) for file in files)
        return classes, objects

    def _voc_masks(self, name: str) -> tuple[np.ndarray, np.ndarray, str]:
        """Classes and objects, int32 [H, W], and the path of the classes."""
        classes, objects = self._masks_of(name)
        return read_mask(classes), read_mask(objects), classes

    def _sbd_masks(self, name: str) -> tuple[np.ndarray, np.ndarray, str]:
        classes, objects = self._masks_of(name)
        return _read_mat(classes, "GTcls"), _read_mat(objects, "GTinst"), classes


def _read_mat(path: str, key: str) -> np.ndarray:
    """int32 [H, W]: the field `Segmentation` of a MATLAB file of SBD."""
    try:
        with storage.open(path, "rb") as file:
            struct = scipy.io.loadmat(file)[key]
        return struct["Segmentation"][0, 0].astype(np.int32)
    except (OSError, KeyError, ValueError, TypeError, IndexError) as error:
        raise UserError(
            f"mask {path} cannot be read as SBD's {key} ({error}); restore it."
        ) from error
