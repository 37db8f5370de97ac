"""Parsing Covering (paper Sec. 3.5, Eq. 3-5).

Cov_i = (1 / N_i) * sum over ground truth regions R of class i of |R| * max over predicted regions
R' of class i of IoU(R, R'); PC is the mean of Cov_i over the classes. Void and crowd pixels of the
ground truth are removed before any area is taken, from the predictions too.

Two variants are in use: Eq. 3-5 to the letter (`pc`), where large images weigh more, and areas
divided by the size of their image first (`pc_normalized`), which is what the evaluation code
released by the paper's authors does unless told otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from deeperlab_tf.metrics.exact_sums import ExactSums
from deeperlab_tf.metrics.overlaps import OverlapTable, TableMetric
from deeperlab_tf.pixels.label_maps import sum_by
from deeperlab_tf.schema import IGNORE_LABEL


def best_covering(table: OverlapTable) -> np.ndarray:
    """Best IoU of each ground truth region with a predicted region of its class.

    Returns:
      float64 [G], 0 where nothing overlaps (and on crowd regions, which do not take part).
    """
    # Predicted areas without void and crowd: [P].
    counts = ~table.gt_crowd[table.pair_gt]
    pred, overlap = table.pair_pred[counts], table.pair_area[counts]
    pred_area = sum_by(pred, overlap, len(table.pred_area))

    # Pairs of one class: [K].
    counts &= table.pair_same_class
    gt, pred = table.pair_gt[counts], table.pair_pred[counts]
    overlap = table.pair_area[counts]
    union = table.gt_area[gt] + pred_area[pred] - overlap

    best = np.zeros(len(table.gt_area), np.float64)
    np.maximum.at(best, gt, overlap / union)
    return best


class ParsingCovering(TableMetric):
    """PC over a dataset, one image at a time.

    Args:
      num_classes: number of classes.
      thing_classes: not used; PC treats things and stuff alike, but all metrics are made alike.
      ignore_label: void in the ground truth, unlabelled in predictions.

    Example:
      >>> metric = ParsingCovering(num_classes=2, thing_classes=(1,))
      >>> truth, parse, instance = np.array([[0, 0, 1, 1]]), np.array([[0, 1, 1, 1]]), [[0] * 4]
      >>> metric.update(truth, instance, parse, instance)
      >>> round(metric.result()["pc"], 4)  # (1/2 + 2/3) / 2
      0.5833
    """

    def __init__(
        self, num_classes: int, thing_classes: Iterable[int], ignore_label: int = IGNORE_LABEL
    ) -> None:
        del thing_classes
        super().__init__(num_classes, ignore_label)
        # Per class: covered pixels, pixels, and both again in shares of their image.
        self._sums = ExactSums(4 * num_classes)

    def add(self, table: OverlapTable) -> None:
        """Adds one image's `OverlapTable`."""
        # Of each region of the truth: [G].
        best = best_covering(table)
        pixels = np.where(table.gt_crowd, 0, table.gt_area).astype(np.float64)
        shares = pixels / table.num_pixels

        # All four in one call: images are many and regions few.
        columns = (pixels * best, pixels, shares * best, shares)
        index = [table.gt_class + row * self.num_classes for row in range(len(columns))]
        self._sums.add(np.concatenate(index), np.concatenate(columns))

    def merge(self, other: ParsingCovering) -> ParsingCovering:
        """Adds what another has seen, which is no different from one pass. Returns self."""
        self._sums.merge(other._sums)
        return self

    def result(self) -> dict:
        """The metric so far.

        Returns:
          dict: `pc` (Eq. 3-5), `pc_normalized` (areas relative to the image), means over classes
          with ground truth, in 0-1, NaN where there is none; `per_class`, a list with `pc,
          pc_normalized` of each class.
        """
        # Per class: [classes].
        covered, area, covered_share, share = self._sums.values().reshape(4, -1)
        with np.errstate(invalid="ignore"):  # a class without ground truth is NaN
            covering = np.stack([covered / area, covered_share / share])

        occurs = area > 0
        pc, pc_normalized = np.full(2, np.nan)
        if occurs.any():
            pc, pc_normalized = covering[:, occurs].mean(axis=1)
        per_class = [_named(*values) for values in covering.T]
        return dict(_named(pc, pc_normalized), per_class=per_class)


def _named(pc, pc_normalized):
    return dict(pc=float(pc), pc_normalized=float(pc_normalized))
