"""Parses in the forms that the benchmarks' servers and tools take: COCO, Cityscapes, Mapillary
Vistas, VOC.

Classes are written as `Category.original_id`, the ids of the dataset's own files.
"""

from __future__ import annotations

import dataclasses
import io
from typing import Protocol

import numpy as np
from PIL import Image

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.atomic import write_text
from deeperlab_tf.files.encode import write_bytes
from deeperlab_tf.files.panoptic_writer import PanopticWriter, Parse, take_name
from deeperlab_tf.files.paths import path_inside
from deeperlab_tf.files.stamp import stamped
from deeperlab_tf.files.written import Written
from deeperlab_tf.schema import Dataset, voc_color

_VOC_VOID = 255
_CITYSCAPES_UNLABELLED = 0
_BYTE_VALUES = 256


class DoesNotFit(UserError):
    """A parse is one that a form cannot hold; the parses of other images may well fit."""


class Results(Protocol):
    """Writer of one form; made with the folder to write into and the dataset.

    Raises:
      UserError: the form has no room for the ids of the dataset's classes.
    """

    def __init__(self, folder: str, dataset: Dataset) -> None: ...

    def add(self, parsing: Parse, name: str, image_id: int | str | None = None) -> None:
        """Writes one parse.

        Args:
          parsing: the parse.
          name: the photo's, without extension; may have folders.
          image_id: the photo's in the JSON that lists it, for forms that have ids; None: `name`.

        Raises:
          DoesNotFit: the form cannot hold this parse, of which nothing was written.
          UserError: the name leaves the folder or was there before, or a file cannot be written.
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
        self._table = _table_of_ids(dataset, _CITYSCAPES_UNLABELLED)
        self._panoptic = CocoResults(storage.join(folder, "panoptic"), dataset)
        self._names = Written()

    def add(self, parsing: Parse, name: str, image_id: int | str | None = None) -> None:
        """Writes one parse."""
        take_name(name, self._names)
        ids = Image.fromarray(self._table[parsing.semantic])
        _write_image(self._folder, f"semantic/{name}.png", ids)

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
        self._table = _table_of_ids(dataset, _VOC_VOID)
        self._names = Written()

    def add(self, parsing: Parse, name: str, image_id: int | str | None = None) -> None:
        """Writes one parse."""
        del image_id  # VOC has none
        count = int(parsing.instance.max(initial=0))
        if count >= _VOC_VOID:
            raise DoesNotFit(
                f"the parse of {name} has {count} instances; a VOC PNG holds at most "
                f"{_VOC_VOID - 1}: lower config.fusion.max_instances, or take another form."
            )
        take_name(name, self._names)

        classes = self._table[parsing.semantic]
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


def _table_of_ids(dataset, void):
    """The dataset's own id of each value of a semantic map, uint8 [256]."""
    table = np.full(_BYTE_VALUES, void, np.int64)
    table[: dataset.num_classes] = [category.original_id for category in dataset.categories]
    if table.max() >= _BYTE_VALUES or table.min() < 0:
        raise UserError(
            f"the class ids of {dataset.name} do not fit into 8 bits, which this format has."
        )
    table[dataset.ignore_label] = void
    return table.astype(np.uint8)


def _write_image(folder, name, image):
    png = io.BytesIO()
    image.save(png, "PNG")
    write_bytes(path_inside(folder, name), stamped(png.getvalue()))
