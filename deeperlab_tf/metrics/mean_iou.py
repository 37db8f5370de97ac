"""Mean intersection over union of the semantic classes, which the paper quotes beside PQ and PC."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from deeperlab_tf.metrics.overlaps import OverlapTable, TableMetric
from deeperlab_tf.schema import IGNORE_LABEL


class MeanIoU(TableMetric):
    """mIoU and the confusion matrix over a dataset, one image at a time.

    Void pixels do not count; crowd pixels do, for their class is known.

    Args:
      num_classes: number of classes.
      thing_classes: not used; mIoU treats things and stuff alike, but all metrics are made alike.
      ignore_label: void in the ground truth, unlabelled in predictions.

    Attributes:
      confusion: int64 [classes, classes + 1], pixels by true and predicted class; the last column
        is for unlabelled pixels.

    Example:
      >>> metric = MeanIoU(num_classes=2, thing_classes=(1,))
      >>> truth, parse, instance = np.array([[0, 0, 1, 1]]), np.array([[0, 1, 1, 1]]), [[0] * 4]
      >>> metric.update(truth, instance, parse, instance)
      >>> round(metric.result()["miou"], 4)  # (1/2 + 2/3) / 2
      0.5833
    """

    def __init__(
        self, num_classes: int, thing_classes: Iterable[int], ignore_label: int = IGNORE_LABEL
    ) -> None:
        del thing_classes
        super().__init__(num_classes, ignore_label)
        self.confusion = np.zeros((num_classes, num_classes + 1), np.int64)

    def add(self, table: OverlapTable) -> None:
        """Adds one image's `OverlapTable`."""
        # The classes of each pair of segments: [K].
        gt_class = table.gt_class[table.pair_gt]
        pred_class = table.pred_class[table.pair_pred]
        np.add.at(self.confusion, (gt_class, pred_class), table.pair_area)

        # [G]: what no predicted segment covers.
        unlabelled = table.gt_area.copy()
        np.subtract.at(unlabelled, table.pair_gt, table.pair_area)
        np.add.at(self.confusion[:, -1], table.gt_class, unlabelled)

    def merge(self, other: MeanIoU) -> MeanIoU:
        """Adds what another `MeanIoU` has seen. Returns self."""
        self.confusion += other.confusion
        return self

    def result(self) -> dict:
        """The metric so far.

        Returns:
          dict: `miou`, mean over the classes that occur in ground truth or prediction, in 0-1, NaN
          where none does; `per_class`, a list with `iou` of each class.
        """
        # Pixels per class: [classes].
        correct = np.diagonal(self.confusion)
        true = self.confusion.sum(axis=1)
        predicted = self.confusion[:, :-1].sum(axis=0)
        union = true + predicted - correct
        with np.errstate(invalid="ignore"):  # a class that does not occur is NaN
            iou = correct / union

        occurs = union > 0
        mean = iou[occurs].mean() if occurs.any() else np.nan
        per_class = [dict(iou=float(value)) for value in iou]
        return dict(miou=float(mean), per_class=per_class)
