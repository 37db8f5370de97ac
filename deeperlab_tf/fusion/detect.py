"""Instance detection from keypoints (paper Sec. 3.4.1): candidates, proposals, greedy selection.

Every candidate keypoint can propose a whole instance by following the relation graph. The paper
pops candidates from a priority queue one by one; here all those that may be popped propose at once,
and `select` replaces the queue.

Centres go before corners, which the paper does not say: they are linked to all other keypoints, so
that one step along the graph makes a proposal. What is left to the corners are instances whose
centre was not found. So nearly all proposals are made by centres, a fifth of the candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict
from tensorflow import Tensor

from deeperlab_tf.fusion import lists, ops
from deeperlab_tf.fusion.boxes import box_iou, box_sizes, boxes_of, scale
from deeperlab_tf.fusion.maps import Candidates, Maps
from deeperlab_tf.fusion.peaks import local_maxima
from deeperlab_tf.fusion.propose import propose_instances
from deeperlab_tf.fusion.rescore import keypoint_scores
from deeperlab_tf.fusion.select import detection_radius, founders, greedy, near_same_keypoint
from deeperlab_tf.keypoints import CENTER, CORNERS


class Instances(NamedTuple):
    """Detected instances, best first; rows from `count` on are padding.

    Attributes:
      keypoints: float32 [J, P, 2], pixels.
      boxes: float32 [J, 4] (y1, x1, y2, x2), pixels.
      scores: float32 [J].
      count: int32, how many there are.
    """

    keypoints: Tensor
    boxes: Tensor
    scores: Tensor
    count: Tensor


def find_instances(scores: Tensor, maps: Maps, fusion: ConfigDict) -> Instances:
    """Finds instances: candidates, proposals, rescoring, greedy selection, box NMS.

    Args:
      scores: float32 [h · w, P], fused score map.
      maps: `Maps` of the image.
      fusion: config.fusion.

    Returns:
      `Instances`, with J = fusion.max_instances.
    """
    candidates = local_maxima(scores, maps.grid, fusion)
    if maps.graph.has_center:
        keypoints = _found_by_all(candidates, scores, maps, fusion)
    else:
        keypoints = found_instances(candidates, CORNERS, scores, maps, fusion)
    return _best_apart(keypoints, scores, maps, fusion)


def _found_by_all(candidates, scores, maps, fusion):
    """Keypoints of the instances that centres find, then of those that only corners do."""
    is_center = candidates.kinds == CENTER
    keypoints = found_instances(candidates.mask(is_center), [CENTER], scores, maps, fusion)

    sizes = scale(boxes_of(keypoints))
    radius = detection_radius(sizes, fusion.detection)
    is_near = near_same_keypoint(candidates, keypoints, radius)
    explained = tf.reduce_any(is_near, axis=1)
    is_left = ~is_center & ~explained

    def with_corners():
        corners = candidates.mask(is_left)
        others = found_instances(corners, CORNERS, scores, maps, fusion)
        return tf.concat([keypoints, others], axis=0)

    # Compiled, the shape may not depend on it.
    if ops.is_compiled():
        return with_corners()
    return tf.cond(tf.reduce_any(is_left), with_corners, lambda: keypoints)


def found_instances(
    candidates: Candidates, starts: Sequence[int], scores: Tensor, maps: Maps, fusion: ConfigDict
) -> Tensor:
    """Lets candidates propose instances and keeps those proposals that the queue would.

    Args:
      candidates: C candidates.
      starts: the kinds that they can have, see `propose_instances`.
      scores: float32 [h · w, P], fused score map.
      maps: `Maps` of the image.
      fusion: config.fusion.

    Returns:
      float32 [F, P, 2], keypoints of the instances, in the order in which candidates are popped:
      best score first. Compiled, rows of NaN are none.
    """
    detection = fusion.detection
    proposals = propose_instances(candidates, starts, maps, fusion.refinement)
    boxes = boxes_of(proposals.keypoints)
    sizes = scale(boxes)

    # A proposal without a box founds no instance; False for NaN.
    valid = tf.reduce_all(box_sizes(boxes) > 0, axis=-1)
    if detection.return_reach_sizes:
        valid &= proposals.miss <= maps.radius + detection.return_reach_sizes * sizes

    # [V]: the valid candidates, best first.
    rescored = keypoint_scores(candidates, sizes, scores, maps, detection)
    order = lists.order(rescored, valid)

    keypoints = lists.pick(proposals.keypoints, order)
    keypoints = lists.only(order, keypoints, np.nan)
    radius = detection_radius(lists.pick(sizes, order), detection)
    found = founders(candidates.pick(order), keypoints, radius)
    keypoints = lists.take(keypoints, found)
    return lists.only(found, keypoints, np.nan)


def _best_apart(keypoints, scores, maps, fusion):
    """The first `Instances` of keypoints, float32 [F, P, 2], without those that overlap."""
    keypoints = lists.first(keypoints, _exists(keypoints), fusion.max_instances)
    # [F, 4] and [F]
    boxes = boxes_of(keypoints)
    confidence = _confidence(keypoints, scale(boxes), scores, maps, fusion.detection)
    order = lists.order(confidence, _exists(keypoints))
    ordered = [lists.pick(each, order) for each in (keypoints, boxes, confidence)]

    # Box non-maximum suppression.
    rejects = box_iou(ordered[1]) > fusion.nms_iou
    is_kept = greedy(rejects, order != lists.NOWHERE)
    kept = [lists.padded(each, is_kept, fusion.max_instances) for each in ordered]
    count = tf.reduce_sum(tf.cast(is_kept, tf.int32))
    return Instances(*kept, count)


def _exists(keypoints):
    """Which instances there are: float32 [F, P, 2] -> bool [F]."""
    return ~tf.math.is_nan(keypoints[:, 0, 0])


def _confidence(keypoints, sizes, scores, maps, detection):
    """An instance's confidence is the mean score of its keypoints: float32 [F, P, 2] -> [F]."""
    num_kinds = maps.graph.num_keypoints
    num_instances = tf.shape(keypoints)[0]
    # [F · P, 2] and [F · P]
    points = tf.reshape(keypoints, [-1, 2])
    kinds = tf.tile(tf.range(num_kinds), [num_instances])
    sizes = tf.repeat(sizes, num_kinds)
    rescored = keypoint_scores(Candidates(points, kinds), sizes, scores, maps, detection)
    rescored = tf.reshape(rescored, [-1, num_kinds])
    return tf.reduce_mean(rescored, axis=1)
