"""Panoptic Quality (paper Sec. 3.5; Kirillov et al., "Panoptic Segmentation", CVPR 2019).

Conventions are those of the COCO panoptic evaluation:
  * a predicted and a ground truth segment of one class match if their IoU is above 0.5; the union
    leaves out what the prediction covers of void;
  * an unmatched prediction is a false positive, unless more than half of it lies on void or on
    crowd of its own class;
  * crowd regions are never matched and never missed.

Label maps tell all of that. Files may say more: which area of a true segment counts, and which
crowd regions (`deeperlab_tf/files/panoptic_official.py`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np

from deeperlab_tf.metrics.exact_sums import ExactSums
from deeperlab_tf.metrics.overlaps import OverlapTable, TableMetric
from deeperlab_tf.pixels.label_maps import sum_by
from deeperlab_tf.schema import IGNORE_LABEL

_LEAST_IOU = 0.5
_INFINITE = 2.0**62  # `ExactSums` holds less


@dataclasses.dataclass(frozen=True)
class Matches:
    """How the segments of one `OverlapTable` went together.

    Attributes:
      gt, pred: int64 [M], indices of matched segments.
      iou: float64 [M]; above 1, and infinite, only where files claim wrong areas.
      missed: int64 [FN], ground truth segments without a match.
      false_positives: int64 [FP], predicted segments that count as wrong.
    """

    gt: np.ndarray
    pred: np.ndarray
    iou: np.ndarray
    missed: np.ndarray
    false_positives: np.ndarray


def match_segments(table: OverlapTable) -> Matches:
    """Matches the segments of an image."""
    gt, pred, overlap = table.pair_gt, table.pair_pred, table.pair_area
    same_class, on_crowd = table.pair_same_class, table.gt_crowd[gt]

    # Exact where areas are those of the pixels, and no segment matches twice: a quotient of
    # integers is rounded to 0.5 only if it is that. An area that a file claims may be anything.
    union = table.pred_area[pred] + table.gt_claim[gt] - overlap - table.pred_void[pred]
    with np.errstate(divide="ignore"):
        iou = overlap / union
    matched = same_class & ~on_crowd & (iou > _LEAST_IOU)

    missed = ~table.gt_crowd
    missed[gt[matched]] = False

    own_crowd = same_class & table.gt_excuses[gt]
    on_own_crowd = sum_by(pred[own_crowd], overlap[own_crowd], len(table.pred_area))
    excused = table.pred_void + on_own_crowd
    wrong = 2 * excused <= table.pred_area
    wrong[pred[matched]] = False
    return Matches(
        gt=gt[matched],
        pred=pred[matched],
        iou=iou[matched],
        missed=np.flatnonzero(missed),
        false_positives=np.flatnonzero(wrong),
    )


class PanopticQuality(TableMetric):
    """PQ, SQ and RQ over a dataset, one image at a time.

    Args:
      num_classes: number of classes.
      thing_classes: indices of the classes that are things.
      ignore_label: void in the ground truth, unlabelled in predictions.

    Attributes:
      true_positives, false_positives, false_negatives: int64 [classes].

    Example:
      >>> metric = PanopticQuality(num_classes=2, thing_classes=(1,))
      >>> truth, parse, instance = np.array([[0, 0, 1, 1]]), np.array([[0, 1, 1, 1]]), [[0] * 4]
      >>> metric.update(truth, instance, parse, instance)
      >>> round(metric.result()["pq_things"], 4)  # stuff has an IoU of 1/2, which is no match
      0.6667
    """

    def __init__(
        self, num_classes: int, thing_classes: Iterable[int], ignore_label: int = IGNORE_LABEL
    ) -> None:
        super().__init__(num_classes, ignore_label)
        self.is_thing = np.isin(np.arange(num_classes), list(thing_classes))
        self._iou_sums = ExactSums(num_classes)
        self._is_infinite = np.zeros(num_classes, bool)
        self.true_positives = np.zeros(num_classes, np.int64)
        self.false_positives = np.zeros(num_classes, np.int64)
        self.false_negatives = np.zeros(num_classes, np.int64)

    def add(self, table: OverlapTable) -> None:
        """Adds one image's `OverlapTable`."""
        self.add_matches(table, match_segments(table))

    def add_matches(self, table: OverlapTable, matches: Matches) -> None:
        """Adds the segments of an `OverlapTable` that its `Matches` name."""
        found = table.gt_class[matches.gt]
        wrong = table.pred_class[matches.false_positives]
        missed = table.gt_class[matches.missed]

        infinite = matches.iou >= _INFINITE
        self._is_infinite[found[infinite]] = True
        self._iou_sums.add(found[~infinite], matches.iou[~infinite])
        self.true_positives += np.bincount(found, minlength=self.num_classes)
        self.false_positives += np.bincount(wrong, minlength=self.num_classes)
        self.false_negatives += np.bincount(missed, minlength=self.num_classes)

    def merge(self, other: PanopticQuality) -> PanopticQuality:
        """Adds what another has seen, which is no different from one pass. Returns self."""
        self._iou_sums.merge(other._iou_sums)
        self._is_infinite |= other._is_infinite
        self.true_positives += other.true_positives
        self.false_positives += other.false_positives
        self.false_negatives += other.false_negatives
        return self

    def result(self) -> dict:
        """The metric so far.

        Returns:
          dict: `pq, sq, rq`, the same with `_things` and `_stuff`, means over the classes that
          occur, in 0-1, NaN where none does; `num_classes, num_classes_things, num_classes_stuff`,
          how many occur; `per_class`, a list with `pq, sq, rq, iou_sum, tp, fp, fn` of each class.
        """
        # Per class: [classes].
        iou_sum = np.where(self._is_infinite, np.inf, self._iou_sums.values())
        tp, fp, fn = self.true_positives, self.false_positives, self.false_negatives
        occurs = tp + fp + fn > 0
        segments = tp + 0.5 * fp + 0.5 * fn

        with np.errstate(invalid="ignore"):  # a class that does not occur is NaN
            pq = iou_sum / segments
            rq = tp / segments
            sq = np.where(tp > 0, iou_sum / tp, np.where(occurs, 0.0, np.nan))
        quality = dict(pq=pq, sq=sq, rq=rq)

        groups = {
            "": occurs,
            "_things": occurs & self.is_thing,
            "_stuff": occurs & ~self.is_thing,
        }
        result = {}
        for suffix, group in groups.items():
            for name, values in quality.items():
                mean = values[group].mean() if group.any() else np.nan
                result[name + suffix] = float(mean)
            result["num_classes" + suffix] = int(group.sum())

        columns = dict(quality, iou_sum=iou_sum, tp=tp, fp=fp, fn=fn)
        result["per_class"] = [
            {name: values[index].item() for name, values in columns.items()}
            for index in range(self.num_classes)
        ]
        return result
