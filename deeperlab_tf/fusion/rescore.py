"""Rescoring of keypoints by Expected-OKS (paper Sec. 3.4.1, after PersonLab)."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict
from tensorflow import Tensor

from deeperlab_tf.fusion.maps import Candidates, Maps, nearest_cells, positions, sample
from deeperlab_tf.heads import HEAD_STRIDE


def keypoint_scores(
    keypoints: Candidates, sizes: Tensor, scores: Tensor, maps: Maps, detection: ConfigDict
) -> Tensor:
    """Expected-OKS scores, or (rescore = "none") the score map's values.

    Args:
      keypoints: N keypoints.
      sizes: float32 [N], λ of their instances, pixels.
      scores: float32 [h · w, P], fused score map.
      maps: `Maps` of the image.
      detection: config.fusion.detection.

    Returns:
      float32 [N].
    """
    if detection.rescore == "expected_oks":
        # λκ, at least one cell.
        widths = tf.maximum(sizes * detection.oks_kappa, HEAD_STRIDE)
        return expected_oks(keypoints, widths, scores, maps)
    points, kinds = keypoints
    values = sample(scores[..., None], points, kinds, maps.grid)
    return values[..., 0]


def expected_oks(keypoints: Candidates, widths: Tensor, scores: Tensor, maps: Maps) -> Tensor:
    """Expected-OKS scores of keypoints (PersonLab): heatmap · mean similarity under the score map.

    s = p_k(y) · Σ_{x in disk} ĥ_k(x) · exp(-|x - y|² / (2 λ² κ²)), with ĥ the score map normalised
    inside the disk of radius R around y.

    Args:
      keypoints: N keypoints y.
      widths: float32 [N], λκ, pixels.
      scores: float32 [h · w, P], fused score map.
      maps: `Maps` of the image.

    Returns:
      float32 [N], in 0..1.
    """
    points, kinds = keypoints
    grid = maps.grid

    # [N, D]: the cells of the disk, and how far off they are.
    row, column = nearest_cells(points)
    steps_y, steps_x = _disk(maps.radius)
    rows = row + steps_y
    columns = column + steps_x
    y, x = tf.split(points, 2, axis=1)
    squares = tf.square(positions(rows) - y)
    squares += tf.square(positions(columns) - x)

    # [N, D]: the score map there.
    num_kinds = scores.shape[1]
    index = grid.flat(rows, columns) * num_kinds
    index += kinds[:, None]
    values = tf.gather(tf.reshape(scores, [-1]), index)
    on_disk = squares <= maps.radius * maps.radius
    counts = grid.contains(rows, columns) & on_disk
    values = tf.where(counts, values, 0.0)

    # [N]: the mean similarity under the score map.
    widths = widths[:, None]
    similarity = tf.exp(squares / (-2 * tf.square(widths)))
    weighted = tf.reduce_sum(values * similarity, axis=1)
    total = tf.reduce_sum(values, axis=1)
    mean = tf.math.divide_no_nan(weighted, total)

    logits = maps.keypoint_logits[..., None]
    heatmap = sample(logits, points, kinds, grid, tf.sigmoid)
    return mean * heatmap[..., 0]


def _disk(radius):
    """Cells that can lie within `radius` pixels of a point.

    Returns:
      rows and columns, int32 [D] each, as steps from its nearest cell.
    """
    reach = int(radius // HEAD_STRIDE) + 1
    steps = np.arange(-reach, reach + 1, dtype=np.int32)
    rows, columns = np.meshgrid(steps, steps, indexing="ij")
    half_diagonal = HEAD_STRIDE * 0.5**0.5
    near = np.hypot(rows, columns) * HEAD_STRIDE <= radius + half_diagonal
    return rows[near], columns[near]
