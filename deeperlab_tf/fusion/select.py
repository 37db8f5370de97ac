"""Greedy selection (paper Sec. 3.4.1): the priority queue, as a matrix of who rejects whom."""

from __future__ import annotations

import tensorflow as tf
from ml_collections import ConfigDict
from tensorflow import Tensor

from deeperlab_tf.fusion import lists, ops
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
    # [C, C]: 1 where an earlier candidate rejects a later one.
    places = tf.range(tf.size(valid))
    is_earlier = places[:, None] > places
    matrix = tf.cast(rejects & is_earlier, tf.float32)

    def step(kept, _):
        ones = tf.cast(kept, tf.float32)
        rejected = tf.linalg.matvec(matrix, ones) > 0
        updated = valid & ~rejected
        return updated, tf.reduce_any(updated != kept)

    def has_changed(_, changed):
        return changed

    start = valid, tf.constant(True)
    kept, _ = tf.while_loop(has_changed, step, start)
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

    # Compiled, they are few enough, and a block's number could not be known.
    everyone = tf.range(tf.size(candidates.kinds))
    if ops.is_compiled():
        return lists.indices(greedy(near(everyone, everyone), tf.ones_like(everyone, tf.bool)))

    def step(_, rest, found):
        block = rest[:_BLOCK]
        rest = rest[_BLOCK:]
        kept = greedy(near(block, block), tf.ones_like(block, tf.bool))
        new = tf.boolean_mask(block, kept)
        explained = tf.reduce_any(near(rest, new), axis=1)
        rest = tf.boolean_mask(rest, ~explained)
        found = tf.concat([found, new], axis=0)
        return tf.size(rest) > 0, rest, found

    def is_left(flag, *_):
        return flag

    flag, any_number = tf.TensorShape([]), tf.TensorShape([None])
    _, _, found = tf.while_loop(
        is_left,
        step,
        loop_vars=(tf.size(everyone) > 0, everyone, everyone[:0]),
        shape_invariants=(flag, any_number, any_number),
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
    # [C, N]
    squares = []
    for axis in (0, 1):
        of_kinds = tf.transpose(keypoints[..., axis])
        proposed = tf.gather(of_kinds, candidates.kinds)
        offsets = candidates.points[:, axis, None] - proposed
        squares.append(tf.square(offsets))
    return squares[0] + squares[1] <= radius * radius
