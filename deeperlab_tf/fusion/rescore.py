"""Rescoring of keypoints by Expected-OKS (paper Sec. 3.4.1, after PersonLab)."""

import numpy as np
import tensorflow as tf

from deeperlab_tf.fusion import grid


def keypoint_scores(points, kinds, sizes, scores, heatmap, grid_size, config):
    """Expected-OKS scores, or (rescore = "none") the score map's values. Arguments: see
    `expected_oks`.
    """
    if config.detection.rescore == "expected_oks":
        return expected_oks(points, kinds, sizes, scores, heatmap, grid_size, config)
    return grid.sample(scores[..., None], kinds, points, grid_size)[..., 0]


def expected_oks(points, kinds, sizes, scores, heatmap, grid_size, config):
    """Expected-OKS scores of keypoints (PersonLab): heatmap · mean keypoint similarity under the
    score map.

    s = p_k(y) · Σ_{x in disk} ĥ_k(x) · exp(-|x - y|² / (2 λ² κ²)), with ĥ the score map normalised
    inside the disk of radius R around y, and λκ at least one cell.

    Args:
      points: float32 [..., 2], y, pixels.
      kinds: int32 [...].
      sizes: float32 [...], λ of the keypoints' instances, pixels.
      scores: float32 [h · w, P], fused score map.
      heatmap: float32 [h · w, P], logits.
      grid_size: int32 [2], h and w.
      config: config.fusion; reads keypoint_radius, oks_kappa.

    Returns:
      float32 [...], in 0..1.
    """
    num_kinds = scores.shape[1]
    radius = config.keypoint_radius
    shape = tf.shape(kinds)
    points, kinds, sizes = (
        tf.reshape(points, [-1, 2]),
        tf.reshape(kinds, [-1]),
        tf.reshape(sizes, [-1]),
    )
    nearest = tf.cast(tf.round(points / grid.HEAD_STRIDE), tf.int32)
    # [N, disk]
    rows, columns = (nearest[:, axis, None] + steps for axis, steps in enumerate(_disk(radius)))
    squares = tf.square(grid.positions(rows) - points[:, :1]) + tf.square(
        grid.positions(columns) - points[:, 1:]
    )
    counts = grid.on_grid(rows, columns, grid_size) & (squares <= radius * radius)
    values = tf.gather(
        tf.reshape(scores, [-1]),
        grid.flat_index(rows, columns, grid_size) * num_kinds + kinds[:, None],
    )
    values = tf.where(counts, values, 0.0)
    width = tf.maximum(sizes * config.detection.oks_kappa, grid.HEAD_STRIDE)[:, None]
    similarity = tf.exp(squares / (-2 * tf.square(width)))
    mean = tf.math.divide_no_nan(
        tf.reduce_sum(values * similarity, axis=1), tf.reduce_sum(values, axis=1)
    )
    return tf.reshape(
        mean * grid.sample(heatmap[..., None], kinds, points, grid_size, tf.sigmoid)[..., 0], shape
    )


def _disk(radius):
    """Cells that can lie within `radius` pixels of a point: rows and columns, int32 [D] each, from
    its nearest cell.
    """
    reach = int(radius // grid.HEAD_STRIDE) + 1
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.int32)
    half_diagonal = grid.HEAD_STRIDE * 0.5**0.5
    near = np.hypot(rows, columns) * grid.HEAD_STRIDE <= radius + half_diagonal
    return rows[near], columns[near]
