"""How class and instance of a pixel are one number in a record."""

from __future__ import annotations

import dataclasses

from deeperlab_tf.schema import LABEL_DIVISOR, Dataset


@dataclasses.dataclass(frozen=True)
class LabelEncoding:
    """What the numbers of a label map mean: class * divisor + instance.

    Attributes:
      divisor: more than the instances of an image.
      void: the class that stands for no label.
      first_class: what class 0 of the dataset is called.
      unique_numbers: whether no two instances of an image share a number. If not, the class tells
        them apart.
    """

    divisor: int
    void: int
    first_class: int = 0
    unique_numbers: bool = True


def own_encoding(dataset: Dataset) -> LabelEncoding:
    """The encoding of `encode_example`."""
    return LabelEncoding(LABEL_DIVISOR, dataset.ignore_label)


def deeplab2_encoding(dataset: Dataset) -> LabelEncoding:
    """That of DeepLab2's converters (deeplab2/data/dataset.py, build_coco_data.py)."""
    if dataset.name == "coco":
        return LabelEncoding(256, void=0, first_class=1, unique_numbers=False)
    return dataclasses.replace(own_encoding(dataset), unique_numbers=False)
