"""What goes through the fusion together: the grid, an image's maps on it, keypoints."""

from __future__ import annotations

from typing import Callable, NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow import Tensor

from deeperlab_tf.fusion import lists, ops
from deeperlab_tf.heads import HEAD_STRIDE
from deeperlab_tf.keypoints import KeypointGraph

# Rows and columns of a cell's corners, as steps from its own.
_CORNERS_Y = [0, 0, 1, 1]
_CORNERS_X = [0, 1, 0, 1]


class Grid(NamedTuple):
    """The heads' grid: cell (i, j) sits exactly on pixel (4 i, 4 j) of the network input.

    A *flat* cell is one number, row · width + column.

    Attributes:
      height, width: cells along the sides; int32 scalars or ints.
    """

    height: Tensor | int
    width: Tensor | int

    @property
    def num_cells(self) -> Tensor | int:
        """Cells in all: h · w."""
        return self.height * self.width

    def rows_columns(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Rows and columns of flat cells: int32 [...] -> two int32 [...]."""
        rows = cells // self.width
        columns = cells - rows * self.width
        return rows, columns

    def clamp(self, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        """The nearest rows and columns there are: two int32 [...] -> two int32 [...]."""
        rows = tf.clip_by_value(rows, 0, self.height - 1)
        columns = tf.clip_by_value(columns, 0, self.width - 1)
        return rows, columns

    def flat(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Flat cells, clamped to the grid: two int32 [...] -> int32 [...].

        Only indices are ever clamped, never coordinates.
        """
        rows, columns = self.clamp(rows, columns)
        return rows * self.width + columns

    def contains(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Which cells are on the grid: two int32 [...] -> bool [...]."""
        # One comparison per side: without their sign, negative numbers are the largest.
        is_row = _unsigned(rows) < _unsigned(self.height)
        is_column = _unsigned(columns) < _unsigned(self.width)
        return is_row & is_column

    def spans(self, y: Tensor, x: Tensor) -> Tensor:
        """Which points lie on the image: two float32 [...], pixels -> bool [...]; NaN: False."""
        last_y = positions(self.height - 1)
        last_x = positions(self.width - 1)
        within_height = (y >= 0) & (y <= last_y)
        within_width = (x >= 0) & (x <= last_x)
        return within_height & within_width

    def corners(self, cells: Tensor) -> Tensor:
        """Flat cells at the corners of flat cells: int32 [n] -> [n, 4]."""
        rows, columns = self.rows_columns(cells)
        return self.corners_at(rows[:, None], columns[:, None])

    def corners_at(self, rows: Tensor, columns: Tensor) -> Tensor:
        """The same for cells by row and column: two int32 [..., 1] -> [..., 4]."""
        return self.flat(rows + _CORNERS_Y, columns + _CORNERS_X)


class Maps(NamedTuple):
    """One image's heads, flat over the grid. Offsets are (y, x) in pixels.

    Attributes:
      semantic_logits: float32 [h · w, classes].
      keypoint_logits: float32 [h · w, P]. Their sigmoid, the heatmap, is wanted at few cells only.
      short_offsets: float32 [h · w, P, 2].
      middle_offsets: float32 [h · w, E, 2].
      long_offsets: float32 [h · w, P, 2].
      grid: `Grid`.
      graph: `KeypointGraph`.
      radius: R, of the disks around keypoints; pixels.
    """

    semantic_logits: Tensor
    keypoint_logits: Tensor
    short_offsets: Tensor
    middle_offsets: Tensor
    long_offsets: Tensor
    grid: Grid
    graph: KeypointGraph
    radius: float

    @property
    def num_kinds(self) -> int:
        """P, of keypoints."""
        return self.keypoint_logits.shape[1]

    def short_range(self, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What cells predict for a keypoint near them.

        Args:
          index: int32 [...], flat cell · P + kind.

        Returns:
          float32 [...] each: heatmap logits, and short-range offsets y and x, pixels.
        """
        logits = tf.reshape(self.keypoint_logits, [-1])
        offsets = tf.reshape(self.short_offsets, [-1, 2])
        offsets = ops.read(offsets, index)
        y, x = tf.unstack(offsets, axis=-1)
        return ops.read(logits, index), y, x


class Candidates(NamedTuple):
    """Keypoints of unknown instances, each of one kind.

    In graphs for XLA, whose lengths are fixed, rows of NaN are none.

    Attributes:
      points: float32 [C, 2], (y, x) in pixels.
      kinds: int32 [C].
    """

    points: Tensor
    kinds: Tensor

    def gather(self, index: Tensor) -> Candidates:
        """Those at some places: int32 [n]."""
        points = tf.gather(self.points, index)
        kinds = tf.gather(self.kinds, index)
        return Candidates(points, kinds)

    def pick(self, order: Tensor) -> Candidates:
        """Those of an order, see `lists`: int32 [n]."""
        points = lists.pick(self.points, order)
        points = lists.only(order, points, np.nan)
        kinds = lists.pick(self.kinds, order)
        return Candidates(points, kinds)

    def mask(self, flags: Tensor) -> Candidates:
        """Those that are flagged: bool [C]."""
        places = lists.indices(flags)
        points = lists.take(self.points, places)
        points = lists.only(places, points, np.nan)
        kinds = lists.take(self.kinds, places)
        return Candidates(points, kinds)


def flat_maps(heads: dict[str, Tensor], graph: KeypointGraph, radius: float) -> Maps:
    """One image's heads, float32 [h, w, channels] each, as `Maps`."""
    num_keypoints = graph.num_keypoints
    num_edges = graph.num_edges
    height, width = _sides(heads["semantic_logits"])

    def flat(name, *shape):
        return tf.reshape(heads[name], [-1, *shape])

    return Maps(
        semantic_logits=flat("semantic_logits", heads["semantic_logits"].shape[-1]),
        keypoint_logits=flat("keypoint_logits", num_keypoints),
        short_offsets=flat("short_offsets", num_keypoints, 2),
        middle_offsets=flat("middle_offsets", num_edges, 2),
        long_offsets=flat("long_offsets", num_keypoints, 2),
        grid=Grid(height, width),
        graph=graph,
        radius=radius,
    )


def _sides(head):
    """Height and width of [h, w, channels]: ints where they are known, or int32 scalars."""
    known = head.shape[:2]
    if known.is_fully_defined():
        return known.as_list()
    return tf.unstack(tf.shape(head)[:2])


def positions(cells: Tensor) -> Tensor:
    """Pixel coordinates of rows or columns: int32 [...] -> float32 [...]."""
    return tf.cast(cells * HEAD_STRIDE, tf.float32)


def nearest_cells(points: Tensor) -> tuple[Tensor, Tensor]:
    """The cells nearest to points: float32 [N, 2], pixels -> rows, columns, int32 [N, 1]."""
    cells = tf.round(points / HEAD_STRIDE)
    cells = tf.cast(cells, tf.int32)
    return cells[:, :1], cells[:, 1:]


def sample(
    channels: Tensor,
    points: Tensor,
    which: Tensor,
    grid: Grid,
    function: Callable[[Tensor], Tensor] = tf.identity,
) -> Tensor:
    """Reads one channel group of a map at fractional positions, bilinearly.

    Args:
      channels: float32 [h · w, K, D], e.g. the offsets (D = 2) of K keypoint kinds.
      points: float32 [..., 2], pixels. Outside the grid the nearest border value is read.
      which: int32 [...], which of the K to read at each point.
      grid: `Grid`.
      function: of the map's values, applied before they are interpolated.

    Returns:
      float32 [..., D].
    """
    scaled = points / HEAD_STRIDE
    corner = tf.floor(scaled)
    weights = _bilinear_weights(scaled - corner)

    # [..., 4]
    corner = tf.cast(corner, tf.int32)
    cells = grid.corners_at(corner[..., :1], corner[..., 1:])
    _, num_groups, depth = channels.shape
    index = cells * num_groups
    index += which[..., None]

    # [..., 4, D]
    flat = tf.reshape(channels, [-1, depth])
    values = function(ops.read(flat, index))
    return tf.reduce_sum(weights[..., None] * values, axis=-2)


def _bilinear_weights(fraction):
    """Weights of a cell's corners at fractions (y, x): float32 [..., 2] -> [..., 4]."""
    y = fraction[..., 0]
    x = fraction[..., 1]
    above = 1 - y
    left = 1 - x
    weights = [above * left, above * x, y * left, y * x]
    return tf.stack(weights, axis=-1)


def _unsigned(cells):
    return tf.bitcast(cells, tf.uint32)
