"""The semantic segmentation at full resolution, "stuff" and "thing" apart (paper Sec. 3.4.2)."""

from __future__ import annotations

import functools
from typing import NamedTuple

import tensorflow as tf
from tensorflow import Tensor

from deeperlab_tf.fusion import lists, ops, upsample
from deeperlab_tf.fusion.maps import Grid
from deeperlab_tf.fusion.upsample import Labels, Rivals

_NEVER = 1e30  # taken off a score, it leaves less than any score


class Classes(NamedTuple):
    """The semantic classes of a dataset, as the fusion needs them.

    Attributes:
      count: how many there are.
      things: class indices of things; all others are stuff.
    """

    count: int
    things: tuple[int, ...]

    def is_thing(self, labels: Tensor) -> Tensor:
        """Which labels are things: int32 [...], not negative -> bool [...]."""
        if not self.things:
            return tf.zeros_like(labels, tf.bool)
        # One comparison for each range of classes, not one for each class.
        found = [_is_in_range(labels, first, last) for first, last in self._thing_ranges()]
        return functools.reduce(tf.logical_or, found)

    def _thing_ranges(self):
        """First and last class of each range of things."""
        things = sorted(set(self.things))
        firsts = [label for label in things if label - 1 not in things]
        lasts = [label for label in things if label + 1 not in things]
        return zip(firsts, lasts)


class Semantics(NamedTuple):
    """Semantic labels of one image.

    Attributes:
      labels: `Labels`: classes.
      is_thing: bool [h · w], of grid cells.
      is_mixed: bool [h · w], cells whose corners disagree.
      is_orphan: bool [h · w], cells inside which a thing class surfaces although all four corners
        are stuff.
      things: int32 [T], flat thing cells.
      orphan_corners: int32 [N - T], flat cells at the corners of orphans.
    """

    labels: Labels
    is_thing: Tensor
    is_mixed: Tensor
    is_orphan: Tensor
    things: Tensor
    orphan_corners: Tensor

    @property
    def support(self) -> Tensor:
        """int32 [N], cells whose long-range offsets matter: `things`, then `orphan_corners`."""
        return lists.join(self.things, self.orphan_corners)


def label_pixels(logits: Tensor, classes: Classes, grid: Grid) -> Semantics:
    """Labels the grid and the pixels of mixed cells by argmax of the interpolated logits.

    Args:
      logits: float32 [h · w, classes].
      classes: `Classes`.
      grid: `Grid`.

    Returns:
      `Semantics`.
    """
    best = ops.best_of_rows(logits)
    is_thing = classes.is_thing(best)
    is_mixed = upsample.disagree(best, grid)
    mixed = lists.indices(is_mixed)
    pixels, compared = semantic_pixels(logits, best, mixed, grid)

    # Only where all classes were compared can one surface that no corner has.
    cells = lists.within(mixed, compared)
    is_bare = ~tf.reduce_any(tf.gather(is_thing, grid.corners(cells)), axis=1)
    pixel_is_thing = classes.is_thing(lists.take(pixels, compared))
    surfaces = tf.reduce_any(pixel_is_thing, axis=1)
    orphans = lists.among(cells, is_bare & surfaces)
    is_orphan = lists.flags_at(orphans, grid.num_cells)
    is_corner = upsample.at_corners(orphans, grid)

    labels = Labels(best, mixed, pixels)
    things = lists.indices(is_thing)
    orphan_corners = lists.indices(is_corner)
    return Semantics(labels, is_thing, is_mixed, is_orphan, things, orphan_corners)


def semantic_pixels(
    logits: Tensor, label: Tensor, cells: Tensor, grid: Grid
) -> tuple[Tensor, Tensor]:
    """Best class of every pixel of flat cells, by interpolated logits.

    Args:
      logits: float32 [h · w, classes].
      label: int32 [h · w], best class of each cell.
      cells: int32 [n].
      grid: `Grid`.

    Returns:
      int32 [n, 16]; and int32 [d], rows of the cells in which all classes were compared, not only
      two.
    """
    rivals = _rivals(logits, label, grid.corners(cells))
    best, is_doubtful = upsample.better_of_pixels(rivals, upsample.interpolate)
    # [d]: rows of the cells that have a doubtful pixel.
    has_doubtful = lists.any_of_rows(is_doubtful)
    has_doubtful = lists.only(cells, has_doubtful, False)
    doubtful = lists.indices(has_doubtful)

    def compare_all(cells):
        # [n, 4, classes]
        values = tf.gather(logits, grid.corners(cells))
        values = ops.matmul(upsample.PIXEL_WEIGHTS, values)
        return ops.best(values)

    def compare_rows(rows):
        return upsample.in_chunks(compare_all, tf.gather(cells, rows))

    best = lists.replace(best, doubtful, compare_rows)
    return best, doubtful


def _rivals(logits, label, corners):
    """The two classes between which cells are decided: `Rivals`.

    Args:
      logits: float32 [h · w, classes].
      label: int32 [h · w].
      corners: int32 [n, 4], flat cells at the corners of some.
    """
    num_classes = logits.shape[1]
    flat_logits = tf.reshape(logits, [-1])
    corner_label = tf.gather(label, corners)
    low, high = upsample.range_of_corners(corner_label)

    def scores(candidate):
        index = corners * num_classes + candidate[:, None]
        return ops.read(flat_logits, index)

    # A corner whose best class is a third one makes its pixels doubtful.
    others = _second_best(logits, label, corners)
    is_low = corner_label == low[:, None]
    is_high = corner_label == high[:, None]
    others = tf.where(is_low | is_high, others, logits.dtype.max)
    return Rivals(low, high, scores(low), scores(high), others)


def _second_best(logits, label, corners):
    """Highest logit of all classes except the best one, at corners: int32 [n, 4] -> float32 [n, 4].

    Each corner belongs to several cells: it is sought once.
    """
    num_cells = tf.size(label)
    met = lists.mentioned(corners, num_cells)
    # [corners that are met, classes]
    never = _NEVER * tf.eye(logits.shape[1])
    best = ops.read(never, lists.take(label, met))
    others = lists.take(logits, met) - best
    highest = tf.reduce_max(others, axis=1)
    rows = lists.rows_of(met, num_cells)
    rows = tf.gather(rows, corners)
    return tf.gather(highest, rows)


def _is_in_range(labels, first, last):
    if first == 0:
        return labels <= last
    return (labels >= first) & (labels <= last)
