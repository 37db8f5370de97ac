"""All metrics of a parse at once, from one overlap table an image."""

from deeperlab_tf.metrics.mean_iou import MeanIoU
from deeperlab_tf.metrics.overlaps import overlap_table
from deeperlab_tf.metrics.panoptic_quality import PanopticQuality
from deeperlab_tf.metrics.parsing_covering import ParsingCovering


class ParsingMetrics:
    """PQ, PC and mIoU over a dataset; same signature as each of them alone.

    Args:
      num_classes: number of classes.
      thing_classes: indices of the classes that are things.
      ignore_label: void in the ground truth, unlabelled in predictions.
    """

    def __init__(self, num_classes, thing_classes, ignore_label=255):
        self.num_classes = num_classes
        self.ignore_label = ignore_label
        self.num_images = 0
        self.panoptic_quality = PanopticQuality(num_classes, thing_classes, ignore_label)
        self.parsing_covering = ParsingCovering(num_classes, thing_classes, ignore_label)
        self.mean_iou = MeanIoU(num_classes, thing_classes, ignore_label)

    @property
    def _parts(self):
        return self.panoptic_quality, self.parsing_covering, self.mean_iou

    def update(self, gt_semantic, gt_instance, pred_semantic, pred_instance, gt_crowd=None):
        """Adds one image of integer maps [H, W]; see `overlap_table` for their values and for errors."""
        self.add(
            overlap_table(
                gt_semantic,
                gt_instance,
                pred_semantic,
                pred_instance,
                gt_crowd,
                num_classes=self.num_classes,
                ignore_label=self.ignore_label,
            )
        )

    def add(self, table):
        """Adds one image's `OverlapTable`."""
        self.num_images += 1
        for part in self._parts:
            part.add(table)

    def merge(self, other):
        """Adds what another `ParsingMetrics` has seen. Returns self."""
        self.num_images += other.num_images
        for part, other_part in zip(self._parts, other._parts):
            part.merge(other_part)
        return self

    def result(self):
        """The results of all parts in one dict, with `num_images`; `per_class` holds every metric of each class."""
        result, per_class = {}, [{} for _ in range(self.num_classes)]
        for part in self._parts:
            part_result = part.result()
            for values, part_values in zip(per_class, part_result.pop("per_class")):
                values.update(part_values)
            result.update(part_result)
        return dict(result, per_class=per_class, num_images=self.num_images)
