"""Recursive offset refinement (paper Sec. 3.4.1, after PersonLab): close to a keypoint, predictions
are better.

A keypoint's offsets can be read at the one point where it is (keypoint_read = "point", PersonLab's
way), or averaged over cells of its disk that vote for it ("voters"). The second is exact for exact
maps, averages noise out of others, and does not mind a keypoint that lies where nothing was
learned: on void or crowd, or beside another object's.
"""

import numpy as np
import tensorflow as tf
from scipy.special import logit

from deeperlab_tf.fusion import grid, ops


def refine_points(points, kinds, heatmap, short_offsets, grid_size, config):
    """Moves predicted keypoints to where the short-range offsets around them point: y <- y + S(y).

    With y = x + M(x) this is the refinement of the middle-range offsets, M <- M + S(x + M). Points
    off the image stay.

    Args:
      points: float32 [N, 2], predicted positions, pixels.
      kinds: int32 [N], keypoint kind of each.
      heatmap: float32 [h · w, P], logits.
      short_offsets: float32 [h · w, P, 2].
      grid_size: int32 [2], h and w.
      config: config.fusion.

    Returns:
      float32 [N, 2].
    """
    for _ in range(config.refinement.middle_steps):
        if config.refinement.keypoint_read == "voters":
            width = config.refinement.start_reach_radii * config.keypoint_radius
            _, vote_y, vote_x, weights = voters(
                points, kinds, heatmap, short_offsets, grid_size, width, config
            )
            sums = tf.stack(
                [tf.reduce_sum(weights * vote, axis=1) for vote in (vote_y, vote_x)], axis=1
            )
            total = tf.reduce_sum(weights, axis=1, keepdims=True)
            refined = tf.where(total > _NO_VOTER, sums / total, points)
        else:
            refined = points + grid.sample(short_offsets, kinds, points, grid_size)
        points = tf.where(grid.inside(points[:, :1], points[:, 1:], grid_size), refined, points)
    return points


def follow_edges(
    points,
    kinds,
    edges,
    origins,
    returns,
    heatmap,
    short_offsets,
    middle_offsets,
    grid_size,
    config,
):
    """Where the middle-range offsets at keypoints point to: x + M(x).

    Where the disks of two objects overlap, the voters belong to both. The mean is taken over those
    that agree with one of them: with the one that points best to the keypoint and, coming from
    another keypoint, back to that one.

    Args:
      points, kinds, heatmap, short_offsets, grid_size, config: see `refine_points`.
      edges: int32 [N, T], edges to follow from each keypoint; the last one leads back to its origin
        if it `returns`.
      origins: float32 [N, 2], keypoints from which these were reached, pixels.
      returns: bool [N].
      middle_offsets: float32 [h · w, E, 2].

    Returns:
      float32 [N, T, 2], pixels.
    """
    num_edges, num_targets = middle_offsets.shape[1], edges.shape[1]
    repeated = tf.repeat(points[:, None], num_targets, axis=1)
    targets = repeated + grid.sample(middle_offsets, edges, repeated, grid_size)
    if config.refinement.keypoint_read == "point":
        return targets
    width = max(config.refinement.voter_reach_radii * config.keypoint_radius, grid.HEAD_STRIDE)
    cells, _, _, weights = voters(points, kinds, heatmap, short_offsets, grid_size, width, config)
    # Where each voter says that each edge leads: y and x, [N, T, V].
    offsets = ops.read(
        tf.reshape(middle_offsets, [-1, 2]), cells[:, None] * num_edges + edges[..., None]
    )
    rows = cells // grid_size[1]
    position_y, position_x = grid.positions(rows), grid.positions(cells - rows * grid_size[1])
    said_y, said_x = position_y[:, None] + offsets[..., 0], position_x[:, None] + offsets[..., 1]

    miss = tf.square(said_y[:, -1] - origins[:, :1]) + tf.square(said_x[:, -1] - origins[:, 1:])
    trust = weights / (1 + tf.where(returns[:, None], miss / config.keypoint_radius**2, 0.0))
    speaker = tf.one_hot(tf.argmax(trust, axis=1), weights.shape[1])[:, None]
    speaker_y, speaker_x = (
        tf.reduce_sum(speaker * said, axis=2, keepdims=True) for said in (said_y, said_x)
    )
    agrees = (
        tf.square(said_y - speaker_y) + tf.square(said_x - speaker_x) <= config.keypoint_radius**2
    )
    agreeing = tf.where(agrees, weights[:, None], 0.0)
    total = tf.reduce_sum(agreeing, axis=2)
    means = tf.stack(
        [tf.reduce_sum(agreeing * said, axis=2) / total for said in (said_y, said_x)], axis=2
    )
    return tf.where(total[..., None] > _NO_VOTER, means, targets)


def voters(points, kinds, heatmap, short_offsets, grid_size, width, config):
    """Cells in the disks of keypoints, their votes x + S(x), and how much each is a vote for the
    keypoint.

    The weight is p(x) · exp(-|x + S(x) - y|² / (2 width²)): cells whose short-range offset points
    elsewhere belong to another keypoint, or to none.

    Args:
      width: pixels.
      Others: see `refine_points`.

    Returns:
      cells int32 [N, V] flat, votes float32 [N, V] twice (y, x), pixels, weights float32 [N, V].
    """
    num_kinds = heatmap.shape[1]
    nearest = tf.cast(tf.round(points / grid.HEAD_STRIDE), tf.int32)
    rows, columns = (
        nearest[:, axis, None] + steps
        for axis, steps in enumerate(_pattern(config.keypoint_radius))
    )
    rows, columns = (
        tf.clip_by_value(rows, 0, grid_size[0] - 1),
        tf.clip_by_value(columns, 0, grid_size[1] - 1),
    )
    cells = rows * grid_size[1] + columns
    index = cells * num_kinds + kinds[:, None]
    offset_y, offset_x = tf.unstack(ops.read(tf.reshape(short_offsets, [-1, 2]), index), axis=-1)
    vote_y, vote_x = grid.positions(rows) + offset_y, grid.positions(columns) + offset_x
    distance = tf.square(vote_y - points[:, :1]) + tf.square(vote_x - points[:, 1:])
    weights = tf.exp(distance / (-2 * width**2)) * tf.sigmoid(
        ops.read(tf.reshape(heatmap, [-1]), index)
    )
    return cells, vote_y, vote_x, weights


def _pattern(radius):
    """Nine cells spread over a disk: rows and columns, int32 [9] each, as steps from its centre."""
    spacing = max(1, round(radius / 2 / grid.HEAD_STRIDE))
    rows, columns = np.meshgrid(*[np.arange(-1, 2, dtype=np.int32) * spacing] * 2, indexing="ij")
    return rows.ravel(), columns.ravel()


_NO_VOTER = 1e-3  # sum of weights below which a keypoint has no voter


def long_targets(long_offsets, heatmap, short_offsets, cells, grid_size, config):
    """Keypoints that cells predict for their own instance, x + L(x), refined by the short-range
    offsets there.

    L <- L + S(x + L), where there is a cell c nearest to x + L and the heatmap there exceeds the
    threshold: predictions that land on a keypoint's disk snap to that keypoint. S is read at c,
    whose own prediction of the keypoint is c + S(c); offsets longer than R cannot be meant. Nothing
    is chained through L itself: box corners lie on other objects, whose long-range offsets mean
    something else.

    Args:
      long_offsets: float32 [h · w, P, 2].
      heatmap: float32 [h · w, P], logits.
      short_offsets: float32 [h · w, P, 2].
      cells: int32 [N], flat cells.
      grid_size: int32 [2], h and w.
      config: config.fusion; reads refine_long, refine_long_threshold, keypoint_radius.

    Returns:
      y and x, pixels: two float32 [N, P].
    """
    num_kinds, rows = heatmap.shape[1], cells // grid_size[1]
    y, x = tf.unstack(tf.gather(long_offsets, cells), axis=2)
    y += grid.positions(rows)[:, None]
    x += grid.positions(cells - rows * grid_size[1])[:, None]
    if not config.refinement.long_range:
        return y, x
    nearest_y, nearest_x = tf.round(y / grid.HEAD_STRIDE), tf.round(x / grid.HEAD_STRIDE)
    rows, columns = tf.cast(nearest_y, tf.int32), tf.cast(nearest_x, tf.int32)
    is_inside = grid.on_grid(rows, columns, grid_size)
    # Here and below: weights 1 and 0 instead of tf.where, which is several times slower on CPUs.
    index = (rows * grid_size[1] + columns) * tf.cast(is_inside, tf.int32) * num_kinds + tf.range(
        num_kinds
    )
    offset_y, offset_x = tf.unstack(ops.read(tf.reshape(short_offsets, [-1, 2]), index), axis=2)
    on_disk = ops.read(tf.reshape(heatmap, [-1]), index) > logit(config.refinement.long_threshold)
    on_disk &= tf.square(offset_y) + tf.square(offset_x) <= config.keypoint_radius**2
    snaps = tf.cast(on_disk & is_inside, tf.float32)
    y += snaps * (nearest_y * grid.HEAD_STRIDE + offset_y - y)
    return y, x + snaps * (nearest_x * grid.HEAD_STRIDE + offset_x - x)
