"""PASCAL VOC 2012, with the extra labels of SBD if wanted: 20 thing classes and the background.

    JPEGImages/*.jpg, SegmentationClass/*.png, SegmentationObject/*.png,
    ImageSets/Segmentation/{train,val}.txt
    benchmark_RELEASE/dataset/{cls,inst}/*.mat, train.txt, val.txt      (split train_aug only)

The folder is VOCdevkit/VOC2012 or one that holds it; benchmark_RELEASE lies in either. Everingham
et al., 2014; Hariharan et al., Semantic Contours from Inverse Detectors, 2011. `train_aug` is
(train of VOC and all of SBD) without val of VOC: 10,582 images. Where both label an image, VOC
does.
"""

import os

import numpy as np
import scipy.io

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.images import read_image, read_mask
from deeperlab_tf.files.paths import path_inside
from deeperlab_tf.schema import IGNORE_LABEL, Category, Dataset, voc_color
from input_pipeline.datasets.labels import (
    check_size,
    first_existing,
    map_ids,
    number_instances,
    read_list,
)

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
_SBD = "benchmark_RELEASE/dataset"


DATASET = Dataset(
    name="voc",
    categories=tuple(
        Category(name, index > 0, voc_color(index), index) for index, name in enumerate(_NAMES)
    ),
)
_LABEL_OF_ID = {category.original_id: label for label, category in enumerate(DATASET.categories)}


def open_split(config, split):
    """The `Voc` that `config.data` describes."""
    return Voc(config.data.root, split)


class Voc:
    """Random-access source of a split (train | val | trainval | train_aug); see
    `input_pipeline.datasets`.
    """

    dataset = DATASET

    def __init__(self, root, split):
        self._root = first_existing(root, ["VOCdevkit/VOC2012", "VOC2012", "."], "VOC 2012")
        lists = os.path.join(self._root, "ImageSets", "Segmentation")
        if split != "train_aug":
            self._ids = read_list(os.path.join(lists, f"{split}.txt"), f"split {split!r}")
            self._voc_ids = set(self._ids)
            return
        within = os.path.relpath(self._root, root)
        self._sbd = first_existing(root, [_SBD, os.path.join(within, _SBD)], "SBD")
        self._voc_ids = set(read_list(os.path.join(lists, "train.txt"), "split 'train'"))
        extra = {
            i
            for part in ("train", "val")
            for i in read_list(os.path.join(self._sbd, f"{part}.txt"), "SBD")
        }
        held_out = set(read_list(os.path.join(lists, "val.txt"), "split 'val'"))
        self._ids = sorted((self._voc_ids | extra) - held_out)

    def __len__(self):
        return len(self._ids)

    def paths(self, index):
        """(path of the photo,)."""
        return (path_inside(self._root, f"JPEGImages/{self._ids[index]}.jpg"),)

    def __getitem__(self, index):
        name, (image_path,) = self._ids[index], self.paths(index)
        image = read_image(image_path)
        read = self._voc_masks if name in self._voc_ids else self._sbd_masks
        classes, objects, mask_path = read(name)
        check_size(classes, mask_path, image, image_path)
        check_size(objects, mask_path, image, image_path)
        semantic = map_ids(classes, _LABEL_OF_ID, mask_path, ignored={IGNORE_LABEL})
        semantic[objects == IGNORE_LABEL] = IGNORE_LABEL
        is_thing = np.isin(semantic, DATASET.thing_classes)
        return {
            "image": image,
            "semantic": semantic,
            "instance": number_instances(is_thing & (objects > 0), semantic, objects),
            "crowd": is_thing & (objects == 0),
            "image_id": name,
        }

    def _voc_masks(self, name):
        paths = [
            path_inside(self._root, f"Segmentation{kind}/{name}.png")
            for kind in ("Class", "Object")
        ]
        return read_mask(paths[0]), read_mask(paths[1]), paths[0]

    def _sbd_masks(self, name):
        paths = [path_inside(self._sbd, f"{kind}/{name}.mat") for kind in ("cls", "inst")]
        return _read_mat(paths[0], "GTcls"), _read_mat(paths[1], "GTinst"), paths[0]


def _read_mat(path, key):
    """int32 [H, W]: the field `Segmentation` of a MATLAB file of SBD."""
    try:
        return scipy.io.loadmat(path)[key]["Segmentation"][0, 0].astype(np.int32)
    except (OSError, KeyError, ValueError, TypeError, IndexError) as error:
        raise UserError(
            f"mask {path} cannot be read as SBD's {key} ({error}); restore it."
        ) from error
