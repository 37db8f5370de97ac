"""Greedy selection (paper Sec. 3.4.1): the priority queue, as a matrix of who rejects whom."""

from __future__ import annotations

import tensorflow as tf
from ml_collections import ConfigDict
from tensorflow import Tensor

from deeperlab_tf.fusion.maps import Candidates
from deeperlab_tf.heads import HEAD_STRIDE

_BLOCK = 256  # candidates compared with each other at once


def greedy(rejects: Tensor, valid: Tensor) -> Tensor:
    """Goes through candidates in order and keeps each one that no kept one before it rejects.

    This is the paper's queue without a queue: "kept" is the only fixed point of
    kept(i) = valid(i) and no j < i with kept(j) and rejects(i, j), reached in as many passes as the
    longest chain of candidates that decide about each other: usually a handful, whatever the number
    of candidates.

    Args:
      rejects: bool [C, C]; [i, j]: candidate i cannot live beside an accepted j. Need not be
        symmetric.
      valid: bool [C].

    Returns:
      bool [C].
    """
    places = tf.range(tf.shape(valid)[0])
    is_earlier = places[:, None] > places
    matrix = tf.cast(rejects & is_earlier, tf.float32)

    def step(kept, _):
        rejected = tf.linalg.matvec(matrix, tf.cast(kept, tf.float32)) > 0
        updated = valid & ~rejected
        return updated, tf.reduce_any(updated != kept)

    start = valid, tf.constant(True)
    kept, _ = tf.while_loop(lambda _, changed: changed, step, start)
    return kept


def founders(candidates: Candidates, keypoints: Tensor, radius: Tensor) -> Tensor:
    """Candidates that found an instance: near no keypoint of their kind of a founder before them.

    `greedy` in blocks: once a block's founders are known, the candidates they explain need not be
    compared with each other. Most candidates go that way, so that time does not grow with their
    square.

    Args:
      candidates: C candidates, best first.
      keypoints: float32 [C, P, 2], their proposals, pixels.
      radius: float32 [C], of each proposal, pixels.

    Returns:
      int32 [F], ascending.
    """

    def near(some, others):
        """Which candidates lie near the proposals of others; int32 [n], [m] -> bool [n, m]."""
        proposed = tf.gather(keypoints, others)
        reach = tf.gather(radius, others)
        return near_same_keypoint(candidates.gather(some), proposed, reach)

    def step(_, rest, found):
        block = rest[:_BLOCK]
        rest = rest[_BLOCK:]
        kept = greedy(near(block, block), tf.ones_like(block, tf.bool))
        new = tf.boolean_mask(block, kept)
        explained = tf.reduce_any(near(rest, new), axis=1)
        rest = tf.boolean_mask(rest, ~explained)
        return tf.size(rest) > 0, rest, tf.concat([found, new], axis=0)

    everyone = tf.range(tf.shape(candidates.points)[0])
    some_left = tf.size(everyone) > 0
    shapes = tf.TensorShape([]), tf.TensorShape([None]), tf.TensorShape([None])
    *_, found = tf.while_loop(
        lambda some_left, *_: some_left,
        step,
        (some_left, everyone, everyone[:0]),
        shape_invariants=shapes,
    )
    return found


def detection_radius(sizes: Tensor, detection: ConfigDict) -> Tensor:
    """How near to a proposal's keypoints candidates are its own: float32 [C], λ -> [C], pixels.

    The paper's 10 pixels, but no more than a share of the instance's size: they span several
    objects of a few cells.
    """
    radius = tf.fill(tf.shape(sizes), detection.radius_pixels)
    if not detection.reach_sizes:
        return radius
    share = tf.maximum(detection.reach_sizes * sizes, HEAD_STRIDE / 2)
    return tf.minimum(radius, share)


def near_same_keypoint(candidates: Candidates, keypoints: Tensor, radius: Tensor) -> Tensor:
    """Which candidates lie near proposals' keypoints of their own kind.

    Args:
      candidates: C candidates.
      keypoints: float32 [N, P, 2], of proposals, pixels.
      radius: float32 [N], how near, pixels.

    Returns:
      bool [C, N].
    """
    points, kinds = candidates
    # [C, N]
    squares = []
    for axis in (0, 1):
        of_kinds = tf.gather(tf.transpose(keypoints[..., axis]), kinds)
        squares.append(tf.square(points[:, axis, None] - of_kinds))
    return squares[0] + squares[1] <= radius * radius
