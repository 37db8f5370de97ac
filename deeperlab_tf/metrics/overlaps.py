"""The one pass over the pixels that every metric shares: which segment lies on which, and by how
much.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from deeperlab_tf.errors import UserError
from deeperlab_tf.pixels.label_maps import combine, count_combinations, dense, one_of_each, sum_by
from deeperlab_tf.schema import IGNORE_LABEL


@dataclasses.dataclass(frozen=True)
class OverlapTable:
    """Segments of one image and their overlaps. A segment is one distinct (class, instance) pair.

    Attributes:
      gt_class, gt_instance, gt_area: int64 [G]; void is not a segment. gt_area counts all pixels
        of the segment.
      gt_crowd: bool [G].
      gt_claim: float64 [G], the area that counts in the IoU of Panoptic Quality: gt_area, unless
        files claim another.
      gt_excuses: bool [G], crowd regions that excuse what is predicted on them.
      pred_class, pred_instance, pred_area: int64 [P]; unlabelled pixels are not a segment.
      pred_void: int64 [P], pixels of each predicted segment on void.
      pair_gt, pair_pred, pair_area: int64 [K], the segments of each overlapping pair and its
        pixels.
      num_pixels: H * W.
    """

    gt_class: np.ndarray
    gt_instance: np.ndarray
    gt_crowd: np.ndarray
    gt_area: np.ndarray
    gt_claim: np.ndarray
    gt_excuses: np.ndarray
    pred_class: np.ndarray
    pred_instance: np.ndarray
    pred_area: np.ndarray
    pred_void: np.ndarray
    pair_gt: np.ndarray
    pair_pred: np.ndarray
    pair_area: np.ndarray
    num_pixels: int

    @property
    def pair_same_class(self) -> np.ndarray:
        """bool [K]: the pair's segments are of one class."""
        return self.gt_class[self.pair_gt] == self.pred_class[self.pair_pred]


class TableMetric:
    """Base of the metrics that need no more of an image than its `OverlapTable`.

    Args:
      num_classes: number of classes.
      ignore_label: void in the ground truth, unlabelled in predictions.
    """

    def __init__(self, num_classes: int, ignore_label: int) -> None:
        self.num_classes = num_classes
        self.ignore_label = ignore_label

    def update(
        self,
        gt_semantic: np.ndarray,
        gt_instance: np.ndarray,
        pred_semantic: np.ndarray,
        pred_instance: np.ndarray,
        gt_crowd: np.ndarray | None = None,
    ) -> None:
        """Adds one image of integer maps [H, W]; values and errors are those of `overlap_table`."""
        maps = (gt_semantic, gt_instance, pred_semantic, pred_instance, gt_crowd)
        self.add(overlap_table(*maps, num_classes=self.num_classes, ignore_label=self.ignore_label))

    def add(self, table: OverlapTable) -> None:
        """Adds one image's `OverlapTable`."""
        raise NotImplementedError


def overlap_table(
    gt_semantic: np.ndarray,
    gt_instance: np.ndarray,
    pred_semantic: np.ndarray,
    pred_instance: np.ndarray,
    gt_crowd: np.ndarray | None = None,
    *,
    num_classes: int,
    ignore_label: int = IGNORE_LABEL,
) -> OverlapTable:
    """Counts the overlaps of one image.

    Args:
      gt_semantic, gt_instance, pred_semantic, pred_instance: integer [H, W]. Classes are 0 ...
        num_classes - 1, or ignore_label: void in the ground truth, unlabelled in the prediction.
        Instance ids are 0 or larger.
      gt_crowd: bool [H, W], True on crowd regions, whose class is in `gt_semantic`; or integer
        [H, W], the number of each crowd region, from 1 on, of which the last of a class excuses
        alone; None: there are none.
      num_classes: number of classes.
      ignore_label: the class value that is none.

    Raises:
      UserError: sizes differ, a map is not an integer one, a class or instance id is out of range.
    """
    maps = dict(
        gt_semantic=gt_semantic,
        gt_instance=gt_instance,
        pred_semantic=pred_semantic,
        pred_instance=pred_instance,
    )
    if gt_crowd is not None and np.any(gt_crowd):
        maps["gt_crowd"] = np.asarray(gt_crowd)

    values, counts = count_combinations(**maps)
    for name in ("gt_semantic", "pred_semantic"):
        _check_classes(values[name], name, num_classes, ignore_label)

    crowd = values.get("gt_crowd", np.zeros_like(counts))
    gt_columns = (values["gt_semantic"], values["gt_instance"], crowd)
    pred_columns = (values["pred_semantic"], values["pred_instance"])
    return table_from_counts(gt_columns, pred_columns, counts, ignore_label)


def table_from_counts(
    gt_columns: Sequence[np.ndarray],
    pred_columns: Sequence[np.ndarray],
    counts: np.ndarray,
    ignore_label: int,
) -> OverlapTable:
    """`OverlapTable` of distinct label combinations.

    Args:
      gt_columns: (class, instance, crowd), each int64 [K]; crowd as in `overlap_table`.
      pred_columns: (class, instance), each int64 [K].
      counts: int64 [K], pixels of each combination.
      ignore_label: the class value that is none.
    """
    in_gt = gt_columns[0] != ignore_label
    in_pred = pred_columns[0] != ignore_label
    in_both = in_gt & in_pred
    on_void = ~in_gt & in_pred

    (gt_class, gt_instance, gt_crowd), gt_index = _segments(gt_columns, in_gt)
    (pred_class, pred_instance), pred_index = _segments(pred_columns, in_pred)
    num_gt, num_pred = len(gt_class), len(pred_class)
    gt_area = sum_by(gt_index[in_gt], counts[in_gt], num_gt)

    # A pair of segments as one number: [K].
    base = max(num_pred, 1)
    pairs, pair_index = dense(gt_index[in_both] * base + pred_index[in_both])
    return OverlapTable(
        gt_class=gt_class,
        gt_instance=gt_instance,
        gt_crowd=gt_crowd.astype(bool),
        gt_area=gt_area,
        gt_claim=gt_area.astype(np.float64),
        gt_excuses=_last_of_class(gt_class, gt_crowd),
        pred_class=pred_class,
        pred_instance=pred_instance,
        pred_area=sum_by(pred_index[in_pred], counts[in_pred], num_pred),
        pred_void=sum_by(pred_index[on_void], counts[on_void], num_pred),
        pair_gt=pairs // base,
        pair_pred=pairs % base,
        pair_area=sum_by(pair_index, counts[in_both], len(pairs)),
        num_pixels=int(counts.sum()),
    )


def _last_of_class(classes, numbers):
    """bool [G]: which crowd regions have the largest number of their class."""
    last = np.zeros(classes.max(initial=0) + 1, np.int64)
    np.maximum.at(last, classes, numbers)
    return (numbers > 0) & (numbers == last[classes])


def _segments(columns, valid):
    """The distinct rows of columns [K] where bool `valid` [K].

    Returns:
      the columns of the distinct rows, int64 [S] each; int64 [K], the distinct row that each row
      is, 0 where it is not valid.
    """
    rows = np.flatnonzero(valid)
    segment = combine([column[rows] for column in columns])
    count = segment.max(initial=-1) + 1
    chosen = rows[one_of_each(segment, count)]

    index = np.zeros(len(valid), np.int64)
    index[rows] = segment
    return tuple(column[chosen] for column in columns), index


def _check_classes(classes, name, num_classes, ignore_label):
    wrong = classes[(classes >= num_classes) & (classes != ignore_label)]
    if wrong.size:
        raise UserError(
            f"{name} holds class {wrong[0]}; "
            f"classes are 0 to {num_classes - 1}, or {ignore_label} for none."
        )
