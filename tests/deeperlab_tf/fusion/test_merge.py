"""Majority classes, ids and boxes."""

import numpy as np
import pytest
import tensorflow as tf

from deeperlab_tf.config import default_config
from deeperlab_tf.fusion import merge
from deeperlab_tf.fusion.assign import Parts
from deeperlab_tf.fusion.detect import Instances
from deeperlab_tf.fusion.maps import Grid
from deeperlab_tf.fusion.semantics import Classes
from deeperlab_tf.fusion.upsample import Labels

GRID, SIZE = Grid(2, 3), tf.constant([5, 9])


def parts(cell_class, cell_slot):
    """`Parts` without mixed cells."""
    mixed, pixels = tf.zeros([0], tf.int32), tf.zeros([0, 16], tf.int32)
    classes = Labels(tf.constant(cell_class), mixed, pixels)
    return Parts(classes, Labels(tf.constant(cell_slot), mixed, pixels))


def find(layout, num_instances, classes, **merging):
    """`find_segments` with changed values of config.fusion.merging."""
    config = default_config().fusion.merging
    config.update(merging)
    shares = merge.least_shares(num_instances, classes, config)
    return merge.find_segments(layout, shares, classes, GRID, SIZE)


@pytest.mark.both_stacks
def test_majority_counts_visible_pixels_only():
    # Cells show 4 x 4 pixels, in the last row and column fewer: slot 1 has 16 pixels of class 1 and
    # 4 + 4 of class 2.
    layout = parts([1, 0, 2, 2, 0, 0], [1, 3, 1, 1, 3, 3])
    found = find(layout, 3, Classes(3, (1, 2)))
    np.testing.assert_array_equal(found.id, [0, 1, 0, 0, 0, 0])
    assert found.majority[1] == 1 and found.count == 1


def test_ties_go_to_the_lowest_class_and_ids_close_ranks():
    # Slots 4, 5, 6 belong to the classes; class 0 is stuff.
    layout = parts([2, 1, 0, 1, 2, 0], [2, 2, 4, 0, 6, 4])
    found = find(layout, 4, Classes(3, (1, 2)))
    np.testing.assert_array_equal(found.id, [1, 0, 2, 0, 0, 0, 3])
    np.testing.assert_array_equal(found.slots[:3], [0, 2, 6])
    assert found.majority[2] == 1 and found.majority[6] == 2 and found.count == 3


def test_label_maps_hold_class_and_id():
    # Class 1 is stuff; slot 0 ties between classes 0 and 2.
    layout = parts([2, 0, 1, 1, 1, 1], [0, 0, 3, 3, 3, 3])
    two = Instances(tf.ones([2, 5, 2]), tf.ones([2, 4]), tf.ones([2]), tf.constant(2))
    parse = merge.merge_parse(layout, two, Classes(3, (0, 2)), GRID, SIZE, default_config().fusion)
    panoptic, semantic, instance = (
        parse[name].numpy() for name in ("panoptic", "semantic", "instance")
    )
    assert panoptic.shape == (5, 9)
    np.testing.assert_array_equal(panoptic[:4, :8], 1)
    np.testing.assert_array_equal(panoptic[4], 1000)
    np.testing.assert_array_equal(panoptic, semantic * 1000 + instance)


def test_tight_boxes_include_the_outermost_visible_pixels():
    # Slot 1: the pixels of cell 2, of which one column is on the image, and one pixel of the mixed
    # cell 0.
    mixed = tf.constant([0, 5])
    pixel_slot = np.zeros([2, 16], np.int32)
    pixel_slot[0, 6] = 1  # pixel (1, 2)
    pixel_slot[1, 15] = 2  # off the image
    slots = Labels(tf.constant([2, 0, 1, 0, 0, 1]), mixed, tf.constant(pixel_slot))
    classes = Labels(tf.zeros([6], tf.int32), mixed, tf.zeros([2, 16], tf.int32))
    is_wanted = tf.constant([False, True, True])
    boxes = merge.tight_boxes(Parts(classes, slots), is_wanted, GRID, SIZE)
    np.testing.assert_array_equal(boxes, [[0, 0, 0, 0], [0, 2, 3, 8], [0, 0, 0, 0]])
