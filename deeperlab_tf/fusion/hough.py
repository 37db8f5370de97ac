"""Keypoint localisation by Hough voting (paper Sec. 3.4.1): short-range and long-range score maps, fused."""

import math

import tensorflow as tf

from deeperlab_tf.fusion import grid


def score_map(heatmap, short_offsets, long_targets, long_weights, grid_size, config):
    """Fused keypoint score map: short-range scores + w · long-range scores.

    Args:
      heatmap: float32 [h · w, P], probabilities.
      short_offsets: float32 [h · w, P, 2], pixels.
      long_targets: float32 [N, P, 2], x + L(x) of N cells, pixels.
      long_weights: float32 [N], 1 for cells predicted as things, else 0.
      grid_size: int32 [2], h and w.
      config: config.fusion.

    Returns:
      float32 [h · w, P]. A keypoint all of whose disk votes for it scores about 1 in the short-range part, and at most
      w in the long-range part.
    """
    disk_area = math.pi * (config.keypoint_radius / grid.HEAD_STRIDE) ** 2  # A, cells
    scores = short_votes(heatmap, short_offsets, grid_size, config.min_vote) / disk_area
    if config.long_vote_weight:
        share = config.long_vote_every
        votes = long_votes(long_targets[::share], long_weights[::share] * share, grid_size)
        long_scores = tf.minimum(votes / disk_area, 1.0)
        scores += config.long_vote_weight * long_scores
    return scores


def short_votes(heatmap, short_offsets, grid_size, min_vote):
    """Every cell votes for x + S_k(x) with weight p_k(x); votes lighter than `min_vote` are not cast.

    Args and returns: see `score_map`; returns the sums of votes, float32 [h · w, P].
    """
    num_kinds = heatmap.shape[1]
    heatmap = tf.reshape(heatmap, [-1])
    voters = grid.indices(heatmap >= min_vote)
    cells = voters // num_kinds
    votes = grid.flat_positions(cells, grid_size) + tf.gather(tf.reshape(short_offsets, [-1, 2]), voters)
    kinds = voters - cells * num_kinds
    return cast_votes(votes, kinds, tf.gather(heatmap, voters), grid_size, num_kinds)


def long_votes(long_targets, long_weights, grid_size):
    """Every thing cell votes for all P keypoints of its instance, with weight one: returns float32 [h · w, P]."""
    num_kinds = long_targets.shape[1]
    votes = tf.reshape(long_targets, [-1, 2])
    kinds = tf.tile(tf.range(num_kinds), [tf.shape(long_targets)[0]])
    return cast_votes(votes, kinds, tf.repeat(long_weights, num_kinds), grid_size, num_kinds)


def cast_votes(votes, kinds, weights, grid_size, num_kinds):
    """Sums votes on the grid, each split bilinearly over the four cells around it: Σ weight · B(vote - x).

    Args:
      votes: float32 [N, 2], where they point, pixels. Votes off the grid (or NaN) are lost.
      kinds: int32 [N], keypoint kind voted for.
      weights: float32 [N].
      grid_size: int32 [2], h and w.
      num_kinds: P.

    Returns:
      float32 [h · w, P].
    """
    height, width = grid_size[0], grid_size[1]
    scaled = votes / grid.HEAD_STRIDE
    corner = tf.floor(scaled)
    shares = weights[:, None] * grid.bilinear_weights(scaled - corner)
    # One row of four shares per vote goes to the cell's top-left corner, on a grid with one more row and column ahead:
    # that makes one scatter out of four. Negative segments are dropped.
    row, column = tf.unstack(tf.cast(corner, tf.int32) + 1, axis=1)
    lands = tf.math.is_finite(votes[:, 0] + votes[:, 1]) & (row >= 0) & (row <= height) & (column >= 0)
    lands &= column <= width
    segment = tf.where(lands, (row * (width + 1) + column) * num_kinds + kinds, -1)
    sums = tf.math.unsorted_segment_sum(shares, segment, (height + 1) * (width + 1) * num_kinds)
    sums = tf.reshape(sums, [height + 1, width + 1, num_kinds, 4])
    total = sums[1:, 1:, :, 0] + sums[1:, :-1, :, 1] + sums[:-1, 1:, :, 2] + sums[:-1, :-1, :, 3]
    return tf.reshape(total, [height * width, num_kinds])
