"""Candidates: the local maxima of the score map (paper Sec. 3.4.1)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict
from tensorflow import Tensor

from deeperlab_tf.fusion import lists
from deeperlab_tf.fusion.maps import Candidates, Grid, positions


class _Neighbourhood(NamedTuple):
    """The cells around N others and these themselves, W = (2 reach + 1)² for each.

    Attributes:
      scores: float32 [N, W], of one kind; off the grid 0.
      rows, columns: int32 [N, W].
    """

    scores: Tensor
    rows: Tensor
    columns: Tensor


def local_maxima(scores: Tensor, grid: Grid, fusion: ConfigDict) -> Candidates:
    """The best local maxima of the score map, over all keypoint kinds together.

    A maximum's position is the score-weighted mean of the 3 x 3 cells around it: votes are split
    bilinearly, so that mean is where they landed on average, finer than the grid.

    Args:
      scores: float32 [h · w, P].
      grid: `Grid`.
      fusion: config.fusion.

    Returns:
      `Candidates`, highest score first, max_keypoints at most.
    """
    num_kinds = scores.shape[1]
    # [n], of h · w · P. Few: the mean score is (1 + w) / A at most, what all cells can vote.
    flat = tf.reshape(scores, [-1])
    peaks = lists.indices(flat > fusion.peak_threshold)
    values = lists.take(flat, peaks)
    reach = fusion.detection.peak_window_cells // 2
    around = _neighbours(scores, peaks, reach, grid)
    is_highest = values >= tf.reduce_max(around.scores, axis=1)
    is_highest = lists.only(peaks, is_highest, False)

    best = lists.order(values, is_highest, fusion.max_keypoints)
    peaks = lists.pick(peaks, best)
    around = _neighbours(scores, peaks, 1, grid)
    points = lists.only(best, _mean_positions(around), np.nan)
    return Candidates(points, peaks % num_kinds)


def _mean_positions(around):
    """Mean positions of neighbourhoods, weighted by scores: float32 [N, 2], pixels."""
    total = tf.reduce_sum(around.scores, axis=1, keepdims=True)
    weights = around.scores / total
    y = tf.reduce_sum(weights * positions(around.rows), axis=1)
    x = tf.reduce_sum(weights * positions(around.columns), axis=1)
    return tf.stack([y, x], axis=1)


def _neighbours(scores, peaks, reach, grid):
    """The `_Neighbourhood` of peaks.

    Args:
      scores: float32 [h · w, P].
      peaks: int32 [N], which of the h · w · P.
      reach: cells in each direction.
      grid: `Grid`.
    """
    num_kinds = scores.shape[1]
    cells = peaks // num_kinds
    kinds = peaks % num_kinds
    steps = np.arange(-reach, reach + 1, dtype=np.int32)
    steps_y, steps_x = np.meshgrid(steps, steps, indexing="ij")

    # [N, W]
    rows, columns = grid.rows_columns(cells)
    rows = rows[:, None] + steps_y.ravel()
    columns = columns[:, None] + steps_x.ravel()
    index = grid.flat(rows, columns) * num_kinds
    index += kinds[:, None]
    around = tf.gather(tf.reshape(scores, [-1]), index)
    is_cell = grid.contains(rows, columns)
    around = tf.where(is_cell, around, 0.0)
    return _Neighbourhood(around, rows, columns)
