"""Recursive offset refinement (paper Sec. 3.4.1): close to a keypoint, predictions are better."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf
from ml_collections import ConfigDict
from scipy.special import logit
from tensorflow import Tensor

from deeperlab_tf.fusion import lists, ops
from deeperlab_tf.fusion.maps import Candidates, Maps, positions, sample
from deeperlab_tf.fusion.semantics import Semantics
from deeperlab_tf.fusion.voters import NO_VOTER, voters_of
from deeperlab_tf.heads import HEAD_STRIDE


class LongTargets(NamedTuple):
    """Where cells predict the keypoints of their own instance: x + L(x).

    Attributes:
      cells: int32 [N], flat, a list.
      y, x: float32 [N, P], pixels.
    """

    cells: Tensor
    y: Tensor
    x: Tensor


def refine_points(keypoints: Candidates, maps: Maps, refinement: ConfigDict) -> Tensor:
    """Moves predicted keypoints to where the short-range offsets around them point: y <- y + S(y).

    With y = x + M(x) this is the refinement of the middle-range offsets, M <- M + S(x + M). Points
    off the image stay.

    Args:
      keypoints: N predicted keypoints.
      maps: `Maps` of the image.
      refinement: config.fusion.refinement.

    Returns:
      float32 [N, 2], pixels.
    """
    reach = refinement.start_reach_radii * maps.radius
    points, kinds = keypoints
    for _ in range(refinement.middle_steps):
        if refinement.keypoint_read == "voters":
            refined = _mean_vote(Candidates(points, kinds), maps, reach)
        else:
            refined = points + sample(maps.short_offsets, points, kinds, maps.grid)
        y, x = tf.split(points, 2, axis=1)
        points = tf.where(maps.grid.spans(y, x), refined, points)
    return points


def _mean_vote(keypoints, maps, reach):
    """Where the voters of keypoints see them: float32 [N, 2]; the points where there are none."""
    voters = voters_of(keypoints, maps, reach)
    # [N, 1]
    total = tf.reduce_sum(voters.weights, axis=1, keepdims=True)
    y = tf.reduce_sum(voters.weights * voters.y, axis=1)
    x = tf.reduce_sum(voters.weights * voters.x, axis=1)
    means = tf.stack([y, x], axis=1) / total
    return tf.where(total > NO_VOTER, means, keypoints.points)


def refine_long_range(cells: Tensor, maps: Maps, refinement: ConfigDict) -> LongTargets:
    """Keypoints that cells predict for their own instance, moved by the short-range offsets there.

    L <- L + S(x + L), where there is a cell c nearest to x + L and the heatmap there exceeds the
    threshold: predictions that land on a keypoint's disk snap to that keypoint. S is read at c,
    whose own prediction of the keypoint is c + S(c); offsets longer than R cannot be meant. Nothing
    is chained through L itself: box corners lie on other objects, whose long-range offsets mean
    something else.

    Args:
      cells: int32 [N], flat cells, a list.
      maps: `Maps` of the image.
      refinement: config.fusion.refinement.

    Returns:
      `LongTargets`.
    """
    # [N, P]
    offsets = lists.take(maps.long_offsets, cells)
    offset_y, offset_x = tf.unstack(offsets, axis=2)
    rows, columns = maps.grid.rows_columns(cells)
    y = offset_y + positions(rows)[:, None]
    x = offset_x + positions(columns)[:, None]
    if refinement.long_range:
        y, x = _snap(y, x, maps, refinement.long_threshold)
    return LongTargets(cells, y, x)


def refine_support(
    semantics: Semantics, maps: Maps, refinement: ConfigDict
) -> tuple[LongTargets, LongTargets]:
    """What thing cells predict, and what all cells predict that matter, `semantics.support`."""
    if ops.is_compiled():
        # All cells have rows: those of things are among them.
        targets = refine_long_range(semantics.support, maps, refinement)
        return targets._replace(cells=semantics.things), targets
    # Apart: voting does not wait for orphans to be known.
    of_things = refine_long_range(semantics.things, maps, refinement)
    of_orphans = refine_long_range(semantics.orphan_corners, maps, refinement)
    both = LongTargets(*(tf.concat(pair, axis=0) for pair in zip(of_things, of_orphans)))
    return of_things, both


def _snap(y, x, maps, threshold):
    """Moves points that land on a disk to its keypoint: float32 [N, P] twice -> the same."""
    grid = maps.grid
    # [N, P]: the cells nearest to the points.
    nearest_y = tf.round(y / HEAD_STRIDE)
    nearest_x = tf.round(x / HEAD_STRIDE)
    rows = tf.cast(nearest_y, tf.int32)
    columns = tf.cast(nearest_x, tf.int32)
    is_inside = grid.contains(rows, columns)

    # Here and below: weights 1 and 0 instead of tf.where, which is several times slower on CPUs.
    cells = rows * grid.width + columns
    cells *= tf.cast(is_inside, tf.int32)
    kinds = tf.range(maps.num_kinds)
    logits, offset_y, offset_x = maps.short_range(cells * maps.num_kinds + kinds)

    squares = tf.square(offset_y) + tf.square(offset_x)
    is_near = squares <= maps.radius**2
    on_disk = (logits > logit(threshold)) & is_near
    snaps = tf.cast(on_disk & is_inside, tf.float32)
    keypoint_y = nearest_y * HEAD_STRIDE + offset_y
    keypoint_x = nearest_x * HEAD_STRIDE + offset_x
    y += snaps * (keypoint_y - y)
    x += snaps * (keypoint_x - x)
    return y, x
