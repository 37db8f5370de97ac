"""Parses in the forms that the benchmarks' servers and tools take: COCO, Cityscapes, Mapillary
Vistas, VOC.

Each writer is made with (folder, dataset), takes one `Parsing` at a time by `add(parsing, name)`,
ends by `close()`. Classes are written as `Category.original_id`, the ids of the dataset's own
files.
"""

import dataclasses
import os

import numpy as np
from PIL import Image

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.atomic import atomic_path, path_inside
from deeperlab_tf.files.coco_panoptic import PanopticWriter

_VOC_VOID = 255
_CITYSCAPES_UNLABELED = 0


class CocoResults:
    """COCO panoptic: `parses.json` beside the PNGs."""

    def __init__(self, folder, dataset):
        self._writer = PanopticWriter(folder, os.path.join(folder, "parses.json"), dataset)

    def add(self, parsing, name):
        self._writer.add(parsing, name, name)

    def close(self):
        self._writer.close()


class VistasResults(CocoResults):
    """Mapillary Vistas' panoptic form: COCO's, with label + 1 as the category, for 0 means void
    there.
    """

    def __init__(self, folder, dataset):
        shifted = [
            dataclasses.replace(each, original_id=each.original_id + 1)
            for each in dataset.categories
        ]
        self._dataset = dataclasses.replace(dataset, categories=tuple(shifted))
        super().__init__(folder, self._dataset)

    def add(self, parsing, name):
        super().add(dataclasses.replace(parsing, dataset=self._dataset), name)


class CityscapesResults:
    """Cityscapes' submissions.

    semantic/NAME.png      label ids (0 = unlabeled)
    instance/NAME.txt      a line for each instance: mask file, label id, score
    instance/masks/        NAME_0001.png ..., 255 on the instance
    panoptic/              COCO panoptic PNGs and parses.json, with label ids as categories
    """

    def __init__(self, folder, dataset):
        self._folder, self._dataset = folder, dataset
        self._panoptic = CocoResults(os.path.join(folder, "panoptic"), dataset)

    def add(self, parsing, name):
        ids = _original_ids(parsing.semantic, self._dataset, _CITYSCAPES_UNLABELED)
        _write_image(self._folder, f"semantic/{name}.png", Image.fromarray(ids))
        lines = []
        for segment in parsing.segments:
            if not segment.instance or segment.score is None:
                continue
            mask_name = f"masks/{name}_{segment.instance:04d}.png"
            mask = np.where(parsing.panoptic == segment.id, 255, 0).astype(np.uint8)
            _write_image(self._folder, f"instance/{mask_name}", Image.fromarray(mask))
            depth = name.count("/")  # the file's paths start at the file itself
            label = self._dataset.categories[segment.class_index].original_id
            lines.append(f"{'../' * depth}{mask_name} {label} {segment.score:.6f}\n")
        path = path_inside(self._folder, f"instance/{name}.txt")
        with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
            file.writelines(lines)
        self._panoptic.add(parsing, name)

    def close(self):
        self._panoptic.close()


class VocResults:
    """VOC's palette PNGs: SegmentationClass (0 = background, 255 = void), SegmentationObject
    (instance numbers).
    """

    def __init__(self, folder, dataset):
        self._folder, self._dataset = folder, dataset

    def add(self, parsing, name):
        count = int(parsing.instance.max(initial=0))
        if count >= _VOC_VOID:
            raise UserError(
                f"the parse of {name} has {count} instances; a VOC PNG holds at most {_VOC_VOID - 1}."
            )
        classes = _original_ids(parsing.semantic, self._dataset, _VOC_VOID)
        objects = np.where(
            parsing.semantic == self._dataset.ignore_label, _VOC_VOID, parsing.instance
        ).astype(np.uint8)
        for kind, labels in (("SegmentationClass", classes), ("SegmentationObject", objects)):
            image = Image.fromarray(labels)
            image.putpalette(voc_palette().tobytes())  # makes it a palette image
            _write_image(self._folder, f"{kind}/{name}.png", image)

    def close(self):
        """Nothing is left to write."""


RESULT_FORMATS = {
    "coco": CocoResults,
    "cityscapes": CityscapesResults,
    "vistas": VistasResults,
    "voc": VocResults,
}


def voc_palette():
    """VOC's colours, uint8 [256, 3]: the bits of an index, dealt out to red, green and blue from
    the highest bit on.
    """
    index = np.arange(256)
    palette = np.zeros((256, 3), np.int64)
    for bit in range(8):
        for channel in range(3):
            palette[:, channel] |= ((index >> channel) & 1) << (7 - bit)
        index = index >> 3
    return palette.astype(np.uint8)


def _original_ids(semantic, dataset, void):
    """Class indices [H, W] as the dataset's own ids, uint8."""
    table = np.full(256, void, np.int64)
    table[: dataset.num_classes] = [category.original_id for category in dataset.categories]
    if table.max() > 255 or table.min() < 0:
        raise UserError(
            f"the class ids of {dataset.name} do not fit into 8 bits, which this format has."
        )
    table[dataset.ignore_label] = void
    return table.astype(np.uint8)[semantic]


def _write_image(folder, name, image):
    with atomic_path(path_inside(folder, name)) as temporary:
        image.save(temporary)
