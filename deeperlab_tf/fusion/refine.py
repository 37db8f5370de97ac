"""Recursive offset refinement (paper Sec. 3.4.1, after PersonLab): close to a keypoint, predictions are better.

A keypoint's offsets can be read at the one point where it is (keypoint_read = "point", PersonLab's way), or averaged
over cells of its disk that vote for it ("voters"). The second is exact for exact maps, averages noise out of others,
and does not mind a keypoint that lies where nothing was learned: on void or crowd, or beside another object's.
"""

import numpy as np
import tensorflow as tf

from deeperlab_tf.fusion import grid


def refine_points(points, kinds, heatmap, short_offsets, grid_size, config):
    """Moves predicted keypoints to where the short-range offsets around them point: y <- y + S(y).

    With y = x + M(x) this is the refinement of the middle-range offsets, M <- M + S(x + M). Points off the image stay.

    Args:
      points: float32 [N, 2], predicted positions, pixels.
      kinds: int32 [N], keypoint kind of each.
      heatmap: float32 [h · w, P], probabilities.
      short_offsets: float32 [h · w, P, 2].
      grid_size: int32 [2], h and w.
      config: config.fusion.

    Returns:
      float32 [N, 2].
    """
    for _ in range(config.refine_middle_steps):
        if config.keypoint_read == "voters":
            width = config.refine_reach * config.keypoint_radius
            _, votes, weights = voters(points, kinds, heatmap, short_offsets, grid_size, width, config)
            refined = _weighted_mean(votes, weights, otherwise=points)
        else:
            refined = points + grid.sample(short_offsets, kinds, points, grid_size)
        points = tf.where(grid.inside(points, grid_size)[:, None], refined, points)
    return points


def follow_edges(points, kinds, origins, origin_edges, heatmap, short_offsets, middle_offsets, grid_size, config):
    """Where the middle-range offsets at keypoints point to: x + M(x) along every edge of the graph.

    Edges that do not start at the keypoint's kind mean nothing; callers pick those that do. Where the disks of two
    objects overlap, the voters belong to both. The mean is taken over those that agree with one of them: with the one
    that points best to the keypoint and, coming from another keypoint, back to that one.

    Args:
      points, kinds, heatmap, short_offsets, grid_size, config: see `refine_points`.
      origins: float32 [N, 2], keypoints from which these were reached, pixels.
      origin_edges: int32 [N], the edges back to the origins; -1 where there is none.
      middle_offsets: float32 [h · w, E, 2].

    Returns:
      float32 [N, E, 2], pixels.
    """
    num_edges = middle_offsets.shape[1]
    maps = tf.reshape(middle_offsets, [-1, 1, 2 * num_edges])
    offsets = grid.sample(maps, tf.zeros_like(kinds), points, grid_size)
    targets = points[:, None] + tf.reshape(offsets, [-1, num_edges, 2])
    if config.keypoint_read == "point":
        return targets
    width = max(config.voter_reach * config.keypoint_radius, grid.HEAD_STRIDE)
    cells, _, weights = voters(points, kinds, heatmap, short_offsets, grid_size, width, config)
    said = grid.flat_positions(cells, grid_size)[:, :, None] + tf.gather(middle_offsets, cells)  # [N, V, E, 2]

    back = tf.gather(said, tf.maximum(origin_edges, 0), axis=2, batch_dims=1)  # [N, V, 2]
    miss = tf.reduce_sum(tf.square(back - origins[:, None]), axis=-1) / config.keypoint_radius**2
    trust = weights / (1 + tf.where(origin_edges[:, None] >= 0, miss, 0.0))
    speaker = tf.gather(said, tf.argmax(trust, axis=1), axis=1, batch_dims=1)  # [N, E, 2]
    agrees = tf.reduce_sum(tf.square(said - speaker[:, None]), axis=-1) <= config.keypoint_radius**2
    weights = weights[..., None] * tf.cast(agrees, tf.float32)  # [N, V, E]
    total = tf.reduce_sum(weights, axis=1)[..., None]
    return tf.where(total > _NO_VOTER, tf.reduce_sum(weights[..., None] * said, axis=1) / total, targets)


def voters(points, kinds, heatmap, short_offsets, grid_size, width, config):
    """Cells in the disks of keypoints, their votes x + S(x), and how much each is a vote for the keypoint.

    The weight is p(x) · exp(-|x + S(x) - y|² / (2 width²)): cells whose short-range offset points elsewhere belong to
    another keypoint, or to none.

    Args:
      width: pixels.
      Others: see `refine_points`.

    Returns:
      cells int32 [N, V] flat, votes float32 [N, V, 2] pixels, weights float32 [N, V].
    """
    num_kinds = heatmap.shape[1]
    around = tf.cast(tf.round(points / grid.HEAD_STRIDE), tf.int32)[:, None] + _pattern(config.keypoint_radius)
    cells = grid.flat_index(around, grid_size)
    index = cells * num_kinds + kinds[:, None]
    votes = grid.flat_positions(cells, grid_size) + tf.gather(tf.reshape(short_offsets, [-1, 2]), index)
    closeness = tf.exp(-tf.reduce_sum(tf.square(votes - points[:, None]), axis=-1) / (2 * width**2))
    return cells, votes, closeness * tf.gather(tf.reshape(heatmap, [-1]), index)


def _pattern(radius):
    """Up to 21 cells spread over a disk: int32 [V, 2] steps from its centre."""
    spacing = max(1, round(0.4 * radius / grid.HEAD_STRIDE))
    steps = np.stack(np.meshgrid(*[np.arange(-2, 3) * spacing] * 2, indexing="ij"), axis=-1).astype(np.int32)
    return tf.constant(steps[np.hypot(steps[..., 0], steps[..., 1]) * grid.HEAD_STRIDE <= radius])


def _weighted_mean(values, weights, otherwise):
    """Σ w v / Σ w over the second axis: [N, V, D], [N, V] -> [N, D]; `otherwise` [N, D] where there is no weight."""
    total = tf.reduce_sum(weights, axis=1)[:, None]
    sums = tf.matmul(weights[:, None], values)[:, 0]
    return tf.where(total > _NO_VOTER, sums / total, otherwise)


_NO_VOTER = 1e-3  # sum of weights below which a keypoint has no voter


def refine_long(targets, heatmap, short_offsets, grid_size, config):
    """Snaps long-range predictions that land on a keypoint's disk to that keypoint.

    L <- L + S(x + L), where x + L lies inside the image and the heatmap there exceeds the threshold. S is read at the
    nearest cell c, whose own prediction of the keypoint is c + S(c); offsets longer than R cannot be meant. Nothing is
    chained through L itself: box corners lie on other objects, whose long-range offsets mean something else.

    Args:
      targets: float32 [N, P, 2], x + L(x) of N cells, pixels.
      heatmap: float32 [h · w, P], probabilities.
      short_offsets: float32 [h · w, P, 2].
      grid_size: int32 [2], h and w.
      config: config.fusion.

    Returns:
      float32 [N, P, 2], refined x + L(x).
    """
    num_kinds = heatmap.shape[1]
    cells = grid.nearest_cell(targets, grid_size)
    index = cells * num_kinds + tf.range(num_kinds)
    offsets = tf.gather(tf.reshape(short_offsets, [-1, 2]), index)
    on_disk = tf.gather(tf.reshape(heatmap, [-1]), index) > config.refine_long_threshold
    on_disk &= tf.reduce_sum(tf.square(offsets), axis=-1) <= config.keypoint_radius**2
    on_disk &= grid.inside(targets, grid_size)
    return tf.where(on_disk[..., None], grid.flat_positions(cells, grid_size) + offsets, targets)
