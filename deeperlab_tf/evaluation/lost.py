"""Which segments are lost although the heads are perfect (`oracle`), and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from deeperlab_tf.fusion.boxes import box_iou, boxes_of, scale
from deeperlab_tf.fusion.select import detection_radius
from deeperlab_tf.heads import HEAD_STRIDE
from deeperlab_tf.keypoints import keypoint_graph
from deeperlab_tf.schema import IGNORE_LABEL

_MATCH_IOU = 0.5  # above it a segment is found (paper Sec. 3.5)


class _Labels(NamedTuple):
    """A parse's classes and panoptic ids, integer [H, W] each."""

    semantic: np.ndarray
    ids: np.ndarray


class _Instances(NamedTuple):
    """All instances of the truth, as the fusion's selection compares them.

    Attributes:
      ids: list of N panoptic ids, ascending.
      keypoints: float64 [N, 5, 2], pixels: the corners of the box and the centre of mass.
      radii: float32 [N], within which candidates are an instance's own, pixels.
      box_iou: float32 [N, N].
    """

    ids: list[int]
    keypoints: np.ndarray
    radii: np.ndarray
    box_iou: np.ndarray


def lost_segments(
    semantic: np.ndarray,
    instance: np.ndarray,
    crowd: np.ndarray,
    parse: Mapping[str, np.ndarray],
    ceiling: tuple[np.ndarray, np.ndarray],
    fusion: ConfigDict,
) -> list[dict[str, Any]]:
    """Ground-truth segments that a parse of perfect heads does not match, and why.

    Args:
      semantic, instance, crowd: labels of one image, [H, W].
      parse: arrays of `fuse`, without batch dimension.
      ceiling: semantic and instance maps of `grid_ceiling`.
      fusion: config.fusion.

    Returns:
      list of dicts: class, instance, area (pixels), iou (best with a segment of its class), reason.
    """
    divisor = fusion.label_divisor
    truth = _labels(semantic, instance, divisor)
    # Crowd and void need not be found.
    truth.ids[crowd | (semantic == IGNORE_LABEL)] = -1
    parsed = _labels(parse["semantic"], parse["instance"], divisor)
    on_grid = _labels(*ceiling, divisor)
    instances = _find_instances(truth.ids, instance, fusion)

    lost = []
    for segment_id in np.unique(truth.ids[truth.ids >= 0]).tolist():
        mask = truth.ids == segment_id
        iou = _best_iou(mask, truth, parsed)
        if iou > _MATCH_IOU:
            continue
        label = int(semantic[mask][0])
        reason = _reason_of_size(mask, truth, on_grid)
        if reason is None and segment_id not in instances.ids:
            reason = "stuff overrun by other segments"
        if reason is None:
            index = instances.ids.index(segment_id)
            reason = _reason_of_neighbours(index, instances, fusion.nms_iou)
        if reason is None:
            reason = _reason_of_detection(instances.keypoints[index], label, parse, fusion)
        lost.append(
            {
                "class": label,
                "instance": int(instance[mask][0]),
                "area": int(mask.sum()),
                "iou": iou,
                "reason": reason,
            }
        )
    return lost


def _labels(semantic, instance, divisor):
    return _Labels(semantic, semantic.astype(np.int64) * divisor + instance)


def _find_instances(true_ids, instance, fusion):
    """`_Instances` of panoptic ids [H, W], -1 where there is no segment."""
    is_instance = (instance > 0) & (true_ids >= 0)
    ids = np.unique(true_ids[is_instance]).tolist()
    keypoints = [_keypoints(true_ids == each) for each in ids]
    keypoints = np.reshape(keypoints, (-1, 5, 2))  # also where there are none
    boxes = boxes_of(keypoints.astype(np.float32))
    radii = detection_radius(scale(boxes), fusion.detection)
    return _Instances(ids, keypoints, radii.numpy(), box_iou(boxes).numpy())


def _keypoints(mask):
    """Corners of the box and centre of mass: bool [H, W] -> float64 [5, 2]."""
    rows, columns = np.nonzero(mask)
    top, bottom = rows.min(), rows.max()
    left, right = columns.min(), columns.max()
    center = (rows.mean(), columns.mean())
    return np.array([(top, left), (top, right), (bottom, left), (bottom, right), center])


def _best_iou(mask, truth, parsed):
    """Largest IoU of a segment with the parsed ones of its class; void pixels count for nothing."""
    of_class = parsed.semantic == truth.semantic[mask][0]
    counted = truth.semantic != IGNORE_LABEL
    best = 0.0
    for each, shared in zip(*np.unique(parsed.ids[mask & of_class], return_counts=True)):
        union = ((parsed.ids == each) & counted) | mask
        best = max(best, float(shared / union.sum()))
    return best


# === Reasons, in words; None: another one ===


def _reason_of_size(mask, truth, on_grid):
    if not mask[::HEAD_STRIDE, ::HEAD_STRIDE].any():
        return "too small: no grid cell lies on it"
    if _best_iou(mask, truth, on_grid) <= _MATCH_IOU:
        return "too small or too thin for the grid"
    return None


def _reason_of_neighbours(index, instances, nms_iou):
    mine = instances.keypoints[index]
    farthest = np.linalg.norm(instances.keypoints - mine, axis=2).max(axis=1)  # [N]
    others = np.arange(len(instances.ids)) != index
    sharing = np.flatnonzero(others & (farthest <= instances.radii))
    if sharing.size:
        return f"shares all keypoints with segment {instances.ids[sharing[0]]}"
    equal = np.flatnonzero(others & (instances.box_iou[index] > nms_iou))
    if equal.size:
        other = instances.ids[equal[0]]
        return f"its box nearly equals that of segment {other}: cut by non-maximum suppression"
    return None


def _reason_of_detection(keypoints, label, parse, fusion):
    found = parse["instance_keypoints"][: parse["num_instances"]]  # [n, P, 2]
    num_keypoints = keypoint_graph(fusion.keypoint_graph).num_keypoints
    distances = np.linalg.norm(found - keypoints[:num_keypoints], axis=2).max(axis=1)
    if not len(found) or distances.min() > fusion.keypoint_radius:
        return "not detected: its keypoints lie among those of others"
    found_label = parse["instance_class"][distances.argmin()]
    if found_label != label:
        return f"detected, but most of its pixels are of class {found_label}"
    return "detected, but its pixels went to other instances"
