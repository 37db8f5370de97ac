"""Semantic and instance prediction fusion (Sec. 3.4.2): majority classes, ids, the panoptic map."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict
from tensorflow import Tensor

from deeperlab_tf.fusion import lists, ops, upsample
from deeperlab_tf.fusion.assign import Parts
from deeperlab_tf.fusion.detect import Instances
from deeperlab_tf.fusion.maps import Grid
from deeperlab_tf.fusion.semantics import Classes
from deeperlab_tf.heads import HEAD_STRIDE
from deeperlab_tf.schema import IGNORE_LABEL

_ID_BITS = 16  # of ids beside a class


class Segments(NamedTuple):
    """Segments of things, by slot; S slots, see `Parts`.

    Attributes:
      id: int32 [S], from 1 to count in the order of slots; 0 for stuff, slots without a pixel and
        what is left out.
      majority: int32 [S], majority class; `IGNORE_LABEL` for what is left out.
      slots: int32 [S], the slots with an id, then the others.
      count: int32, how many have one.
    """

    id: Tensor
    majority: Tensor
    slots: Tensor
    count: Tensor


def merge_parse(
    parts: Parts,
    instances: Instances,
    classes: Classes,
    grid: Grid,
    image_size: Tensor,
    fusion: ConfigDict,
) -> dict[str, Tensor]:
    """Fuses semantics and instances of one image into its parse.

    Args:
      parts: `Parts` of the image.
      instances: `Instances`.
      classes: `Classes`.
      grid: `Grid`.
      image_size: int32 [2], H and W.
      fusion: config.fusion.

    Returns:
      dict of panoptic, semantic, instance int32 [H, W], and num_instances int32; with T = J + the
      number of thing classes, instance_class int32 [T], instance_score float32 [T], instance_box
      float32 [T, 4], instance_keypoints float32 [T, P, 2].
    """
    num_instances = instances.scores.shape[0]
    shares = least_shares(num_instances, classes, fusion.merging)
    segments = find_segments(parts, shares, classes, grid, image_size)
    code = upsample.fill(_codes(segments), parts.slots, grid, image_size)
    semantic = tf.bitwise.right_shift(code, _ID_BITS)
    instance = tf.bitwise.bitwise_and(code, 2**_ID_BITS - 1)

    # [T]: the slots that can have an id; those that have one come first.
    slots = segments.slots[: num_instances + len(classes.things)]
    is_listed = tf.range(tf.size(slots)) < segments.count
    is_class = is_listed & (slots >= num_instances)
    listed = _of_instances(instances, slots, is_listed & ~is_class)
    majority = tf.gather(segments.majority, slots)
    boxes = _class_boxes(segments, parts, num_instances, grid, image_size)
    return {
        "panoptic": semantic * fusion.label_divisor + instance,
        "semantic": semantic,
        "instance": instance,
        "instance_class": tf.where(is_listed, majority, -1),
        "instance_score": listed.scores,
        "instance_box": listed.boxes + tf.gather(boxes, slots),
        "instance_keypoints": listed.keypoints,
        "num_instances": segments.count,
    }


def least_shares(num_instances: int, classes: Classes, merging: ConfigDict) -> np.ndarray:
    """Which share of the image a slot must have to be a segment.

    Args:
      num_instances: J; S = J + the number of classes.
      classes: `Classes`.
      merging: config.fusion.merging.

    Returns:
      float32 [S], 0 for instances: one pixel will do.
    """
    shares = np.full(num_instances + classes.count, merging.least_stuff_share, np.float32)
    shares[num_instances + np.asarray(classes.things, int)] = merging.least_unclaimed_share
    shares[:num_instances] = 0
    return shares


def find_segments(
    parts: Parts, shares: np.ndarray, classes: Classes, grid: Grid, image_size: Tensor
) -> Segments:
    """Counts pixels and resolves each slot's class by majority vote (ties: the lowest class).

    Args:
      parts: `Parts` of the image.
      shares: float32 [S], see `least_shares`: what has less of the image is left out.
      classes: `Classes`.
      grid: `Grid`.
      image_size: int32 [2], H and W.

    Returns:
      `Segments`.
    """
    num_slots = len(shares)
    num_instances = num_slots - classes.count
    is_thing = np.ones(num_slots, bool)
    is_thing[num_instances:] = np.isin(np.arange(classes.count), classes.things)
    # Stuff is most of an image, and mostly kept whatever its size.
    counts_stuff = np.any(shares[~is_thing] > 0)

    def votes(areas, labels, slots):
        """Pixels, and in which slot they count for which class, flat: two int32 [n]."""
        index = slots * classes.count + labels
        if not counts_stuff:
            index = ops.choose(classes.is_thing(labels), index, -1)
        return tf.reshape(areas, [-1]), tf.reshape(index, [-1])

    labels, slots = parts
    areas = upsample.cell_areas(labels.mixed, grid, image_size)
    of_cells = votes(areas, labels.cells, slots.cells)
    is_visible = upsample.visible_pixels(labels.mixed, grid, image_size)
    of_pixels = votes(tf.cast(is_visible, tf.int32), labels.pixels, slots.pixels)
    counts = lists.sum_segments([of_cells, of_pixels], num_slots * classes.count)
    counts = tf.reshape(counts, [num_slots, classes.count])
    totals = tf.reduce_sum(counts, axis=1)
    size = tf.cast(tf.reduce_prod(image_size), tf.float32)
    is_kept = tf.cast(totals, tf.float32) >= shares * size

    majority = tf.argmax(counts[:num_instances], axis=1, output_type=tf.int32)
    # The slots of classes keep theirs.
    of_classes = tf.where(is_kept[num_instances:], tf.range(classes.count), IGNORE_LABEL)
    majority = tf.concat([majority, of_classes], axis=0)

    ones = tf.cast(is_kept & is_thing & (totals > 0), tf.int32)
    ids = tf.cumsum(ones) * ones
    order = tf.argsort(1 - ones, stable=True)
    return Segments(ids, majority, order, tf.reduce_sum(ones))


def _codes(segments):
    """Class and id of each slot side by side in the bits of a number: int32 [S].

    So that one map is filled, and cheaply parted, unlike by a division.
    """
    shifted = tf.bitwise.left_shift(segments.majority, _ID_BITS)
    return shifted + segments.id


def _of_instances(instances, slots, is_instance):
    """`Instances` in the order of some slots, int32 [T]; zeros where these are no instance's."""
    rows = tf.minimum(slots, instances.scores.shape[0] - 1)

    def ordered(values):
        values = tf.gather(values, rows)
        ones = [1] * (values.shape.rank - 1)
        flags = tf.reshape(is_instance, [-1, *ones])
        return tf.where(flags, values, 0.0)

    keypoints, boxes, scores, count = instances
    return Instances(ordered(keypoints), ordered(boxes), ordered(scores), count)


def _class_boxes(segments, parts, num_instances, grid, image_size):
    """Boxes of the segments of thing classes, float32 [S, 4]; zeros for other slots."""
    is_class = tf.range(tf.size(segments.id)) >= num_instances
    is_wanted = is_class & (segments.id > 0)

    def boxes():
        return tight_boxes(parts, is_wanted, grid, image_size)

    def no_boxes():
        return tf.zeros([tf.size(segments.id), 4])

    # Seldom are there any.
    return tf.cond(tf.reduce_any(is_wanted), boxes, no_boxes)


def tight_boxes(parts: Parts, is_wanted: Tensor, grid: Grid, image_size: Tensor) -> Tensor:
    """Boxes around the pixels of slots that no keypoints describe.

    Args:
      parts: `Parts` of the image.
      is_wanted: bool [S], the slots of interest.
      grid: `Grid`.
      image_size: int32 [2], H and W.

    Returns:
      float32 [S, 4] (y1, x1, y2, x2), outermost pixels included; zeros for other slots and those
      without a pixel.
    """
    slots = parts.slots
    # [c, 2]: first and last pixels of whole cells.
    areas = upsample.cell_areas(slots.mixed, grid, image_size)
    is_whole = tf.gather(is_wanted, slots.cells) & (areas > 0)
    cells = lists.indices(is_whole)
    first = tf.stack(grid.rows_columns(cells), axis=1)
    first *= HEAD_STRIDE
    last = tf.minimum(first + HEAD_STRIDE, image_size) - 1

    # [p, 2]: pixels of mixed cells.
    is_visible = upsample.visible_pixels(slots.mixed, grid, image_size)
    is_own = tf.gather(is_wanted, slots.pixels) & is_visible
    rows, columns = upsample.pixel_positions(slots.mixed, grid)
    rows = tf.repeat(rows, HEAD_STRIDE, axis=1)
    columns = tf.tile(columns, [1, HEAD_STRIDE])
    own = lists.indices(tf.reshape(is_own, [-1]))
    pixels = [lists.take(tf.reshape(each, [-1]), own) for each in (rows, columns)]
    pixels = tf.stack(pixels, axis=1)

    num_slots = tf.size(is_wanted)
    of_cells = lists.take(slots.cells, cells)
    of_cells = lists.only(cells, of_cells, -1)
    of_pixels = lists.take(tf.reshape(slots.pixels, [-1]), own)
    of_pixels = lists.only(own, of_pixels, -1)
    owners = tf.concat([of_cells, of_pixels], axis=0)
    # The lowest is the highest of negative numbers.
    of_cells = tf.concat([-first, last], axis=1)
    of_pixels = tf.concat([-pixels, pixels], axis=1)
    ends = tf.concat([of_cells, of_pixels], axis=0)
    ends = tf.math.unsorted_segment_max(ends, owners, num_slots)

    # Of nothing, the highest is the lowest number there is.
    low, high = tf.split(ends, 2, axis=1)
    has_pixels = high[:, :1] >= 0
    boxes = tf.concat([-low, high], axis=1)
    boxes = tf.where(has_pixels, boxes, 0)
    return tf.cast(boxes, tf.float32)
