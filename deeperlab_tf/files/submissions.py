"""Parses in the forms that the benchmarks' servers and tools take: COCO, Cityscapes, Mapillary
Vistas, VOC.

Classes are written as `Category.original_id`, the ids of the dataset's own files.
"""

from __future__ import annotations

import dataclasses
from typing import Protocol

import numpy as np
from PIL import Image

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.atomic import atomic_path, write_text
from deeperlab_tf.files.panoptic_writer import PanopticWriter, Parse, take_name
from deeperlab_tf.files.paths import path_inside
from deeperlab_tf.schema import Dataset, voc_color

_VOC_VOID = 255
_CITYSCAPES_UNLABELLED = 0
_BYTE_VALUES = 256


class Results(Protocol):
    """Writer of one form; made with the folder to write into and the dataset."""

    def __init__(self, folder: str, dataset: Dataset) -> None: ...

    def add(self, parsing: Parse, name: str, image_id: int | str | None = None) -> None:
        """Writes one parse.

        Args:
          parsing: the parse.
          name: the photo's, without extension; may have folders.
          image_id: the photo's in the JSON that lists it, for forms that have ids; None: `name`.

        Raises:
          UserError: the name leaves the folder or was there before, or the parse does not fit into
            the form.
        """

    def close(self) -> None:
        """Writes what is left to write."""


class CocoResults:
    """COCO panoptic: `parses.json` beside the PNGs; see `Results`."""

    def __init__(self, folder: str, dataset: Dataset) -> None:
        self._writer = PanopticWriter(folder, storage.join(folder, "parses.json"), dataset)

    def add(self, parsing: Parse, name: str, image_id: int | str | None = None) -> None:
        """Writes one parse."""
        self._writer.add(parsing, name if image_id is None else image_id, name)

    def close(self) -> None:
        """Writes the JSON."""
        self._writer.close()


class VistasResults(CocoResults):
    """Mapillary Vistas' panoptic form: COCO's, with label + 1 as the category; see `Results`.

    0 means void there.
    """

    def __init__(self, folder: str, dataset: Dataset) -> None:
        shifted = tuple(_shifted(category) for category in dataset.categories)
        self._dataset = dataclasses.replace(dataset, categories=shifted)
        super().__init__(folder, self._dataset)

    def add(self, parsing: Parse, name: str, image_id: int | str | None = None) -> None:
        """Writes one parse."""
        super().add(dataclasses.replace(parsing, dataset=self._dataset), name, image_id)


class CityscapesResults:
    """Cityscapes' submissions; see `Results`.

    semantic/NAME.png      label ids (0 = unlabelled)
    instance/NAME.txt      a line for each instance: mask file, label id, score
    instance/masks/        NAME_0001.png ..., 255 on the instance
    panoptic/              COCO panoptic PNGs and parses.json, with label ids as categories
    """

    def __init__(self, folder: str, dataset: Dataset) -> None:
        self._folder, self._dataset = folder, dataset
        self._panoptic = CocoResults(storage.join(folder, "panoptic"), dataset)
        self._names = set()

    def add(self, parsing: Parse, name: str, image_id: int | str | None = None) -> None:
        """Writes one parse."""
        take_name(name, self._names)
        ids = _original_ids(parsing.semantic, self._dataset, _CITYSCAPES_UNLABELLED)
        _write_image(self._folder, f"semantic/{name}.png", Image.fromarray(ids))

        lines = []
        for segment in parsing.segments:
            if segment.instance and segment.score is not None:
                mask_name = self._write_mask(parsing, segment, name)
                label = self._dataset.categories[segment.class_index].original_id
                lines.append(f"{mask_name} {label} {segment.score:.6f}\n")
        write_text(path_inside(self._folder, f"instance/{name}.txt"), "".join(lines))

        self._panoptic.add(parsing, name, image_id)

    def close(self) -> None:
        """Writes the panoptic JSON."""
        self._panoptic.close()

    def _write_mask(self, parsing, segment, name):
        """Writes the mask of a `Segment`; returns its path as the image's text file has it."""
        mask_name = f"masks/{name}_{segment.instance:04d}.png"
        mask = np.where(parsing.panoptic == segment.id, 255, 0).astype(np.uint8)
        _write_image(self._folder, f"instance/{mask_name}", Image.fromarray(mask))
        depth = name.count("/")  # paths in the text file start at that file
        return "../" * depth + mask_name


class VocResults:
    """VOC's palette PNGs; see `Results`.

    SegmentationClass      class ids (0 = background, 255 = void)
    SegmentationObject     instance numbers (0 = background, 255 = void)
    """

    def __init__(self, folder: str, dataset: Dataset) -> None:
        self._folder, self._dataset = folder, dataset
        self._names = set()

    def add(self, parsing: Parse, name: str, image_id: int | str | None = None) -> None:
        """Writes one parse."""
        del image_id  # VOC has none
        take_name(name, self._names)
        count = int(parsing.instance.max(initial=0))
        if count >= _VOC_VOID:
            raise UserError(
                f"the parse of {name} has {count} instances; "
                f"a VOC PNG holds at most {_VOC_VOID - 1}."
            )

        classes = _original_ids(parsing.semantic, self._dataset, _VOC_VOID)
        is_void = parsing.semantic == self._dataset.ignore_label
        objects = np.where(is_void, _VOC_VOID, parsing.instance).astype(np.uint8)
        for folder, ids in (("SegmentationClass", classes), ("SegmentationObject", objects)):
            image = Image.fromarray(ids)
            # Makes it a palette image.
            image.putpalette(voc_palette().tobytes())
            _write_image(self._folder, f"{folder}/{name}.png", image)

    def close(self) -> None:
        """Nothing is left to write."""


RESULT_FORMATS: dict[str, type[Results]] = {
    "coco": CocoResults,
    "cityscapes": CityscapesResults,
    "vistas": VistasResults,
    "voc": VocResults,
}


def voc_palette() -> np.ndarray:
    """VOC's colours, uint8 [256, 3]."""
    return np.array([voc_color(index) for index in range(_BYTE_VALUES)], np.uint8)


def _shifted(category):
    return dataclasses.replace(category, original_id=category.original_id + 1)


def _original_ids(semantic, dataset, void):
    """Class indices [H, W] as the dataset's own ids, uint8."""
    # The id of each value of `semantic`: [256].
    table = np.full(_BYTE_VALUES, void, np.int64)
    table[: dataset.num_classes] = [category.original_id for category in dataset.categories]
    if table.max() >= _BYTE_VALUES or table.min() < 0:
        raise UserError(
            f"the class ids of {dataset.name} do not fit into 8 bits, which this format has."
        )
    table[dataset.ignore_label] = void
    return table.astype(np.uint8)[semantic]


def _write_image(folder, name, image):
    with atomic_path(path_inside(folder, name)) as temporary:
        image.save(temporary)
