"""A source of photos whose labels are outlines, whatever the format of their files."""

from __future__ import annotations

import collections
import typing
from collections.abc import Iterable, Sequence

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.images import image_file_size, read_image
from deeperlab_tf.work.names import kept_names
from deeperlab_tf.work.values import made_of
from input_pipeline.datasets import Problem, Sample, Source
from input_pipeline.datasets.orientation import orientation_problems, size_hint
from input_pipeline.datasets.outlines import FaultyOutline, Painted, Region, Size, paint
from input_pipeline.datasets.rules import ClassList, Rules
from input_pipeline.datasets.values import to_whole

HIDDEN = "outlines that others cover entirely"
NO_AREA = "outlines without area, which are left out"
BOX_ONLY = "objects with a box and no outline, whose box does not count"


class Photo(typing.NamedTuple):
    """A photo of a source.

    Attributes:
      name: of the sample.
      path: of the image file; where it should be, if there is none.
      key: what the reader knows its annotations by.
    """

    name: str
    path: str
    key: typing.Any


def kept_photos(photos: Iterable[Photo]) -> Sequence[Photo]:
    """list(photos), of as many as the disk has room for; their keys are what JSON can hold."""
    return made_of(kept_names(photos), Photo._make)


class Found(typing.NamedTuple):
    """What a reader found about a photo.

    Attributes:
      regions: in the order of the file.
      odd: how often each kind of problem occurs.
      is_sized: whether the file states the photo's size.
    """

    regions: list[Region]
    odd: collections.Counter
    is_sized: bool = False


class Outlined(Source):
    """Base of the readers of outlines; they give `find_regions`.

    Args:
      classes: of the dataset.
      photos: of the split.
      rules: what the files leave open.
    """

    def __init__(self, classes: ClassList, photos: Sequence[Photo], rules: Rules):
        self.dataset = classes.dataset
        self._classes, self._photos, self._rules = classes, photos, rules

    def find_regions(self, photo: Photo, size: Size) -> Found:
        """The regions of a photo of (height, width).

        Raises:
          UserError: its annotations are broken.
          FaultyOutline: the same, without the name of the photo.
        """
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self._photos)

    def __getitem__(self, index: int) -> Sample:
        photo = self._photos[index]
        image = read_image(photo.path)
        painted, _ = self._paint(photo, image.shape[:2])
        return {
            "image": image,
            "semantic": painted.semantic,
            "instance": painted.instance,
            "crowd": painted.crowd,
            "image_id": photo.name,
        }

    def paths(self, index: int) -> tuple[str, ...]:
        """Path of the photo."""
        return (self._photos[index].path,)

    def problems(self, index: int) -> list[Problem]:
        """Outlines that are hidden or empty, boxes without outline, photos that are turned."""
        photo = self._photos[index]
        painted, found = self._paint(photo, image_file_size(photo.path))
        odd = found.odd
        if painted.hidden:
            odd[HIDDEN] += painted.hidden
        texts = [Problem(kind, f"image {photo.name!r}: {n} {kind}") for kind, n in odd.items()]
        if not found.regions:
            return texts
        return texts + orientation_problems(photo.name, photo.path, found.is_sized)

    def _paint(self, photo: Photo, size: Size) -> tuple[Painted, Found]:
        try:
            found = self.find_regions(photo, size)
        except FaultyOutline as error:
            raise UserError(f"image {photo.name!r} {error}; correct its annotation.") from error
        uncovered, on_top = self._classes.uncovered, self._rules.smaller_on_top
        return paint(found.regions, size, self.dataset, uncovered, on_top), found


def check_stated_size(height: typing.Any, width: typing.Any, photo: Photo, size: Size) -> bool:
    """Fails if a file states another size than the photo has; 0 or nothing states none.

    Returns:
      whether it states one.

    Raises:
      FaultyOutline: says both.
    """
    stated = to_whole(height), to_whole(width)
    if not all(stated) or stated == tuple(size):
        return all(stated)
    raise FaultyOutline(
        f"was annotated at {stated[0]} x {stated[1]}, but {photo.path} is {size[0]} x {size[1]} "
        f"(height x width){size_hint(photo.path, stated)}"
    )
