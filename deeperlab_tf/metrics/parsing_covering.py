"""Parsing Covering (paper Sec. 3.5, Eq. 3-5).

Cov_i = (1 / N_i) * sum over ground truth regions R of class i of |R| * max over predicted regions
R' of class i of IoU(R, R'); PC is the mean of Cov_i over the classes. Void and crowd pixels of the
ground truth are removed before any area is taken, from the predictions too.

Two variants are in use: Eq. 3-5 to the letter (`pc`), where large images weigh more, and areas
divided by the size of their image first (`pc_normalized`), which is what the evaluation code
released by the paper's authors does unless told otherwise.
"""

import numpy as np

from deeperlab_tf.label_maps import sum_by
from deeperlab_tf.metrics.exact_sums import ExactSums
from deeperlab_tf.metrics.overlaps import TableMetric


def best_covering(table):
    """Best IoU of each ground truth region with a predicted region of its class.

    Args:
      table: `OverlapTable`.

    Returns:
      float64 [G], 0 where nothing overlaps (and on crowd regions, which do not take part).
    """
    counts = ~table.gt_crowd[table.pair_gt]
    pred_area = sum_by(table.pair_pred[counts], table.pair_area[counts], len(table.pred_area))
    counts &= table.gt_class[table.pair_gt] == table.pred_class[table.pair_pred]
    gt, pred, overlap = table.pair_gt[counts], table.pair_pred[counts], table.pair_area[counts]
    best = np.zeros(len(table.gt_area), np.float64)
    np.maximum.at(best, gt, overlap / (table.gt_area[gt] + pred_area[pred] - overlap))
    return best


class ParsingCovering(TableMetric):
    """PC over a dataset, one image at a time.

    Args:
      num_classes: number of classes.
      thing_classes: taken for the sake of one signature for all metrics; PC treats things and stuff
        alike.
      ignore_label: void in the ground truth, unlabelled in predictions.
    """

    def __init__(self, num_classes, thing_classes, ignore_label=255):
        del thing_classes
        super().__init__(num_classes, ignore_label)
        # Of each class in turn: covered pixels, pixels, and both again in shares of their image.
        self._sums = ExactSums(4 * num_classes)

    def add(self, table):
        """Adds one image's `OverlapTable`."""
        best = best_covering(table)
        pixels = np.where(table.gt_crowd, 0, table.gt_area).astype(np.float64)
        shares = pixels / table.num_pixels
        columns = (pixels * best, pixels, shares * best, shares)
        index = [table.gt_class + row * self.num_classes for row in range(len(columns))]
        self._sums.add(np.concatenate(index), np.concatenate(columns))

    def merge(self, other):
        """Adds what another `ParsingCovering` has seen; no different from one pass. Returns self."""
        self._sums.merge(other._sums)
        return self

    def result(self):
        """The metric so far.

        Returns:
          dict: `pc` (Eq. 3-5), `pc_normalized` (areas relative to the image), means over classes
          with ground truth, in 0-1, NaN where there is none; `per_class`, a list with `pc,
          pc_normalized` of each class.
        """
        covered, area, covered_share, share = self._sums.values().reshape(4, -1)
        with np.errstate(invalid="ignore"):
            covering = np.stack([covered / area, covered_share / share])
        occurs = area > 0
        mean = covering[:, occurs].mean(axis=1) if occurs.any() else np.full(2, np.nan)
        return dict(
            pc=float(mean[0]),
            pc_normalized=float(mean[1]),
            per_class=[
                dict(pc=float(exact), pc_normalized=float(normalized))
                for exact, normalized in covering.T
            ],
        )
