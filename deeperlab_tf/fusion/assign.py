"""Assignment of pixels to instances (paper Sec. 3.4.1): the nearest by predicted keypoints.

A pixel at x goes to argmin_j Σ_k |x + L_k(x) - y_jk|². With the predictions as one vector g = x +
L(x) that is argmax_j g · 2 y_j - |y_j|²: linear in g, so that interpolating g and comparing is the
same as comparing and interpolating.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from deeperlab_tf.fusion import lists, ops, upsample
from deeperlab_tf.fusion.contested import nearest_pixels
from deeperlab_tf.fusion.maps import Grid
from deeperlab_tf.fusion.predict import Predictions
from deeperlab_tf.fusion.semantics import Classes, Semantics
from deeperlab_tf.fusion.upsample import Labels


class Parts(NamedTuple):
    """What each pixel of the image belongs to.

    Attributes:
      classes: `Labels`: semantic classes.
      slots: `Labels`, with the same mixed cells: possible segments. The J instances come first,
        then one for each class, for stuff and for things of no instance. Only what has a thing
        class can have an instance's slot.
    """

    classes: Labels
    slots: Labels


def assign_pixels(
    semantics: Semantics,
    predictions: Predictions,
    num_instances: int,
    classes: Classes,
    grid: Grid,
) -> Parts:
    """Gives thing pixels the slot of their nearest instance; that of their class if none is meant.

    A pixel's prediction is interpolated from those corners of its cell that were predicted as its
    own class: what stuff predicts is undefined, and another class belongs to another object.

    Args:
      semantics: `Semantics` of the image.
      predictions: `Predictions` of the image.
      num_instances: J, detected instances and padding.
      classes: `Classes`.
      grid: `Grid`.

    Returns:
      `Parts`.
    """
    cell_instance, is_contested = _instances_of_cells(semantics, predictions, num_instances, grid)
    pixel_classes = _with_pixels(semantics.labels, is_contested & ~semantics.is_mixed)
    mixed = pixel_classes.mixed

    # Contested cells, and which of the mixed ones they are.
    contested = lists.indices(is_contested)
    rows = lists.rows_within(contested, mixed, grid.num_cells)
    contested_class = lists.take(pixel_classes.pixels, rows)
    nearest = nearest_pixels(contested, contested_class, semantics, predictions, grid)
    # [m, 16]: the pixels of others belong to their cell's instance.
    pixel_instance = upsample.whole(lists.take(cell_instance, mixed))
    pixel_instance = lists.put(nearest, rows, pixel_instance)

    def slots(is_thing, instance, label):
        has_instance = is_thing & (instance >= 0)
        return ops.choose(has_instance, instance, num_instances + label)

    is_thing = classes.is_thing(pixel_classes.pixels)
    cell_slots = slots(semantics.is_thing, cell_instance, pixel_classes.cells)
    pixel_slots = slots(is_thing, pixel_instance, pixel_classes.pixels)
    return Parts(pixel_classes, Labels(cell_slots, mixed, pixel_slots))


def _instances_of_cells(semantics, predictions, num_instances, grid):
    """The instance of each cell, int32 [h · w], -1 for none; bool [h · w], contested cells.

    A cell belongs to the instance of its thing corners. It is contested where these disagree.
    """
    # [h · w]. That none claims a corner, -1, counts as an opinion, too.
    instance = tf.pad(predictions.instance, [[0, 1]])
    instance = ops.choose(predictions.claimed, instance, -1)
    instance = ops.read(instance, predictions.rows)

    lowest = ops.choose(semantics.is_thing, instance, num_instances)
    lowest = upsample.over_corners(tf.minimum, lowest, grid)
    highest = ops.choose(semantics.is_thing, instance, -1)
    highest = upsample.over_corners(tf.maximum, highest, grid)
    return highest, (lowest < highest) | semantics.is_orphan


def _with_pixels(labels, is_more):
    """`Labels` with more cells, bool [h · w], that have labels of their own for their pixels."""
    more = lists.indices(is_more)
    of_more = upsample.whole(lists.take(labels.cells, more))
    mixed = lists.join(labels.mixed, more)
    pixels = lists.join_rows((labels.mixed, labels.pixels), (more, of_more))
    return Labels(labels.cells, mixed, pixels)
