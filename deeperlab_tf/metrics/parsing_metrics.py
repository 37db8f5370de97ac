"""All metrics of a parse at once, from one overlap table per image."""

from __future__ import annotations

from collections.abc import Iterable

from deeperlab_tf.metrics.mean_iou import MeanIoU
from deeperlab_tf.metrics.overlaps import OverlapTable, TableMetric
from deeperlab_tf.metrics.panoptic_quality import PanopticQuality
from deeperlab_tf.metrics.parsing_covering import ParsingCovering
from deeperlab_tf.schema import IGNORE_LABEL


class ParsingMetrics(TableMetric):
    """PQ, PC and mIoU over a dataset; same signature as each of them alone.

    Args:
      num_classes: number of classes.
      thing_classes: indices of the classes that are things.
      ignore_label: void in the ground truth, unlabelled in predictions.
    """

    def __init__(
        self, num_classes: int, thing_classes: Iterable[int], ignore_label: int = IGNORE_LABEL
    ) -> None:
        super().__init__(num_classes, ignore_label)
        self.num_images = 0
        self.panoptic_quality = PanopticQuality(num_classes, thing_classes, ignore_label)
        self.parsing_covering = ParsingCovering(num_classes, thing_classes, ignore_label)
        self.mean_iou = MeanIoU(num_classes, thing_classes, ignore_label)

    @property
    def _parts(self):
        return self.panoptic_quality, self.parsing_covering, self.mean_iou

    def add(self, table: OverlapTable) -> None:
        """Adds one image's `OverlapTable`."""
        self.num_images += 1
        for part in self._parts:
            part.add(table)

    def merge(self, other: ParsingMetrics) -> ParsingMetrics:
        """Adds what another `ParsingMetrics` has seen. Returns self."""
        self.num_images += other.num_images
        for part, other_part in zip(self._parts, other._parts):
            part.merge(other_part)
        return self

    def result(self) -> dict:
        """The results of all parts in one dict.

        Returns:
          dict: what the parts give, and `num_images`; `per_class` holds every metric of each class.
        """
        result = {}
        per_class = [{} for _ in range(self.num_classes)]
        for part in self._parts:
            part_result = part.result()
            for values, part_values in zip(per_class, part_result.pop("per_class")):
                values.update(part_values)
            result.update(part_result)
        return dict(result, per_class=per_class, num_images=self.num_images)
