"""Mean intersection over union of the semantic classes, which the paper quotes beside PQ and PC."""

import numpy as np

from deeperlab_tf.metrics.overlaps import TableMetric


class MeanIoU(TableMetric):
    """mIoU and the confusion matrix over a dataset, one image at a time.

    Void pixels do not count; crowd pixels do, for their class is known.

    Args:
      num_classes: number of classes.
      thing_classes: taken for the sake of one signature for all metrics; mIoU treats things and
        stuff alike.
      ignore_label: void in the ground truth, unlabelled in predictions.
    """

    def __init__(self, num_classes, thing_classes, ignore_label=255):
        del thing_classes
        super().__init__(num_classes, ignore_label)
        # Row: true class; column: predicted class, the last one for unlabelled pixels.
        self.confusion = np.zeros((num_classes, num_classes + 1), np.int64)

    def add(self, table):
        """Adds one image's `OverlapTable`."""
        gt_class = table.gt_class[table.pair_gt]
        np.add.at(self.confusion, (gt_class, table.pred_class[table.pair_pred]), table.pair_area)
        unlabelled = table.gt_area.copy()
        np.subtract.at(unlabelled, table.pair_gt, table.pair_area)
        np.add.at(self.confusion[:, -1], table.gt_class, unlabelled)

    def merge(self, other):
        """Adds what another `MeanIoU` has seen. Returns self."""
        self.confusion += other.confusion
        return self

    def result(self):
        """The metric so far.

        Returns:
          dict: `miou`, mean over the classes that occur in ground truth or prediction, in 0-1, NaN
          where none does; `per_class`, a list with `iou` of each class.
        """
        correct = np.diagonal(self.confusion)
        union = self.confusion.sum(axis=1) + self.confusion[:, :-1].sum(axis=0) - correct
        with np.errstate(invalid="ignore"):
            iou = correct / union
        occurs = union > 0
        return dict(
            miou=float(iou[occurs].mean()) if occurs.any() else float("nan"),
            per_class=[dict(iou=float(value)) for value in iou],
        )
