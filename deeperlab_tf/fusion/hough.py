"""Keypoint localisation by Hough voting (paper Sec. 3.4.1): short- and long-range scores, fused."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict
from scipy.special import logit
from tensorflow import Tensor

from deeperlab_tf.fusion import lists
from deeperlab_tf.fusion.maps import Grid, Maps, positions
from deeperlab_tf.fusion.refine import LongTargets
from deeperlab_tf.heads import HEAD_STRIDE


class Votes(NamedTuple):
    """Votes for where keypoints are.

    Attributes:
      y, x: float32 [N], pixels. Votes off the grid (or NaN) are lost.
      kinds: int32 [N], keypoint kind voted for.
      weights: float32 [N], or one number for all.
    """

    y: Tensor
    x: Tensor
    kinds: Tensor
    weights: Tensor


def score_map(long_targets: LongTargets, maps: Maps, voting: ConfigDict) -> Tensor:
    """Fused keypoint score map: short-range scores + w · long-range scores.

    Args:
      long_targets: what the cells predicted as things predict.
      maps: `Maps` of the image.
      voting: config.fusion.voting.

    Returns:
      float32 [h · w, P]. A keypoint all of whose disk votes for it scores about 1 in the
      short-range part, and at most w in the long-range part.
    """
    # 1 / A, A the cells of a disk.
    share = 1 / (math.pi * (maps.radius / HEAD_STRIDE) ** 2)
    votes = short_votes(maps, share, voting.lightest_vote)
    scores = cast_votes(votes, maps.grid, maps.num_kinds)
    if not voting.long_weight:
        return scores

    every = voting.long_every
    if every > 1:
        long_targets = _thinned(long_targets, maps.grid, every)
    weight = voting.long_weight * every * share
    votes = long_votes(long_targets, weight)
    long_scores = cast_votes(votes, maps.grid, maps.num_kinds)
    return scores + tf.minimum(long_scores, voting.long_weight)


def short_votes(maps: Maps, share: float, lightest: float) -> Votes:
    """Every cell votes for x + S_k(x) with weight share · p_k(x), where p_k(x) >= `lightest`."""
    # [N], of h · w · P.
    logits = tf.reshape(maps.keypoint_logits, [-1])
    voters = lists.indices(logits >= logit(lightest))
    logits, offset_y, offset_x = maps.short_range(voters)

    cells = voters // maps.num_kinds
    kinds = voters - cells * maps.num_kinds
    rows, columns = maps.grid.rows_columns(cells)
    y = positions(rows) + offset_y
    x = positions(columns) + offset_x
    y = lists.only(voters, y, np.nan)
    return Votes(y, x, kinds, share * tf.sigmoid(logits))


def long_votes(long_targets: LongTargets, weight: float) -> Votes:
    """Every cell votes for all P keypoints of its instance, with the same weight."""
    cells, y, x = long_targets
    y = lists.only(cells, y, np.nan)
    num_cells = tf.shape(y)[:1]
    kinds = tf.range(y.shape[1])
    kinds = tf.tile(kinds, num_cells)
    y = tf.reshape(y, [-1])
    x = tf.reshape(x, [-1])
    return Votes(y, x, kinds, tf.constant(weight))


def _thinned(long_targets, grid, every):
    """Those of the cells on every n-th diagonal.

    By diagonals, not by numbers, so that each object of more than a cell or two has its voters.
    """
    rows, columns = grid.rows_columns(long_targets.cells)
    voters = lists.indices((rows + columns) % every == 0)
    cells = lists.within(long_targets.cells, voters)
    y, x = (lists.take(each, voters) for each in long_targets[1:])
    return LongTargets(cells, y, x)


def cast_votes(votes: Votes, grid: Grid, num_kinds: int) -> Tensor:
    """Sums votes, each split bilinearly over the four cells around it: Σ weight · B(vote - x).

    Args:
      votes: `Votes`.
      grid: `Grid`.
      num_kinds: P.

    Returns:
      float32 [h · w, P].
    """
    scaled_y = votes.y / HEAD_STRIDE
    scaled_x = votes.x / HEAD_STRIDE
    corner_y = tf.floor(scaled_y)
    corner_x = tf.floor(scaled_x)
    shares = _bilinear_shares(scaled_y - corner_y, scaled_x - corner_x, votes.weights)

    # The sums have a rim of one cell, so that a vote that touches the grid has all four cells.
    row = tf.cast(corner_y, tf.int32) + 1
    column = tf.cast(corner_x, tf.int32) + 1
    width = grid.width + 2
    lands = (corner_y >= -1) & (corner_x >= -1)
    lands &= (row <= grid.height) & (column <= grid.width)
    lands &= tf.math.is_finite(votes.weights)

    # Negative segments are dropped.
    segment = (row * width + column) * num_kinds + votes.kinds
    segment = tf.where(lands, segment, tf.int32.min)
    right, down = num_kinds, width * num_kinds
    below = segment + down
    segments = [segment, segment + right, below, below + right]
    segments = tf.concat(segments, axis=0)
    shares = tf.concat(shares, axis=0)
    height = grid.height + 2
    sums = tf.math.unsorted_segment_sum(shares, segments, height * down)

    # Without the rim: [h, w · P].
    sums = tf.reshape(sums, [height, down])
    sums = sums[1:-1, num_kinds:-num_kinds]
    return tf.reshape(sums, [grid.num_cells, num_kinds])


def _bilinear_shares(y, x, weights):
    """A vote's weight over the four cells around it, at fractions y and x: list of float32 [N]."""
    # By differences: cheaper than products, and the shares add up to the weight.
    below = weights * y
    above = weights - below
    below_right = below * x
    above_right = above * x
    return [above - above_right, above_right, below - below_right, below_right]
