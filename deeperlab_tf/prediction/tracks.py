"""Which instances of successive parses are the same object."""

from __future__ import annotations

import numpy as np

from deeperlab_tf.metrics.overlaps import overlap_table
from deeperlab_tf.prediction.parsing import Parsing
from deeperlab_tf.visualize.drawing import Color, shades

_SHADES = 24  # of each class; tracks take them in turn
_SMALLEST_IOU = 0.2  # with the instance of the frame before, to be the same object


class Tracker:
    """Gives the instances of successive parses numbers that stay with an object.

    An instance takes the number of the instance of its class in the frame before that it overlaps
    best, in a one-to-one assignment; without one it gets a new number.
    """

    def __init__(self) -> None:
        self._previous = None
        self._tracks = {}  # instance id of the previous parse -> track number
        self._next = 0

    def update(self, parsing: Parsing) -> dict[int, int]:
        """Track numbers of a parse's instances, by instance id."""
        tracks = {}
        if self._follows(parsing):
            for before, now in self._matches(parsing):
                if before in self._tracks:
                    tracks[now] = self._tracks[before]
        for segment in parsing.segments:
            if segment.instance and segment.instance not in tracks:
                tracks[segment.instance] = self._next
                self._next += 1
        self._previous, self._tracks = parsing, tracks
        return tracks

    def _follows(self, parsing):
        """Whether there is a frame before, of the same size."""
        previous = self._previous
        return previous is not None and previous.semantic.shape == parsing.semantic.shape

    def _matches(self, parsing):
        """(instance before, instance now) of each object that is in both frames."""
        # Imported here: single images need not wait for it.
        from scipy.optimize import linear_sum_assignment

        table = overlap_table(
            self._previous.semantic,
            self._previous.instance,
            parsing.semantic,
            parsing.instance,
            num_classes=parsing.dataset.num_classes,
            ignore_label=parsing.dataset.ignore_label,
        )
        before, now = table.pair_gt, table.pair_pred
        union = table.gt_area[before] + table.pred_area[now] - table.pair_area
        iou = table.pair_area / union
        same_class = table.gt_class[before] == table.pred_class[now]
        are_instances = (table.gt_instance[before] > 0) & (table.pred_instance[now] > 0)

        # [before, now]: IoU of instances of one class, 0 for all other pairs.
        scores = np.zeros((len(table.gt_area), len(table.pred_area)))
        scores[before, now] = np.where(same_class & are_instances, iou, 0.0)
        matches = []
        for row, column in zip(*linear_sum_assignment(-scores)):
            if scores[row, column] >= _SMALLEST_IOU:
                pair = int(table.gt_instance[row]), int(table.pred_instance[column])
                matches.append(pair)
        return matches


def track_colors(parsing: Parsing, tracks: dict[int, int]) -> dict[int, Color]:
    """Colour of each segment id, by its track, for `draw_parsing`.

    Args:
      parsing: a parse.
      tracks: of `Tracker.update`.
    """
    class_colors = parsing.dataset.colors
    palettes = [shades(color, _SHADES) for color in class_colors]
    colors = {}
    for segment in parsing.segments:
        color = class_colors[segment.class_index]
        if segment.instance:
            track = tracks[segment.instance]
            color = palettes[segment.class_index][track % _SHADES]
        colors[segment.id] = color
    return colors
