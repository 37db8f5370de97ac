"""Keypoint localisation by Hough voting (paper Sec. 3.4.1): short-range and long-range score maps,
fused.
"""

import math

import tensorflow as tf
from scipy.special import logit

from deeperlab_tf.fusion import grid, ops


def score_map(heatmap, short_offsets, long_targets, things, grid_size, config):
    """Fused keypoint score map: short-range scores + w · long-range scores.

    Args:
      heatmap: float32 [h · w, P], logits.
      short_offsets: float32 [h · w, P, 2], pixels.
      long_targets: y and x of x + L(x) of the N cells predicted as things, two float32 [N, P],
        pixels.
      things: int32 [N], those cells, flat.
      grid_size: int32 [2], h and w.
      config: config.fusion.

    Returns:
      float32 [h · w, P]. A keypoint all of whose disk votes for it scores about 1 in the
      short-range part, and at most w in the long-range part.
    """
    # 1 / A, A the cells of a disk.
    vote = 1 / (math.pi * (config.keypoint_radius / grid.HEAD_STRIDE) ** 2)
    scores = short_votes(heatmap, short_offsets, vote, grid_size, config.voting.lightest_vote)
    if config.voting.long_weight:
        share = config.voting.long_every
        # By diagonals, not by numbers, so that each object of more than a cell or two has its
        # voters.
        if share > 1:
            rows = things // grid_size[1]
            voters = grid.indices((rows + things - rows * grid_size[1]) % share == 0)
            long_targets = [tf.gather(targets, voters) for targets in long_targets]
        votes = long_votes(long_targets, config.voting.long_weight * share * vote, grid_size)
        scores += tf.minimum(votes, config.voting.long_weight)
    return scores


def short_votes(heatmap, short_offsets, vote, grid_size, min_vote):
    """Every cell votes for x + S_k(x) with weight vote · p_k(x), but for p_k(x) < `min_vote`.

    Args and returns: see `score_map`; returns the sums of votes, float32 [h · w, P].
    """
    num_kinds = heatmap.shape[1]
    heatmap = tf.reshape(heatmap, [-1])
    voters = grid.indices(heatmap >= logit(min_vote))
    cells = voters // num_kinds
    rows = cells // grid_size[1]
    offset_y, offset_x = tf.unstack(ops.read(tf.reshape(short_offsets, [-1, 2]), voters), axis=1)
    vote_y, vote_x = (
        grid.positions(rows) + offset_y,
        grid.positions(cells - rows * grid_size[1]) + offset_x,
    )
    weights = vote * tf.sigmoid(ops.read(heatmap, voters))
    return cast_votes(vote_y, vote_x, voters - cells * num_kinds, weights, grid_size, num_kinds)


def long_votes(long_targets, vote, grid_size):
    """Every cell votes for all P keypoints of its instance, with weight `vote`: returns float32 [h
    · w, P].
    """
    y, x = long_targets
    count, num_kinds = tf.shape(y)[:1], y.shape[1]
    kinds = tf.tile(tf.range(num_kinds), count)
    return cast_votes(
        tf.reshape(y, [-1]), tf.reshape(x, [-1]), kinds, tf.constant(vote), grid_size, num_kinds
    )


def cast_votes(vote_y, vote_x, kinds, weights, grid_size, num_kinds):
    """Sums votes on the grid, each split bilinearly over the four cells around it: Σ weight ·
    B(vote - x).

    Args:
      vote_y, vote_x: float32 [N], where they point, pixels. Votes off the grid (or NaN) are lost.
      kinds: int32 [N], keypoint kind voted for.
      weights: float32 [N], or one number for all.
      grid_size: int32 [2], h and w.
      num_kinds: P.

    Returns:
      float32 [h · w, P].
    """
    height, width = grid_size[0], grid_size[1]
    scaled_y, scaled_x = vote_y / grid.HEAD_STRIDE, vote_x / grid.HEAD_STRIDE
    corner_y, corner_x = tf.floor(scaled_y), tf.floor(scaled_x)
    share_y, share_x = scaled_y - corner_y, scaled_x - corner_x
    # The grid has a rim of one cell, so that a vote that touches it has all four cells. Negative
    # segments are dropped.
    row, column = tf.cast(corner_y, tf.int32) + 1, tf.cast(corner_x, tf.int32) + 1
    lands = (
        (corner_y >= -1)
        & (corner_x >= -1)
        & (row <= height)
        & (column <= width)
        & tf.math.is_finite(weights)
    )
    segment = tf.where(lands, (row * (width + 2) + column) * num_kinds + kinds, tf.int32.min)
    down, right = (width + 2) * num_kinds, num_kinds
    far = weights * share_y
    near = weights - far
    far_right, near_right = far * share_x, near * share_x
    shares = tf.concat([near - near_right, near_right, far - far_right, far_right], axis=0)
    segments = tf.concat([segment, segment + right, segment + down, segment + down + right], axis=0)
    sums = tf.math.unsorted_segment_sum(shares, segments, (height + 2) * (width + 2) * num_kinds)
    sums = tf.reshape(sums, [height + 2, (width + 2) * num_kinds])[1:-1, num_kinds:-num_kinds]
    return tf.reshape(sums, [height * width, num_kinds])
