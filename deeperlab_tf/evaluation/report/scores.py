"""What the report measures beyond metrics.json: each image by itself, and things by their size."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from deeperlab_tf.evaluation.results import Evaluation
from deeperlab_tf.metrics import PanopticQuality
from deeperlab_tf.metrics.panoptic_quality import Matches, match_segments


class SizeRange(NamedTuple):
    """Areas from `low` to below `high`, pixels."""

    name: str
    low: float
    high: float

    def holds(self, areas):
        """Which of the areas lie in the range: [N] -> bool [N]."""
        return (areas >= self.low) & (areas < self.high)


# As COCO has them.
SIZES = (
    SizeRange("small", 0, 32**2),
    SizeRange("medium", 32**2, 96**2),
    SizeRange("large", 96**2, math.inf),
)


def image_scores(evaluation: Evaluation) -> list[float]:
    """PQ of each image by itself, in 0-1; NaN for images of void alone."""
    dataset = evaluation.dataset
    scores = []
    for table in evaluation.tables:
        metric = PanopticQuality(dataset.num_classes, dataset.thing_classes)
        metric.add(table)
        scores.append(metric.result()["pq"])
    return scores


def quality_by_size(evaluation: Evaluation) -> list[tuple[str, dict[str, Any]]]:
    """PQ of things by their area: (name, `PanopticQuality.result`) in the order of `SIZES`.

    A found or missed object counts by its true area, a false positive by its own.
    """
    dataset = evaluation.dataset
    results = []
    for size in SIZES:
        metric = PanopticQuality(dataset.num_classes, dataset.thing_classes)
        for table in evaluation.tables:
            matches = match_segments(table)
            metric.add_matches(table, _of_size(size, table, matches))
        results.append((size.name, metric.result()))
    return results


def _of_size(size, table, matches):
    """The `Matches` whose area lies in a `SizeRange`."""
    gt_fits = size.holds(table.gt_area)
    pred_fits = size.holds(table.pred_area)
    # Both of a matched pair go by the true area.
    found = gt_fits[matches.gt]
    missed = matches.missed
    false_positives = matches.false_positives
    return Matches(
        gt=matches.gt[found],
        pred=matches.pred[found],
        iou=matches.iou[found],
        missed=missed[gt_fits[missed]],
        false_positives=false_positives[pred_fits[false_positives]],
    )
