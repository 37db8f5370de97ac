"""Following the relation graph's edges from keypoints (paper Sec. 3.4.1): x + M(x)."""

from __future__ import annotations

import tensorflow as tf
from ml_collections import ConfigDict
from tensorflow import Tensor

from deeperlab_tf.fusion import ops
from deeperlab_tf.fusion.maps import Candidates, Maps, positions, sample
from deeperlab_tf.fusion.voters import NO_VOTER, voters_of
from deeperlab_tf.heads import HEAD_STRIDE


def follow_edges(
    keypoints: Candidates,
    edges: Tensor,
    origins: Tensor | None,
    maps: Maps,
    refinement: ConfigDict,
) -> Tensor:
    """Where the middle-range offsets at keypoints point to: x + M(x).

    Where the disks of two objects overlap, the voters belong to both. The mean is taken over those
    that agree with one of them, the speaker: with the one that points best to the keypoint and,
    coming from another keypoint, back to that one.

    Args:
      keypoints: N keypoints, from which the edges start.
      edges: int32 [N, T], edges to follow from each.
      origins: float32 [N, 2], keypoints from which these were reached, pixels; the last of the
        edges leads back there. None: they were not reached from others.
      maps: `Maps` of the image.
      refinement: config.fusion.refinement.

    Returns:
      float32 [N, T, 2], pixels.
    """
    at_point = _follow_at_point(keypoints, edges, maps)
    if refinement.keypoint_read == "point":
        return at_point

    reach = max(refinement.voter_reach_radii * maps.radius, HEAD_STRIDE)
    voters = voters_of(keypoints, maps, reach)
    said = _said(voters.cells, edges, maps)
    trust = voters.weights
    if origins is not None:
        miss = _miss(said, origins) / maps.radius**2
        trust = trust / (1 + miss)
    speaker = tf.argmax(trust, axis=1)
    agrees = _agree_with(speaker, said, maps.radius)

    # [N, T, V]
    weights = tf.where(agrees, voters.weights[:, None], 0.0)
    total = tf.reduce_sum(weights, axis=2)
    sums = [tf.reduce_sum(weights * each, axis=2) for each in said]
    means = tf.stack([each / total for each in sums], axis=2)
    has_voter = total[..., None] > NO_VOTER
    return tf.where(has_voter, means, at_point)


def _follow_at_point(keypoints, edges, maps):
    """The same, with the offsets read at the one point where a keypoint is: float32 [N, T, 2]."""
    num_targets = edges.shape[1]
    points = tf.repeat(keypoints.points[:, None], num_targets, axis=1)
    return points + sample(maps.middle_offsets, points, edges, maps.grid)


def _said(cells, edges, maps):
    """Where each voter says that each edge leads.

    Args:
      cells: int32 [N, V], the voters.
      edges: int32 [N, T].
      maps: `Maps` of the image.

    Returns:
      y and x, two float32 [N, T, V], pixels.
    """
    # [N, T, V, 2]
    num_edges = maps.middle_offsets.shape[1]
    index = cells[:, None] * num_edges
    index += edges[..., None]
    offsets = tf.reshape(maps.middle_offsets, [-1, 2])
    offsets = ops.read(offsets, index)

    rows, columns = maps.grid.rows_columns(cells)
    y = positions(rows)[:, None]
    x = positions(columns)[:, None]
    return y + offsets[..., 0], x + offsets[..., 1]


def _miss(said, origins):
    """How far from its origin each voter says that the last edge leads: float32 [N, V], squared."""
    y, x = said
    origin_y, origin_x = tf.split(origins, 2, axis=1)
    miss_y = y[:, -1] - origin_y
    miss_x = x[:, -1] - origin_x
    return tf.square(miss_y) + tf.square(miss_x)


def _agree_with(speaker, said, radius):
    """Which voters say what one of them, int32 [N], says, up to R: bool [N, T, V]."""
    y, x = said
    # [N, 1, V]
    num_voters = y.shape[2]
    is_speaker = tf.one_hot(speaker, num_voters)[:, None]
    # [N, T, 1]
    speaker_y = tf.reduce_sum(is_speaker * y, axis=2, keepdims=True)
    speaker_x = tf.reduce_sum(is_speaker * x, axis=2, keepdims=True)
    squares = tf.square(y - speaker_y)
    squares += tf.square(x - speaker_x)
    return squares <= radius**2
