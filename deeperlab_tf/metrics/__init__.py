"""How good a parse is (paper Sec. 3.5): Panoptic Quality, Parsing Covering, mean IoU; beside them
the average precision of instances.

A segment is one distinct (class, instance) pair of an image. All metrics but AP read the same
table of segments and their overlaps (`overlaps`), so that an image's pixels are looked at once.
"""

from deeperlab_tf.metrics.instance_ap import InstanceAP
from deeperlab_tf.metrics.mean_iou import MeanIoU
from deeperlab_tf.metrics.panoptic_quality import PanopticQuality
from deeperlab_tf.metrics.parsing_covering import ParsingCovering
from deeperlab_tf.metrics.parsing_metrics import ParsingMetrics

__all__ = ["InstanceAP", "MeanIoU", "PanopticQuality", "ParsingCovering", "ParsingMetrics"]
