"""The one pass over the pixels that every metric shares: which segment lies on which, and by how
much.

Label maps are nearly constant along rows, so equal neighbours are joined into runs first; after
that a single bincount over dense ids of (ground truth segment, predicted segment) pairs holds all
that PQ, PC and mIoU need.
"""

import dataclasses

import numpy as np

from deeperlab_tf.errors import UserError
from deeperlab_tf.label_maps import combine, count_combinations, dense, sum_by


@dataclasses.dataclass(frozen=True)
class OverlapTable:
    """Segments of one image and their overlaps. A segment is one distinct (class, instance) pair.

    Attributes:
      gt_class, gt_instance, gt_area: int64 [G]; void is no segment. gt_area counts all pixels of
        the segment.
      gt_crowd: bool [G].
      pred_class, pred_instance, pred_area: int64 [P]; unlabelled pixels are no segment.
      pred_void: int64 [P], pixels of each predicted segment on void.
      pair_gt, pair_pred, pair_area: int64 [K], the segments of each overlapping pair and its
        pixels.
      num_pixels: H * W.
    """

    gt_class: np.ndarray
    gt_instance: np.ndarray
    gt_crowd: np.ndarray
    gt_area: np.ndarray
    pred_class: np.ndarray
    pred_instance: np.ndarray
    pred_area: np.ndarray
    pred_void: np.ndarray
    pair_gt: np.ndarray
    pair_pred: np.ndarray
    pair_area: np.ndarray
    num_pixels: int


class TableMetric:
    """Base of the metrics that need no more of an image than its `OverlapTable`; they define
    `add(table)`.

    Args:
      num_classes: number of classes.
      ignore_label: void in the ground truth, unlabelled in predictions.
    """

    def __init__(self, num_classes, ignore_label):
        self.num_classes = num_classes
        self.ignore_label = ignore_label

    def update(self, gt_semantic, gt_instance, pred_semantic, pred_instance, gt_crowd=None):
        """Adds one image of integer maps [H, W]; see `overlap_table` for their values and for
        errors.
        """
        maps = (gt_semantic, gt_instance, pred_semantic, pred_instance, gt_crowd)
        self.add(overlap_table(*maps, num_classes=self.num_classes, ignore_label=self.ignore_label))


def overlap_table(
    gt_semantic,
    gt_instance,
    pred_semantic,
    pred_instance,
    gt_crowd=None,
    *,
    num_classes,
    ignore_label=255,
):
    """Counts the overlaps of one image.

    Args:
      gt_semantic, gt_instance, pred_semantic, pred_instance: integer [H, W]. Classes are 0 ...
        num_classes - 1, or ignore_label: void in the ground truth, unlabelled in the prediction.
        Instance ids are 0 or larger.
      gt_crowd: bool [H, W], True on crowd regions, whose class `gt_semantic` tells; None: there are
        none.
      num_classes: number of classes.
      ignore_label: the class value that is none.

    Returns:
      `OverlapTable`.

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
        maps["gt_crowd"] = np.asarray(gt_crowd, bool)
    values, counts = count_combinations(**maps)
    for name in ("gt_semantic", "pred_semantic"):
        _check_classes(values[name], name, num_classes, ignore_label)
    crowd = values.get("gt_crowd", np.zeros_like(counts))
    gt_columns = (values["gt_semantic"], values["gt_instance"], crowd)
    pred_columns = (values["pred_semantic"], values["pred_instance"])
    return table_from_counts(gt_columns, pred_columns, counts, ignore_label)


def table_from_counts(gt_columns, pred_columns, counts, ignore_label):
    """`OverlapTable` of distinct label combinations.

    Args:
      gt_columns: (class, instance, crowd), each int64 [K].
      pred_columns: (class, instance), each int64 [K].
      counts: int64 [K], pixels of each combination.
      ignore_label: the class value that is none.
    """
    gt_valid, pred_valid = gt_columns[0] != ignore_label, pred_columns[0] != ignore_label
    gt_segments, gt_index = _segments(gt_columns, gt_valid)
    pred_segments, pred_index = _segments(pred_columns, pred_valid)
    num_gt, num_pred = len(gt_segments[0]), len(pred_segments[0])
    on_void = ~gt_valid & pred_valid
    both = gt_valid & pred_valid
    pairs, pair_index = dense(gt_index[both] * max(num_pred, 1) + pred_index[both])
    return OverlapTable(
        gt_class=gt_segments[0],
        gt_instance=gt_segments[1],
        gt_crowd=gt_segments[2].astype(bool),
        gt_area=sum_by(gt_index[gt_valid], counts[gt_valid], num_gt),
        pred_class=pred_segments[0],
        pred_instance=pred_segments[1],
        pred_area=sum_by(pred_index[pred_valid], counts[pred_valid], num_pred),
        pred_void=sum_by(pred_index[on_void], counts[on_void], num_pred),
        pair_gt=pairs // max(num_pred, 1),
        pair_pred=pairs % max(num_pred, 1),
        pair_area=sum_by(pair_index, counts[both], len(pairs)),
        num_pixels=int(counts.sum()),
    )


def _segments(columns, valid):
    """Distinct rows of `columns` where `valid`: tuple of int64 [S], and the row's segment index (0
    where invalid).
    """
    segment = combine([column[valid] for column in columns])
    representative = np.empty(segment.max() + 1 if segment.size else 0, np.int64)
    representative[segment] = np.flatnonzero(valid)
    index = np.zeros(len(valid), np.int64)
    index[valid] = segment
    return tuple(column[representative] for column in columns), index


def _check_classes(classes, name, num_classes, ignore_label):
    wrong = classes[(classes >= num_classes) & (classes != ignore_label)]
    if wrong.size:
        raise UserError(
            f"{name} holds class {wrong[0]}; classes are 0 to {num_classes - 1}, or {ignore_label} for none."
        )
