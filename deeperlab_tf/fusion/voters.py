"""Voters: the cells of a keypoint's disk, and how much each speaks for it (paper Sec. 3.4.1).

Offsets at a keypoint can be read at the one point where it is (keypoint_read = "point", PersonLab's
way), or averaged over voters ("voters"). The second is exact for exact maps, averages noise out of
others, and does not mind a keypoint that lies where nothing was learned: on void or crowd, or
beside another object's.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow import Tensor

from deeperlab_tf.fusion.maps import Candidates, Maps, nearest_cells, positions
from deeperlab_tf.heads import HEAD_STRIDE

NO_VOTER = 1e-3  # sum of weights below which a keypoint has no voter


class Voters(NamedTuple):
    """V cells in the disk of each of N keypoints, and what they say about it.

    Attributes:
      cells: int32 [N, V], flat.
      y, x: float32 [N, V], their votes, x + S(x), pixels.
      weights: float32 [N, V], how much each is a vote for that keypoint.
    """

    cells: Tensor
    y: Tensor
    x: Tensor
    weights: Tensor


def voters_of(keypoints: Candidates, maps: Maps, reach: float) -> Voters:
    """Cells in the disks of keypoints and their votes.

    The weight is p(x) · exp(-|x + S(x) - y|² / (2 reach²)): cells whose short-range offset points
    elsewhere belong to another keypoint, or to none.

    Args:
      keypoints: N keypoints y.
      maps: `Maps` of the image.
      reach: how near a vote lands; pixels.

    Returns:
      `Voters`.
    """
    # [N, V]
    grid = maps.grid
    row, column = nearest_cells(keypoints.points)
    steps_y, steps_x = _pattern(maps.radius)
    rows, columns = grid.clamp(row + steps_y, column + steps_x)
    cells = rows * grid.width + columns

    # What they predict for the keypoint's kind.
    kinds = keypoints.kinds[:, None]
    index = cells * maps.num_kinds + kinds
    logits, offset_y, offset_x = maps.short_range(index)
    vote_y = positions(rows) + offset_y
    vote_x = positions(columns) + offset_x

    y, x = tf.split(keypoints.points, 2, axis=1)
    squares = tf.square(vote_y - y)
    squares += tf.square(vote_x - x)
    nearness = tf.exp(squares / (-2 * reach**2))
    weights = nearness * tf.sigmoid(logits)
    return Voters(cells, vote_y, vote_x, weights)


def _pattern(radius):
    """Nine cells spread over a disk: rows and columns, int32 [9] each, as steps from its centre."""
    spacing = max(1, round(radius / 2 / HEAD_STRIDE))
    steps = np.arange(-1, 2, dtype=np.int32) * spacing
    rows, columns = np.meshgrid(steps, steps, indexing="ij")
    return rows.ravel(), columns.ravel()
