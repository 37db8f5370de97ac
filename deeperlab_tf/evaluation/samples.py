"""Labelled images that a model is tried on: of its classes, all of them or some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from deeperlab_tf.errors import UserError
from deeperlab_tf.schema import Dataset

Sample = Mapping[str, Any]

_NOTHING_SIDE = 65  # pixels, where no size is known yet


class Source(Protocol):
    """Random access to the labelled images of a split, as of `input_pipeline.open_source`."""

    dataset: Dataset

    def __len__(self) -> int:
        """Number of images."""

    def __getitem__(self, index: int) -> Sample:
        """dict of image, semantic, instance, crowd, image_id."""


class Chosen:
    """Some samples of a source.

    Args:
      source: random access to samples.
      numbers: positions in it.
    """

    def __init__(self, source: Source, numbers: Sequence[int]) -> None:
        self.dataset, self._source, self._numbers = source.dataset, source, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int) -> Sample:
        return self._source[self._numbers[index]]


class Forgiving:
    """A source that has a picture of nothing in the place of a sample that cannot be read.

    So the work on the others goes on; the picture has the size of the one before, with which it may
    share a batch.

    Args:
      source: random access to samples.

    Attributes:
      errors: dict, from the number of each such sample that was asked for to what is wrong with it.
    """

    def __init__(self, source: Source) -> None:
        self.dataset, self._source = source.dataset, source
        self.errors: dict[int, UserError] = {}
        self._size = (_NOTHING_SIDE, _NOTHING_SIDE, 3)

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Sample:
        try:
            sample = self._source[index]
        except UserError as error:
            self.errors[index] = error
            return {"image": np.zeros(self._size, np.uint8)}
        self._size = sample["image"].shape
        return sample

    def reasons(self) -> list[str]:
        """Sentences about the samples that cannot be read, in their order; each names its file."""
        return [str(error) for _, error in sorted(self.errors.items())]


def spread(numbers: Sequence[int], count: int) -> Sequence[int]:
    """`count` of the numbers, evenly spread, the first and the last among them; 0: all.

    Example:
      >>> spread(range(10), 3)
      [0, 4, 9]
    """
    if not 0 < count < len(numbers):
        return numbers
    places = np.linspace(0, len(numbers) - 1, count).astype(int)
    return [numbers[place] for place in places]


def with_classes_of(dataset: Dataset, source: Source) -> Source:
    """The source, its labels in the numbers of a model's classes.

    Args:
      dataset: what the model's classes mean.
      source: of data that name the same classes, in this order or another.

    Raises:
      UserError: the data have other classes, or one is a thing here and stuff there; there are no
        images.
    """
    there = source.dataset
    if set(there.class_names) != set(dataset.class_names):
        raise UserError(
            f"the model knows the classes of {dataset.name}, the data have those of "
            f"{there.name}{_first_difference(dataset, there)}; evaluate on the dataset it was "
            "trained for, or one of the same class names."
        )
    is_thing = {category.name: category.is_thing for category in dataset.categories}
    for category in there.categories:
        if category.is_thing != is_thing[category.name]:
            here, other = ("stuff", "a thing") if category.is_thing else ("a thing", "stuff")
            raise UserError(
                f"{category.name} is {here} to the model and {other} in {there.name}; "
                "describe it in the data as the model knows it."
            )
    if not len(source):
        raise UserError(f"the split of {there.name} has no images; there is nothing to evaluate.")
    return source if there.class_names == dataset.class_names else _Renumbered(source, dataset)


def _first_difference(dataset, there):
    """Which class one of them lacks, for an error."""
    for first, second in ((dataset, there), (there, dataset)):
        for name in first.class_names:
            if name not in second.class_names:
                return f" ({second.name} has no {name!r})"
    return ""


class _Renumbered:
    """A source whose semantic labels are a model's."""

    def __init__(self, source: Source, dataset: Dataset) -> None:
        self.dataset, self._source = dataset, source
        # Of each label in the data, the model's; what is no class stays as it is.
        self._numbers = np.arange(dataset.ignore_label + 1, dtype=np.int32)
        for label, name in enumerate(source.dataset.class_names):
            self._numbers[label] = dataset.class_names.index(name)

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Sample:
        sample = self._source[index]
        return dict(sample, semantic=self._numbers[sample["semantic"]])
