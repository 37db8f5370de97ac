"""Greedy selection (paper Sec. 3.4.1): the priority queue, as a selection on a matrix of who
rejects whom.
"""

import tensorflow as tf

from deeperlab_tf.fusion import grid


def greedy(rejects, valid):
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
    count = tf.shape(valid)[0]
    earlier = tf.range(count)[:, None] > tf.range(count)
    matrix = tf.cast(rejects & earlier, tf.float32)

    def step(kept, _):
        rejected = tf.linalg.matvec(matrix, tf.cast(kept, tf.float32)) > 0
        updated = valid & ~rejected
        return updated, tf.reduce_any(updated != kept)

    return tf.while_loop(lambda _, changed: changed, step, (valid, tf.constant(True)))[0]


def founders(points, kinds, keypoints, radius):
    """Candidates that found an instance: those near no keypoint of their kind of a founder before
    them.

    `greedy` in blocks: once a block's founders are known, the candidates they explain need not be
    compared with each other. Most candidates go that way, so that time does not grow with their
    square.

    Args:
      points: float32 [C, 2], best candidates first, pixels.
      kinds: int32 [C].
      keypoints: float32 [C, P, 2], their proposals.
      radius: float32 [C], of each proposal, pixels.

    Returns:
      int32 [F], ascending.
    """

    def near(candidates, others):
        """Which candidates lie near the proposals of others; int32 [n], [m] -> bool [n, m]."""
        chosen = (tf.gather(x, candidates) for x in (points, kinds))
        return near_same_keypoint(*chosen, tf.gather(keypoints, others), tf.gather(radius, others))

    def step(_, rest, found):
        block, rest = rest[:_BLOCK], rest[_BLOCK:]
        new = tf.boolean_mask(block, greedy(near(block, block), tf.ones_like(block, tf.bool)))
        rest = tf.boolean_mask(rest, ~tf.reduce_any(near(rest, new), axis=1))
        return tf.size(rest) > 0, rest, tf.concat([found, new], axis=0)

    everyone = tf.range(tf.shape(points)[0])
    shapes = tf.TensorShape([]), tf.TensorShape([None]), tf.TensorShape([None])
    start = tf.size(everyone) > 0, everyone, everyone[:0]
    return tf.while_loop(lambda more, *_: more, step, start, shape_invariants=shapes)[2]


_BLOCK = 256  # candidates compared with each other at once


def detection_radius(sizes, config):
    """How near to a proposal's keypoints candidates are its own, pixels: float32 [C], λ -> [C].

    The paper's 10 pixels, but no more than a share of the instance's size: they span several
    objects of a few cells.
    """
    radius = tf.fill(tf.shape(sizes), config.detection.radius_pixels)
    if config.detection.reach_sizes:
        radius = tf.minimum(
            radius, tf.maximum(config.detection.reach_sizes * sizes, grid.HEAD_STRIDE / 2)
        )
    return radius


def near_same_keypoint(points, kinds, keypoints, radius):
    """bool [C, N]; [i, j]: candidate i lies within radius[j] pixels of proposal j's keypoint of the
    same kind.

    Args:
      points: float32 [C, 2], pixels.
      kinds: int32 [C].
      keypoints: float32 [N, P, 2], of proposals.
      radius: float32 [N], pixels.
    """
    squares = [
        tf.square(points[:, axis, None] - tf.gather(tf.transpose(keypoints[..., axis]), kinds))
        for axis in (0, 1)
    ]
    return squares[0] + squares[1] <= radius * radius
