"""Instance detection from keypoints (paper Sec. 3.4.1): local maxima, proposals, Expected-OKS
scores, greedy selection.

Every candidate keypoint can propose a whole instance by following the relation graph. The paper
pops candidates from a priority queue one by one; here all those that may be popped propose at once,
and `select` replaces the queue.

Centres go before corners, which the paper does not say: they are linked to all other keypoints, so
that one step along the graph makes a proposal. What is left to the corners are instances whose
centre was not found. So nearly all proposals are made by centres, a fifth of the candidates.
"""

import collections

import numpy as np
import tensorflow as tf

from deeperlab_tf.fusion import grid
from deeperlab_tf.fusion.boxes import box_iou, box_sizes, boxes_of, scale
from deeperlab_tf.fusion.propose import propose
from deeperlab_tf.fusion.rescore import keypoint_scores
from deeperlab_tf.fusion.select import detection_radius, founders, greedy, near_same_keypoint
from deeperlab_tf.keypoints import CENTER, NUM_CORNERS

# Detected instances, best first; rows from `count` on are padding.
Instances = collections.namedtuple("Instances", ["keypoints", "boxes", "scores", "count"])


def detect(scores, heatmap, short_offsets, middle_offsets, grid_size, graph, config):
    """Finds instances: candidates, proposals, rescoring, greedy selection, box non-maximum
    suppression.

    Args:
      scores: float32 [h · w, P], fused score map.
      heatmap: float32 [h · w, P], logits.
      short_offsets: float32 [h · w, P, 2], pixels.
      middle_offsets: float32 [h · w, E, 2], pixels.
      grid_size: int32 [2], h and w.
      graph: `KeypointGraph`.
      config: config.fusion.

    Returns:
      `Instances`: keypoints float32 [J, P, 2], boxes float32 [J, 4], scores float32 [J] (highest
      first), count int32: the first `count` of the J are instances.
    """
    points, kinds = local_maxima(scores, grid_size, config)

    def found(starts, points, kinds):
        maps = scores, heatmap, short_offsets, middle_offsets
        return found_instances(points, kinds, starts, *maps, grid_size, graph, config)

    if graph.has_center:
        is_center = kinds == CENTER
        keypoints = found([CENTER], *(tf.boolean_mask(x, is_center) for x in (points, kinds)))
        radius = detection_radius(scale(boxes_of(keypoints)), config)
        explained = tf.reduce_any(near_same_keypoint(points, kinds, keypoints, radius), axis=1)
        left = ~is_center & ~explained

        def with_corners():
            others = found(range(NUM_CORNERS), *(tf.boolean_mask(x, left) for x in (points, kinds)))
            return tf.concat([keypoints, others], axis=0)

        keypoints = tf.cond(tf.reduce_any(left), with_corners, lambda: keypoints)
    else:
        keypoints = found(range(NUM_CORNERS), points, kinds)
    keypoints = keypoints[: config.max_instances]
    boxes = boxes_of(keypoints)

    # An instance's confidence is the mean score of its keypoints.
    all_kinds = tf.tile(tf.range(graph.num_keypoints)[None], [tf.shape(keypoints)[0], 1])
    sizes = tf.repeat(scale(boxes)[:, None], graph.num_keypoints, axis=1)
    confidence = tf.reduce_mean(
        keypoint_scores(keypoints, all_kinds, sizes, scores, heatmap, grid_size, config), axis=1
    )
    order = tf.argsort(confidence, direction="DESCENDING", stable=True)
    keypoints, boxes, confidence = (tf.gather(x, order) for x in (keypoints, boxes, confidence))
    kept = greedy(box_iou(boxes) > config.nms_iou, tf.ones_like(confidence, tf.bool))
    kept = [tf.boolean_mask(x, kept) for x in (keypoints, boxes, confidence)]
    return Instances(*(_pad_rows(x, config.max_instances) for x in kept), tf.shape(kept[0])[0])


def local_maxima(scores, grid_size, config):
    """The best local maxima of the score map, over all keypoint kinds together.

    A maximum's position is the score-weighted mean of the 3 x 3 cells around it: votes are split
    bilinearly, so that mean is where they landed on average, finer than the grid.

    Args:
      scores: float32 [h · w, P].
      grid_size: int32 [2], h and w.
      config: config.fusion; reads peak_window, peak_threshold, max_keypoints.

    Returns:
      points float32 [C, 2] pixels, kinds int32 [C], highest score first; C <= config.max_keypoints.
    """
    num_kinds, flat = scores.shape[1], tf.reshape(scores, [-1])
    # Few: the mean score is (1 + w) / A at most, what all cells can vote.
    peaks = grid.indices(flat > config.peak_threshold)
    values = tf.gather(flat, peaks)
    around, _, _ = _neighbours(
        flat, peaks, config.detection.peak_window_cells // 2, num_kinds, grid_size
    )
    is_highest = values >= tf.reduce_max(around, axis=1)
    peaks, values = tf.boolean_mask(peaks, is_highest), tf.boolean_mask(values, is_highest)
    peaks = tf.gather(
        peaks, tf.math.top_k(values, tf.minimum(config.max_keypoints, tf.size(peaks)))[1]
    )

    around, rows, columns = _neighbours(flat, peaks, 1, num_kinds, grid_size)
    weights = around / tf.reduce_sum(around, axis=1, keepdims=True)
    points = [tf.reduce_sum(weights * grid.positions(cells), axis=1) for cells in (rows, columns)]
    return tf.stack(points, axis=1), peaks % num_kinds


def _neighbours(flat, peaks, reach, num_kinds, grid_size):
    """Scores of one kind in the cells around a peak and in its own; cells off the grid have 0.

    Args:
      flat: float32 [h · w · P].
      peaks: int32 [n], which of those.
      reach: cells in each direction.
      num_kinds: P.
      grid_size: int32 [2], h and w.

    Returns:
      float32 [n, (2 reach + 1)²]; the rows and the columns of these cells, int32 of the same shape.
    """
    cells, kinds = peaks // num_kinds, peaks % num_kinds
    rows = cells // grid_size[1]
    step_y, step_x = (
        steps.ravel() for steps in np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.int32)
    )
    columns = (cells - rows * grid_size[1])[:, None] + step_x
    rows = rows[:, None] + step_y
    scores = tf.gather(flat, grid.flat_index(rows, columns, grid_size) * num_kinds + kinds[:, None])
    return tf.where(grid.on_grid(rows, columns, grid_size), scores, 0.0), rows, columns


def found_instances(
    points, kinds, starts, scores, heatmap, short_offsets, middle_offsets, grid_size, graph, config
):
    """Lets candidates propose instances and keeps those proposals that the queue would.

    Args:
      points: float32 [C, 2], candidates, pixels.
      kinds: int32 [C].
      starts: the kinds that candidates can have.
      Others: see `detect`.

    Returns:
      float32 [F, P, 2], keypoints of the instances, in the order in which candidates are popped:
      best score first.
    """
    proposals, miss = propose(
        points, kinds, starts, heatmap, short_offsets, middle_offsets, grid_size, graph, config
    )
    boxes = boxes_of(proposals)
    sizes = scale(boxes)
    # A proposal without a box founds no instance; False for NaN.
    valid = tf.reduce_all(box_sizes(boxes) > 0, axis=-1)
    if config.detection.return_reach_sizes:
        valid &= miss <= config.keypoint_radius + config.detection.return_reach_sizes * sizes
    found = keypoint_scores(points, kinds, sizes, scores, heatmap, grid_size, config)
    order = tf.boolean_mask(tf.range(tf.size(found)), valid)
    order = tf.gather(
        order, tf.argsort(tf.gather(found, order), direction="DESCENDING", stable=True)
    )
    points, kinds, proposals, sizes = (
        tf.gather(x, order) for x in (points, kinds, proposals, sizes)
    )
    return tf.gather(proposals, founders(points, kinds, proposals, detection_radius(sizes, config)))


def _pad_rows(x, count):
    """`x` with rows of zeros up to `count`."""
    x = tf.pad(x, [[0, count - tf.shape(x)[0]]] + [[0, 0]] * (x.shape.rank - 1))
    return tf.ensure_shape(x, [count, *x.shape[1:]])
