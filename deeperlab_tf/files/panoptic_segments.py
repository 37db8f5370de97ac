"""What the JSON of the COCO panoptic format says about the segments of one image."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.panoptic_png import VOID

_LARGEST_AREA = 2**63  # those from here on make any IoU 0


class Segments(NamedTuple):
    """The segments of one image, in ascending order of their ids.

    Attributes:
      ids: int64 [S].
      scores: float64 [S], NaN where the JSON has none.
      classes: int64 [S + 1]; the last entry stands for void.
      crowd: int64 [S + 1], 1 on crowd regions; the last entry stands for void.
      areas: float64 [S], in the JSON; NaN where it has none.
      excuses: bool [S], crowd regions that excuse what is predicted on them.
    """

    ids: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    crowd: np.ndarray
    areas: np.ndarray
    excuses: np.ndarray

    @classmethod
    def of(
        cls,
        ids: Sequence[int],
        infos: Sequence[dict],
        class_of: Mapping[Hashable, int],
        ignore_label: int,
    ) -> Segments:
        """Those of the JSON's `segments_info`.

        Args:
          ids: [S], ascending.
          infos: [S], the entry of each.
          class_of: class of each category id; others get `ignore_label`.
          ignore_label: the class of void.

        Returns:
          `Segments` in which every crowd region excuses.
        """
        classes = [class_of.get(info["category_id"], ignore_label) for info in infos]
        crowd = [is_crowd(info) for info in infos]
        return cls(
            ids=np.array(ids, np.int64),
            scores=np.array([_score(info) for info in infos], np.float64),
            classes=np.array([*classes, ignore_label], np.int64),
            crowd=np.array([*crowd, False], np.int64),
            areas=np.array([_area(info) for info in infos], np.float64),
            excuses=np.array(crowd, bool),
        )

    def find(self, present: np.ndarray) -> np.ndarray:
        """Index of each id of a PNG, int64 [K] like `present`; -1 where it is none of them."""
        index = np.searchsorted(self.ids, present)
        found = index < len(self.ids)
        found[found] = self.ids[index[found]] == present[found]
        return np.where(found, index, -1)


def is_crowd(info: dict) -> bool:
    """Whether an entry of `segments_info` is a crowd region."""
    return info.get("iscrowd", 0) == 1


def check_segments(ids: np.ndarray, infos: list[dict], class_of: Mapping, where: str) -> None:
    """Raises UserError where an id occurs twice or is void's, or a category is unknown.

    Args:
      ids: int64 [S], ascending.
      infos: [S], the JSON's entry of each.
      class_of: class of each category id.
      where: image and file, for errors.
    """
    repeated = ids[1:][ids[1:] == ids[:-1]]
    if repeated.size:
        raise UserError(f"{where} has segment {repeated[0]} twice; segments may not overlap.")
    if (ids == VOID).any():
        raise UserError(f"{where} has a segment with id 0, which means void; give it another id.")

    for info in infos:
        if info["category_id"] not in class_of:
            raise UserError(
                f"{where} has a segment of category {info['category_id']}, "
                "which is not among the categories."
            )


def _score(info):
    """The score of a segment; NaN where it has none."""
    score = info.get("score")
    return float(score) if isinstance(score, (int, float)) else math.nan


def _area(info):
    """The area of a segment; NaN where it has none, infinity where it is no usable number."""
    area = info.get("area")
    if not isinstance(area, (int, float)):
        return math.nan
    # An area that is not a number leaves an IoU of 0, as an infinite one does.
    usable = not math.isnan(area) and abs(area) < _LARGEST_AREA
    return float(area) if usable else math.inf
