"""Panoptic Quality (paper Sec. 3.5; Kirillov et al., "Panoptic Segmentation", CVPR 2019).

Conventions are those of the COCO panoptic evaluation:
  * a predicted and a ground truth segment of one class match if their IoU is above 0.5; the union
    leaves out what the prediction covers of void;
  * an unmatched prediction is a false positive, unless more than half of it lies on void or on
  crowd of its own class;
  * crowd regions are never matched and never missed.
"""

import dataclasses

import numpy as np

from deeperlab_tf.label_maps import sum_by
from deeperlab_tf.metrics.exact_sums import ExactSums
from deeperlab_tf.metrics.overlaps import TableMetric


@dataclasses.dataclass(frozen=True)
class Matches:
    """How the segments of one `OverlapTable` went together.

    Attributes:
      gt, pred: int64 [M], indices of matched segments.
      iou: float64 [M].
      missed: int64 [FN], ground truth segments without a match.
      false_positives: int64 [FP], predicted segments that count as wrong.
    """

    gt: np.ndarray
    pred: np.ndarray
    iou: np.ndarray
    missed: np.ndarray
    false_positives: np.ndarray


def match_segments(table):
    """Matches the segments of an `OverlapTable`; returns `Matches`."""
    same_class = table.gt_class[table.pair_gt] == table.pred_class[table.pair_pred]
    on_crowd = table.gt_crowd[table.pair_gt]
    union = (table.gt_area[table.pair_gt] + table.pred_area[table.pair_pred]) - (
        table.pair_area + table.pred_void[table.pair_pred]
    )
    candidate = same_class & ~on_crowd
    # IoU > 0.5 in integers; no segment can match twice.
    matched = candidate & (2 * table.pair_area > union)
    gt, pred = table.pair_gt[matched], table.pair_pred[matched]

    own_crowd = same_class & on_crowd
    excused = table.pred_void + sum_by(
        table.pair_pred[own_crowd], table.pair_area[own_crowd], len(table.pred_area)
    )
    wrong = 2 * excused <= table.pred_area
    wrong[pred] = False
    missed = ~table.gt_crowd
    missed[gt] = False
    return Matches(
        gt=gt,
        pred=pred,
        iou=table.pair_area[matched] / union[matched],
        missed=np.flatnonzero(missed),
        false_positives=np.flatnonzero(wrong),
    )


class PanopticQuality(TableMetric):
    """PQ, SQ and RQ over a dataset, one image at a time.

    Args:
      num_classes: number of classes.
      thing_classes: indices of the classes that are things.
      ignore_label: void in the ground truth, unlabelled in predictions.
    """

    def __init__(self, num_classes, thing_classes, ignore_label=255):
        super().__init__(num_classes, ignore_label)
        self.is_thing = np.isin(np.arange(num_classes), list(thing_classes))
        self._iou_sums = ExactSums(num_classes)
        self.true_positives = np.zeros(num_classes, np.int64)
        self.false_positives = np.zeros(num_classes, np.int64)
        self.false_negatives = np.zeros(num_classes, np.int64)

    def add(self, table):
        """Adds one image's `OverlapTable`."""
        self.add_matches(table, match_segments(table))

    def add_matches(self, table, matches):
        """Adds the segments of an `OverlapTable` that its `Matches` name."""
        classes = table.gt_class[matches.gt]
        self._iou_sums.add(classes, matches.iou)
        self.true_positives += np.bincount(classes, minlength=self.num_classes)
        self.false_positives += np.bincount(
            table.pred_class[matches.false_positives], minlength=self.num_classes
        )
        self.false_negatives += np.bincount(
            table.gt_class[matches.missed], minlength=self.num_classes
        )

    def merge(self, other):
        """Adds what another `PanopticQuality` has seen; no different from one pass. Returns self."""
        self._iou_sums.merge(other._iou_sums)
        self.true_positives += other.true_positives
        self.false_positives += other.false_positives
        self.false_negatives += other.false_negatives
        return self

    def result(self):
        """The metric so far.

        Returns:
          dict: `pq, sq, rq`, the same with `_things` and `_stuff`, means over the classes that
          occur, in 0-1, NaN where none does; `num_classes, num_classes_things, num_classes_stuff`,
          how many occur; `per_class`, a list with `pq, sq, rq, iou_sum, tp, fp, fn` of each class.
        """
        iou_sum = self._iou_sums.values()
        tp, fp, fn = self.true_positives, self.false_positives, self.false_negatives
        occurs = tp + fp + fn > 0
        with np.errstate(invalid="ignore"):
            rq = tp / (tp + 0.5 * fp + 0.5 * fn)
            sq = np.where(tp > 0, iou_sum / tp, np.where(occurs, 0.0, np.nan))
            pq = iou_sum / (tp + 0.5 * fp + 0.5 * fn)
        result = {}
        for suffix, group in (
            ("", occurs),
            ("_things", occurs & self.is_thing),
            ("_stuff", occurs & ~self.is_thing),
        ):
            for name, values in (("pq", pq), ("sq", sq), ("rq", rq)):
                result[name + suffix] = float(values[group].mean()) if group.any() else float("nan")
            result["num_classes" + suffix] = int(group.sum())
        columns = dict(pq=pq, sq=sq, rq=rq, iou_sum=iou_sum, tp=tp, fp=fp, fn=fn)
        result["per_class"] = [
            {name: values[index].item() for name, values in columns.items()}
            for index in range(self.num_classes)
        ]
        return result
