"""The regions of a parse."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from deeperlab_tf.errors import UserError
from deeperlab_tf.pixels.label_maps import count_combinations, dense
from deeperlab_tf.schema import Dataset


@dataclasses.dataclass(frozen=True)
class Segment:
    """One region of a parse.

    Attributes:
      id: its value in `Parsing.panoptic`.
      class_index: class, an index into the dataset's categories.
      name: the class' name.
      is_thing: True for an instance of a thing.
      instance: its value in `Parsing.instance`; 0 for stuff.
      score: confidence of a detected instance in 0-1; None for stuff.
      box: (y1, x1, y2, x2) in pixels, y2 and x2 exclusive.
      area: pixels.
    """

    id: int
    class_index: int
    name: str
    is_thing: bool
    instance: int
    score: float | None
    box: tuple[int, int, int, int]
    area: int


class LabelMaps(NamedTuple):
    """The maps of a parse, int32 [H, W] each; `Parsing` says what they hold."""

    semantic: np.ndarray
    instance: np.ndarray
    panoptic: np.ndarray


def find_segments(maps: LabelMaps, dataset: Dataset, scores: Sequence[float]) -> list[Segment]:
    """The segments of a parse, largest first; pixels of no class belong to none.

    Args:
      maps: the parse's.
      dataset: what the classes mean.
      scores: [N], of instance 1 … N.

    Raises:
      UserError: a class that the dataset does not have.
    """
    # Panoptic ids are sparse: their places among those there are find the boxes in one pass.
    ids, places = dense(maps.panoptic.reshape(-1).astype(np.int64))
    numbers = places.reshape(maps.panoptic.shape).astype(np.int32)
    boxes = ndimage.find_objects(numbers + 1)
    columns, areas = count_combinations(
        number=numbers, semantic=maps.semantic, instance=maps.instance
    )

    # Usually one combination per id, but label maps from elsewhere may say otherwise.
    segments = []
    for number, class_index, instance, area in zip(*columns.values(), areas):
        if class_index == dataset.ignore_label:
            continue
        if class_index >= dataset.num_classes:
            raise UserError(
                f"the parse holds class {class_index}, but {dataset.name} has only "
                f"{dataset.num_classes} classes; use the dataset that the parse was made with."
            )
        category = dataset.categories[class_index]
        rows, cols = boxes[number]
        has_score = 0 < instance <= len(scores)
        segment = Segment(
            id=int(ids[number]),
            class_index=int(class_index),
            name=category.name,
            is_thing=category.is_thing,
            instance=int(instance),
            score=float(scores[instance - 1]) if has_score else None,
            box=(rows.start, cols.start, rows.stop, cols.stop),
            area=int(area),
        )
        segments.append(segment)
    return sorted(segments, key=lambda segment: -segment.area)
